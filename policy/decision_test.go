package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/policy"
)

// Whole decisions, to the letter: what programs and Envoy are told.
func TestDecisions(t *testing.T) {
	t.Parallel()
	const (
		alice = `{"id": "0197-alice", "name": "alice", "team": "red", "agent_type": "support", "environment": "production"}`
		hello = `{"name": "hello", "type": "skill", "team": "blue"}`
	)
	allowed := `{
		"allow": true, "allowed": true, "reasons": [], "agent": ` + alice + `, "resource": ` + hello + `, "revision": 42,
		"http_status": 200,
		"headers": {"x-agent-id": "0197-alice", "x-agent-name": "alice", "x-agent-team": "red", "x-agent-type": "support", "x-agent-environment": "production"},
		"request_headers_to_remove": ["x-opa-input"],
		"dynamic_metadata": {"allow": true, "allowed": true, "reasons": [], "agent": ` + alice + `, "resource": ` + hello + `, "revision": 42}
	}`
	tests := map[string]struct {
		input any
		want  string
	}{
		"allowed":                  {input("alice@clients", "POST", "hello"), allowed},
		"allowed behind Envoy":     {envoyInput("alice@clients", "POST", "/mcp/hello/say"), allowed},
		"allowed behind the alias": {envoyInput("alice@clients", "POST", "/mcp://hello/say"), allowed},
		"both unknown": {
			input("bob@clients", "POST", "nothing"),
			`{
				"allow": false, "allowed": false, "revision": 42,
				"reasons": [{"tier": "platform", "id": "agent", "code": "agent_unknown"}, {"tier": "platform", "id": "resource", "code": "resource_unknown"}],
				"http_status": 403,
				"headers": {"cache-control": "no-store", "content-type": "application/problem+json"},
				"request_headers_to_remove": ["x-opa-input"],
				"body": "{\"code\":\"call_denied\",\"reasons\":[\"agent_unknown\",\"resource_unknown\"],\"status\":403,\"title\":\"Call denied\",\"type\":\"https://credence.example/problems/call_denied\"}",
				"dynamic_metadata": {
					"allow": false, "allowed": false, "revision": 42,
					"reasons": [{"tier": "platform", "id": "agent", "code": "agent_unknown"}, {"tier": "platform", "id": "resource", "code": "resource_unknown"}]
				}
			}`,
		},
		"no token": {
			object{},
			`{
				"allow": false, "allowed": false, "revision": 42,
				"reasons": [{"tier": "platform", "id": "token", "code": "no_verified_token"}],
				"http_status": 401,
				"headers": {"cache-control": "no-store", "content-type": "application/problem+json", "www-authenticate": "Bearer realm=\"credence\""},
				"request_headers_to_remove": ["x-opa-input"],
				"body": "{\"code\":\"invalid_token\",\"reasons\":[\"no_verified_token\"],\"status\":401,\"title\":\"Invalid token\",\"type\":\"https://credence.example/problems/invalid_token\"}",
				"dynamic_metadata": {
					"allow": false, "allowed": false, "revision": 42,
					"reasons": [{"tier": "platform", "id": "token", "code": "no_verified_token"}]
				}
			}`,
		},
	}
	e := newEngine(t, policy.Query, fixture())
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := e.eval(t.Context(), tc.input)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(decode(t, tc.want), got); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecisionOnNoDataAtAll(t *testing.T) {
	t.Parallel()
	e := newEngine(t, policy.Query+".reasons", object{})
	got, err := e.eval(t.Context(), input("alice@clients", "POST", "hello"))
	if err != nil {
		t.Fatal(err)
	}
	want := decode(t, `[{"tier": "platform", "id": "registry", "code": "registry_stale"}]`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
}
