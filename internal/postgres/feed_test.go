package postgres_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/postgres"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

func (b *bundle) session(t *testing.T) *postgres.Session {
	t.Helper()
	s, err := postgres.NewFeed(func() (string, error) { return b.dsn, nil }).Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// replay makes the registry at the head of nothing but its changes.
func replay(t *testing.T, s *postgres.Session, to registry.Head) registry.Facts {
	t.Helper()
	changes, err := s.Changes(t.Context(), registry.Head{Epoch: to.Epoch}, int(to.Revision))
	if err != nil {
		t.Fatal(err)
	}
	v, err := snapshot.New(registry.Facts{Head: registry.Head{Epoch: to.Epoch}, Scopes: map[registry.ScopePart]registry.Touch{}}).Apply(changes)
	if err != nil {
		t.Fatal(err)
	}
	return registrytest.FactsOf(v)
}

// loaded is what Load gives, without the clients of agents that no change has
// told of yet.
func loaded(t *testing.T, s *postgres.Session) registry.Facts {
	t.Helper()
	f, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.AgentClients = nil
	return registrytest.Sorted(f)
}

// Whoever writes meanwhile, what is loaded is the state at the head that comes
// with it, and the changes lead to the same (invariant B4).
func TestInvariant_B4_LoadIsOneStateUnderConcurrentWriters(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if err := registrytest.NewWriter(b.store, "seed").Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for i, name := range []string{"a", "b", "c"} {
		w, draw := registrytest.NewWriter(b.store, name), rand.New(rand.NewPCG(uint64(i), 0)).IntN
		writers.Go(func() {
			for ctx.Err() == nil {
				if err := w.Write(ctx, draw); err != nil && ctx.Err() == nil {
					t.Errorf("writer %s: %v", name, err)
					return
				}
			}
		})
	}
	s := b.session(t)
	var last int64
	for loads := 0; loads < 20 || last < 150; loads++ {
		f := loaded(t, s)
		if diff := cmp.Diff(replay(t, s, f.Head), f); diff != "" {
			t.Fatalf("the load at revision %d is not what the changes lead to (-changes +load):\n%s", f.Revision, diff)
		}
		if f.Revision < last {
			t.Errorf("revision %d after %d", f.Revision, last)
		}
		last = f.Revision
	}
	stop()
	writers.Wait()
	if n := one[int](t, b, `SELECT count(DISTINCT kind) FROM changes`); n != 8 {
		t.Errorf("changes of %d kinds were made, want all 8 for the test to say something", n)
	}
}

func TestChangesComeInOrderAndAreBounded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w, draw := registrytest.NewWriter(b.store, "a"), rand.New(rand.NewPCG(1, 1)).IntN
	if err := w.Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if err := w.Write(t.Context(), draw); err != nil {
			t.Fatal(err)
		}
	}
	s := b.session(t)
	head, err := s.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		since registry.Head
		limit int
		want  int64 // changes
	}{
		{"all", registry.Head{Epoch: head.Epoch}, 1000, head.Revision},
		{"the first five", registry.Head{Epoch: head.Epoch}, 5, 5},
		{"the last two", registry.Head{Epoch: head.Epoch, Revision: head.Revision - 2}, 1000, 2},
		{"none", head, 1000, 0},
		{"none from the future", registry.Head{Epoch: head.Epoch, Revision: head.Revision + 9}, 1000, 0},
		{"none of another epoch", registry.Head{Epoch: "another"}, 1000, 0},
	}
	for _, tt := range tests {
		changes, err := s.Changes(t.Context(), tt.since, tt.limit)
		if err != nil || int64(len(changes)) != tt.want {
			t.Errorf("%s: %d changes, error %v; want %d", tt.name, len(changes), err, tt.want)
		}
		for i, c := range changes {
			if want := tt.since.Revision + int64(i) + 1; c.Revision != want || c.Epoch != head.Epoch {
				t.Errorf("%s: change %d is %v, want revision %d", tt.name, i, c.Head, want)
			}
		}
	}
}

// A description is nothing that policy sees, but it is a change: of the same
// after-image, at its own revision.
func TestInvariant_B7_ChangesHoldNoMoreThanPolicyNeeds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w, draw := registrytest.NewWriter(b.store, "a"), rand.New(rand.NewPCG(2, 2)).IntN
	if err := w.Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 40 {
		if err := w.Write(t.Context(), draw); err != nil {
			t.Fatal(err)
		}
	}
	if n := one[int](t, b, `SELECT count(*) FROM changes WHERE after::text LIKE '%' || $1 || '%'`, registrytest.Needle); n != 0 {
		t.Errorf("%d changes hold owners, descriptions, configurations or endpoints", n)
	}
	if n := one[int](t, b, `SELECT count(*) FROM changes WHERE kind IN ('agent', 'resource') AND after IS NOT NULL`); n == 0 {
		t.Error("no agent or resource was changed; the test says nothing")
	}
}

// The feed's sessions must not be cut off by the timeouts of the write pool
// (invariant F1).
func TestInvariant_F1_TheFeedHasAConnectionAndLimitsOfItsOwn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.session(t)
	if _, err := s.Head(t.Context()); err != nil {
		t.Fatal(err)
	}
	pools := one[int](t, b, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'credence-feed'`)
	if pools != 1 {
		t.Errorf("%d connections of feeds, want 1", pools)
	}
}

func TestWaitReturnsWhenSomethingWasCommitted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.session(t)
	if err := s.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	changes := map[string]func() error{
		"a change": func() error {
			_, _, err := b.store.PutTeam(t.Context(), registry.Team{Name: "support"}, some, alice)
			return err
		},
		"another epoch": func() error {
			_, err := b.store.RenewEpoch(t.Context(), "", snapshot.NewEpoch(), alice)
			return err
		},
	}
	for name, change := range changes {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if err := s.Wait(ctx); err != nil {
			t.Errorf("%s: Wait() error = %v", name, err)
		}
	}
}

func TestAFeedOfADatabaseThatIsAwayIsUnavailableAndItsAddressIsNotTold(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]error{
		"postgres://credence:hunter2@127.0.0.1:1/credence": registry.Unavailable,
		"postgres://u:hunter2@[bad":                        nil,
	} {
		_, err := postgres.NewFeed(func() (string, error) { return dsn, nil }).Session(t.Context())
		if err == nil || contains(err, "hunter2") || (want != nil && !errors.Is(err, want)) {
			t.Errorf("Session() error = %v, want one that is %v and does not show the password", err, want)
		}
	}
}

// A session whose server is gone says so as Unavailable, whatever it is asked.
func TestASessionThatWasCutOffIsUnavailable(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ask := map[string]func(*postgres.Session) error{
		"Head":    func(s *postgres.Session) error { _, err := s.Head(t.Context()); return err },
		"Load":    func(s *postgres.Session) error { _, err := s.Load(t.Context()); return err },
		"Changes": func(s *postgres.Session) error { _, err := s.Changes(t.Context(), registry.Head{}, 1); return err },
		"Listen":  func(s *postgres.Session) error { return s.Listen(t.Context()) },
		"Wait":    func(s *postgres.Session) error { return s.Wait(t.Context()) },
	}
	for name, ask := range ask {
		s := b.session(t)
		one[int](t, b, `SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'credence-feed'`)
		if err := ask(s); !errors.Is(err, registry.Unavailable) {
			t.Errorf("%s() error = %v, want Unavailable", name, err)
		}
	}
}
