package e2e_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/api"
)

// TestStory is the main job of Credence, told by programs that do not know each
// other.
func TestStory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dev := w.as(w.developer)
	triage := dev.register(registration("support-triage", nil))
	jwt := w.agentToken(triage)

	checkClaims(w, triage, jwt)
	token, entityID := w.vaultToken(jwt)
	if e, _ := w.entityOf(triage.Agent.ID); e.ID != entityID {
		t.Errorf("the log-in landed on entity %s, want agent_%s (%s)", entityID, triage.Agent.ID, e.ID)
	}
	checkReads(w, triage, token)
	checkAfterDelete(w, triage, jwt, token)
}

func checkClaims(w *world, r api.RegisteredAgent, jwt string) {
	w.t.Helper()
	got := w.claimsOf(jwt)
	for _, dynamic := range []string{"iat", "exp"} {
		if _, ok := got[dynamic].(float64); !ok {
			w.t.Errorf("claim %s = %v", dynamic, got[dynamic])
		}
		delete(got, dynamic)
	}
	scope := strings.Fields(got["scope"].(string))
	slices.Sort(scope)
	got["scope"] = strings.Join(scope, " ")
	want := map[string]any{
		"iss": w.issuer(), "sub": r.Credentials.ClientID + "@clients", "aud": agentAudience, "azp": r.Credentials.ClientID, "gty": "client-credentials",
		"scope": "data:read skills:invoke", "permissions": []any{"data:read", "skills:invoke"},
		agentAudience + "agent_id": r.Agent.ID, agentAudience + "team": team, agentAudience + "agent_type": "support", agentAudience + "environment": "production",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("claims (-want +got):\n%s", diff)
	}
}

func checkReads(w *world, r api.RegisteredAgent, token string) {
	w.t.Helper()
	another := w.as(w.outsider).register(registration("another", map[string]any{"team": otherTeam, "environment": "staging"}))
	mine, theirs := r.Vault.SecretPaths, another.Vault.SecretPaths
	tests := []struct {
		folder string
		value  string // "" is refused
	}{
		{mine.Own, "own"},
		{mine.Own + "/below/further", "own, below"},
		{mine.Team, "team's"},
		{mine.Common, "common"},
		{theirs.Own, ""},
		{theirs.Team, ""},
		{theirs.Common, ""},
		{strings.Replace(mine.Team, team, otherTeam, 1), ""},
		{strings.Replace(mine.Team, "production", "staging", 1), ""},
		{strings.Replace(mine.Common, "production", "staging", 1), ""},
		{mine.Own + "x", ""},
	}
	for _, tt := range tests {
		w.keep(tt.folder, "the secret in "+tt.folder)
		value, status := w.read(tt.folder, token)
		if want := "the secret in " + tt.folder; tt.value != "" && value != want {
			w.t.Errorf("%s: %d %q, want %q", tt.folder, status, value, want)
		}
		if tt.value == "" && status != 403 {
			w.t.Errorf("%s: %d %q, want 403", tt.folder, status, value)
		}
	}
	if status := w.bao("PUT", mine.Own+"/key", token, map[string]any{"data": map[string]string{"value": "x"}}).status; status != 403 {
		w.t.Errorf("writing one's own secret: %d, want 403", status)
	}
}

// checkAfterDelete holds a deleted agent to what it must have lost.
func checkAfterDelete(w *world, r api.RegisteredAgent, jwt, token string) {
	w.t.Helper()
	t, dev, admin := w.t, w.as(w.developer), w.as(w.admin)
	byName, byID := "/agents/"+r.Agent.Name, "/agents/"+r.Agent.ID
	if _, status := w.read(r.Vault.SecretPaths.Own, token); status != 200 {
		t.Errorf("before the deletion: %d", status)
	}
	dev.delete(byName).want(t, 204)

	w.ask(r.Credentials.ClientID, secretOf(r), agentAudience).want(t, 401)
	for _, c := range w.tenant.Clients() {
		if c.ID == r.Credentials.ClientID {
			t.Errorf("the client is still there: %+v", c)
		}
	}
	if e, found := w.entityOf(r.Agent.ID); !found || !e.Disabled {
		t.Errorf("entity %+v (%t), want it disabled", e, found)
	}
	w.logIn(jwt).want(t, 403)
	if _, status := w.read(r.Vault.SecretPaths.Own, token); status != 403 {
		t.Errorf("the live Vault token reads: %d, want 403", status)
	}
	dev.get(byName).wantRefused(t, 404, "not_found")
	dev.get(byID).wantRefused(t, 404, "not_found")
	dev.get(byName+"?include=decommissioned").wantRefused(t, 403, "permission_denied")
	var tombstone api.Agent
	admin.get(byName+"?include=decommissioned").want(t, 200).decode(t, &tombstone)
	if tombstone.ID != r.Agent.ID || tombstone.Lifecycle != "decommissioned" || tombstone.DecommissionedAt == nil || isReady(tombstone) {
		t.Errorf("tombstone %+v", tombstone)
	}
	dev.delete(byID).want(t, 204)
	dev.delete(byName).wantRefused(t, 404, "not_found")

}

// TestInvariant_A3_AReusedNameInheritsNothing: secrets and policy hang on the
// id, so the next holder of a name has none of the last one's, nor the last one
// any of the next one's.
func TestInvariant_A3_AReusedNameInheritsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dev := w.as(w.developer)
	last := dev.register(registration("reused", nil))
	w.keep(last.Vault.SecretPaths.Own, "the last one's")
	lastJWT := w.agentToken(last)
	w.vaultToken(lastJWT)
	dev.delete("/agents/reused").want(t, 204)

	next := dev.register(registration("reused", nil))
	token, entityID := w.vaultToken(w.agentToken(next))
	if e, _ := w.entityOf(last.Agent.ID); next.Agent.ID == last.Agent.ID || entityID == e.ID {
		t.Errorf("agent %s has entity %s, like the last one", next.Agent.ID, entityID)
	}
	if _, status := w.read(last.Vault.SecretPaths.Own, token); status != 403 {
		t.Errorf("the next holder of the name reads the last one's secret: %d", status)
	}
	if _, status := w.read(next.Vault.SecretPaths.Own, token); status != 404 {
		t.Errorf("the next holder of the name inherited a secret: %d", status)
	}
	w.logIn(lastJWT).want(t, 403)
	dev.delete("/agents/"+last.Agent.ID).want(t, 204) // hits the last one alone
	dev.get("/agents/reused").want(t, 200)
}

func isReady(a api.Agent) bool {
	i := slices.IndexFunc(a.Conditions, func(c api.Condition) bool { return c.Type == "Ready" })
	return i >= 0 && a.Conditions[i].Status == "true"
}
