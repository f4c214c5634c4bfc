package snapshot_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/credenceproject/credence/internal/postgres"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

// promise is how soon a follower is current again, whatever happened.
const promise = 2 * time.Second

// bundle is a real registry, seeded, and who writes to it.
type bundle struct {
	dsn    string
	pool   *pgxpool.Pool // past the store
	store  *postgres.Store
	writer *registrytest.Writer
	draw   registrytest.Draw
}

func setup(t testing.TB) *bundle {
	t.Helper()
	dsn := testdb.DSN(t)
	pool, err := postgres.Open(t.Context(), func() (string, error) { return dsn, nil }, 8)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	store := postgres.NewStore(pool)
	b := &bundle{dsn: dsn, pool: pool, store: store, writer: registrytest.NewWriter(store, "a"), draw: chance(1)}
	if err := b.writer.Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

// chance draws at random, the same each time.
func chance(seed uint64) registrytest.Draw { return rand.New(rand.NewPCG(seed, 0)).IntN }

// write makes n random writes and returns the head after them.
func (b *bundle) write(t testing.TB, n int) registry.Head {
	t.Helper()
	for range n {
		if err := b.writer.Write(t.Context(), b.draw); err != nil {
			t.Fatal(err)
		}
	}
	return b.change(t)
}

// change makes one change for certain.
func (b *bundle) change(t testing.TB) registry.Head {
	t.Helper()
	team := registry.Team{Name: "changing", MaxAgents: rand.Int64N(1 << 40)}
	if _, _, err := b.store.PutTeam(t.Context(), team, registry.Precondition{}, registry.Actor{}); err != nil {
		t.Fatal(err)
	}
	return b.head(t)
}

func (b *bundle) head(t testing.TB) registry.Head {
	t.Helper()
	h, err := b.store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// exec runs a statement that must find something to do.
func (b *bundle) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	tag, err := b.pool.Exec(t.Context(), sql, args...)
	if err != nil || tag.RowsAffected() == 0 {
		t.Fatalf("%s: %v, %v", sql, tag, err)
	}
}

func (b *bundle) connect(ctx context.Context) (snapshot.Session, error) {
	return postgres.NewFeed(func() (string, error) { return b.dsn, nil }).Session(ctx)
}

// replica is a follower of the real registry.
type replica struct {
	*snapshot.Follower
	events *events
	logged *logged
}

// follow runs a follower that has loaded the registry. The options' gaps are
// filled.
func (b *bundle) follow(t testing.TB, o snapshot.Options) *replica {
	t.Helper()
	r := &replica{events: &events{}, logged: &logged{}}
	if o.Connect == nil {
		o.Connect = b.connect
	}
	if o.Epochs == nil {
		o.Epochs = b.store
	}
	if o.Observer == nil {
		o.Observer = r.events
	}
	o.Log = slog.New(r.logged)
	r.Follower = snapshot.NewFollower(o)
	run(t, r.Follower)
	r.await(t, time.Minute, func(v *snapshot.View) bool { return v != nil })
	return r
}

// await waits for a view of which ok is true. It nudges nobody.
func (r *replica) await(t testing.TB, within time.Duration, ok func(*snapshot.View) bool) {
	t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	for {
		changed := r.Changed()
		if ok(r.View()) {
			return
		}
		select {
		case <-changed:
		case <-deadline.C:
			t.Fatalf("not seen within %s", within)
		}
	}
}

func at(h registry.Head) func(*snapshot.View) bool {
	return func(v *snapshot.View) bool { return v != nil && v.Head() == h }
}

// expectEqual says that the replica's view is what loading anew gives.
func (b *bundle) expectEqual(t testing.TB, r *replica) {
	t.Helper()
	s, err := b.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	facts, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	known := registrytest.FactsOf(snapshot.New(facts))
	if diff := cmp.Diff(known, registrytest.FactsOf(r.View())); diff != "" {
		t.Errorf("the replica differs from a fresh load (-load +replica):\n%s", diff)
	}
	for _, a := range known.Agents {
		if client, _ := registry.ClientOf(a.Subject); !r.View().IsAgentClient(client) {
			t.Errorf("the client of %s is not known to be an agent's", a.Name)
		}
	}
}

func (r *replica) expectReloads(t testing.TB, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, r.events.reloaded()); diff != "" {
		t.Errorf("reloads (-want +got):\n%s", diff)
	}
}

// never is for followers that must not depend on their checks.
const never = 24 * time.Hour

func TestACommitIsSeenThroughItsNotification(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.follow(t, snapshot.Options{CheckEvery: never})
	for range 20 {
		r.await(t, promise, at(b.write(t, 1)))
	}
	b.expectEqual(t, r)
	r.expectReloads(t, snapshot.ReloadFirst)
}

// A follower that misses all notifications ends equal to one that does not.
func TestAFollowerThatHearsNothingEndsEqual(t *testing.T) {
	t.Parallel()
	b := setup(t)
	deaf := func(ctx context.Context) (snapshot.Session, error) {
		s, err := b.connect(ctx)
		return silent{s}, err
	}
	hears := b.follow(t, snapshot.Options{CheckEvery: never})
	hearsNothing := b.follow(t, snapshot.Options{Connect: deaf, CheckEvery: promise / 10})
	for range 4 {
		h := b.write(t, 15)
		hearsNothing.await(t, promise, at(h))
		hears.await(t, promise, at(h))
		if diff := cmp.Diff(registrytest.FactsOf(hears.View()), registrytest.FactsOf(hearsNothing.View())); diff != "" {
			t.Errorf("(-hears +hears nothing):\n%s", diff)
		}
	}
	b.expectEqual(t, hearsNothing)
}

// silent is a session whose LISTEN has died without telling.
type silent struct{ snapshot.Session }

func (silent) Wait(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestAKilledListenSessionCostsLittle(t *testing.T) {
	t.Parallel()
	b := setup(t)
	listening := make(chan struct{}, 1)
	r := b.follow(t, snapshot.Options{CheckEvery: never, Connect: func(ctx context.Context) (snapshot.Session, error) {
		s, err := b.connect(ctx)
		return telling{s, listening}, err
	}})
	for range 5 {
		<-listening
		// Waits until the session is gone: it must not bring one more message.
		b.exec(t, `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`)
		r.await(t, promise, at(b.change(t)))
	}
	b.expectEqual(t, r)
	r.expectReloads(t, snapshot.ReloadFirst)
}

// telling is a session that tells when it listens.
type telling struct {
	snapshot.Session
	listening chan<- struct{}
}

func (s telling) Listen(ctx context.Context) error {
	if err := s.Session.Listen(ctx); err != nil {
		return err
	}
	select {
	case s.listening <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestWhatCannotBeAppliedIsLoadedFromTheRegistry(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		happen func(*testing.T, *bundle)
		why    string
	}{
		{"a gap", func(t *testing.T, b *bundle) {
			b.change(t)
			b.exec(t, `DELETE FROM changes WHERE revision = (SELECT revision FROM registry_head)`)
		}, snapshot.ReloadGap},
		{"another epoch", func(t *testing.T, b *bundle) {
			if _, err := b.store.RenewEpoch(t.Context(), "", snapshot.NewEpoch(), registry.Actor{}); err != nil {
				t.Fatal(err)
			}
		}, snapshot.ReloadEpoch},
		{"far behind", func(t *testing.T, b *bundle) {
			b.exec(t, `UPDATE registry_head SET revision = revision + 2001`)
		}, snapshot.ReloadFarBehind},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			f := &frozen{connect: b.connect}
			r := b.follow(t, snapshot.Options{Connect: f.session, CheckEvery: promise / 10})
			r.await(t, promise, at(b.write(t, 10)))
			f.while(func() { tt.happen(t, b) })
			r.await(t, promise, at(b.head(t)))
			b.expectEqual(t, r)
			if why := r.events.reloaded(); len(why) != 2 || why[1] != tt.why {
				t.Errorf("reloads = %q, want first and %s", why, tt.why)
			}
		})
	}
}

// A replica that was frozen serves on where it left off.
func TestAFrozenFollowerCatchesUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	f := &frozen{connect: b.connect}
	r := b.follow(t, snapshot.Options{Connect: f.session, CheckEvery: promise / 10})
	r.await(t, promise, at(b.head(t)))
	f.while(func() {
		was := r.View()
		b.write(t, 20)
		if r.View() != was {
			t.Error("a frozen follower moved")
		}
	})
	r.await(t, promise, at(b.head(t)))
	b.expectEqual(t, r)
	r.expectReloads(t, snapshot.ReloadFirst)
}

// frozen holds up every question to the registry while it is frozen.
type frozen struct {
	sync.RWMutex // held by whoever has it frozen
	connect      func(context.Context) (snapshot.Session, error)
}

func (f *frozen) while(do func()) {
	f.Lock()
	defer f.Unlock()
	do()
}

func (f *frozen) session(ctx context.Context) (snapshot.Session, error) {
	s, err := f.connect(ctx)
	return frozenSession{s, f}, err
}

type frozenSession struct {
	snapshot.Session
	f *frozen
}

func (s frozenSession) Head(ctx context.Context) (registry.Head, error) {
	s.f.RLock()
	defer s.f.RUnlock()
	return s.Session.Head(ctx)
}

func (s frozenSession) Changes(ctx context.Context, since registry.Head, limit int) ([]registry.Change, error) {
	s.f.RLock()
	defer s.f.RUnlock()
	return s.Session.Changes(ctx, since, limit)
}

// The restored database of an operator who forgot credence restore (invariant
// B1): both replicas see the head go back before either has renewed the epoch.
func TestInvariant_B1_ARestoredDatabaseGetsAnotherEpochOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	epochs := &together{Epochs: b.store}
	epochs.Add(2)
	replicas := []*replica{
		b.follow(t, snapshot.Options{Epochs: epochs, CheckEvery: promise / 10}),
		b.follow(t, snapshot.Options{Epochs: epochs, CheckEvery: promise / 10}),
	}
	h := b.write(t, 10)
	for _, r := range replicas {
		r.await(t, promise, at(h))
	}
	b.exec(t, `UPDATE registry_head SET revision = revision - 3`)
	for _, r := range replicas {
		r.await(t, 2*promise, func(v *snapshot.View) bool { return v.Head().Epoch != h.Epoch })
		r.await(t, promise, at(b.head(t)))
		b.expectEqual(t, r)
		r.expectReloads(t, snapshot.ReloadFirst, snapshot.ReloadWentBack)
		if len(r.logged.all()) == 0 {
			t.Error("no alarm in the log")
		}
	}
	var renewals int
	if err := b.pool.QueryRow(t.Context(), `SELECT count(*) FROM audit_events WHERE action = 'registry.renew_epoch'`).Scan(&renewals); err != nil || renewals != 1 {
		t.Errorf("the epoch was renewed %d times (%v), want once", renewals, err)
	}
	for _, r := range replicas { // and writes go on
		r.await(t, promise, at(b.write(t, 3)))
	}
}

// together lets nobody renew the epoch before all want to.
type together struct {
	snapshot.Epochs
	sync.WaitGroup
}

func (e *together) RenewEpoch(ctx context.Context, old, epoch string, by registry.Actor) (registry.Head, error) {
	e.Done()
	e.Wait()
	return e.Epochs.RenewEpoch(ctx, old, epoch, by)
}
