package emulator

import (
	"encoding/json"
	"maps"
	"net"
	"net/http"
)

// maxCustomClaims is how many bytes of custom claims a token may carry.
const maxCustomClaims = 100 << 10

// runActions runs what is bound to credentials-exchange, in order, and returns
// the custom claims that it set. It fails with what api.access.deny said, and
// with server_error when an Action failed.
func (e *Emulator) runActions(x exchange) (map[string]json.RawMessage, error) {
	claims := map[string]json.RawMessage{}
	for _, v := range e.boundVersions(triggerCredentialsExchange) {
		result, err := v.run(eventOf(x, v), e.actionTimeLimit)
		if err != nil {
			return nil, oauthErrorf(http.StatusInternalServerError, "server_error", "The action %q failed: %v", v.name, err)
		}
		if result.denied != nil {
			return nil, result.denied
		}
		maps.Copy(claims, result.claims)
	}
	size := 0
	for name, value := range claims {
		size += len(name) + len(value)
	}
	if size > maxCustomClaims {
		return nil, oauthErrorf(http.StatusInternalServerError, "server_error", "The custom claims are over %d bytes.", maxCustomClaims)
	}
	return claims, nil
}

// boundVersions returns the deployed versions of the Actions bound to a trigger.
func (e *Emulator) boundVersions(trigger string) []version {
	e.mu.RLock()
	defer e.mu.RUnlock()
	var versions []version
	for _, b := range e.bindings[trigger] {
		a, ok := e.actions.get(b.actionID)
		if !ok {
			continue
		}
		if v, ok := a.deployed(); ok {
			versions = append(versions, v)
		}
	}
	return versions
}

// eventOf is what the Action sees of the exchange. The secret that the client
// sent is not part of it.
func eventOf(x exchange, v version) document {
	values := document{}
	for _, s := range v.secrets {
		values[s.name] = s.value
	}
	ip, _, _ := net.SplitHostPort(x.http.RemoteAddr)
	return document{
		"client": document{
			"client_id": x.client.id,
			"name":      x.client.doc["name"],
			"metadata":  x.client.metadata(),
		},
		"resource_server": document{"identifier": x.api.identifier()},
		"request": document{
			"hostname":   x.http.Host,
			"ip":         ip,
			"method":     x.http.Method,
			"user_agent": x.http.UserAgent(),
			"body": document{
				"grant_type": x.request.grantType,
				"client_id":  x.client.id,
				"audience":   x.request.audience,
			},
		},
		"accessToken": document{"scope": x.scope, "customClaims": document{}},
		"transaction": document{"requested_scopes": x.requested},
		"secrets":     values,
	}
}
