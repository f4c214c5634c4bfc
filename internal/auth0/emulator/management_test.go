package emulator_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/auth0/emulator"
	"github.com/google/go-cmp/cmp"
)

func TestManagementNeedsItsOwnToken(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tn := newTenant(t, options{Now: clock.now})
	other := newTenant(t, options{Now: clock.now})
	tn.withAPI(t, "")
	id, secret := tn.agent(t, "")
	tn.grantAll(t, id)
	tn.must(t, "POST", "client-grants", fmt.Sprintf(`{"client_id":%q,"audience":%q,"scope":["read:clients"]}`, id, tn.url+"api/v2/"))
	agentToken := accessToken(t, tn.exchange(t, credentialsForm(id, secret, testAudience)))
	readerToken := accessToken(t, tn.exchange(t, credentialsForm(id, secret, tn.url+"api/v2/")))
	old, err := tn.MintUserToken(emulator.UserToken{Subject: "x", Audience: tn.url + "api/v2/", Scope: "create:clients", Lifetime: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	clock.advance(time.Second)
	foreign, err := other.MintUserToken(emulator.UserToken{Subject: "x", Audience: tn.url + "api/v2/", Scope: "create:clients"})
	if err != nil {
		t.Fatal(err)
	}

	const unsigned = "eyJhbGciOiJub25lIn0.eyJzY29wZSI6ImNyZWF0ZTpjbGllbnRzIn0."
	tests := []struct {
		name, token string
		status      int
		code        any
	}{
		{"no token", "", 401, nil},
		{"not a token", "x.y.z", 401, nil},
		{"an unsigned token", unsigned, 401, nil},
		{"a token of another tenant", foreign, 401, nil},
		{"an expired token", old, 401, nil},
		{"a token for another audience", agentToken, 401, nil},
		{"a token without the scope", readerToken, 403, "insufficient_scope"},
		{"the right token", tn.token, 201, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := tn.manageAs(t, tt.token, "POST", "clients", `{"name":"x"}`)
			doc := a.json(t)
			if a.status != tt.status || doc["errorCode"] != tt.code {
				t.Errorf("got %d %s, want %d %v", a.status, a.body, tt.status, tt.code)
			}
			if a.status >= 400 && doc["statusCode"] != float64(a.status) {
				t.Errorf("not the management dialect: %s", a.body)
			}
		})
	}
}

func TestUpdatingASecretNeedsItsOwnScope(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, options{})
	id, secret := tn.agent(t, "")
	tn.must(t, "POST", "client-grants", fmt.Sprintf(`{"client_id":%q,"audience":%q,"scope":["update:clients"]}`, id, tn.url+"api/v2/"))
	token := accessToken(t, tn.exchange(t, credentialsForm(id, secret, tn.url+"api/v2/")))
	if a := tn.manageAs(t, token, "PATCH", "clients/"+id, `{"client_secret":"mine"}`); a.status != http.StatusForbidden {
		t.Errorf("client_secret: %d", a.status)
	}
	if a := tn.manageAs(t, token, "POST", "clients/"+id+"/rotate-secret", ""); a.status != http.StatusForbidden {
		t.Errorf("rotate-secret: %d", a.status)
	}
	if a := tn.manageAs(t, token, "PATCH", "clients/"+id, `{"description":"mine"}`); a.status != http.StatusOK {
		t.Errorf("description: %d", a.status)
	}
}

func TestBadManagementRequestsAreRefused(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, options{})
	tn.withAPI(t, "")
	id, _ := tn.agent(t, "")
	grantID := tn.grantAll(t, id)
	long := strings.Repeat("x", 256)
	var elevenKeys []string
	for i := range 11 {
		elevenKeys = append(elevenKeys, fmt.Sprintf(`"k%d":"v"`, i))
	}
	nested := strings.Repeat(`{"a":`, 60) + "1" + strings.Repeat("}", 60)
	deep := strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000)
	tests := []struct {
		name, method, path, body string
		status                   int
		code                     any
	}{
		{"no name", "POST", "clients", `{}`, 400, "invalid_body"},
		{"an empty name", "POST", "clients", `{"name":""}`, 400, "invalid_body"},
		{"a name with <", "POST", "clients", `{"name":"<b>"}`, 400, "invalid_body"},
		{"a null name", "POST", "clients", `{"name":null}`, 400, "invalid_body"},
		{"an unknown property", "POST", "clients", `{"name":"x","client_id":"mine"}`, 400, "invalid_body"},
		{"a long description", "POST", "clients", `{"name":"x","description":"` + long + `"}`, 400, "invalid_body"},
		{"eleven metadata keys", "POST", "clients", `{"name":"x","client_metadata":{` + strings.Join(elevenKeys, ",") + `}}`, 400, "invalid_body"},
		{"a long metadata value", "POST", "clients", `{"name":"x","client_metadata":{"k":"` + long + `"}}`, 400, "invalid_body"},
		{"a long metadata key", "POST", "clients", `{"name":"x","client_metadata":{"` + long + `":"v"}}`, 400, "invalid_body"},
		{"a metadata key with a dot", "POST", "clients", `{"name":"x","client_metadata":{"a.b":"v"}}`, 400, "invalid_body"},
		{"a metadata number", "POST", "clients", `{"name":"x","client_metadata":{"k":1}}`, 400, "invalid_body"},
		{"no method but client_credentials", "POST", "clients", `{"name":"x","token_endpoint_auth_method":"none","grant_types":["client_credentials"]}`, 400, "invalid_body"},
		{"two authentication methods", "POST", "clients", `{"name":"x","token_endpoint_auth_method":"client_secret_post","client_authentication_methods":{"private_key_jwt":{"credentials":[]}}}`, 400, "invalid_body"},
		{"a key that is none", "POST", "clients", `{"name":"x","client_authentication_methods":{"private_key_jwt":{"credentials":[{"credential_type":"public_key","pem":"x"}]}}}`, 400, "invalid_body"},
		{"a credential of nobody", "POST", "clients", `{"name":"x","client_authentication_methods":{"private_key_jwt":{"credentials":[{"id":"cred_x"}]}}}`, 400, "invalid_body"},
		{"not JSON", "POST", "clients", `{"name":`, 400, "invalid_body"},
		{"an array", "POST", "clients", `[]`, 400, "invalid_body"},
		{"null", "POST", "clients", `null`, 400, "invalid_body"},
		{"two documents", "POST", "clients", `{"name":"x"}{}`, 400, "invalid_body"},
		{"a huge number", "POST", "clients", `{"name":"x","addons":{"n":1e9999999}}`, 400, "invalid_body"},
		{"nesting", "POST", "clients", `{"name":"x","addons":` + nested + `}`, 400, "invalid_body"},
		{"absurd nesting", "POST", "clients", deep, 400, "invalid_body"},
		{"a huge body", "POST", "clients", `{"name":"` + strings.Repeat("x", 1<<20) + `"}`, 413, nil},
		{"a client that is not there", "GET", "clients/nobody", "", 404, "inexistent_client"},
		{"a change of nobody", "PATCH", "clients/nobody", `{}`, 404, "inexistent_client"},
		{"a rotation of nobody", "POST", "clients/nobody/rotate-secret", "", 404, "inexistent_client"},
		{"clearing the name", "PATCH", "clients/" + id, `{"name":null}`, 400, "invalid_body"},
		{"changing the id", "PATCH", "clients/" + id, `{"client_id":"x"}`, 400, "invalid_body"},

		{"a grant for nobody", "POST", "client-grants", `{"client_id":"nobody","audience":"` + testAudience + `","scope":[]}`, 404, "inexistent_client"},
		{"a grant for no API", "POST", "client-grants", `{"client_id":"` + id + `","audience":"urn:nothing","scope":[]}`, 404, "inexistent_resource_server"},
		{"a grant without scope", "POST", "client-grants", `{"client_id":"` + id + `","audience":"` + testAudience + `"}`, 400, "invalid_body"},
		{"a second grant", "POST", "client-grants", `{"client_id":"` + id + `","audience":"` + testAudience + `","scope":[]}`, 409, "client_grant_conflict"},
		{"moving a grant", "PATCH", "client-grants/" + grantID, `{"audience":"urn:other","client_id":"x"}`, 400, "invalid_body"},
		{"a grant that is not there", "GET", "client-grants/cgr_x", "", 404, "inexistent_client_grant"},
		{"a change of no grant", "PATCH", "client-grants/cgr_x", `{"scope":[]}`, 404, "inexistent_client_grant"},

		{"an API without identifier", "POST", "resource-servers", `{"name":"x"}`, 400, "invalid_body"},
		{"the same API again", "POST", "resource-servers", `{"identifier":"` + testAudience + `"}`, 409, "resource_server_conflict"},
		{"a scope twice", "POST", "resource-servers", `{"identifier":"urn:x","scopes":[{"value":"a"},{"value":"a"}]}`, 400, "invalid_body"},
		{"a token for ever", "POST", "resource-servers", `{"identifier":"urn:x","token_lifetime":99999999}`, 400, "invalid_body"},
		{"half a second", "POST", "resource-servers", `{"identifier":"urn:x","token_lifetime":0.5}`, 400, "invalid_body"},
		{"a null lifetime", "POST", "resource-servers", `{"identifier":"urn:x","token_lifetime":null}`, 400, "invalid_body"},
		{"an unknown dialect", "POST", "resource-servers", `{"identifier":"urn:x","token_dialect":"x"}`, 400, "invalid_body"},
		{"an API that is not there", "GET", "resource-servers/urn:x", "", 404, "inexistent_resource_server"},
		{"changing the Management API", "PATCH", "resource-servers/" + url.PathEscape(tn.url+"api/v2/"), `{"name":"x"}`, 400, "operation_not_supported"},
		{"deleting the Management API", "DELETE", "resource-servers/" + url.PathEscape(tn.url+"api/v2/"), "", 400, "operation_not_supported"},

		{"an unknown parameter", "GET", "clients?q=x", "", 400, "invalid_query_string"},
		{"a large page", "GET", "clients?per_page=101", "", 400, "invalid_query_string"},
		{"a negative page", "GET", "clients?page=-1", "", 400, "invalid_query_string"},
		{"a boolean that is none", "GET", "clients?include_totals=1", "", 400, "invalid_query_string"},
		{"a malformed query", "GET", "clients?%zz", "", 400, "invalid_query_string"},

		{"an action without a trigger", "POST", "actions/actions", `{"name":"x","supported_triggers":[]}`, 400, "invalid_body"},
		{"an unknown trigger", "POST", "actions/actions", `{"name":"x","supported_triggers":[{"id":"x","version":"v1"}]}`, 400, "invalid_body"},
		{"an unknown version of a trigger", "POST", "actions/actions", `{"name":"x","supported_triggers":[{"id":"post-login","version":"v99"}]}`, 400, "invalid_body"},
		{"an unknown path", "GET", "users", "", 404, nil},
		{"a method that the path lacks", "PUT", "clients/" + id, "{}", 404, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := tn.manage(t, tt.method, tt.path, tt.body)
			doc := a.json(t)
			if a.status != tt.status || doc["errorCode"] != tt.code || doc["statusCode"] != float64(tt.status) {
				t.Errorf("got %d %.300s, want %d %v", a.status, a.body, tt.status, tt.code)
			}
		})
	}
}

func TestABodyMustBeDeclaredAsJSON(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, options{})
	req, err := http.NewRequestWithContext(t.Context(), "POST", tn.url+"api/v2/clients", strings.NewReader(`{"name":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+tn.token)
	req.Header.Set("Content-Type", "text/plain")
	if a := do(t, req); a.status != http.StatusUnsupportedMediaType {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

func TestClientDefaults(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, options{})
	c := tn.must(t, "POST", "clients", `{"name":"x"}`)
	want := []any{"authorization_code", "implicit", "refresh_token", "client_credentials"}
	if diff := cmp.Diff(want, c["grant_types"]); diff != "" {
		t.Errorf("grant_types (-want +got):\n%s", diff)
	}
}

func TestClientMetadataIsMerged(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, options{})
	id, _ := tn.agent(t, `,"client_metadata":{"team":"a","agent_id":"1","kept":"yes"}`)
	c := tn.must(t, "PATCH", "clients/"+id, `{"client_metadata":{"team":"b","agent_id":null,"environment":"production"}}`)
	want := map[string]any{"team": "b", "environment": "production", "kept": "yes"}
	if diff := cmp.Diff(want, c["client_metadata"]); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
}

func TestDeletingAClientIsRepeatableAndTakesItsGrants(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, options{})
	tn.withAPI(t, "")
	id, secret := tn.agent(t, "")
	tn.grantAll(t, id)
	for range 2 {
		if a := tn.manage(t, "DELETE", "clients/"+id, ""); a.status != http.StatusNoContent || a.body != "" {
			t.Errorf("delete: %d %s", a.status, a.body)
		}
	}
	if a := tn.manage(t, "GET", "client-grants?client_id="+id, ""); strings.TrimSpace(a.body) != "[]" {
		t.Errorf("its grants: %s", a.body)
	}
	if a := tn.exchange(t, credentialsForm(id, secret, testAudience)); a.status != http.StatusUnauthorized {
		t.Errorf("its token: %d %s", a.status, a.body)
	}
}

func TestResourceServersAreFoundByIDAndIdentifier(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, options{})
	tn.withAPI(t, "")
	byIdentifier := tn.must(t, "GET", "resource-servers/"+url.PathEscape(testAudience), "")
	byID := tn.must(t, "GET", "resource-servers/"+byIdentifier["id"].(string), "")
	if diff := cmp.Diff(byID, byIdentifier); diff != "" {
		t.Errorf("-by id +by identifier:\n%s", diff)
	}
	tn.must(t, "PATCH", "resource-servers/"+url.PathEscape(testAudience), `{"token_lifetime":60}`)
	if got := tn.must(t, "GET", "resource-servers/"+byIdentifier["id"].(string), "")["token_lifetime"]; got != 60.0 {
		t.Errorf("token_lifetime %v", got)
	}
}
