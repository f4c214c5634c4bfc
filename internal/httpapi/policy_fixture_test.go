package httpapi

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/policy"
)

// policyOperations goes through the operations of bundles and decisions, for the
// contract's test.
func policyOperations(s *system, do func(operationID string, status int, c call) *httptest.ResponseRecorder) {
	if _, err := s.store.ActivatePolicy(s.t.Context(), policy.Platform(), false, registry.Actor{Subject: "migrate"}); err != nil {
		s.t.Fatal(err)
	}
	do("putAgentType", 201, call{method: http.MethodPut, path: "/agent-types/support", as: "admin", body: supportType})
	do("createAgent", 201, call{method: http.MethodPost, path: "/agents", as: "ana", body: supportAgent("third")})
	do("putResource", 201, call{method: http.MethodPut, path: "/resources/hello-skill", as: "owner", body: helloSkill})
	s.catchUp(s.t)

	do("getRevision", 200, call{method: http.MethodGet, path: "/revision", as: "powerless"})
	found := do("getBundle", 200, call{method: http.MethodGet, path: "/bundles/production", as: "admin"})
	do("getBundle", 304, call{method: http.MethodGet, path: "/bundles/production", as: "admin", header: map[string]string{"If-None-Match": found.Header().Get("ETag")}})
	do("getBundle", 404, call{method: http.MethodGet, path: "/bundles/nowhere", as: "admin"})
	do("getBundle", 403, call{method: http.MethodGet, path: "/bundles/production", as: "gateway"})
	for operation, path := range map[string]string{
		"getBundlePart": "/bundles/production/parts/agents-0", "getDiscovery": "/bundles/production/discovery",
		"getDiscoveryOfParts": "/bundles/production/discovery/parts",
	} {
		found := do(operation, 200, call{method: http.MethodGet, path: path, as: "admin"})
		do(operation, 304, call{method: http.MethodGet, path: path, as: "admin", header: map[string]string{"If-None-Match": found.Header().Get("ETag")}})
		do(operation, 403, call{method: http.MethodGet, path: path, as: "gateway"})
	}
	do("getSnapshot", 200, call{method: http.MethodGet, path: "/snapshot?scope=production", as: "admin"})
	do("getSnapshot", 404, call{method: http.MethodGet, path: "/snapshot?scope=nowhere", as: "admin"})
	head := s.follower.View().Head()
	do("getChanges", 200, call{method: http.MethodGet, path: fmt.Sprintf("/changes?scope=production&since=%s.%d", head.Epoch, head.Revision), as: "admin"})
	do("getChanges", 410, call{method: http.MethodGet, path: "/changes?scope=production&since=0123456789abcdef.1", as: "admin"})

	do("getAgentAccess", 200, call{method: http.MethodGet, path: "/agents/third/access?resource=hello-skill&path=/say-hello", as: "admin"})
	do("getAgentAccess", 404, call{method: http.MethodGet, path: "/agents/nobody/access?resource=hello-skill", as: "admin"})
	do("getAgentAccess", 403, call{method: http.MethodGet, path: "/agents/third/access?resource=hello-skill", as: "reader"})
	do("listResourceCallers", 200, call{method: http.MethodGet, path: "/resources/hello-skill/access", as: "admin"})
	do("listResourceCallers", 404, call{method: http.MethodGet, path: "/resources/nothing/access", as: "admin"})

	do("explain", 200, call{method: http.MethodPost, path: "/explain", as: "admin", body: `{"agent": "third", "resource": "hello-skill", "path": "/say-hello"}`})
	do("explain", 200, call{method: http.MethodPost, path: "/explain?limit=1", as: "admin", body: `{"agent": "third"}`})
	do("explain", 404, call{method: http.MethodPost, path: "/explain", as: "admin", body: `{"agent": "nobody"}`})
	do("explain", 403, call{method: http.MethodPost, path: "/explain", as: "reader", body: `{"agent": "third"}`})
	do("explain", 422, call{method: http.MethodPost, path: "/explain", as: "admin", body: `{"agent": 7, "when": "now"}`})
}
