package e2e_test

import (
	"testing"

	"github.com/google/uuid"
)

// TestInvariant_A1_ARegistrationGrantsItselfNothing: what the caller, the team
// and the agent type do not allow is refused, with every place at once, and
// nothing is made.
func TestInvariant_A1_ARegistrationGrantsItselfNothing(t *testing.T) {
	t.Parallel()
	w := newStill(t)
	admin := w.as(w.admin)
	admin.put("/environments/lab", `{}`).want(t, 201)
	admin.put("/agent-types/modest", `{"allowed_environments": ["production"], "default_quota": {"requests_per_day": 5}}`).want(t, 201)
	admin.put("/teams/blocked", `{"blocked": true}`).want(t, 201)
	admin.put("/teams/small", `{"max_agents": 1}`).want(t, 201)
	small := w.as(w.token("test|small", developerPermissions, "small", "blocked"))
	first := small.register(registration("first", map[string]any{"team": "small"}))
	before := providerCalls(w)

	dev := w.as(w.developer)
	reader := w.as(w.token("test|reader", []string{"agents:read"}, team))
	scoped := w.as(w.token("test|nothing", nil, team))
	tests := []struct {
		name     string
		by       caller
		document map[string]any
		code     string
		faults   []string
	}{
		{"no permission", reader, nil, "permission_denied", nil},
		{"no permission at all", scoped, nil, "permission_denied", nil},
		{"another team", dev, map[string]any{"team": otherTeam}, "team_not_allowed", []string{"/team team_not_allowed"}},
		{"a blocked team", small, map[string]any{"team": "blocked"}, "team_blocked", []string{"/team team_blocked"}},
		{"a full team", small, map[string]any{"team": "small"}, "team_limit_reached", []string{"/team team_limit_reached"}},
		{"a scope", dev, map[string]any{"scopes": []string{"data:read", "admin"}}, "scope_not_allowed", []string{"/scopes/1 scope_not_allowed"}},
		{"an environment", dev, map[string]any{"environment": "lab"}, "environment_not_allowed", []string{"/environment environment_not_allowed"}},
		{"a quota", dev, map[string]any{"quota": map[string]any{"requests_per_second": 101}}, "quota_not_allowed", []string{"/quota/requests_per_second quota_not_allowed"}},
		{"a quota beyond the default, which is the most", dev, map[string]any{"agent_type": "modest", "quota": map[string]any{"requests_per_day": 6}},
			"quota_not_allowed", []string{"/quota/requests_per_day quota_not_allowed"}},
		{"everything at once", dev, map[string]any{"environment": "lab", "scopes": []string{"tools:access"}, "quota": map[string]any{"requests_per_day": 1000001}},
			"environment_not_allowed", []string{"/environment environment_not_allowed", "/scopes/0 scope_not_allowed", "/quota/requests_per_day quota_not_allowed"}},
		{"a type without scopes", dev, map[string]any{"agent_type": "modest", "scopes": []string{"skills:invoke"}}, "scope_not_allowed", []string{"/scopes/0 scope_not_allowed"}},
	}
	for _, tt := range tests {
		tt.by.post("/agents", registration("refused", tt.document)).wantRefusedAs(t, tt.name, refused{403, tt.code, tt.faults})
	}
	dev.post("/agents", registration("first", nil)).wantRefused(t, 409, "name_taken", "/name name_taken")
	for _, path := range []string{"/environments/production", "/agent-types/support", "/teams/" + team} {
		dev.put(path, `{}`).wantRefused(t, 403, "permission_denied")
		dev.delete(path).wantRefused(t, 403, "permission_denied")
	}
	dev.delete("/agents/first").wantRefused(t, 403, "team_not_allowed")
	dev.delete("/agents/"+first.Agent.ID).wantRefused(t, 403, "team_not_allowed")
	reader.delete("/agents/first").wantRefused(t, 403, "permission_denied")
	scoped.get("/agents").wantRefused(t, 403, "permission_denied")
	dev.delete("/agents/"+uuid.NewString()).wantRefused(t, 404, "not_found")
	if after := providerCalls(w); after != before {
		t.Errorf("%d calls reached a provider", after-before)
	}
	admin.delete("/agents/first").want(t, 204) // admin implies all
	small.register(registration("second", map[string]any{"team": "small"}))
}

// TestInvariant_A3_ABlockedTeamRegistersAndDeletesNothing: whoever carries its
// name by now, and admins clear up.
func TestInvariant_A3_ABlockedTeamRegistersAndDeletesNothing(t *testing.T) {
	t.Parallel()
	w := newStill(t)
	dev, admin := w.as(w.developer), w.as(w.admin)
	r := dev.register(registration("theirs", nil))
	admin.put("/teams/"+team, `{"blocked": true}`).want(t, 201)
	before := providerCalls(w)
	dev.post("/agents", registration("another", nil)).wantRefused(t, 403, "team_blocked", "/team team_blocked")
	dev.delete("/agents/theirs").wantRefused(t, 403, "team_blocked")
	dev.delete("/agents/"+r.Agent.ID).wantRefused(t, 403, "team_blocked")
	if after := providerCalls(w); after != before {
		t.Errorf("%d calls reached a provider", after-before)
	}
	dev.get("/agents/theirs").want(t, 200)
	admin.delete("/agents/theirs").want(t, 204)
}

// newStill is a world in which no sweep asks the providers anything, so that
// whatever they hear was asked for by the test.
func newStill(t testing.TB) *world {
	t.Helper()
	return newWorld(t, "CREDENCE_SWEEP_INTERVAL", "0s")
}

// providerCalls counts what the server asked the providers that could change
// anything.
func providerCalls(w *world) int {
	w.t.Helper()
	return len(w.auth0.passed("/api/v2/")) + len(w.vault.passed("/v1/identity/"))
}
