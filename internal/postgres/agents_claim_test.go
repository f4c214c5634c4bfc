package postgres_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/credenceproject/credence/internal/registry"
)

// due records agents that are due since so many minutes ago.
func (b *bundle) due(t *testing.T, rules registry.Rules, minutes ...int) {
	t.Helper()
	for _, m := range minutes {
		c := b.create(t, fmt.Sprintf("due-%d", m), rules)
		if err := b.store.PostponePass(t.Context(), c.Lease, "", 0); err != nil {
			t.Fatal(err)
		}
		if _, err := b.pool.Exec(t.Context(), `UPDATE agents SET due_at = now() - make_interval(mins => $2) WHERE id = $1`, c.Agent.ID, m); err != nil {
			t.Fatal(err)
		}
	}
}

func namesOf(claims []registry.Claim) []string {
	names := []string{}
	for _, c := range claims {
		names = append(names, c.Agent.Name)
	}
	return names
}

func TestTheLongestDueAreClaimedFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	b.due(t, rules, 3, 1, 4, 2)
	b.create(t, "held", rules)
	b.provided(t, "converged", rules)
	for _, want := range [][]string{{"due-4", "due-3"}, {"due-2", "due-1"}, {}} {
		claims, err := b.store.ClaimAgents(t.Context(), long, 2)
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "claimed", want, namesOf(claims))
		for _, c := range claims {
			if left := time.Until(c.Lease.Expires); left > long || left < long-time.Minute || c.Lease.AgentID != c.Agent.ID {
				t.Errorf("the lease of %s is %+v", c.Agent.Name, c.Lease)
			}
			b.progress(t, c.Lease, registry.Progress{}) // it is worth something
		}
	}
}

// However many look at once, each agent has one holder.
func TestNoAgentIsClaimedTwice(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	const agents, replicas = 40, 6
	for i := range agents {
		b.due(t, rules, i+1)
	}
	for round := range 10 {
		if _, err := b.pool.Exec(t.Context(), `UPDATE agents SET lease_until = '-infinity'`); err != nil {
			t.Fatal(err)
		}
		start := make(chan struct{})
		all := make([][]string, replicas)
		var wg sync.WaitGroup
		for i := range replicas {
			wg.Go(func() {
				<-start
				claims, err := b.store.ClaimAgents(t.Context(), long, agents)
				if err != nil {
					t.Error(err)
				}
				all[i] = namesOf(claims)
			})
		}
		close(start)
		wg.Wait()
		claimed := slices.Sorted(slices.Values(slices.Concat(all...)))
		if distinct := slices.Compact(slices.Clone(claimed)); len(distinct) != agents || len(claimed) != agents {
			t.Fatalf("round %d: %d claims of %d agents, want each of the %d once", round, len(claimed), len(distinct), agents)
		}
	}
}

func TestALeaseThatHasRunOutIsAnybodys(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	n := newAgent(t, "triage", rules)
	n.Lease = 0
	a, stale, err := b.store.CreateAgent(t.Context(), n, alice)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := b.store.ClaimAgents(t.Context(), long, 9)
	if err != nil || len(claims) != 1 || claims[0].Lease.Epoch != stale.Epoch+1 {
		t.Fatalf("ClaimAgents() = %+v, %v; want the agent that its holder left", claims, err)
	}
	if _, held, err := b.store.ClaimAgent(t.Context(), a.ID, long); err != nil || !held {
		t.Errorf("ClaimAgent() of one that is held: held %t, error %v", held, err)
	}
	if _, _, err := b.store.ClaimAgent(t.Context(), uuid.NewString(), long); !errors.Is(err, registry.NotFound) {
		t.Errorf("ClaimAgent() of nobody: error = %v, want NotFound", err)
	}
	b.finish(t, claims[0].Lease)
	if c, held, err := b.store.ClaimAgent(t.Context(), a.ID, long); err != nil || held || c.Agent.ID != a.ID {
		t.Errorf("ClaimAgent() of one that is not due: held %t, error %v", held, err)
	}
}

// An agent fails from a pass that failed until one that did not, or until
// somebody changes it.
func TestAgentsWhoseLastPassFailedAreCounted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	expect := func(when string, want int64) {
		t.Helper()
		if n, err := b.store.CountFailing(t.Context()); err != nil || n != want {
			t.Errorf("%s: CountFailing() = %d, %v; want %d", when, n, err, want)
		}
	}
	b.provided(t, "converged", rules)
	one, other := b.create(t, "one", rules), b.create(t, "other", rules)
	expect("before any pass ended", 0)
	for _, c := range []registry.Claim{one, other} {
		if err := b.store.PostponePass(t.Context(), c.Lease, "away", time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	expect("in back-off", 2)
	again, _, err := b.store.ClaimAgent(t.Context(), one.Agent.ID, long)
	if err != nil {
		t.Fatal(err)
	}
	expect("while the next pass is under way", 2)
	b.finish(t, again.Lease)
	expect("after one that did not fail", 1)
	b.update(t, other.Agent.ID, "agent.change", func(a *registry.Agent) { a.Description = "another" })
	expect("after a change", 0)
}

func TestExpiredAgentsAreFoundByTheDatabasesClock(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	for name, expiry := range map[string][2]string{ // of the agent, of its credentials
		"never": {}, "later": {"5h", ""}, "soon": {"", "5m"}, "agent": {"-2m", "5m"}, "credentials": {"5m", "-1m"}, "suspended": {"-1m", ""}, "gone": {"-1m", ""},
	} {
		a := b.provided(t, name, rules)
		b.update(t, a.ID, "agent.change", func(a *registry.Agent) {
			for i, at := range []*time.Time{&a.ExpiresAt, &a.CredentialsExpireAt} {
				if d, err := time.ParseDuration(expiry[i]); err == nil {
					*at = time.Now().Add(d)
				}
			}
			if name == "suspended" {
				suspend(a)
			}
			if name == "gone" {
				remove(a)
			}
		})
	}
	var names []string
	expired, err := b.store.ExpiredAgents(t.Context(), 9)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range expired {
		names = append(names, a.Name)
	}
	wantEqual(t, "expired", []string{"agent", "credentials"}, names)
	if expired, err := b.store.ExpiredAgents(t.Context(), 1); err != nil || len(expired) != 1 || expired[0].Name != "agent" {
		t.Errorf("the longest expired: %+v, %v", expired, err)
	}
	page, _, err := b.store.Agents(t.Context(), registry.AgentFilter{Lifecycle: registry.Active, ExpiresBefore: time.Now().Add(time.Hour), Limit: 9})
	if err != nil {
		t.Fatal(err)
	}
	names = nil
	for _, a := range page {
		names = append(names, a.Name)
	}
	wantEqual(t, "those that expire within the hour", []string{"agent", "credentials", "soon", "suspended"}, names)
}
