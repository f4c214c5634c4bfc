package postgres_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
)

// changeRows are the rows of changes after the revision: which scopes, and whether
// the agent is seen.
func (b *bundle) changeRows(t *testing.T, after int64) []string {
	t.Helper()
	return one[[]string](t, b, `
		SELECT COALESCE(array_agg(concat_ws(' ', COALESCE(old_scope, '-'), COALESCE(new_scope, '-'), 'suspended=' || (after->>'suspended')) ORDER BY revision), '{}')
		FROM changes WHERE revision > $1`, after)
}

// Policy must not see an agent before every provider has it, nor after its
// removal began (invariant C1).
func TestInvariant_C1_PolicySeesAnAgentOnlyBetweenItsFirstPassAndItsRemoval(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	start := b.revision(t)
	c := b.create(t, "triage", rules)
	lease := b.progress(t, c.Lease, registry.Progress{Steps: registry.Steps[:4], State: registry.StepDone, ClientID: "client-1"})
	if got := b.revision(t); got != start {
		t.Errorf("a provisioning step took a revision: %d, want %d", got, start)
	}
	a := b.finish(t, lease)
	if a.Revision != start+1 || a.StepState(registry.StepPolicy) != registry.StepDone || !a.IsReady() {
		t.Errorf("published at revision %d with step policy %s, want %d", a.Revision, a.StepState(registry.StepPolicy), start+1)
	}
	_, removal := b.update(t, a.ID, "agent.decommission", remove)
	again := b.finish(t, *removal)
	if again.Revision != start+2 || again.Published != nil || again.StepState(registry.StepPolicy) != registry.StepUndone || !again.Convergence.Converged() {
		t.Errorf("decommissioned at revision %d with step policy %s, want %d", again.Revision, again.StepState(registry.StepPolicy), start+2)
	}
	wantEqual(t, "changes", []string{"- production suspended=false", "production -"}, b.changeRows(t, start))

	unseen := b.create(t, "unseen", rules)
	b.update(t, unseen.Agent.ID, "agent.decommission", remove)
	b.finish(t, unseen.Lease)
	if got := b.revision(t); got != start+2 {
		t.Errorf("an agent that policy never saw took revision %d", got)
	}
}

// What narrows is seen at once, what widens with the end of the pass.
func TestASuspendedAgentIsSeenSoUntilAPassHasResumedIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.provided(t, "triage", b.rules(t))
	start := b.revision(t)
	suspended, lease := b.update(t, a.ID, "agent.suspend", suspend)
	f := registry.Finish{Generation: 2, Published: suspended.Published, Again: time.Hour}
	first, err := b.store.FinishPass(t.Context(), *lease, f)
	if err != nil {
		t.Fatal(err)
	}
	want := registry.Convergence{Generation: 2, Observed: 2, Passes: 1, DueAt: first.UpdatedAt.Add(time.Hour)}
	wantEqual(t, "after the first look", want, first.Convergence)
	c, _, err := b.store.ClaimAgent(t.Context(), a.ID, long)
	if err != nil {
		t.Fatal(err)
	}
	f.Again = 0
	second, err := b.store.FinishPass(t.Context(), c.Lease, f)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "after the second look", registry.Convergence{Generation: 2, Observed: 2, Passes: 2}, second.Convergence)

	resumed, lease := b.update(t, a.ID, "agent.resume", func(a *registry.Agent) {
		a.Suspended, a.SuspendReason = false, ""
		a.Convergence.Renewal = registry.RenewAccess
	})
	if !resumed.Published.Suspended {
		t.Error("policy sees the agent resumed before the providers have followed")
	}
	b.progress(t, *lease, registry.Progress{Renewed: true})
	if end := b.finish(t, *lease); end.Published.Suspended || end.Convergence.Renewal != registry.RenewNothing || end.Convergence.Passes != 1 {
		t.Errorf("after the resumption: %+v, %+v", end.Published, end.Convergence)
	}
	wantEqual(t, "changes", []string{
		"production production suspended=true", // the suspension; its two passes change nothing that is seen
		"production production suspended=true", // a change, of which nothing is seen yet
		"production production suspended=false",
	}, b.changeRows(t, start))
}

// A change that is made while a pass is under way makes another one due at once,
// and nothing that the first found out stands in its way (invariant F5).
func TestInvariant_F5_AChangeDuringAPassIsNotLost(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	reopen := func(a *registry.Agent) {
		a.Scopes = []string{"data:read"}
		a.Reopen(registry.StepGrant)
		a.Convergence.Renewal = registry.RenewEntity
	}
	ends := map[string]func(registry.Lease, registry.AgentFacts) error{
		"well": func(l registry.Lease, facts registry.AgentFacts) error {
			a, err := b.store.FinishPass(t.Context(), l, registry.Finish{
				Generation: 1, Published: &facts, Steps: []registry.StepName{registry.StepPolicy}, StepState: registry.StepDone, Again: time.Hour,
			})
			if err == nil && a.Convergence.Converged() {
				return fmt.Errorf("it counts as converged: %+v", a.Convergence)
			}
			return err
		},
		"badly": func(l registry.Lease, _ registry.AgentFacts) error {
			return b.store.PostponePass(t.Context(), l, "it does not answer", time.Hour)
		},
	}
	for name, end := range ends {
		c := b.create(t, name, rules)
		old := c.Agent.Facts()
		l := b.progress(t, c.Lease, registry.Progress{Steps: registry.Steps[:1], State: registry.StepDone, ClientID: "client-" + name})
		b.update(t, c.Agent.ID, "agent.change", reopen)
		l = b.progress(t, l, registry.Progress{Steps: []registry.StepName{registry.StepGrant}, State: registry.StepDone, GrantID: "old", Renewed: true})
		if err := end(l, old); err != nil {
			t.Fatalf("a pass that ended %s: %v", name, err)
		}
		claims, err := b.store.ClaimAgents(t.Context(), long, 9)
		if err != nil || len(claims) != 1 {
			t.Fatalf("%d agents are due after a pass that ended %s, error %v; want 1", len(claims), name, err)
		}
		a := claims[0].Agent
		if a.Published != nil || a.Convergence.Observed != 0 || a.Convergence.Attempts != 0 || a.Convergence.LastError != "" {
			t.Errorf("a pass that ended %s left %+v, seen as %+v", name, a.Convergence, a.Published)
		}
		if a.StepState(registry.StepGrant) != registry.StepPending || a.Convergence.Renewal != registry.RenewEntity || a.StepState(registry.StepPolicy) != registry.StepPending {
			t.Errorf("a pass that ended %s counts as done what has to be done again: %+v, renewal %q", name, a.Steps, a.Convergence.Renewal)
		}
		if a.GrantID != "old" {
			t.Errorf("a pass that ended %s lost what it made", name)
		}
		l = b.progress(t, claims[0].Lease, registry.Progress{Steps: registry.Steps[:4], State: registry.StepDone, Renewed: true})
		a = b.finish(t, l)
		if !a.IsReady() || cmp.Diff([]string{"data:read"}, a.Published.Scopes) != "" {
			t.Errorf("the pass after it: %+v, seen as %+v", a.Convergence, a.Published)
		}
	}
}

// waiting waits until a statement waits for what somebody has locked.
func (b *bundle) waiting(t *testing.T) {
	t.Helper()
	b.waitingFor(t, 1)
}

// waitingFor waits until as many statements do.
func (b *bundle) waitingFor(t *testing.T, statements int) {
	t.Helper()
	const sql = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`
	for began := time.Now(); one[int](t, b, sql) < statements; {
		if time.Since(began) > time.Minute {
			t.Fatal("nobody waits")
		}
	}
}

// Whoever had to wait for an agent's row sees all of the agent as it is then, also
// what the change before them had reopened (invariant F5).
func TestInvariant_F5_WhatWasReopenedMeanwhileIsSeen(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	for name, second := range map[string]func(id string) (registry.Agent, error){
		"another change": func(id string) (a registry.Agent, err error) {
			u := change("agent.change", func(now *registry.Agent) { a = *now })
			u.Lease = 0
			_, _, err = b.store.UpdateAgent(t.Context(), id, u)
			return a, err
		},
		"a claim": func(id string) (registry.Agent, error) {
			c, held, err := b.store.ClaimAgent(t.Context(), id, long)
			if held {
				t.Error("the lease is held")
			}
			return c.Agent, err
		},
	} {
		id := b.provided(t, strings.ReplaceAll(name, " ", "-"), rules).ID
		var wg sync.WaitGroup
		var seen registry.Agent
		u := change("agent.change", func(a *registry.Agent) {
			wg.Go(func() {
				var err error
				if seen, err = second(id); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
			b.waiting(t)
			a.Reopen(registry.StepGrant)
		})
		u.Lease = 0
		if _, _, err := b.store.UpdateAgent(t.Context(), id, u); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if got := seen.StepState(registry.StepGrant); got != registry.StepPending || seen.Convergence.Generation != 2 {
			t.Errorf("%s sees generation %d with the grant %s, want it to be made again", name, seen.Convergence.Generation, got)
		}
		if got := b.agent(t, id).StepState(registry.StepGrant); got != registry.StepPending {
			t.Errorf("after %s the grant is %s", name, got)
		}
	}
}
