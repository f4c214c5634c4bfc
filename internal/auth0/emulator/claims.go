package emulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// reservedClaims belong to the token itself; nothing that runs for a client may
// set them. Auth0 drops such claims without a word.
var reservedClaims = []string{
	"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "azp", "gty", "scope", "permissions", "client_id", "act", "cnf",
}

// hasPermissions reports whether tokens for the API carry permissions: RBAC must
// be on and the dialect one that has them. Either alone is not enough.
func (s *resourceServer) hasPermissions() bool {
	dialect := s.doc["token_dialect"]
	return s.doc["enforce_policies"] == true && (dialect == dialectAuth0Authz || dialect == dialectRFC9068Authz)
}

func (s *resourceServer) isRFC9068() bool {
	dialect := s.doc["token_dialect"]
	return dialect == dialectRFC9068 || dialect == dialectRFC9068Authz
}

func (s *resourceServer) tokenType() string {
	if s.isRFC9068() {
		return "at+jwt"
	}
	return "JWT"
}

// claims builds a client's access token in the API's dialect. The custom claims
// come from Actions.
func (e *Emulator) claims(x exchange, lifetime int64, custom map[string]json.RawMessage) document {
	now := e.opts.Now().Unix()
	claims := document{}
	for name, value := range custom {
		if !slices.Contains(reservedClaims, name) {
			claims[name] = value
		}
	}
	maps.Copy(claims, document{
		"iss": e.opts.Issuer,
		"sub": x.client.id + "@clients",
		"aud": x.api.identifier(),
		"iat": now,
		"exp": now + lifetime,
	})
	if x.api.isRFC9068() {
		claims["client_id"] = x.client.id
		claims["jti"] = randomText(22)
	} else {
		claims["azp"] = x.client.id
		claims["gty"] = "client-credentials"
	}
	if len(x.scope) > 0 {
		claims["scope"] = strings.Join(x.scope, " ")
	}
	if x.api.hasPermissions() {
		claims["permissions"] = x.scope
	}
	return claims
}

// UserToken describes what a person's login would give.
type UserToken struct {
	Subject     string // required
	Audience    string // required
	Permissions []string
	Scope       string
	Claims      map[string]any // further claims; the standard ones cannot be set here
	Lifetime    time.Duration  // default 24 h
}

// MintUserToken returns an access token as a person's login would give it. It is
// signed by the same keys as all others and has iss, sub, aud, iat, exp and azp;
// azp is a client that exists for this alone and owns no secret. It fails when a
// required field is missing or a further claim is a standard one.
func (e *Emulator) MintUserToken(t UserToken) (string, error) {
	if t.Subject == "" || t.Audience == "" {
		return "", errors.New("a user token needs a subject and an audience")
	}
	if t.Lifetime < 0 {
		return "", errors.New("a user token cannot have a negative lifetime")
	}
	lifetime := t.Lifetime
	if lifetime == 0 {
		lifetime = 24 * time.Hour
	}
	for name := range t.Claims {
		if slices.Contains(reservedClaims, name) {
			return "", fmt.Errorf("the claim %q is set by the issuer", name)
		}
	}
	now := e.opts.Now()
	claims := document{}
	maps.Copy(claims, t.Claims)
	maps.Copy(claims, document{
		"iss": e.opts.Issuer,
		"sub": t.Subject,
		"aud": t.Audience,
		"iat": now.Unix(),
		"exp": now.Add(lifetime).Unix(),
		"azp": e.loginClientID,
	})
	if t.Scope != "" {
		claims["scope"] = t.Scope
	}
	if t.Permissions != nil {
		claims["permissions"] = t.Permissions
	}
	return e.sign("JWT", claims)
}
