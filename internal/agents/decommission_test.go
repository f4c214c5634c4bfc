package agents_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/credenceproject/credence/internal/registry"
)

// passOverGone are the operations of one pass over a decommissioned agent.
func passOverGone(entity string) []string {
	return []string{entity, progressOf(registry.StepEntity), deleteClient, progressOf(registry.StepClient), finish}
}

func TestInvariant_C1_AuthorityLeavesFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.mustRegister()
	w.script.operations()
	w.script.on(disableEntity, before(func() {
		if a := w.agent(got.Agent.ID); a.Lifecycle != registry.Decommissioned || a.Revision <= got.Agent.Revision {
			t.Errorf("a provider is told while the agent is %s at revision %d", a.Lifecycle, a.Revision)
		}
		if left := w.left(); strings.Contains(left, "policy") {
			t.Errorf("a provider is told while there are %s", left)
		}
	}))
	if a := w.mustDecommission("support-triage"); !a.Convergence.Converged() {
		t.Error("the providers have not followed")
	}
	wantEqual(t, "operations", slices.Concat([]string{change}, passOverGone(disableEntity)), w.script.operations())
	w.wantNothingLeft()
	wantEqual(t, "steps", "undone undone undone undone undone", states(w.agent(got.Agent.ID)))
	wantEqual(t, "events", []string{
		"agent.decommission intent auth0|ana request-1 support-triage", "agent.decommission success auth0|ana request-1 support-triage",
	}, w.audited(2))
}

// It is seen to one lease later, when no call of a holder who lost it can be under
// way. Its entity stands disabled until the last token has expired: one that is
// gone can be logged in to again.
func TestInvariant_C2_ADecommissionedAgentIsSeenToAgainAndItsEntityGoesLast(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.mustRegister().Agent.ID
	w.mustDecommission(id)
	for _, look := range []struct {
		after  time.Duration
		entity string
	}{{patient.Lease, disableEntity}, {time.Hour, deleteEntity}} {
		a := w.agent(id)
		if wait := a.Convergence.DueAt.Sub(a.UpdatedAt); wait < look.after || wait > look.after+time.Second {
			t.Errorf("the next look is in %s, want %s", wait, look.after)
		}
		if e, there := w.secrets.all()[id]; !there || !e.Disabled {
			t.Errorf("its entity is %+v, want it to stand, disabled", e)
		}
		w.script.operations()
		_ = w.reconcile()
		wantEqual(t, "operations before it is due", []string{claim}, w.script.operations())
		w.secrets.set(id, func(e *entity) { e.Disabled = false }) // by a call that was under way
		w.due()
		if err := w.reconcile(); err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "operations", slices.Concat([]string{claim}, passOverGone(look.entity)), w.script.operations())
	}
	w.wantConverged()
}

func TestADeleteMayBeRepeatedByIDAndNotByName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.mustRegister().Agent.ID
	w.mustDecommission(id)
	next := w.mustRegister().Agent // the name's next holder
	w.script.operations()

	w.mustDecommission(id)
	wantEqual(t, "operations", nil, w.script.operations())
	wantEqual(t, "the name's next holder", next, w.agent(next.ID))

	w.mustDecommission("support-triage")
	for _, ref := range []string{"support-triage", uuid.Must(uuid.NewV7()).String()} {
		_, err := w.service.Decommission(w.request(), ana, ref, some, false)
		wantError(t, err, registry.NotFound, "not_found")
	}
}

// Each step of a removal fails, in each way. One provider failing does not keep
// the other from being told; the next pass removes the rest, and policy sees
// nothing change by that.
func TestADeleteThatFailedIsFinishedByTheNextPass(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, op := range passOverGone(disableEntity) {
		for name, fault := range map[string]func(error) around{"nothing is done": failBefore, "the answer is lost": failAfter} {
			w.run(op+": "+name, func(t *testing.T) {
				id := w.mustRegister().Agent.ID
				w.script.operations()
				w.script.once(op, fault(reset))
				gone := w.mustDecommission(id)
				if gone.Lifecycle != registry.Decommissioned || gone.Published != nil {
					t.Errorf("the agent is %s and policy sees %v", gone.Lifecycle, gone.Published)
				}
				if done := w.script.operations(); !slices.Contains(done, disableEntity) || !slices.Contains(done, deleteClient) {
					t.Errorf("a provider was not told: %q", done)
				}
				w.converge()
				w.wantNothingLeft()
				a := w.agent(id)
				wantEqual(t, "steps in the end", "undone undone undone undone undone", states(a))
				wantEqual(t, "the revision in the end", gone.Revision, a.Revision)
			})
		}
	}
}

func TestARefusedDeleteChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.mustRegister().Agent
	stale := registry.Precondition{IfMatch: &registry.Tags{List: []string{a.ID + ".1"}}}
	_, err := w.service.Decommission(w.request(), ben, a.ID, some, false)
	wantError(t, err, registry.Forbidden, "team_not_allowed")
	_, err = w.service.Decommission(w.request(), ana, a.ID, stale, false)
	wantError(t, err, registry.PreconditionFailed, "precondition_failed")
	wantEqual(t, "the agent", a, w.agent(a.ID))

	fresh := registry.Precondition{IfMatch: &registry.Tags{List: []string{a.Tag()}}}
	if _, err := w.service.Decommission(w.request(), ana, a.ID, fresh, false); err != nil {
		t.Errorf("Decommission() with the present ETag = %v", err)
	}
	_, err = w.service.Decommission(w.request(), ben, a.ID, some, false)
	wantError(t, err, registry.Forbidden, "team_not_allowed")
}

// A blocked team's name may be carried by other people by now.
func TestInvariant_A3_ABlockedTeamDeletesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.mustRegister().Agent
	w.putTeam(registry.Team{Name: a.Team, MaxAgents: 5, Blocked: true})
	w.script.operations()
	for _, ref := range []string{a.Name, a.ID} {
		_, err := w.service.Decommission(w.request(), ana, ref, some, false)
		wantError(t, err, registry.Forbidden, "team_blocked")
	}
	wantEqual(t, "operations", nil, w.script.operations())
	wantEqual(t, "the agent", a, w.agent(a.ID))
	if _, err := w.service.Decommission(w.request(), admin, a.ID, some, false); err != nil {
		t.Errorf("an admin's Decommission() = %v", err)
	}
}
