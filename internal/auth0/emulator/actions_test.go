package emulator_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const claimsCode = `
exports.onExecuteCredentialsExchange = async (event, api) => {
  const m = event.client.metadata || {};
  if (event.resource_server.identifier !== "https://mcp.example.com/") return;
  for (const k of ["agent_id", "team"]) if (m[k]) api.accessToken.setCustomClaim("https://mcp.example.com/" + k, m[k]);
};`

// newAction makes an Action for credentials-exchange and returns its id.
func (tn *tenant) newAction(t testing.TB, name, code string) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"name": name, "code": code,
		"supported_triggers": []any{map[string]any{"id": "credentials-exchange", "version": "v2"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return tn.must(t, "POST", "actions/actions", string(body))["id"].(string)
}

// deploy waits for the build and deploys.
func (tn *tenant) deploy(t testing.TB, id string) {
	t.Helper()
	for tn.must(t, "GET", "actions/actions/"+id, "")["status"] == "building" {
	}
	tn.must(t, "POST", "actions/actions/"+id+"/deploy", "")
}

const bindingsPath = "actions/triggers/credentials-exchange/bindings"

func (tn *tenant) bind(t testing.TB, ids ...string) {
	t.Helper()
	refs := []string{}
	for _, id := range ids {
		refs = append(refs, `{"ref":{"type":"action_id","value":"`+id+`"}}`)
	}
	tn.must(t, "PATCH", bindingsPath, `{"bindings":[`+strings.Join(refs, ",")+`]}`)
}

// withAgent makes an API and an agent with metadata, and returns what asks for
// its token.
func (tn *tenant) withAgent(t testing.TB) func() answer {
	t.Helper()
	tn.withAPI(t, "")
	id, secret := tn.agent(t, `,"client_metadata":{"agent_id":"a1","team":"support"}`)
	tn.grantAll(t, id)
	return func() answer { return tn.exchange(t, credentialsForm(id, secret, testAudience)) }
}

func customClaims(t testing.TB, a answer) map[string]any {
	t.Helper()
	_, claims := claimsOf(t, accessToken(t, a))
	custom := map[string]any{}
	for name, v := range claims {
		if strings.Contains(name, "/") {
			custom[name] = v
		}
	}
	return custom
}

func TestOnlyADeployedAndBoundActionSetsClaims(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, options{})
	ask := tn.withAgent(t)
	none := map[string]any{}
	first := map[string]any{testAudience + "agent_id": "a1", testAudience + "team": "support"}
	check := func(when string, want map[string]any) {
		t.Helper()
		if diff := cmp.Diff(want, customClaims(t, ask())); diff != "" {
			t.Errorf("%s: claims (-want +got):\n%s", when, diff)
		}
	}

	id := tn.newAction(t, "claims", claimsCode)
	check("drafted", none)
	if a := tn.manage(t, "PATCH", bindingsPath, `{"bindings":[{"ref":{"type":"action_id","value":"`+id+`"}}]}`); a.status != http.StatusBadRequest {
		t.Errorf("binding a draft: %d %s", a.status, a.body)
	}
	tn.deploy(t, id)
	check("deployed", none)
	tn.bind(t, id)
	check("bound", first)

	tn.must(t, "PATCH", "actions/actions/"+id, `{"code":"exports.onExecuteCredentialsExchange = () => {}"}`)
	check("changed but not deployed", first)
	tn.deploy(t, id)
	check("changed and deployed", none)
	versions := tn.must(t, "GET", "actions/actions/"+id+"/versions", "")["versions"].([]any)
	oldest := versions[len(versions)-1].(map[string]any)["id"].(string)
	tn.must(t, "POST", "actions/actions/"+id+"/versions/"+oldest+"/deploy", "")
	check("rolled back", first)

	tn.bind(t)
	check("unbound", none)
	tn.bind(t, id)
	tn.must(t, "DELETE", "actions/actions/"+id+"?force=true", "")
	check("deleted", none)
}

func TestActionsRunInOrder(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, options{})
	ask := tn.withAgent(t)
	set := func(n int) string {
		return fmt.Sprintf(`exports.onExecuteCredentialsExchange = (event, api) => api.accessToken.setCustomClaim("https://c/last", %d)`, n)
	}
	one, two := tn.newAction(t, "one", set(1)), tn.newAction(t, "two", set(2))
	tn.deploy(t, one)
	tn.deploy(t, two)
	for _, tt := range []struct {
		order []string
		last  float64
	}{{[]string{one, two}, 2}, {[]string{two, one}, 1}} {
		tn.bind(t, tt.order...)
		if got := customClaims(t, ask())["https://c/last"]; got != tt.last {
			t.Errorf("last claim %v, want %v", got, tt.last)
		}
	}
}

func TestActionOutcomes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		status     int
		code       string         // of the error
		claims     map[string]any // when there is a token
	}{
		{"deny", `api.access.deny("invalid_scope", "no")`, 400, "invalid_scope", nil},
		{"deny as server_error", `api.access.deny("server_error", "no")`, 500, "server_error", nil},
		{"deny wins over claims", `api.accessToken.setCustomClaim("https://c/x", 1); api.access.deny("invalid_request", "no")`, 400, "invalid_request", nil},
		{"throw", `throw new Error("boom")`, 500, "server_error", nil},
		{"a promise that never settles", `await new Promise(() => {})`, 500, "server_error", nil},
		{"an endless loop", `for (;;) {}`, 500, "server_error", nil},
		{"an endless chain of promises", `for (;;) await 0`, 500, "server_error", nil},
		{"an endless loop inside of a claim", `api.accessToken.setCustomClaim("https://c/x", {toJSON() { for (;;) {} }})`, 500, "server_error", nil},
		{"endless recursion", `const f = () => f(); f()`, 500, "server_error", nil},
		{"a claim that is not JSON", `const a = []; a.push(a); api.accessToken.setCustomClaim("https://c/x", a)`, 500, "server_error", nil},
		{"claims over 100 KB", `api.accessToken.setCustomClaim("https://c/x", "x".repeat(1 << 17))`, 500, "server_error", nil},
		{"a module", `require("fs")`, 500, "server_error", nil},
		{"the network", `fetch("http://127.0.0.1")`, 500, "server_error", nil},
		{"a timer", `setTimeout(() => {}, 1)`, 500, "server_error", nil},
		{"reserved claims", `for (const k of ["sub", "permissions", "scope", "https://x.auth0.com/y", "urn:auth0/z"]) api.accessToken.setCustomClaim(k, "evil")`, 200, "", map[string]any{}},
		{"values of every kind", `api.accessToken.setCustomClaim("https://c/x", {a: [1, null, true, undefined]}); api.accessToken.setCustomClaim("https://c/u", undefined)`, 200, "",
			map[string]any{"https://c/x": map[string]any{"a": []any{1.0, nil, true, nil}}}},
		{"what the event says", `console.log(event); api.accessToken.setCustomClaim("https://c/e", [event.client.name, event.client.metadata.team, event.request.method, event.request.body.client_secret === undefined])`, 200, "",
			map[string]any{"https://c/e": []any{"agent", "support", "POST", true}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tn := newTenant(t, options{})
			tn.SetActionTimeLimit(100 * time.Millisecond)
			if tt.status == http.StatusOK {
				tn.SetActionTimeLimit(time.Minute)
			}
			ask := tn.withAgent(t)
			id := tn.newAction(t, "action", `exports.onExecuteCredentialsExchange = async (event, api) => {`+tt.body+`}`)
			tn.deploy(t, id)
			tn.bind(t, id)
			a := ask()
			if a.status != tt.status {
				t.Fatalf("got %d %s, want %d", a.status, a.body, tt.status)
			}
			if tt.status != http.StatusOK {
				if got := a.json(t)["error"]; got != tt.code {
					t.Errorf("error %v, want %s", got, tt.code)
				}
				return
			}
			if diff := cmp.Diff(tt.claims, customClaims(t, a)); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
			if _, claims := claimsOf(t, accessToken(t, a)); claims["scope"] == "evil" || claims["permissions"] != nil {
				t.Errorf("a reserved claim was set: %v", claims)
			}
		})
	}
}

func TestActionSecretsReachOnlyTheAction(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, options{})
	ask := tn.withAgent(t)
	made := tn.must(t, "POST", "actions/actions", `{"name":"s","supported_triggers":[{"id":"credentials-exchange","version":"v2"}],
		"code":"module.exports = {onExecuteCredentialsExchange: (e, api) => api.accessToken.setCustomClaim('https://c/s', e.secrets.key)}",
		"secrets":[{"name":"key","value":"hidden"}]}`)
	id := made["id"].(string)
	// A secret without a value keeps the one it has.
	patched := tn.manage(t, "PATCH", "actions/actions/"+id, `{"secrets":[{"name":"key"}]}`)
	tn.deploy(t, id)
	tn.bind(t, id)
	if got := customClaims(t, ask())["https://c/s"]; got != "hidden" {
		t.Errorf("claim %v", got)
	}
	for _, a := range []answer{patched, tn.manage(t, "GET", "actions/actions", ""), tn.manage(t, "GET", bindingsPath, "")} {
		if strings.Contains(a.body, "hidden") {
			t.Errorf("the secret is shown: %s", a.body)
		}
	}
}

func TestADraftMustBeBuiltBeforeItIsDeployed(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, options{})
	id := tn.newAction(t, "claims", claimsCode)
	if a := tn.manage(t, "POST", "actions/actions/"+id+"/deploy", ""); a.status != http.StatusBadRequest {
		t.Errorf("at once: %d %s", a.status, a.body)
	}
	broken := tn.newAction(t, "broken", "exports. = 1")
	tn.manage(t, "GET", "actions/actions/"+broken, "")
	if got := tn.must(t, "GET", "actions/actions/"+broken, "")["status"]; got != "failed" {
		t.Errorf("status of code that does not compile: %v", got)
	}
	if a := tn.manage(t, "POST", "actions/actions/"+broken+"/deploy", ""); a.status != http.StatusBadRequest {
		t.Errorf("code that does not compile: %d %s", a.status, a.body)
	}
}

func TestActionNamesAreUnique(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, options{})
	tn.newAction(t, "one", claimsCode)
	two := tn.newAction(t, "two", claimsCode)
	for _, a := range []answer{
		tn.manage(t, "POST", "actions/actions", `{"name":"one","supported_triggers":[{"id":"credentials-exchange"}]}`),
		tn.manage(t, "PATCH", "actions/actions/"+two, `{"name":"one"}`),
	} {
		if a.status != http.StatusConflict {
			t.Errorf("got %d %s", a.status, a.body)
		}
	}
	tn.must(t, "PATCH", "actions/actions/"+two, `{"name":"two"}`)
}

func TestBindingsAreReplacedAsAWhole(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, options{})
	one, two := tn.newAction(t, "one", claimsCode), tn.newAction(t, "two", claimsCode)
	tn.deploy(t, one)
	tn.deploy(t, two)
	tn.bind(t, one)
	tn.bind(t, two)
	names := func() (names []string) {
		for _, b := range tn.must(t, "GET", bindingsPath+"?include_totals=true&per_page=50", "")["bindings"].([]any) {
			names = append(names, b.(map[string]any)["action"].(map[string]any)["name"].(string))
		}
		return names
	}
	if diff := cmp.Diff([]string{"two"}, names()); diff != "" {
		t.Errorf("the second list did not replace the first (-want +got):\n%s", diff)
	}
	if a := tn.manage(t, "DELETE", "actions/actions/"+two, ""); a.status != http.StatusConflict {
		t.Errorf("deleting a bound action: %d", a.status)
	}
	for _, bad := range []string{
		`{"ref":{"type":"action_name","value":"nobody"}}`,
		`{"ref":{"type":"action_id","value":"` + two + `"}}`, // twice
		`{"ref":{"type":"binding_id","value":"unknown"}}`,
		`{"ref":{"type":"other","value":"x"}}`,
	} {
		if a := tn.manage(t, "PATCH", bindingsPath, `{"bindings":[{"ref":{"type":"action_id","value":"`+two+`"}},`+bad+`]}`); a.status < 400 {
			t.Errorf("%s: %d", bad, a.status)
		}
	}
	if diff := cmp.Diff([]string{"two"}, names()); diff != "" {
		t.Errorf("a list with a fault changed something (-want +got):\n%s", diff)
	}
	if a := tn.manage(t, "PATCH", "actions/triggers/post-login/bindings", `{"bindings":[{"ref":{"type":"action_id","value":"`+one+`"}}]}`); a.status != http.StatusBadRequest {
		t.Errorf("binding to a trigger that the action does not support: %d", a.status)
	}
	if a := tn.manage(t, "GET", "actions/triggers/unknown/bindings", ""); a.status != http.StatusNotFound {
		t.Errorf("an unknown trigger: %d", a.status)
	}
}
