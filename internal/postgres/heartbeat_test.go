package postgres_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
)

// outdate makes a part of a scope look as old as that.
func (b *bundle) outdate(t *testing.T, scope, part string, by time.Duration) {
	t.Helper()
	sql, args := `UPDATE scopes SET as_of = as_of - $2::interval WHERE name = $1`, []any{scope, by}
	if part != "" {
		sql, args = `UPDATE scope_parts SET as_of = as_of - $2::interval WHERE name = $1 AND part = $3`, append(args, part)
	}
	if tag, err := b.pool.Exec(t.Context(), sql, args...); err != nil || tag.RowsAffected() != 1 {
		t.Fatalf("outdate %s/%s: %v, error %v", scope, part, tag, err)
	}
}

func (b *bundle) beat(t *testing.T, every time.Duration) int {
	t.Helper()
	n, err := b.store.Heartbeat(t.Context(), every)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A scope of which nobody heard for a while is said to be current, wholly, at a
// revision of its own; others are left alone.
func TestInvariant_B8_AHeartbeatRenewsWhatIsStale(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.environments(t, "production", "staging", "test")
	s := b.session(t)
	b.wantNothingWritten(t, "while all is current", func() {
		if n := b.beat(t, time.Minute); n != 0 {
			t.Errorf("%d scopes were stale", n)
		}
	})
	b.outdate(t, "staging", "agents-7", 2*time.Minute) // one part that is too old is enough
	b.outdate(t, "production", "", time.Hour)
	b.outdate(t, "test", "", 30*time.Second)
	events, before := b.lastEvent(t), b.revision(t)
	if n := b.beat(t, time.Minute); n != 2 || b.revision(t) != before+2 {
		t.Errorf("%d heartbeats took %d revisions, want 2 and 2", n, b.revision(t)-before)
	}
	f := loaded(t, s)
	now := map[int64]bool{}
	for p, touch := range f.Scopes {
		if p.Scope == "test" {
			continue
		}
		now[touch.Revision] = true
		if age := one[float64](t, b, `SELECT extract(epoch FROM now() - $1::timestamptz)`, touch.At); age > 30 {
			t.Errorf("%v is still %v s old", p, age)
		}
	}
	wantEqual(t, "revisions of the scopes' parts", map[int64]bool{before + 1: true, before + 2: true}, now)
	changes, err := s.Changes(t.Context(), registry.Head{Epoch: f.Epoch, Revision: before}, 9)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"production", "staging"} {
		c := changes[i]
		c.At = time.Time{}
		want := registry.Change{
			Head: registry.Head{Epoch: f.Epoch, Revision: before + 1 + int64(i)}, Kind: registry.HeartbeatChange, ObjectID: name, OldScope: name, NewScope: name,
		}
		if diff := cmp.Diff(want, c); diff != "" {
			t.Errorf("the change (-want +got):\n%s", diff)
		}
	}
	if b.lastEvent(t) != events {
		t.Error("the audit log tells of a heartbeat, which is nobody's doing")
	}
	if n := b.beat(t, time.Minute); n != 0 {
		t.Errorf("%d scopes were stale again", n)
	}
}

// However many replicas beat at once, a scope is renewed once.
func TestInvariant_B8_ReplicasBeatOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.environments(t, "production", "staging")
	s := b.session(t)
	for range 5 {
		b.outdate(t, "production", "policy", time.Hour)
		b.outdate(t, "staging", "", time.Hour)
		before := b.revision(t)
		var beaten atomic.Int64
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				n, err := b.store.Heartbeat(t.Context(), time.Minute)
				if err != nil {
					t.Error(err)
				}
				beaten.Add(int64(n))
			})
		}
		wg.Wait()
		if beaten.Load() != 2 || b.revision(t) != before+2 {
			t.Errorf("%d heartbeats, %d revisions; want 2 and 2", beaten.Load(), b.revision(t)-before)
		}
	}
	head := loaded(t, s).Head
	if n := one[int64](t, b, `SELECT count(*) FROM changes WHERE epoch = $1`, head.Epoch); n != head.Revision {
		t.Errorf("%d changes at revision %d: there is a gap", n, head.Revision)
	}
}

// An environment that is deleted while its heartbeat waits stays deleted.
func TestAHeartbeatRevivesNoScope(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.environments(t, "production")
	b.outdate(t, "production", "", time.Hour)
	tx, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), `SELECT FROM registry_head FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	type result struct {
		n   int
		err error
	}
	beaten := make(chan result, 1)
	go func() {
		n, err := b.store.Heartbeat(t.Context(), time.Minute)
		beaten <- result{n, err}
	}()
	b.waiting(t)
	for _, sql := range []string{`DELETE FROM scopes`, `DELETE FROM scope_parts`, `DELETE FROM environments`} { // as DeleteEnvironment does, under the head
		if _, err := tx.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := <-beaten; r.n != 0 || r.err != nil || b.revision(t) != 1 || one[int](t, b, `SELECT count(*) FROM scopes`) != 0 {
		t.Errorf("Heartbeat() = %d, %v at revision %d", r.n, r.err, b.revision(t))
	}
}

func TestAHeartbeatThatFailsIsNotTheLast(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.environments(t, "production", "staging")
	b.outdate(t, "production", "", time.Hour)
	b.outdate(t, "staging", "", time.Hour)
	if _, err := b.pool.Exec(t.Context(), `ALTER TABLE changes ADD CONSTRAINT no_production CHECK (object_id <> 'production') NOT VALID`); err != nil {
		t.Fatal(err)
	}
	n, err := b.store.Heartbeat(t.Context(), time.Minute)
	if n != 1 || !contains(err, "no_production") || b.revision(t) != 3 {
		t.Errorf("Heartbeat() = %d, %v at revision %d; want 1, the failure and 3", n, err, b.revision(t))
	}
}
