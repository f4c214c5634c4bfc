package e2e_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/api"
)

func cut(route string) (method, path string) {
	method, path, _ = strings.Cut(route, " ")
	return method, path
}

func tokenPart(token string, i int) string { return strings.Split(token, ".")[i] }

// TestRegistrationAnswersAsTheContractSays compares the whole 201, and the agent
// that GET shows afterwards with the one in it.
func TestRegistrationAnswersAsTheContractSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dev := w.as(w.developer)
	answer := dev.post("/agents", registration("support-triage", map[string]any{
		"description": "Sorts incoming tickets", "labels": map[string]any{"cost-center": "cx-12"}, "config": map[string]any{"max_tickets_per_hour": 200},
		"quota":        map[string]any{"requests_per_second": 20},
		"capabilities": []any{map[string]any{"name": "triage", "description": "…", "input": map[string]any{"type": "object"}, "output": true}},
	})).want(t, 201)
	var r api.RegisteredAgent
	answer.decode(t, &r)
	id, clientID := r.Agent.ID, r.Credentials.ClientID

	for header, want := range map[string]string{"Location": "/agents/support-triage", "Cache-Control": "no-store", "Content-Type": "application/json"} {
		if got := answer.header.Get(header); got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
	if len(secretOf(r)) < 32 || r.Agent.Revision == 0 || len(r.Next) == 0 || strings.Contains(strings.Join(r.Next, ""), secretOf(r)) {
		t.Errorf("answer %s", answer.body)
	}
	var got map[string]any
	answer.decode(t, &got)
	agent := got["agent"].(map[string]any)
	var fetched map[string]any
	seen := dev.get("/agents/support-triage").want(t, 200)
	seen.decode(t, &fetched)
	if diff := cmp.Diff(agent, fetched); diff != "" || seen.header.Get("ETag") != answer.header.Get("ETag") || seen.header.Get("ETag") == "" {
		t.Errorf("GET differs from the 201's agent:\n%s%v", diff, seen.header)
	}

	dropTimes(agent)
	delete(agent, "revision")
	delete(got, "next")
	delete(got["credentials"].(map[string]any), "client_secret")
	condition := func(name string) map[string]any {
		return map[string]any{"type": name, "status": "true", "reason": "Done", "message": "Everything that this needs is in place."}
	}
	step := func(name string) map[string]any { return map[string]any{"step": name, "state": "done"} }
	want := map[string]any{
		"agent": map[string]any{
			"id": id, "name": "support-triage", "team": team, "agent_type": "support", "environment": "production", "owner": "ana@example.com",
			"description": "Sorts incoming tickets", "scopes": []any{"skills:invoke", "data:read"}, "labels": map[string]any{"cost-center": "cx-12"},
			"config":       map[string]any{"max_tickets_per_hour": 200.0},
			"quota":        map[string]any{"requests_per_second": 20.0, "requests_per_day": 10000.0},
			"capabilities": []any{map[string]any{"name": "triage", "description": "…", "input": map[string]any{"type": "object"}, "output": true}},
			"lifecycle":    "active", "suspended": false, "credential_generation": 1.0, "created_by": "test|developer",
			"generation": 1.0, "observed_generation": 1.0, "convergence": map[string]any{"attempts": 0.0}, "authentication": "client_secret_post",
			"conditions":   []any{condition("IdentityReady"), condition("SecretsReady"), condition("PolicyPublished"), condition("Ready")},
			"provisioning": []any{step("auth0_client"), step("auth0_grant"), step("vault_entity"), step("vault_alias"), step("policy")},
			"identity":     map[string]any{"provider": "auth0", "client_id": clientID, "subject": clientID + "@clients"},
			"secrets":      map[string]any{"provider": "vault", "entity": "agent_" + id},
		},
		"credentials": map[string]any{"client_id": clientID, "token_endpoint": w.issuer() + "oauth/token", "audience": agentAudience},
		"vault": map[string]any{
			"address": w.vault.URL, "auth_path": "auth/jwt/login", "role": "agent", "secret_paths": map[string]any{
				"own": "secret/data/mcp/agents/by-id/agent_" + id, "team": "secret/data/mcp/agents/by-env/production/by-team/" + team,
				"common": "secret/data/mcp/agents/by-env/production/common",
			},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("201 (-want +got):\n%s", diff)
	}
}

// dropTimes removes every time of v, each of which must be RFC 3339 in UTC.
func dropTimes(v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range []string{"created_at", "updated_at", "last_transition_time", "at"} {
			if at, ok := v[name].(string); ok && strings.HasSuffix(at, "Z") {
				delete(v, name)
			}
		}
		for _, below := range v {
			dropTimes(below)
		}
	case []any:
		for _, below := range v {
			dropTimes(below)
		}
	}
}

// TestListsAreFilteredAndPaged: every filter, alone and together, and pages that
// neither repeat nor miss anything.
func TestListsAreFilteredAndPaged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.as(w.admin).put("/agent-types/plain", `{"allowed_environments": ["staging"]}`).want(t, 201)
	capable := []any{map[string]any{"name": "triage"}, map[string]any{"name": "sort"}}
	for _, a := range []string{
		registration("a1", nil), registration("a2", map[string]any{"environment": "staging"}),
		registration("a3", map[string]any{"agent_type": "plain", "environment": "staging"}), registration("a4", map[string]any{"capabilities": capable}),
	} {
		w.as(w.developer).register(a)
	}
	w.as(w.outsider).register(registration("a5", map[string]any{"team": otherTeam, "capabilities": capable}))
	w.as(w.developer).register(registration("a6", nil))
	w.as(w.developer).delete("/agents/a6").want(t, 204)

	tests := []struct {
		query string
		want  []string
	}{
		{"", []string{"a1", "a2", "a3", "a4", "a5"}},
		{"limit=200", []string{"a1", "a2", "a3", "a4", "a5"}},
		{"team=" + otherTeam, []string{"a5"}},
		{"agent_type=plain", []string{"a3"}},
		{"environment=staging", []string{"a2", "a3"}},
		{"capability=triage", []string{"a4", "a5"}},
		{"capability=triage&team=" + team, []string{"a4"}},
		{"capability=nothing", nil},
		{"lifecycle=active&agent_type=support&environment=staging", []string{"a2"}},
		{"lifecycle=decommissioned", []string{"a6"}},
		{"limit=1", []string{"a1", "a2", "a3", "a4", "a5"}},
		{"limit=2", []string{"a1", "a2", "a3", "a4", "a5"}},
		{"limit=5", []string{"a1", "a2", "a3", "a4", "a5"}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, pages(w.as(w.admin), "/agents", tt.query)); diff != "" {
			t.Errorf("?%s (-want +got):\n%s", tt.query, diff)
		}
	}
	if diff := cmp.Diff([]string{"production", "staging"}, pages(w.as(w.developer), "/environments", "limit=1")); diff != "" {
		t.Errorf("environments (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"plain", "support"}, pages(w.as(w.developer), "/agent-types", "limit=1")); diff != "" {
		t.Errorf("agent types (-want +got):\n%s", diff)
	}
	w.as(w.developer).get("/agents?lifecycle=decommissioned").wantRefused(t, 403, "permission_denied")
	for query, code := range map[string]string{
		"limit=0": "invalid_parameter", "limit=201": "invalid_parameter", "limit=-1": "invalid_parameter", "lifecycle=dead": "invalid_parameter",
		"cursor=x": "invalid_cursor", "cursor=e30": "invalid_cursor",
	} {
		w.as(w.admin).get("/agents?"+query).wantRefused(t, 422, code)
	}
	w.as(w.admin).get("/agents?limit=x").wantRefused(t, 400, "invalid_parameter")
}

// pages reads a whole list, page by page, and returns the names in it.
func pages(c caller, path, query string) []string {
	c.w.t.Helper()
	var names []string
	for cursor := ""; ; {
		var page struct {
			Items      []struct{ Name string }
			NextCursor *string `json:"next_cursor"`
		}
		if err := json.Unmarshal(c.get(path+"?"+query+cursor).want(c.w.t, 200).body, &page); err != nil {
			c.w.t.Fatal(err)
		}
		for _, item := range page.Items {
			names = append(names, item.Name)
		}
		if page.NextCursor == nil || len(names) > 100 {
			return names
		}
		cursor = "&cursor=" + *page.NextCursor
	}
}

// TestStatesHaveTags: 304, 412 and what a write may act on.
func TestStatesHaveTags(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.as(w.admin)
	w.as(w.developer).register(registration("tagged", nil))
	admin.put("/teams/"+team, `{"max_agents": 7}`).want(t, 201)
	for _, path := range []string{"/agents/tagged", "/environments/production", "/agent-types/support", "/teams/" + team} {
		tag := admin.get(path).want(t, 200).header.Get("ETag")
		for _, list := range []string{tag, "*", `"other", ` + tag, "W/" + tag} {
			if got := admin.with("If-None-Match", list).get(path).want(t, 304); got.header.Get("ETag") != tag || len(got.body) > 0 {
				t.Errorf("%s: 304 with %q and %q", path, got.header.Get("ETag"), got.body)
			}
		}
		admin.with("If-None-Match", `"other"`).get(path).want(t, 200)
		admin.with("If-None-Match", "bare").get(path).wantRefused(t, 400, "invalid_parameter")
		for _, other := range []string{`"other"`, "W/" + tag} {
			admin.with("If-Match", other).delete(path).wantRefused(t, 412, "precondition_failed")
		}
	}
	const path = "/teams/" + team
	before := admin.get(path).header.Get("ETag")
	admin.with("If-None-Match", "*").put(path, `{"max_agents": 8}`).wantRefused(t, 412, "precondition_failed")
	admin.with("If-Match", "*").put("/teams/unheard-of", `{}`).wantRefused(t, 412, "precondition_failed")
	if got := admin.put(path, `{"max_agents": 7}`).want(t, 200).header.Get("ETag"); got != before {
		t.Errorf("a write that changed nothing changed the ETag from %s to %s", before, got)
	}
	after := admin.with("If-Match", before).put(path, `{"max_agents": 8}`).want(t, 200).header.Get("ETag")
	admin.with("If-Match", before).put(path, `{"max_agents": 9}`).wantRefused(t, 412, "precondition_failed")
	admin.with("If-Match", `"x", `+after).put(path, `{"max_agents": 9}`).want(t, 200)
	tags := []string{before, after, admin.get(path).header.Get("ETag")}
	if slices.Sort(tags); len(slices.Compact(tags)) != 3 {
		t.Errorf("states share a tag: %v", tags)
	}
}

// TestDocumentsInUseAreKept, and can go when nothing uses them.
func TestDocumentsInUseAreKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.as(w.admin)
	admin.put("/teams/"+team, `{}`).want(t, 201)
	w.as(w.developer).register(registration("user", nil))
	used := []string{"/environments/production", "/agent-types/support", "/teams/" + team}
	for _, path := range used {
		admin.delete(path).wantRefused(t, 409, "in_use")
	}
	w.as(w.developer).delete("/agents/user").want(t, 204)
	for _, path := range used {
		admin.delete(path).want(t, 204)
		admin.delete(path).wantRefused(t, 404, "not_found")
		admin.get(path).wantRefused(t, 404, "not_found")
	}
	w.as(w.developer).post("/agents", registration("orphan", nil)).
		wantRefused(t, 422, "invalid_registration", "/agent_type unknown_agent_type", "/environment unknown_environment")
	for _, route := range []string{"PATCH /agents", "PUT /agents/x", "POST /teams/x", "DELETE /healthz"} {
		method, path := cut(route)
		admin.do(method, path, "application/json", nil).wantRefused(t, 405, "method_not_allowed")
	}
	for _, path := range []string{"/", "/agent", "/agents/", "/agents/x/y", "/%2e%2e/agents"} {
		admin.get(path).wantRefused(t, 404, "not_found")
	}
	for _, path := range []string{"/healthz", "/readyz", "/openapi.yaml"} {
		w.as("").get(path).want(t, 200)
	}
	if page := w.metricsPage(); !strings.Contains(string(page), "credence_http_request_seconds") || strings.Contains(string(page), "orphan") {
		t.Errorf("metrics: %s", fmt.Sprintf("%.300s", page))
	}
}
