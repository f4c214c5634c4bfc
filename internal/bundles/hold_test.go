package bundles_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/bundles"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

// seeded is a registry with the environments production and staging and a policy.
func seeded() *registrytest.Memory {
	m := registrytest.NewMemory()
	m.Change(func(m *registrytest.Model) registry.Change {
		return m.PutEnvironment(registry.EnvironmentFacts{Name: "staging", MaxStaleness: "15m"})
	})
	m.Change(withPolicy(registrytest.Policy(1)))
	return m
}

func withAgent(environment, subject string) func(*registrytest.Model) registry.Change {
	return func(m *registrytest.Model) registry.Change {
		return m.PutAgent(registry.AgentFacts{ID: "0197c000-0000-7000-8000-00000000000a", Name: "triage", Environment: environment, Subject: subject})
	}
}

func withBeat(environment string) func(*registrytest.Model) registry.Change {
	return func(m *registrytest.Model) registry.Change { return m.Beat(environment) }
}

// present is the tag of the replica's present bundle.
func present(t *testing.T, s getter, name registry.ScopePart) string {
	t.Helper()
	a, err := s.Get(t.Context(), bundles.Poll{Name: name})
	if err != nil || a.Bundle == nil {
		t.Fatalf("%s: %+v, %v", name, a, err)
	}
	return a.Bundle.Tag.String()
}

// timed polls and returns how long it was held.
func timed(ctx context.Context, s getter, p bundles.Poll) (outcome, time.Duration) {
	began := time.Now()
	a, err := s.Get(ctx, p)
	return outcomeOf(a, err), time.Since(began)
}

// expectHeld says that somebody was held for the wait, less up to a tenth.
func expectHeld(t *testing.T, name string, took, wait time.Duration) {
	t.Helper()
	if took > wait || took < wait-wait/10 {
		t.Errorf("%s: held for %s, want %s or up to a tenth less", name, took, wait)
	}
}

func TestAPollIsHeldForItsWholeWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := seeded()
		r := start(t, m)
		for _, tt := range []struct {
			name       registry.ScopePart
			wait, held time.Duration
		}{
			{of("production", ""), time.Second, time.Second},
			{of("production", "policy"), 30 * time.Second, 30 * time.Second},
			{of("production", "discovery"), 30 * time.Second, 30 * time.Second},
			{of("production", "agents-0"), time.Hour, bundles.MaxPoll},
		} {
			own := present(t, r, tt.name)
			got, took := timed(t.Context(), r, bundles.Poll{Name: tt.name, Have: tags(own, "superseded"), Wait: tt.wait, Caller: "opa"})
			if diff := cmp.Diff(outcome{NotModified: own}, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.name, diff)
			}
			expectHeld(t, tt.name.String(), took, tt.held)
		}
	})
}

// Who has nothing, or something older, is answered at once.
func TestAPollForWhatIsThereIsNotHeld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := seeded()
		r := start(t, m)
		older := present(t, r, of("production", ""))
		m.Change(withResource("refunds"))
		synctest.Wait()
		now := presentTag(t, m).String()
		for _, have := range []*registry.Tags{nil, tags(), tags(older), tags("x"), tags("production.e0.99.abcdef01")} {
			got, took := timed(t.Context(), r, bundles.Poll{Name: of("production", ""), Have: have, Wait: 30 * time.Second, Caller: "opa"})
			if diff := cmp.Diff(outcome{Bundle: now}, got); diff != "" || took > 10*time.Millisecond {
				t.Errorf("%+v: after %s (-want +got):\n%s", have, took, diff)
			}
		}
		if got, took := timed(t.Context(), r, bundles.Poll{Name: of("nowhere", ""), Wait: 30 * time.Second, Caller: "opa"}); got.Code != "not_found" || took != 0 {
			t.Errorf("an unknown scope: %+v after %s", got, took)
		}
	})
}

// A poll is let go by what changes its bundle, in the same moment, and by nothing else.
func TestAPollIsLetGoByItsOwnChangesAlone(t *testing.T) {
	t.Parallel()
	const subject = "client-1@clients"
	agents := registry.AgentsPart(subject)
	tests := []struct {
		name   string
		change func(*registrytest.Model) registry.Change
		lets   map[string]bool // by part of production
	}{
		{"an agent", withAgent("production", subject), map[string]bool{"": true, agents: true}},
		{"an agent elsewhere", withAgent("staging", subject), nil},
		{"a resource", withResource("refunds"), map[string]bool{"": true, "resources": true}},
		{"the policy", withPolicy(registrytest.Policy(2)), map[string]bool{"": true, "policy": true, "resources": true, agents: true}},
		{"a heartbeat", withBeat("production"), map[string]bool{"": true, "policy": true, "resources": true, agents: true}},
		{"a heartbeat elsewhere", withBeat("staging"), nil},
		{"a team", func(m *registrytest.Model) registry.Change { return m.PutTeam("support") }, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := seeded()
				r := start(t, m)
				var polls sync.WaitGroup
				for _, part := range []string{"", "policy", "resources", agents, bundles.Discovery} {
					name, own := of("production", part), present(t, r, of("production", part))
					polls.Go(func() {
						got, took := timed(t.Context(), r, bundles.Poll{Name: name, Have: tags(own), Wait: 30 * time.Second, Caller: "opa"})
						if !tt.lets[part] {
							if got.NotModified != own {
								t.Errorf("%s: %+v", name, got)
							}
							expectHeld(t, name.String(), took, 30*time.Second)
						} else if tag, ok := bundles.ParseTag(got.Bundle); !ok || tag.Revision != m.Head().Revision || took != 10*time.Second {
							t.Errorf("%s: %+v after %s", name, got, took)
						}
					})
				}
				time.Sleep(10 * time.Second)
				m.Change(tt.change)
				polls.Wait()
			})
		})
	}
}

func TestPollsOfADeletedEnvironmentAreLetGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := seeded()
		r := start(t, m)
		own := present(t, r, of("staging", ""))
		time.AfterFunc(3*time.Second, func() {
			m.Change(func(m *registrytest.Model) registry.Change { return m.DeleteEnvironment("staging") })
		})
		got, took := timed(t.Context(), r, bundles.Poll{Name: of("staging", ""), Have: tags(own), Wait: 30 * time.Second, Caller: "opa"})
		if diff := cmp.Diff(outcome{Code: "not_found"}, got); diff != "" || took != 3*time.Second {
			t.Errorf("after %s (-want +got):\n%s", took, diff)
		}
		m.Change(func(m *registrytest.Model) registry.Change {
			return m.PutEnvironment(registry.EnvironmentFacts{Name: "staging"})
		})
		synctest.Wait()
		got, took = timed(t.Context(), r, bundles.Poll{Name: of("staging", ""), Have: tags(own), Wait: 30 * time.Second, Caller: "opa"})
		if tag, _ := bundles.ParseTag(got.Bundle); tag.Revision != m.Head().Revision || took > 10*time.Millisecond {
			t.Errorf("one of the same name: %+v after %s", got, took)
		}
	})
}

// While no bundle can be made, polls wait on with what is good (invariants B2, B6).
func TestInvariant_B2_PollsWaitForAPolicyThatCanBeBuilt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := seeded()
		r := start(t, m)
		own := present(t, r, of("production", ""))
		time.AfterFunc(5*time.Second, func() { m.Change(withPolicy(unknown(2))) })
		time.AfterFunc(6*time.Second, func() { m.Change(withResource("refunds")) })
		time.AfterFunc(20*time.Second, func() { m.Change(withPolicy(registrytest.Policy(3))) })
		got, took := timed(t.Context(), r, bundles.Poll{Name: of("production", ""), Have: tags(own), Wait: 30 * time.Second, Caller: "opa"})
		if diff := cmp.Diff(outcome{Bundle: presentTag(t, m).String()}, got); diff != "" || took != 20*time.Second {
			t.Errorf("after %s (-want +got):\n%s", took, diff)
		}
	})
}

// A poll at a replica that is behind is never taken back, nor answered before its
// time: when the replica has caught up the poll waits on.
func TestInvariant_B3_PollsAtAReplicaThatIsBehind(t *testing.T) {
	t.Parallel()
	const wait = 20 * time.Second
	tests := []struct {
		name string
		part string
		thaw time.Duration // after which the replica goes on; 0: never
		more time.Duration // after which there is another change; 0: none
		want time.Duration // after which there is news; 0: none
	}{
		{"it catches up", "", 2 * time.Second, 0, 0},
		{"a part catches up", "resources", 2 * time.Second, 0, 0},
		{"the wait is shorter than it needs", "", 30 * time.Second, 0, 0},
		{"it does not catch up", "resources", 0, 0, 0},
		{"it comes further at once", "", 4 * time.Second, 3 * time.Second, 4 * time.Second},
		{"there is more later", "", 4 * time.Second, 9 * time.Second, 9 * time.Second},
		{"there is more of the part later", "resources", 4 * time.Second, 9 * time.Second, 9 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := seeded()
				name := of("production", tt.part)
				behind := start(t, m)
				m.Do(func(m *registrytest.Memory) { m.Silent = make(chan struct{}) })
				m.Change(withResource("refunds"))
				own := tagAt(t, m, name) // from another replica
				if tt.thaw > 0 {
					time.AfterFunc(tt.thaw, func() { m.Do(func(m *registrytest.Memory) { close(m.Silent); m.Silent = nil }) })
				}
				if tt.more > 0 {
					time.AfterFunc(tt.more, func() { m.Change(withResource("billing")) })
				}
				have := tags("x", own, name.String()+".e1.1.abcdef01")
				got, took := timed(t.Context(), behind, bundles.Poll{Name: name, Have: have, Wait: wait, Caller: "opa"})
				if tt.want == 0 {
					expectHeld(t, tt.name, took, wait)
					if diff := cmp.Diff(outcome{NotModified: own}, got); diff != "" {
						t.Errorf("(-want +got):\n%s", diff)
					}
					return
				}
				if diff := cmp.Diff(outcome{Bundle: tagAt(t, m, name)}, got); diff != "" || took != tt.want {
					t.Errorf("after %s (-want +got):\n%s", took, diff)
				}
			})
		})
	}
}

// tagAt is the tag of the bundle at a replica that is not behind.
func tagAt(t *testing.T, m *registrytest.Memory, name registry.ScopePart) (tag string) {
	t.Helper()
	m.Do(func(m *registrytest.Memory) {
		tag = present(t, newService(&fixed{snapshot.New(m.Model.Facts())}), name)
	})
	return tag
}

// One token holds a bounded number of polls; a caller that goes away frees its place
// at once (invariant B9).
func TestInvariant_B9_OneTokenHoldsABoundedNumberOfPolls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := seeded()
		seen := &seen{}
		r := startWith(t, m, bundles.Options{PerCaller: 3, Observer: seen})
		own := present(t, r, of("production", ""))
		poll := bundles.Poll{Name: of("production", ""), Have: tags(own), Wait: 30 * time.Second, Caller: "opa"}
		hangUps := make([]context.CancelFunc, 3)
		var polls sync.WaitGroup
		for i := range hangUps {
			var ctx context.Context
			ctx, hangUps[i] = context.WithCancel(t.Context())
			polls.Go(func() { _, _ = r.Get(ctx, poll) })
		}
		synctest.Wait()
		_, err := r.Get(t.Context(), poll)
		if e, ok := registry.AsError(err); !ok || !errors.Is(err, registry.TooManyRequests) || e.Code != "too_many_polls" || e.RetryAfter <= 0 {
			t.Errorf("one poll too many: %v", err)
		}
		other, plain := poll, poll
		other.Caller, other.Wait, plain.Wait = "another", time.Second, 0
		for _, p := range []bundles.Poll{other, plain} {
			if got, _ := timed(t.Context(), r, p); got.NotModified != own {
				t.Errorf("%+v: %+v", p, got)
			}
		}
		hangUps[0]()
		synctest.Wait()
		if n := seen.held(); n != 2 {
			t.Errorf("%d polls are held, want 2", n)
		}
		again := poll
		again.Wait = time.Second
		if got, took := timed(t.Context(), r, again); got.NotModified != own || took == 0 {
			t.Errorf("in the place of who went: %+v after %s", got, took)
		}
		hangUps[1]()
		hangUps[2]()
		polls.Wait()
		if n := seen.held(); n != 0 {
			t.Errorf("%d polls are held, want none", n)
		}
	})
}

// A process that is about to stop lets polls go one by one, tells them to ask
// elsewhere, and holds no new ones (invariant B9).
func TestInvariant_B9_TheDrainLetsPollsGoOneByOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n, drain = 200, 10 * time.Second
		m := seeded()
		r := startWith(t, m, bundles.Options{PerCaller: n})
		own := present(t, r, of("production", ""))
		poll := bundles.Poll{Name: of("production", ""), Have: tags(own), Wait: 50 * time.Second, Caller: "opa"}
		took := make([]time.Duration, n)
		var polls sync.WaitGroup
		for i := range n {
			polls.Go(func() {
				began := time.Now()
				a, err := r.Get(t.Context(), poll)
				if took[i] = time.Since(began); err != nil || a.NotModified != own || !a.Last {
					t.Errorf("%+v, %v", a, err)
				}
			})
		}
		time.Sleep(time.Second)
		r.Drain(drain)
		a, err := r.Get(t.Context(), poll)
		if !errors.Is(err, registry.Unavailable) || code(err) != "draining" || !a.Last {
			t.Errorf("a new poll: %+v, %v", a, err)
		}
		if a, err := ask(t.Context(), r, "production", nil); err != nil || a.Bundle == nil || !a.Last {
			t.Errorf("who does not poll: %+v, %v", a, err)
		}
		polls.Wait()
		perSecond := map[string]int{}
		for _, d := range took {
			if d < time.Second || d > time.Second+drain {
				t.Errorf("let go after %s", d)
			}
			perSecond[fmt.Sprint(d.Truncate(time.Second))]++
		}
		for second, count := range perSecond {
			if count > n/4 {
				t.Errorf("%d of %d were let go in second %s", count, n, second)
			}
		}
	})
}

// What changes during the drain still reaches those who wait.
func TestTheDrainKeepsNoNewsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := seeded()
		r := start(t, m)
		own := present(t, r, of("production", ""))
		time.AfterFunc(time.Second, func() {
			r.Drain(time.Hour)
			m.Change(withAgent("production", "client-1@clients"))
		})
		a, err := r.Get(t.Context(), bundles.Poll{Name: of("production", ""), Have: tags(own), Wait: 50 * time.Second, Caller: "opa"})
		if err != nil || a.Bundle == nil || !a.Last {
			t.Errorf("%+v, %v", a, err)
		}
	})
}
