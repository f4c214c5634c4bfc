package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/credenceproject/credence/api"
)

// newOffice is a system in which ana may register supportAgents.
func newOffice(t testing.TB) *system {
	t.Helper()
	s := newSystem(t)
	s.ask(t, "admin", http.MethodPut, "/environments/production", `{}`).want(t, 201, "")
	s.ask(t, "admin", http.MethodPut, "/agent-types/support", supportType).want(t, 201, "")
	return s
}

// agentOf decodes the agent that an answer holds.
func agentOf(t testing.TB, w *httptest.ResponseRecorder) api.Agent {
	t.Helper()
	var a api.Agent
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || a.ID == "" {
		t.Fatalf("%v: %d %s", err, w.Code, w.Body)
	}
	return a
}

// with is a document with more members.
func with(document, members string) string {
	return strings.TrimSuffix(document, "}") + ", " + members + "}"
}

// goodKeys and the others are JWK Sets; only the first can be used.
var (
	goodKeys    = rsaKeys(256, "")
	weakKeys    = rsaKeys(128, "")
	privateKeys = rsaKeys(256, `, "d": "AQAB"`)
)

const curveKeys = `{"keys": [{"kty": "EC", "crv": "P-192", "x": "AQAB", "y": "AQAB"}]}`

func rsaKeys(bytes int, members string) string {
	modulus := base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("\xff", bytes)))
	return fmt.Sprintf(`{"keys": [{"kty": "RSA", "n": %q, "e": "AQAB"%s}]}`, modulus, members)
}

// lifecycleOperations takes an agent through its life, well and badly, for the
// contract's test.
func lifecycleOperations(s *system, do func(operationID string, status int, c call) *httptest.ResponseRecorder) {
	do("putEnvironment", 201, call{method: http.MethodPut, path: "/environments/production", as: "admin", body: `{}`})
	do("putAgentType", 201, call{method: http.MethodPut, path: "/agent-types/support", as: "admin", body: supportType})
	register := call{method: http.MethodPost, path: "/agents", as: "ana", body: supportAgent("lasting"), header: map[string]string{"Idempotency-Key": `"k-1"`}}
	registered := do("createAgent", 201, register)
	again := do("createAgent", 201, register)
	wantEqual(s.t, "Idempotency-Replayed", "", registered.Header().Get("Idempotency-Replayed"))
	wantEqual(s.t, "Idempotency-Replayed", "true", again.Header().Get("Idempotency-Replayed"))
	do("createAgent", 200, call{method: http.MethodPost, path: "/agents?dry_run=true", as: "ana", body: supportAgent("imagined")})

	const path = "/agents/lasting"
	state := do("getAgent", 200, call{method: http.MethodGet, path: path + "?wait=ready", as: "ana"}).Header().Get("ETag")
	patch := call{method: http.MethodPatch, path: path, as: "ana", body: `{"labels": {"a": null}}`, header: map[string]string{"If-Match": state}}
	dry := func(c call) call { c.path += "?dry_run=true"; return c }
	do("patchAgent", 200, dry(patch))
	do("patchAgent", 200, patch)
	do("patchAgent", 412, patch)
	suspend := call{method: http.MethodPost, path: path + "/suspend", as: "ana", body: `{"reason": "It leaked"}`}
	resume := call{method: http.MethodPost, path: path + "/resume", as: "ana", body: `{"reason": "It was a test"}`}
	transfer := call{method: http.MethodPost, path: path + "/transfer", as: "admin", body: `{"team": "platform", "owner": "ben@example.com", "reason": "Moved"}`}
	rotate := call{method: http.MethodPost, path: path + "/credentials", as: "ana"}
	for id, c := range map[string]call{"suspendAgent": suspend, "transferAgent": transfer, "rotateAgentCredentials": rotate} {
		do(id, 200, dry(c))
	}
	do("suspendAgent", 200, suspend)
	do("suspendAgent", 200, suspend)
	do("resumeAgent", 200, dry(resume))
	do("resumeAgent", 200, resume)
	do("resumeAgent", 409, resume)
	do("rotateAgentCredentials", 200, rotate)
	do("createAgent", 200, register)
	do("transferAgent", 200, transfer)
	do("createAgent", 403, register) // its team is another now

	lifecycleWhileProvidersLag(s, do)
	do("listAudit", 200, call{method: http.MethodGet, path: "/audit?agent=lasting", as: "admin"})
	do("listAgents", 200, call{method: http.MethodGet, path: "/agents?expires_before=2100-01-01T00:00:00Z", as: "ana"})
	do("listDrift", 200, call{method: http.MethodGet, path: "/drift", as: "admin"})
	do("repairDrift", 202, call{method: http.MethodPost, path: "/drift/repair", as: "admin"})
	do("deleteAgent", 204, call{method: http.MethodDelete, path: path, as: "admin"})
	do("deleteAgentType", 204, call{method: http.MethodDelete, path: "/agent-types/support", as: "admin"})
	do("deleteEnvironment", 204, call{method: http.MethodDelete, path: "/environments/production", as: "admin"})
}

func lifecycleWhileProvidersLag(s *system, do func(operationID string, status int, c call) *httptest.ResponseRecorder) {
	s.providers.away.Store(true)
	register := call{method: http.MethodPost, path: "/agents", as: "ana", body: supportAgent("late"), header: map[string]string{"Idempotency-Key": `"k-2"`}}
	body := do("createAgent", 202, register)
	again := do("createAgent", 202, register)
	wantEqual(s.t, "Idempotency-Replayed", "true", again.Header().Get("Idempotency-Replayed"))
	do("getAgent", 200, call{method: http.MethodGet, path: "/agents/late?wait=ready&timeout=1s", as: "ana"})
	if next := body.Body.String(); !strings.Contains(next, `"POST /agents/late/credentials"`) || strings.Contains(next, "secret\"") {
		s.t.Errorf("202 says %s", next)
	}
	do("suspendAgent", 202, call{method: http.MethodPost, path: "/agents/late/suspend", as: "ana", body: `{"reason": "It leaked"}`})
	do("resumeAgent", 202, call{method: http.MethodPost, path: "/agents/late/resume", as: "ana", body: `{"reason": "It was a test"}`})
	do("transferAgent", 202, call{method: http.MethodPost, path: "/agents/late/transfer", as: "admin", body: `{"team": "platform", "owner": "ben@example.com", "reason": "Moved"}`})
	do("patchAgent", 202, call{
		method: http.MethodPatch, path: "/agents/late", as: "admin", body: `{"scopes": ["data:read"]}`, header: map[string]string{"If-Match": "*"},
	})
	s.providers.away.Store(false)
	s.converge(s.t)
	do("getAgent", 200, call{method: http.MethodGet, path: "/agents/late?wait=ready&timeout=1s", as: "ana"})
	s.providers.away.Store(true)
	do("rotateAgentCredentials", 202, call{method: http.MethodPost, path: "/agents/late/credentials", as: "admin"})
	id := agentOf(s.t, do("getAgent", 200, call{method: http.MethodGet, path: "/agents/late", as: "ana"})).ID
	remove := call{method: http.MethodDelete, path: "/agents/" + id, as: "admin"}
	do("deleteAgent", 200, call{method: http.MethodDelete, path: remove.path + "?dry_run=true", as: "admin"})
	do("deleteAgent", 202, remove)
	do("deleteAgent", 202, remove)
	do("getAgent", 200, call{method: http.MethodGet, path: remove.path + "?include=decommissioned", as: "admin"})
	s.providers.away.Store(false)
	s.converge(s.t)
	do("deleteAgent", 204, remove)
}
