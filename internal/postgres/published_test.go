package postgres_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

// Whatever is narrowed, widened, left half done or removed: what is loaded is what
// the last change of each agent said, and what following the changes leads to
// (invariant B4).
func TestInvariant_B4_WhatIsLoadedIsWhatTheChangesSay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	draw := rand.New(rand.NewPCG(8, 8)).IntN
	s := b.session(t)
	seen := map[string]*registry.AgentFacts{} // what policy is to see, by agent
	var ids []string
	for i := range 3 {
		a := b.provided(t, fmt.Sprintf("agent-%d", i), rules)
		ids, seen[a.ID] = append(ids, a.ID), a.Published
	}
	for step := range 40 {
		id := ids[draw(len(ids))]
		a, lease := b.update(t, id, "agent.change", randomChange(draw))
		seen[id] = a.Published
		switch {
		case draw(4) == 0:
			if err := b.store.PostponePass(t.Context(), *lease, "no", time.Hour); err != nil {
				t.Fatal(err)
			}
		default:
			a = b.finish(t, *lease)
			seen[id] = a.Published
			if facts := a.Facts(); a.Published != nil && !cmp.Equal(facts, *a.Published) {
				t.Fatalf("step %d: what was published is not what the agent is (-agent +published):\n%s", step, cmp.Diff(facts, *a.Published))
			}
		}
		if a.Lifecycle == registry.Decommissioned {
			ids = slices.DeleteFunc(ids, func(other string) bool { return other == id })
			fresh := b.provided(t, fmt.Sprintf("again-%d", step), rules)
			ids, seen[fresh.ID] = append(ids, fresh.ID), fresh.Published
		}
		want := registry.Facts{}
		for _, facts := range seen {
			if facts != nil {
				want.Agents = append(want.Agents, *facts)
			}
		}
		f := loaded(t, s)
		if diff := cmp.Diff(registrytest.Sorted(want).Agents, f.Agents); diff != "" {
			t.Fatalf("step %d: what is loaded is not what was published (-published +load):\n%s", step, diff)
		}
		if diff := cmp.Diff(replay(t, s, f.Head), f); diff != "" {
			t.Fatalf("step %d: the load is not what the changes lead to (-changes +load):\n%s", step, diff)
		}
	}
}

// randomChange changes an agent as a service would: what policy sees is narrowed,
// or gone.
func randomChange(draw registrytest.Draw) func(*registry.Agent) {
	kind, scope := draw(8), draw(2)
	at := time.Now().Add(time.Duration(draw(1_000_000)+1) * time.Second)
	return func(a *registry.Agent) {
		narrowed := a.Facts()
		switch kind {
		case 0:
			a.Suspended, narrowed.Suspended = true, true
		case 1:
			a.Suspended, narrowed.Suspended = false, true
		case 2:
			a.ExpiresAt, narrowed.ExpiresAt = at, at
		case 3:
			a.TokensValidAfter, narrowed.ValidAfter = at, at
		case 4:
			a.Scopes, narrowed.Scopes = []string{"skills:invoke", "data:read"}[scope:], nil
		case 5:
			a.Labels = map[string]string{"tier": fmt.Sprint(at.Unix())}
		case 6:
			perDay := at.Unix()
			a.Quota.RequestsPerDay = &perDay
		default:
			remove(a)
			return
		}
		a.Published = &narrowed
	}
}
