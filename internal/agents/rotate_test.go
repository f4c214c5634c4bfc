package agents_test

import (
	"errors"
	"testing"

	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/registry"
)

// A tenant whose plan knows no private_key_jwt says no for good: the agent goes on
// with the secret that it has, and may be rotated again.
func TestARefusedRotationLeavesTheAgentAsItWas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, tc := range map[string]struct {
		step     string
		rotation agents.Rotation
	}{
		"to keys":     {ensureClient, agents.Rotation{Keys: []byte(`{"keys": []}`)}},
		"to a secret": {rotateSecret, agents.Rotation{}},
	} {
		w.run(name, func(t *testing.T) {
			got := w.mustRegister()
			id := got.Agent.ID
			w.script.once(tc.step, failBefore(refused("not in this plan")))
			if _, err := w.service.Rotate(w.request(), ana, id, some, tc.rotation); !errors.Is(err, registry.Refused) {
				t.Fatalf("Rotate() = %v, want Refused", err)
			}
			w.converge()
			a := w.agent(id)
			if a.Authentication != registry.ClientSecretPost || a.Keys != nil || !a.IsReady() || a.CredentialGeneration != 1 {
				t.Errorf("the agent is %s with %q, generation %d, ready %t", a.Authentication, a.Keys, a.CredentialGeneration, a.IsReady())
			}
			if !w.tenant.works(*got.Credentials) {
				t.Error("its secret does not work any more")
			}
			again, err := w.service.Rotate(w.request(), ana, id, some, agents.Rotation{})
			if err != nil || again.Credentials == nil || !w.tenant.works(*again.Credentials) {
				t.Errorf("Rotate() afterwards = %+v, %v", again, err)
			}
			w.mustDecommission(id)
			w.converge()
		})
	}
}

// Whoever suspends an agent that is suspended already gives the reason that counts
// from then on: that it expired matters less than that its secret leaked.
func TestANewReasonForASuspensionIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.mustRegister().Agent.ID
	for _, reason := range []string{"expired", "leaked", "leaked"} {
		if _, err := w.service.Suspend(w.request(), ana, id, some, agents.Switch{Reason: reason}); err != nil {
			t.Fatal(err)
		}
	}
	a := w.agent(id)
	wantEqual(t, "reason", "leaked", a.SuspendReason)
	wantEqual(t, "generation", int64(3), a.Convergence.Generation)
	w.converge()
	w.wantConverged()
}

func TestAnAdminChangesTheAgentOfABlockedTeam(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.mustRegister().Agent.ID
	w.putTeam(registry.Team{Name: "customer-success", MaxAgents: 9, Blocked: true})
	r := w.triage()
	r.Description = "under new management"
	_, err := w.service.Change(w.request(), ana, id, some, r)
	wantError(t, err, registry.Forbidden, "team_blocked")
	a, err := w.service.Change(w.request(), admin, id, some, r)
	if err != nil || a.Description != r.Description {
		t.Errorf("Change() by an admin = %q, %v", a.Description, err)
	}
}
