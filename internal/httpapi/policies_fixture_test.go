package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/credenceproject/credence/api"
	policygate "github.com/credenceproject/credence/internal/policies/gate"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/policy"
)

// inProcess is the gate without its child process.
type inProcess struct{}

func (inProcess) Check(ctx context.Context, r policygate.Request) (policygate.Verdict, error) {
	return policygate.Check(ctx, r), nil
}

const teamPolicy = "/policies/team/customer-success"

// teamsRules are a policy whose text says everything that one can.
const teamsRules = `{
	"rules": [
		{"code": "no_restricted_writes", "effect": "deny", "message": "Restricted data is read-only",
		 "when": {"resources": ["billing-system"], "resource_types": ["data_sink"], "methods": ["POST", "PUT"], "environments": ["production"],
		          "data_classification": ["restricted"], "permissions": ["data:write"], "agent_types": ["support"],
		          "outside_hours": {"from": "09:00", "to": "17:00", "days": ["mon", "fri"], "timezone": "Europe/Berlin"}}},
		{"code": "use_hello", "effect": "allow"}
	],
	"rego": "package mcp.layers.team[\"customer-success\"]\n\nimport data.mcp.request\n\nmeta := {\"about\": \"billing\"}\n\ndeny contains \"no_trace\" if request.method == \"TRACE\"\n",
	"tests": "package mcp.layers.team[\"customer-success_test\"]\n\nimport data.mcp.layers.team[\"customer-success\"] as layer\nimport data.mcp.request\n\ntest_reads if count(layer.deny) == 0 with request as {\"method\": \"GET\"}\n"
}`

// newPolicies is a system whose platform policy knows layers, with an environment,
// an agent type and an agent; and the path of the agent's policy.
func newPolicies(t testing.TB) (s *system, agentsPolicy string) {
	t.Helper()
	s = newCatalogue(t)
	if _, err := s.store.ActivatePolicy(t.Context(), policy.Platform(), false, registry.Actor{Subject: "migrate"}); err != nil {
		t.Fatal(err)
	}
	s.ask(t, "admin", http.MethodPut, "/agent-types/support", supportType).want(t, 201, "")
	registered := s.ask(t, "ana", http.MethodPost, "/agents", supportAgent("triage"))
	registered.want(t, 201, "")
	var answer api.RegisteredAgent
	if err := json.Unmarshal(registered.Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	s.catchUp(t)
	return s, "/policies/agent/" + answer.Agent.ID
}

// layerOperations goes through the operations of policies, for the contract's test;
// the platform policy is active.
func layerOperations(do func(operationID string, status int, c call) *httptest.ResponseRecorder) {
	put := func(status int, as, query, body string, header map[string]string) *httptest.ResponseRecorder {
		return do("putPolicy", status, call{method: http.MethodPut, path: teamPolicy + query, as: as, body: body, header: header})
	}
	anew, any := map[string]string{"If-None-Match": "*"}, map[string]string{"If-Match": "*"}
	put(428, "author", "", teamsRules, nil)
	put(200, "author", "?dry_run=true", teamsRules, anew)
	created := put(201, "author", "", teamsRules, anew)
	put(412, "author", "", teamsRules, anew)
	put(403, "stranger", "", teamsRules, any)
	put(403, "auditor", "", teamsRules, any)
	put(422, "author", "", `{"rego": "package a"}`, any)
	put(422, "author", "", `{"rules": [{"code": "all", "effect": "deny"}]}`, any)
	put(200, "author", "?confirm=denies_everyone", `{"rules": [{"code": "all", "effect": "deny"}]}`, any)
	put(200, "admin", "", `{"ceiling": {"permissions": ["skills:invoke"]}, "required": true}`, any)
	put(403, "author", "", `{}`, any)
	put(200, "admin", "", `{}`, any)

	do("validatePolicy", 200, call{method: http.MethodPost, path: "/policies:validate?tier=team&id=customer-success", as: "author", body: teamsRules})
	do("validatePolicy", 422, call{method: http.MethodPost, path: "/policies:validate?tier=org&id=x", as: "author", body: teamsRules})
	do("validatePolicy", 403, call{method: http.MethodPost, path: "/policies:validate?tier=team&id=x", as: "owner", body: teamsRules})

	do("getPolicy", 200, call{method: http.MethodGet, path: teamPolicy, as: "auditor"})
	do("getPolicy", 304, call{method: http.MethodGet, path: teamPolicy, as: "auditor", header: map[string]string{"If-None-Match": "*"}})
	do("getPolicy", 404, call{method: http.MethodGet, path: "/policies/agent/third", as: "auditor"})
	do("listPolicies", 200, call{method: http.MethodGet, path: "/policies?tier=team&limit=1", as: "auditor"})
	do("listPolicies", 422, call{method: http.MethodGet, path: "/policies?tier=org", as: "auditor"})

	rollback := func(status int, query, body string, header map[string]string) {
		do("rollbackPolicy", status, call{method: http.MethodPost, path: teamPolicy + "/rollback" + query, as: "author", body: body, header: header})
	}
	var first struct{ Version int64 }
	if json.Unmarshal(created.Body.Bytes(), &first) != nil {
		first.Version = -1
	}
	toFirst := fmt.Sprintf(`{"version": %d}`, first.Version)
	rollback(428, "", toFirst, nil)
	rollback(200, "?dry_run=true", toFirst, any)
	rollback(200, "", toFirst, any)
	rollback(404, "", `{"version": 99}`, any)
	rollback(422, "", `{}`, any)

	do("deletePolicy", 428, call{method: http.MethodDelete, path: teamPolicy, as: "author"})
	do("deletePolicy", 200, call{method: http.MethodDelete, path: teamPolicy + "?dry_run=true", as: "author", header: any})
	do("deletePolicy", 204, call{method: http.MethodDelete, path: teamPolicy, as: "author", header: any})
	do("getPolicy", 404, call{method: http.MethodGet, path: teamPolicy, as: "author"})
	do("listPolicyVersions", 200, call{method: http.MethodGet, path: teamPolicy + "/versions?limit=2", as: "auditor"})
	do("listPolicyVersions", 404, call{method: http.MethodGet, path: "/policies/team/nobody/versions", as: "auditor"})
	do("getPolicyVersion", 200, call{method: http.MethodGet, path: teamPolicy + "/versions/1", as: "auditor"})
	do("getPolicyVersion", 404, call{method: http.MethodGet, path: teamPolicy + "/versions/99", as: "auditor"})
}
