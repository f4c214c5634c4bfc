package agents_test

import (
	"slices"
	"testing"

	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/registry"
)

// Policy denies first; the providers follow, and are told again one lease later,
// when no call of a holder who lost the lease can be under way any more.
func TestInvariant_C5_ASuspendedAgentIsShutOutEverywhereAndStaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.mustRegister()
	id := got.Agent.ID
	seen := w.watch(id, typeAndSuspended)
	a, err := w.service.Suspend(w.request(), ana, id, some, agents.Switch{Reason: "leaked"})
	if err != nil {
		t.Fatal(err)
	}
	w.script.forget()
	wantEqual(t, "what policy sees meanwhile", []string{disableEntity + ": support, suspended", deleteGrants + ": support, suspended"}, *seen)
	if w.tenant.works(*got.Credentials) || !w.secrets.all()[id].Disabled || !a.Convergence.Converged() || a.SuspendReason != "leaked" {
		t.Errorf("the suspended agent is not shut out: %+v", a)
	}
	if again := a.Convergence.DueAt.Sub(a.UpdatedAt); again < patient.Lease {
		t.Errorf("it is looked at again after %s, within the lease", again)
	}
	// What somebody sent who has lost the lease arrives only now.
	w.setClient(id, func(c *oauthClient) { c.Granted, c.Scopes = true, []string{"skills:invoke"} })
	w.secrets.set(id, func(e *entity) { e.Disabled = false })
	w.converge()
	wantEqual(t, "operations of the second look", []string{
		claim, disableEntity, progressOf(registry.StepEntity), deleteGrants, progressOf(registry.StepGrant), finish, claim,
	}, w.script.operations())
}

func TestInvariant_C5_ResumeGivesBackWhatThereWasPolicyLast(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, tc := range map[string]struct {
		revoke bool
		entity []string // what is done to it
	}{
		"and its tokens live on":   {false, []string{enableEntity, ensureEntity}},
		"and its tokens stay dead": {true, []string{deleteEntity, ensureEntity}},
	} {
		w.run(name, func(t *testing.T) {
			got := w.mustRegister()
			id := got.Agent.ID
			old := w.secrets.all()[id]
			if _, err := w.service.Suspend(w.request(), ana, id, some, agents.Switch{Reason: "leaked"}); err != nil {
				t.Fatal(err)
			}
			seen := w.watch(id, typeAndSuspended)
			a, err := w.service.Resume(w.request(), ana, id, some, agents.Switch{RevokeTokens: tc.revoke})
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, op := range slices.Concat([]string{ensureGrant}, tc.entity, []string{ensureAlias}) {
				want = append(want, op+": support, suspended")
			}
			wantEqual(t, "what policy sees meanwhile", want, *seen)
			w.script.forget()
			if !w.tenant.works(*got.Credentials) {
				t.Error("the secret does not work any more")
			}
			if renewed := w.secrets.all()[id].ID != old.ID; renewed != tc.revoke || a.TokensValidAfter.IsZero() == tc.revoke {
				t.Errorf("the entity is new: %t, tokens count from %s", renewed, a.TokensValidAfter)
			}
			w.wantOneOfEach(id)
			w.sweepAway()
		})
	}
}

// Tokens that were revoked while the agent was suspended are dead after whatever
// resumption.
func TestInvariant_C5_RevokedTokensOfASuspendedAgentStayDead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.mustRegister().Agent.ID
	old := w.secrets.all()[id].ID
	for _, revoke := range []bool{false, true} {
		if _, err := w.service.Suspend(w.request(), ana, id, some, agents.Switch{Reason: "leaked", RevokeTokens: revoke}); err != nil {
			t.Fatal(err)
		}
	}
	if w.agent(id).Published.ValidAfter.IsZero() {
		t.Error("policy lets old tokens pass")
	}
	if _, err := w.service.Resume(w.request(), ana, id, some, agents.Switch{}); err != nil {
		t.Fatal(err)
	}
	if w.secrets.all()[id].ID == old {
		t.Error("the old entity is back, and its tokens with it")
	}
	w.wantOneOfEach(id)
}

// The agent is suspended for good reason at each point of a resumption that would
// have revived its tokens: the pass that is under way must not count as having
// renewed what is to be renewed now.
func TestInvariant_C5_TokensThatAreRevokedDuringAResumptionStayDead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	resume := theOperations[slices.IndexFunc(theOperations, func(o operation) bool { return o.name == "resume" })]
	for i, op := range w.course(resume) {
		w.run("before "+op, func(t *testing.T) {
			suspended(w)
			id := w.idOf("support-triage")
			old := w.secrets.all()[id].ID
			w.atNth(i, before(func() {
				w.script.all = nil
				if _, err := w.other.Suspend(w.request(), ana, id, some, agents.Switch{RevokeTokens: true}); err != nil {
					t.Error(err)
				}
			}))
			for range 2 {
				_, err := w.service.Resume(w.request(), ana, id, some, agents.Switch{})
				if err != nil {
					wantError(t, err, registry.Conflict, "not_suspended") // it came after
				}
				w.converge()
			}
			if !w.agent(id).IsReady() || w.secrets.all()[id].ID == old {
				t.Errorf("the agent is ready: %t, its old entity is back: %t", w.agent(id).IsReady(), w.secrets.all()[id].ID == old)
			}
			w.sweepAway()
		})
	}
}

func TestAnAgentThatIsNotSuspendedOrHasExpiredIsNotResumed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.mustRegister().Agent.ID
	_, err := w.service.Resume(w.request(), ana, id, some, agents.Switch{})
	wantError(t, err, registry.Conflict, "not_suspended")
	w.exec(`UPDATE agents SET expires_at = now() - interval '1 second'`)
	n, err := w.service.ExpireAgents(w.request())
	if n != 1 || err != nil {
		t.Fatalf("ExpireAgents() = %d, %v", n, err)
	}
	w.converge()
	if a := w.agent(id); !a.Suspended || a.Published == nil || !a.Published.Suspended {
		t.Errorf("the expired agent is not suspended: %+v", a)
	}
	_, err = w.service.Resume(w.request(), ana, id, some, agents.Switch{})
	wantError(t, err, registry.Conflict, "agent_expired")
	n, err = w.service.ExpireAgents(w.request())
	if n != 0 || err != nil {
		t.Errorf("ExpireAgents() again = %d, %v", n, err)
	}
}
