package emulator_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const testAudience = "https://mcp.example.com/"

// withAPI makes an API with two scopes. extra is JSON that follows, such as
// `,"enforce_policies":true`.
func (tn *tenant) withAPI(t testing.TB, extra string) {
	t.Helper()
	tn.must(t, "POST", "resource-servers", `{"identifier":"`+testAudience+`","name":"MCP",
		"scopes":[{"value":"skills:invoke"},{"value":"data:read"}]`+extra+`}`)
}

// agent makes a client as the adapter does. extra is JSON that follows.
func (tn *tenant) agent(t testing.TB, extra string) (id, secret string) {
	t.Helper()
	c := tn.must(t, "POST", "clients", `{"name":"agent","app_type":"non_interactive"`+extra+`}`)
	return c["client_id"].(string), c["client_secret"].(string)
}

// grantAll lets a client have both scopes of the API.
func (tn *tenant) grantAll(t testing.TB, clientID string) string {
	t.Helper()
	g := tn.must(t, "POST", "client-grants", fmt.Sprintf(
		`{"client_id":%q,"audience":%q,"scope":["skills:invoke","data:read"]}`, clientID, testAudience))
	return g["id"].(string)
}

// claimsOf reads a token's header and payload without verifying it.
func claimsOf(t testing.TB, token string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWS: %q", token)
	}
	for i, into := range []*map[string]any{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, into); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

func accessToken(t testing.TB, a answer) string {
	t.Helper()
	if a.status != http.StatusOK {
		t.Fatalf("no token: %d %s", a.status, a.body)
	}
	return a.json(t)["access_token"].(string)
}

func TestTokenHasAuth0Claims(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	tn := newTenant(t, options{Now: func() time.Time { return now }})
	tn.withAPI(t, `,"token_lifetime":600`)
	id, secret := tn.agent(t, "")
	tn.grantAll(t, id)

	a := tn.exchange(t, credentialsForm(id, secret, testAudience))
	_, claims := claimsOf(t, accessToken(t, a))
	want := map[string]any{
		"iss": tn.url, "sub": id + "@clients", "aud": testAudience, "azp": id, "gty": "client-credentials",
		"iat": 1.8e9, "exp": 1.8e9 + 600, "scope": "skills:invoke data:read",
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	doc := a.json(t)
	delete(doc, "access_token")
	if diff := cmp.Diff(map[string]any{"expires_in": 600.0, "token_type": "Bearer", "scope": "skills:invoke data:read"}, doc); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}

func TestTokenDialects(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name        string
		api         string
		permissions bool
		typ         string
		rfc9068     bool
	}{
		{"default", ``, false, "JWT", false},
		{"RBAC without the dialect", `,"enforce_policies":true`, false, "JWT", false},
		{"the dialect without RBAC", `,"token_dialect":"access_token_authz"`, false, "JWT", false},
		{"RBAC and the dialect", `,"enforce_policies":true,"token_dialect":"access_token_authz"`, true, "JWT", false},
		{"RFC 9068", `,"enforce_policies":true,"token_dialect":"rfc9068_profile"`, false, "at+jwt", true},
		{"RFC 9068 with RBAC", `,"enforce_policies":true,"token_dialect":"rfc9068_profile_authz"`, true, "at+jwt", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tn := newTenant(t, options{})
			tn.withAPI(t, tt.api)
			id, secret := tn.agent(t, "")
			tn.grantAll(t, id)
			header, claims := claimsOf(t, accessToken(t, tn.exchange(t, credentialsForm(id, secret, testAudience))))

			var want any
			if tt.permissions {
				want = []any{"skills:invoke", "data:read"}
			}
			if diff := cmp.Diff(want, claims["permissions"]); diff != "" {
				t.Errorf("permissions (-want +got):\n%s", diff)
			}
			_, azp := claims["azp"]
			_, clientID := claims["client_id"]
			if header["typ"] != tt.typ || azp == tt.rfc9068 || clientID != tt.rfc9068 {
				t.Errorf("typ %v, azp %t, client_id %t", header["typ"], azp, clientID)
			}
		})
	}
}

func TestTokenTakesCredentialsOneWayAtATime(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, options{})
	tn.withAPI(t, "")
	id, secret := tn.agent(t, `,"token_endpoint_auth_method":"client_secret_post"`)
	tn.grantAll(t, id)
	const form, jsonType = "application/x-www-form-urlencoded", "application/json"
	full := credentialsForm(id, secret, testAudience).Encode()
	bare := url.Values{"grant_type": {"client_credentials"}, "audience": {testAudience}}.Encode()
	asJSON, err := json.Marshal(map[string]any{
		"grant_type": "client_credentials", "client_id": id, "client_secret": secret, "audience": testAudience, "unknown": []int{1},
	})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, body, contentType, basicID, basicSecret string
		status                                        int
		code                                          string
	}{
		{"secret in a form", full, form, "", "", 200, ""},
		{"secret in JSON", string(asJSON), jsonType, "", "", 200, ""},
		{"Basic with a form", bare, form, id, secret, 200, ""},
		{"Basic with JSON", `{"grant_type":"client_credentials","audience":"` + testAudience + `"}`, jsonType, id, secret, 200, ""},
		{"both", full, form, id, secret, 400, "invalid_request"},
		{"Basic for another client", bare + "&client_id=other", form, id, secret, 400, "invalid_request"},
		{"Basic with a bad encoding", bare, form, id, "%zz", 400, "invalid_request"},
		{"wrong secret", credentialsForm(id, secret+"x", testAudience).Encode(), form, "", "", 401, "access_denied"},
		{"no secret", credentialsForm(id, "", testAudience).Encode(), form, "", "", 401, "access_denied"},
		{"unknown client", credentialsForm("nobody", secret, testAudience).Encode(), form, "", "", 401, "access_denied"},
		{"no client", bare, form, "", "", 400, "invalid_request"},
		{"a parameter twice", full + "&scope=a&scope=b", form, "", "", 400, "invalid_request"},
		{"neither form nor JSON", full, "text/plain", "", "", 400, "invalid_request"},
		{"not JSON", "{", jsonType, "", "", 400, "invalid_request"},
		{"a number for a string", `{"grant_type":1}`, jsonType, "", "", 400, "invalid_request"},
		{"null for a string", `{"grant_type":null}`, jsonType, "", "", 400, "invalid_request"},
		{"a huge body", full + "&x=" + strings.Repeat("x", 1<<20), form, "", "", 413, "invalid_request"},
		{"no grant type", "client_id=" + id, form, "", "", 400, "invalid_request"},
		{"another grant type", strings.Replace(full, "client_credentials", "password", 1), form, "", "", 403, "unsupported_grant_type"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := tn.exchangeWith(t, tt.body, tt.contentType, tt.basicID, tt.basicSecret)
			doc := a.json(t)
			if code, _ := doc["error"].(string); a.status != tt.status || code != tt.code {
				t.Errorf("got %d %s, want %d %s", a.status, a.body, tt.status, tt.code)
			}
			if _, mixed := doc["statusCode"]; mixed {
				t.Errorf("the answer is in the management dialect: %s", a.body)
			}
		})
	}
}

func TestTokenNeedsAGrant(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, options{})
	tn.withAPI(t, "")
	tn.must(t, "POST", "resource-servers", `{"identifier":"urn:closed","subject_type_authorization":{"client":{"policy":"deny_all"}}}`)
	tn.must(t, "POST", "resource-servers", `{"identifier":"urn:hmac","signing_alg":"HS256"}`)
	id, secret := tn.agent(t, "")
	for _, grant := range []string{
		`{"client_id":"` + id + `","audience":"` + testAudience + `","scope":["data:read"],"subject_type":"user"}`,
		`{"client_id":"` + id + `","audience":"urn:closed","scope":[]}`,
		`{"client_id":"` + id + `","audience":"urn:hmac","scope":[]}`,
	} {
		tn.must(t, "POST", "client-grants", grant)
	}
	webID, webSecret := tn.agent(t, `,"grant_types":["authorization_code"]`)
	publicID, publicSecret := tn.agent(t, `,"token_endpoint_auth_method":"none"`)
	tests := []struct {
		name, id, secret, audience string
		status                     int
		code                       string
	}{
		{"no audience", id, secret, "", 403, "access_denied"},
		{"unknown audience", id, secret, "urn:nothing", 403, "access_denied"},
		{"a grant for users only", id, secret, testAudience, 403, "access_denied"},
		{"an API closed to clients", id, secret, "urn:closed", 403, "access_denied"},
		{"an algorithm that is not emulated", id, secret, "urn:hmac", 400, "invalid_request"},
		{"the Management API", id, secret, tn.url + "api/v2/", 403, "access_denied"},
		{"a client without the grant type", webID, webSecret, testAudience, 403, "unauthorized_client"},
		{"a client that has no use for a secret", publicID, publicSecret, testAudience, 401, "access_denied"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := tn.exchange(t, credentialsForm(tt.id, tt.secret, tt.audience))
			if got := a.json(t)["error"]; a.status != tt.status || got != tt.code {
				t.Errorf("got %d %s, want %d %s", a.status, a.body, tt.status, tt.code)
			}
		})
	}
}

func TestScopeIsWhatWasAskedForWithinTheGrant(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, options{})
	tn.withAPI(t, "")
	id, secret := tn.agent(t, "")
	grantID := tn.grantAll(t, id)
	scopeFor := func(requested string) any {
		form := credentialsForm(id, secret, testAudience)
		if requested != "" {
			form.Set("scope", requested)
		}
		_, claims := claimsOf(t, accessToken(t, tn.exchange(t, form)))
		return claims["scope"]
	}
	if got := scopeFor("data:read admin"); got != "data:read" {
		t.Errorf("a part of the grant and more: %v", got)
	}
	if got := scopeFor("admin"); got != nil {
		t.Errorf("nothing of the grant: %v", got)
	}
	tn.must(t, "PATCH", "client-grants/"+grantID, `{"scope":["data:read"]}`)
	if got := scopeFor(""); got != "data:read" {
		t.Errorf("after the grant was narrowed: %v", got)
	}
}
