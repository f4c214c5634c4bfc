package e2e_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/credenceproject/credence/api"
)

// Who asks OpenBao: root within the world's namespace, or outside of all.
const (
	asRoot      = "root"
	asRootOfAll = "root of all"
)

// bao asks OpenBao, past the proxy, as root or by a token.
func (w *world) bao(method, path, token string, body any) response {
	w.t.Helper()
	bao := must(openBao())(w.t)
	r := must(http.NewRequestWithContext(w.t.Context(), method, bao.Address+"/v1/"+path, bytes.NewReader(must(json.Marshal(body))(w.t))))(w.t)
	if body == nil {
		r.Body, r.ContentLength = nil, 0
	}
	if token != asRootOfAll {
		r.Header.Set("X-Vault-Namespace", w.namespace)
	}
	if token == asRoot || token == asRootOfAll {
		token = bao.RootToken
	}
	if token != "" {
		r.Header.Set("X-Vault-Token", token)
	}
	return send(w.t, client, r)
}

// keep stores a secret in the folder, whose path is one of the API, as an
// operator would.
func (w *world) keep(folder, value string) {
	w.t.Helper()
	w.bao("PUT", folder+"/key", asRoot, map[string]any{"data": map[string]string{"value": value}}).want(w.t, 200)
}

// read tells what a Vault token gets of the folder: the value, or the status.
func (w *world) read(folder, token string) (string, int) {
	w.t.Helper()
	answer := w.bao("GET", folder+"/key", token, nil)
	var got struct {
		Data struct{ Data struct{ Value string } }
	}
	_ = json.Unmarshal(answer.body, &got) // a refusal has none
	return got.Data.Data.Value, answer.status
}

// entity is what OpenBao holds of an agent.
type entity struct {
	ID       string
	Disabled bool
	Aliases  []struct{ Name string }
}

// entityOf returns the agent's entity, or false.
func (w *world) entityOf(agentID string) (entity, bool) {
	w.t.Helper()
	answer := w.bao("GET", "identity/entity/name/agent_"+agentID, asRoot, nil)
	if answer.status == 404 {
		return entity{}, false
	}
	var got struct{ Data entity }
	if err := json.Unmarshal(answer.want(w.t, 200).body, &got); err != nil {
		w.t.Fatal(err)
	}
	return got.Data, true
}

// logIn logs in to OpenBao with a JWT.
func (w *world) logIn(jwt string) response {
	w.t.Helper()
	return w.bao("POST", "auth/jwt/login", "", map[string]string{"role": "agent", "jwt": jwt})
}

// vaultToken logs in, which must work, and returns the token and the entity's id.
func (w *world) vaultToken(jwt string) (token, entityID string) {
	w.t.Helper()
	var got struct {
		Auth struct {
			ClientToken string `json:"client_token"`
			EntityID    string `json:"entity_id"`
		}
	}
	if err := json.Unmarshal(w.logIn(jwt).want(w.t, 200).body, &got); err != nil {
		w.t.Fatal(err)
	}
	w.secrets.add("a Vault token", got.Auth.ClientToken)
	return got.Auth.ClientToken, got.Auth.EntityID
}

// ask asks the token endpoint.
func (w *world) ask(clientID, secret, audience string) response {
	w.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {clientID}, "client_secret": {secret}, "audience": {audience}}
	r := must(http.NewRequestWithContext(w.t.Context(), "POST", w.issuer()+"oauth/token", strings.NewReader(form.Encode())))(w.t)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return send(w.t, client, r)
}

// jwt gets the token of a client that has one.
func (w *world) jwt(clientID, secret, audience string) string {
	w.t.Helper()
	var got struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(w.ask(clientID, secret, audience).want(w.t, 200).body, &got); err != nil {
		w.t.Fatal(err)
	}
	w.secrets.add("a token of client "+clientID, got.AccessToken)
	return got.AccessToken
}

// agentToken gets the agent's token.
func (w *world) agentToken(r api.RegisteredAgent) string {
	w.t.Helper()
	return w.jwt(r.Credentials.ClientID, secretOf(r), r.Credentials.Audience)
}

// claimsOf reads a token without verifying it.
func (w *world) claimsOf(jwt string) map[string]any {
	w.t.Helper()
	payload := must(base64.RawURLEncoding.DecodeString(strings.Split(jwt, ".")[1]))(w.t)
	claims := map[string]any{}
	if err := json.Unmarshal(payload, &claims); err != nil {
		w.t.Fatal(err)
	}
	return claims
}

// foreignClient makes a client in the tenant past Credence, as another operator
// of the tenant would, with a grant for audience.
func (w *world) foreignClient(audience string, metadata map[string]string) (id, secret string) {
	w.t.Helper()
	managementID, managementSecret := w.tenant.ManagementCredentials()
	token := w.jwt(managementID, managementSecret, w.issuer()+"api/v2/")
	manage := func(path string, body map[string]any) map[string]any {
		r := must(http.NewRequestWithContext(w.t.Context(), "POST", w.issuer()+"api/v2/"+path, bytes.NewReader(must(json.Marshal(body))(w.t))))(w.t)
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		made := map[string]any{}
		if err := json.Unmarshal(send(w.t, client, r).want(w.t, 201).body, &made); err != nil {
			w.t.Fatal(err)
		}
		return made
	}
	document := map[string]any{"name": "foreign", "app_type": "non_interactive", "grant_types": []string{"client_credentials"}}
	if metadata != nil {
		document["client_metadata"] = metadata
	}
	made := manage("clients", document)
	id, secret = made["client_id"].(string), made["client_secret"].(string)
	manage("client-grants", map[string]any{"client_id": id, "audience": audience, "scope": []string{}})
	return id, secret
}

// forge signs claims with the tenant's own key, as nobody else can: it shows
// what a token that should never be opens all the same.
func (w *world) forge(changes map[string]any) string {
	w.t.Helper()
	claims := w.claimsOf(w.admin)
	maps.Copy(claims, changes)
	r := must(http.NewRequestWithContext(w.t.Context(), "GET", w.issuer()+".well-known/jwks.json", nil))(w.t)
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(send(w.t, client, r).want(w.t, 200).body, &set); err != nil {
		w.t.Fatal(err)
	}
	key := jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: must(signingKey())(w.t), KeyID: set.Keys[0].KeyID}}
	signer := must(jose.NewSigner(key, (&jose.SignerOptions{}).WithType("JWT")))(w.t)
	signed := must(signer.Sign(must(json.Marshal(claims))(w.t)))(w.t)
	return must(signed.CompactSerialize())(w.t)
}
