package bundles_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/bundles"
	"github.com/credenceproject/credence/internal/postgres"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

// server is what a replica has of its own: a pool, a follower, its bundles.
type server struct {
	store    *postgres.Store
	follower *snapshot.Follower
	bundles  *bundles.Service
}

// serve starts a replica on the database. With checks it learns of changes by
// looking alone, otherwise by being told alone.
func serve(t testing.TB, dsn string, checks bool) *server {
	t.Helper()
	address := func() (string, error) { return dsn, nil }
	pool, err := postgres.Open(t.Context(), address, 4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	store, log := postgres.NewStore(pool), slog.New(slog.DiscardHandler)
	o := snapshot.Options{Epochs: store, Log: log, CheckEvery: 24 * time.Hour, Connect: func(ctx context.Context) (snapshot.Session, error) {
		s, err := postgres.NewFeed(address).Session(ctx)
		if checks {
			return deaf{s}, err
		}
		return s, err
	}}
	if checks {
		o.CheckEvery = 20 * time.Millisecond
	}
	f := snapshot.NewFollower(o)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = f.Run(ctx) })
	t.Cleanup(func() { stop(); wg.Wait() })
	return &server{store, f, bundles.NewService(f, bundles.Options{Log: log})}
}

// deaf is a session that hears of nothing.
type deaf struct{ snapshot.Session }

func (deaf) Wait(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// Replicas that do not know of each other serve equal bytes under equal tags,
// whichever was written to and however each learns of changes (invariant B1).
func TestInvariant_B1_ReplicasServeEqualBytesUnderEqualTags(t *testing.T) {
	t.Parallel()
	dsn := testdb.DSN(t)
	replicas := []*server{serve(t, dsn, true), serve(t, dsn, false)}
	var writers []*registrytest.Writer
	for _, r := range replicas {
		writers = append(writers, registrytest.NewWriter(r.store, "w"))
	}
	if err := writers[0].Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	var seen ledger
	draw := rand.New(rand.NewPCG(4711, 0)).IntN // replayed, it makes the same writes
	for round := range 60 {
		for range 1 + draw(4) {
			if err := writers[draw(2)].Write(t.Context(), draw); err != nil {
				t.Fatal(err)
			}
		}
		if round%20 == 10 { // as migrate of a newer version; others then force back older ones
			policy := inLayout(registrytest.Policy(int64(100+round)), 2)
			if _, err := replicas[0].store.ActivatePolicy(t.Context(), policy, false, registry.Actor{Subject: "migrate"}); err != nil {
				t.Fatal(err)
			}
		}
		if round%15 == 0 {
			replicas = append(replicas, serve(t, dsn, false)) // it loads what the others followed
		}
		expectEqual(t, replicas, &seen)
	}
}

// expectEqual brings the replicas to the head and compares all their bundles.
func expectEqual(t *testing.T, replicas []*server, seen *ledger) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	head, err := replicas[0].store.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range replicas {
		if err := r.follower.WaitFor(ctx, head); err != nil {
			t.Fatal(err)
		}
	}
	for _, scope := range replicas[0].follower.View().EnvironmentNames() {
		first := get(t, replicas[0].bundles, scope)
		for _, r := range replicas[1:] {
			if b := get(t, r.bundles, scope); b.Tag != first.Tag || bytesOf(t, b) != bytesOf(t, first) {
				t.Fatalf("replicas serve %s (%d bytes) and %s (%d bytes)", first.Tag, first.Size, b.Tag, b.Size)
			}
		}
		expectScratch(t, replicas[0].follower.View(), scope, first)
		if err := seen.enter(first.Tag.String(), bytesOf(t, first)); err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever users write into the registry, a bundle has of it what policy needs
// (invariant B7).
func TestInvariant_B7_BundlesHoldNoMoreThanPolicyNeeds(t *testing.T) {
	t.Parallel()
	r := serve(t, testdb.DSN(t), false)
	w := registrytest.NewWriter(r.store, "w")
	ctx := t.Context()
	if err := w.Seed(ctx); err != nil {
		t.Fatal(err)
	}
	a, err := w.Register(ctx, "triage", "production", true)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.PutResource(ctx, "refunds", "production"); err != nil {
		t.Fatal(err)
	}
	head, err := r.store.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.follower.WaitFor(ctx, head); err != nil {
		t.Fatal(err)
	}
	all := ""
	for path, content := range files(t, get(t, r.bundles, "production")) {
		if strings.Contains(content, registrytest.Needle) || strings.Contains(content, "example.com") {
			t.Errorf("%s: %s", path, content)
		}
		all += content
	}
	for _, needed := range []string{a.ID, "client-" + a.ID, "refunds"} {
		if !strings.Contains(all, needed) {
			t.Errorf("%s is not in the bundle; the test says nothing", needed)
		}
	}
}
