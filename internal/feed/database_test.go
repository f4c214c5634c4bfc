package feed_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/credenceproject/credence/internal/feed"
	"github.com/credenceproject/credence/internal/postgres"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

// From the database over a server and its feed to a follower: what it shows is what
// loading from the database gives, and when each part was touched too.
func TestAFollowerShowsWhatTheDatabaseHas(t *testing.T) {
	t.Parallel()
	dsn := func(dsn string) func() (string, error) { return func() (string, error) { return dsn, nil } }(testdb.DSN(t))
	pool, err := postgres.Open(t.Context(), dsn, 8)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	store, log := postgres.NewStore(pool), slog.New(slog.DiscardHandler)
	writer, draw := registrytest.NewWriter(store, "a"), rand.New(rand.NewPCG(1, 0)).IntN
	if err := writer.Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	connect := func(ctx context.Context) (snapshot.Session, error) { return postgres.NewFeed(dsn).Session(ctx) }
	server := snapshot.NewFollower(snapshot.Options{Connect: connect, Epochs: store, Log: log})
	t.Cleanup(run(server))
	web := httptest.NewServer(handler(feed.NewService(server, feed.Options{})))
	t.Cleanup(web.Close)
	client, err := feed.NewClient(feed.ClientOptions{
		URL: web.URL, Scope: scope, HTTP: web.Client(), Token: func(context.Context) (string, error) { return "token", nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := &events{}
	f := snapshot.NewFollower(snapshot.Options{Connect: client.Connect, Scoped: true, CheckEvery: 50 * time.Millisecond, Observer: seen, Log: log})
	t.Cleanup(run(f))
	s, err := connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 15 {
		for range 10 {
			if err := writer.Write(t.Context(), draw); err != nil {
				t.Fatal(err)
			}
		}
		if err := writer.PutResource(t.Context(), "last", scope); err != nil {
			t.Fatal(err)
		}
		want, err := s.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if err := f.WaitFor(ctx, want.Head); err != nil {
			t.Fatalf("revision %d: %v", want.Revision, err)
		}
		cancel()
		if diff := cmp.Diff(scoped(want), scoped(registrytest.FactsOf(f.View())), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("at revision %d (-database +follower):\n%s", want.Revision, diff)
		}
	}
	if loads := seen.loads(); len(loads) != 1 {
		t.Errorf("loads: %q", loads)
	}
}

var _ feed.Registry = (*snapshot.Follower)(nil)
