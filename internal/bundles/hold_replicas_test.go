package bundles_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/credenceproject/credence/internal/bundles"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

// lagging is a session whose answers about the head take their time.
type lagging struct {
	snapshot.Session
	by time.Duration
}

// Head implements snapshot.Session.
func (l lagging) Head(ctx context.Context) (registry.Head, error) {
	select {
	case <-time.After(l.by):
	case <-ctx.Done():
		return registry.Head{}, ctx.Err()
	}
	return l.Session.Head(ctx)
}

// startLagging runs a replica that is always behind by so long, or by twice that.
func startLagging(t *testing.T, m *registrytest.Memory, by time.Duration) replica {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	f := snapshot.NewFollower(snapshot.Options{Epochs: m, Log: log, Connect: func(ctx context.Context) (snapshot.Session, error) {
		s, err := m.Connect(ctx)
		return lagging{s, by}, err
	}})
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = f.Run(ctx) })
	t.Cleanup(func() { stop(); wg.Wait() })
	if err := f.WaitFor(t.Context(), registry.Head{}); err != nil {
		t.Fatal(err)
	}
	return replica{bundles.NewService(f, bundles.Options{Hold: hold, Log: log}), f}
}

// An OPA behind a balancer that asks two replicas in turn, one of which lags, is
// never taken back, never told early that nothing changed, and gets every state that
// lasts.
func TestInvariant_B3_PollsOverABalancerWithAReplicaThatLags(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		part       string
		superseded int // states beside its own that it says it has, as superseded_etag_ttl_seconds makes it
	}{{"", 0}, {"", 8}, {"resources", 0}, {"resources", 8}} {
		synctest.Test(t, func(t *testing.T) {
			const lag, wait, every, changes = 2 * time.Second, 10 * time.Second, 7 * time.Second, 20
			m := seeded()
			replicas := []replica{start(t, m), startLagging(t, m, lag)}
			name := of("production", tt.part)
			current, _ := bundles.ParseTag(present(t, replicas[0], name))
			has := []string{current.String()}
			go func() {
				for range changes {
					time.Sleep(every)
					m.Change(withResource("refunds"))
				}
			}()
			loaded := 0
			for i, began := 0, time.Now(); time.Since(began) < (changes+2)*every; i++ {
				got, took := timed(t.Context(), replicas[i%2], bundles.Poll{Name: name, Have: tags(has...), Wait: wait, Caller: "opa"})
				if got.NotModified != "" {
					expectHeld(t, name.String(), took, wait)
					if got.NotModified != current.String() {
						t.Errorf("told to keep %s, it has %s", got.NotModified, current)
					}
					continue
				}
				next, ok := bundles.ParseTag(got.Bundle)
				if !ok || next.Revision <= current.Revision {
					t.Fatalf("%+v after %s", got, current)
				}
				current, has, loaded = next, append([]string{next.String()}, has[:min(tt.superseded, len(has))]...), loaded+1
			}
			if loaded != changes || current.Revision != m.Head().Revision {
				t.Errorf("%s: %d states of %d were loaded, the last is %s", name, loaded, changes, current)
			}
		})
	}
}
