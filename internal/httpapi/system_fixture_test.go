package httpapi

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/bundles"
	"github.com/credenceproject/credence/internal/decisions"
	"github.com/credenceproject/credence/internal/postgres"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/resources"
	"github.com/credenceproject/credence/internal/rulebook"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb"
)

// supportType allows what supportAgent asks for.
const supportType = `{"schema": {"type": "object"}, "default_scopes": ["skills:invoke"], "allowed_scopes": ["skills:invoke", "data:read"],
	"allowed_environments": ["production"], "default_quota": {"requests_per_second": 10}, "max_quota": {"requests_per_second": 100}}`

func supportAgent(name string) string {
	return fmt.Sprintf(`{"name": %q, "team": "customer-success", "agent_type": "support", "environment": "production",
		"owner": "ana@example.com", "capabilities": [{"name": "triage", "input": {"type": "object"}}], "labels": {"a": "b"}}`, name)
}

// system is the API on a real database, with providers that always agree: the
// real ones are in package e2e.
type system struct {
	*fixture
	health   *Health
	store    *postgres.Store
	pool     *pgxpool.Pool // past the store
	follower *snapshot.Follower
}

func newSystem(t testing.TB) *system {
	t.Helper()
	dsn := testdb.DSN(t)
	pool, err := postgres.Open(t.Context(), func() (string, error) { return dsn, nil }, 8)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	s := &system{store: postgres.NewStore(pool), pool: pool, health: NewHealth("v1.2.3", Check{Name: "database", Probe: probe(nil)})}
	s.follower = follow(t, s.store, dsn)
	s.fixture = newFixture(t, func(o *Options) {
		o.Agents = agents.NewService(s.store, &agreeable{}, &agreeable{}, nil, slog.New(slog.DiscardHandler),
			agents.Options{Provisioning: time.Minute, Teardown: time.Minute})
		o.Rulebook, o.Auditor, o.Health = rulebook.NewService(s.store), s.store, s.health
		o.Resources, o.Freshness, o.Heads = resources.NewService(s.store, s.follower), s.follower, s.store
		o.Bundles = bundles.NewService(s.follower, time.Second, slog.New(slog.DiscardHandler))
		o.Decisions = decisions.NewService(s.follower, decisions.NewEvaluator(), slog.New(slog.DiscardHandler))
	})
	return s
}

// follow keeps a follower running until the test ends.
func follow(t testing.TB, store *postgres.Store, dsn string) *snapshot.Follower {
	t.Helper()
	feed := postgres.NewFeed(func() (string, error) { return dsn, nil })
	f := snapshot.NewFollower(snapshot.Options{
		Connect: func(ctx context.Context) (snapshot.Session, error) { return feed.Session(ctx) },
		Epochs:  store, Log: slog.New(slog.DiscardHandler),
	})
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = f.Run(ctx) })
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	loaded, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := f.WaitFor(loaded, registry.Head{}); err != nil {
		t.Fatal(err)
	}
	return f
}

// catchUp waits until the memory has what was written.
func (s *system) catchUp(t testing.TB) {
	t.Helper()
	head, err := s.store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.follower.WaitFor(ctx, head); err != nil {
		t.Fatal(err)
	}
}

// agreeable is an identity provider and a secret store that say yes.
type agreeable struct{ clients atomic.Int64 }

func (a *agreeable) CreateClient(context.Context, registry.Agent, string) (registry.Credentials, error) {
	return registry.Credentials{ClientID: "client-" + strconv.FormatInt(a.clients.Add(1), 10), ClientSecret: "shown once"}, nil
}

func (*agreeable) FindClients(context.Context, string) ([]string, error)         { return nil, nil }
func (*agreeable) EnsureGrant(context.Context, string, []string) (string, error) { return "grant", nil }
func (*agreeable) DeleteClient(context.Context, string) error                    { return nil }
func (*agreeable) EnsureEntity(context.Context, registry.Agent) (string, error)  { return "entity", nil }
func (*agreeable) EnsureAlias(context.Context, string, string) (string, error)   { return "alias", nil }
func (*agreeable) DisableEntity(context.Context, string) error                   { return nil }
func (*agreeable) DeleteEntity(context.Context, string) error                    { return nil }
