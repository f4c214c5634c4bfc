package bundles_test

import (
	"context"
	"errors"
	"log/slog"
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

// replica is a server's follower and its bundles, of a registry in memory and
// in virtual time.
type replica struct {
	*bundles.Service
	follower *snapshot.Follower
}

const hold = 5 * time.Second

// start runs a replica and returns once it has loaded the registry.
func start(t *testing.T, m *registrytest.Memory) replica {
	t.Helper()
	return startWith(t, m, bundles.Options{})
}

func startWith(t *testing.T, m *registrytest.Memory, o bundles.Options) replica {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	o.Hold, o.Log = hold, log
	f := snapshot.NewFollower(snapshot.Options{Connect: m.Connect, Epochs: m, Log: log})
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = f.Run(ctx) })
	t.Cleanup(func() { stop(); wg.Wait() })
	synctest.Wait()
	return replica{bundles.NewService(f, o), f}
}

// The bound of the request may end before the hold does. That is no reason to
// fail the caller, who has what is newer; a caller that is gone gets no answer.
func TestInvariant_B3_TheRequestsOwnBoundEndsTheHoldByWhatTheCallerHas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := registrytest.NewMemory()
		m.Change(withPolicy(registrytest.Policy(1)))
		behind := start(t, m)
		m.Do(func(m *registrytest.Memory) { m.Silent = make(chan struct{}) })
		m.Change(withResource("refunds"))
		own := presentTag(t, m)

		bounded, cancel := context.WithTimeout(t.Context(), hold)
		defer cancel()
		if diff := cmp.Diff(outcome{NotModified: own.String()}, outcomeOf(ask(bounded, behind, "production", tags(own.String())))); diff != "" {
			t.Errorf("bounded (-want +got):\n%s", diff)
		}
		gone, hangUp := context.WithCancel(t.Context())
		hangUp()
		if _, err := ask(gone, behind, "production", tags(own.String())); !errors.Is(err, context.Canceled) {
			t.Errorf("after hanging up: error = %v, want Canceled", err)
		}
	})
}

func withPolicy(p registry.PlatformPolicy) func(*registrytest.Model) registry.Change {
	return func(m *registrytest.Model) registry.Change { return m.PutPolicy(p) }
}

func withResource(name string) func(*registrytest.Model) registry.Change {
	return func(m *registrytest.Model) registry.Change {
		return m.PutResource(registry.ResourceFacts{Name: name})
	}
}

// An OPA asks one replica after another. One that is behind must not take it
// back to an older state: it holds the request until it has caught up, and says
// at the end that nothing has changed (invariant B3).
func TestInvariant_B3_AReplicaThatIsBehindTakesNobodyBack(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		thaw  time.Duration // after which the replica that is behind goes on; 0: never
		after int           // changes that were made by then
		took  time.Duration
	}{
		{"it catches up", 2 * time.Second, 0, 2 * time.Second},
		{"it comes further than the caller", 2 * time.Second, 1, 2 * time.Second},
		{"it does not catch up", 0, 0, hold},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := registrytest.NewMemory()
				m.Change(withPolicy(registrytest.Policy(1)))
				behind := start(t, m)
				m.Do(func(m *registrytest.Memory) { m.Silent = make(chan struct{}) })
				m.Change(withResource("refunds"))
				own := presentTag(t, m)
				start := time.Now()
				if tt.thaw > 0 {
					time.AfterFunc(tt.thaw, func() {
						for range tt.after {
							m.Change(withResource("billing"))
						}
						m.Do(func(m *registrytest.Memory) { close(m.Silent); m.Silent = nil })
					})
				}
				got := outcomeOf(ask(t.Context(), behind, "production", tags("production.e1.1.abcdef01", own.String())))
				want := outcome{NotModified: own.String()}
				if tt.after > 0 {
					want = outcome{Bundle: presentTag(t, m).String()}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if took := time.Since(start); took != tt.took {
					t.Errorf("held for %s, want %s", took, tt.took)
				}
			})
		})
	}
}

// presentTag is the tag of production's present bundle at a replica that is not
// behind.
func presentTag(t *testing.T, m *registrytest.Memory) (tag bundles.Tag) {
	t.Helper()
	m.Do(func(m *registrytest.Memory) {
		tag = get(t, newService(&fixed{snapshot.New(m.Model.Facts())}), "production").Tag
	})
	return tag
}

// Only a newer state of our epoch holds anybody, and a caller that is gone is
// not held.
func TestOnlyCallersThatAreAheadAreHeld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := registrytest.NewMemory()
		m.Change(withPolicy(registrytest.Policy(1)))
		r := start(t, m)
		m.Do(func(m *registrytest.Memory) { m.Silent = make(chan struct{}) })
		start := time.Now()
		for _, tag := range []string{"staging.e1.99.abcdef01", "production.e0.99.abcdef01", "production.e1.1.abcdef01", "production.e1.099.abcdef01"} {
			if a, err := ask(t.Context(), r, "production", tags(tag)); err != nil || a.Bundle == nil {
				t.Errorf("%s: %v, %v; want a bundle", tag, a, err)
			}
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("held for %s", took)
		}
		ctx, goAway := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, goAway)
		if _, err := ask(ctx, r, "production", tags("production.e1.99.abcdef01")); !errors.Is(err, context.Canceled) {
			t.Errorf("a caller that went away: error = %v", err)
		}
	})
}

// unknown is a policy of a data layout that this binary does not know.
func unknown(version int64) registry.PlatformPolicy {
	p := registrytest.Policy(version)
	p.Layout = 99
	return p
}

// A policy that only a newer binary can build: what was good stays, and nobody
// is taken back from what the newer binary has given out (invariants B2, B3).
func TestInvariant_B2_APolicyThatWeCannotBuildLeavesTheLastGoodBundle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := registrytest.NewMemory()
		m.Change(withPolicy(registrytest.Policy(1)))
		r := start(t, m)
		good := get(t, r.Service, "production")
		newer := good.Tag
		newer.Revision, newer.Hash = m.Change(withPolicy(unknown(2))).Revision, "feedbeef" // by a newer binary
		synctest.Wait()
		fresh := start(t, m)
		tests := []struct {
			name string
			of   replica
			have *registry.Tags
			want outcome
		}{
			{"who has nothing", r, nil, outcome{Bundle: good.Tag.String()}},
			{"who has it", r, tags(good.Tag.String()), outcome{NotModified: good.Tag.String()}},
			{"who has what the newer binary made", r, tags(good.Tag.String(), newer.String()), outcome{NotModified: newer.String()}},
			{"who has a later revision of another epoch", r, tags("production.e0.99.abcdef01"), outcome{Bundle: good.Tag.String()}},
			{"a replica that never had a good one", fresh, nil, outcome{Code: "policy_unknown"}},
			{"a replica that never had a good one, who has something", fresh, tags(newer.String()), outcome{Code: "policy_unknown"}},
			{"a replica that never had a good one, who has anything", fresh, &registry.Tags{Any: true}, outcome{Code: "policy_unknown"}},
		}
		for _, tt := range tests {
			if diff := cmp.Diff(tt.want, outcomeOf(ask(t.Context(), tt.of, "production", tt.have))); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.name, diff)
			}
		}
		m.Do(func(m *registrytest.Memory) {
			m.Model.SetHead(registry.Head{Epoch: "e2", Revision: m.Model.Head().Revision})
		})
		time.Sleep(time.Second)
		synctest.Wait()
		ofEpoch := newer
		ofEpoch.Epoch, ofEpoch.Revision = "e2", 1
		if got := outcomeOf(ask(t.Context(), r, "production", tags(ofEpoch.String()))); got.NotModified != ofEpoch.String() {
			t.Errorf("who has a state of the present epoch gets %+v", got)
		}
		m.Change(withPolicy(registrytest.Policy(3)))
		synctest.Wait()
		if b := get(t, r.Service, "production"); b.Tag.Revision != m.Head().Revision {
			t.Errorf("the policy is known again, and %s is served", b.Tag)
		}
	})
}
