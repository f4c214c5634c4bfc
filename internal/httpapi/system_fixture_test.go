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
	"github.com/credenceproject/credence/internal/decide"
	"github.com/credenceproject/credence/internal/decisions"
	"github.com/credenceproject/credence/internal/feed"
	"github.com/credenceproject/credence/internal/layers"
	"github.com/credenceproject/credence/internal/policies"
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
	health    *Health
	store     *postgres.Store
	pool      *pgxpool.Pool // past the store
	follower  *snapshot.Follower
	agents    *agents.Service
	providers *agreeable
}

func newSystem(t testing.TB) *system {
	t.Helper()
	dsn := testdb.DSN(t)
	pool, err := postgres.Open(t.Context(), func() (string, error) { return dsn, nil }, 8)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	s := &system{store: postgres.NewStore(pool), pool: pool, health: NewHealth("v1.2.3", Check{Name: "database", Probe: probe(nil)}), providers: &agreeable{}}
	s.agents = agents.NewService(s.store, s.providers, s.providers, nil, slog.New(slog.DiscardHandler), agents.Options{
		RetryBase: time.Hour, RetryMax: time.Hour, // a test says itself when it goes on
		Reissue: registry.ReissueWindow{Gap: time.Millisecond},
	})
	s.follower = follow(t, s.store, dsn)
	s.fixture = newFixture(t, func(o *Options) {
		o.Agents, o.Audit, o.Drift = s.agents, s.store, &drifts{}
		o.Rulebook, o.Auditor, o.Health = rulebook.NewService(s.store), s.store, s.health
		o.Resources, o.Freshness, o.Heads = resources.NewService(s.store, s.follower), s.follower, s.store
		o.Rehearsal = Rehearsal{Rulebook: rulebook.NewService(s.store.Rehearsal()), Resources: resources.NewService(s.store.Rehearsal(), s.follower)}
		o.Bundles = bundles.NewService(s.follower, bundles.Options{Hold: time.Second, Log: slog.New(slog.DiscardHandler)})
		o.Feed = feed.NewService(s.follower, feed.Options{})
		modules := layers.NewCache(accept, slog.New(slog.DiscardHandler))
		o.Policies = policies.NewService(s.store, s.follower, modules, inProcess{})
		o.Rehearsal.Policies = policies.NewService(s.store.Rehearsal(), s.follower, modules, inProcess{})
		o.Decisions = decisions.NewService(s.follower, decide.New(modules), decisions.NewEvaluator(modules), slog.New(slog.DiscardHandler))
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

// converge makes the passes that are due, and those that wait for another attempt.
func (s *system) converge(t testing.TB) {
	t.Helper()
	if _, err := s.pool.Exec(t.Context(), "UPDATE agents SET due_at = now() WHERE observed_generation < generation"); err != nil {
		t.Fatal(err)
	}
	claims, err := s.store.ClaimAgents(t.Context(), time.Minute, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range claims {
		if err := s.agents.Reconcile(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
}

// agreeable is an identity provider and a secret store that say yes to everything,
// or are away.
type agreeable struct {
	calls atomic.Int64
	away  atomic.Bool
}

// do is one call of a provider.
func (a *agreeable) do() error {
	a.calls.Add(1)
	if a.away.Load() {
		return registry.Unavailable.Errorf("provider_unavailable", "The provider does not answer.")
	}
	return nil
}

// ensured is a call that names what it made.
func (a *agreeable) ensured(id string) (string, error) { return id, a.do() }

func (a *agreeable) CreateClient(context.Context, registry.Agent, string) (registry.Credentials, error) {
	err := a.do()
	return registry.Credentials{ClientID: "client-" + strconv.FormatInt(a.calls.Load(), 10), ClientSecret: "shown once"}, err
}

func (a *agreeable) FindClients(context.Context, string) ([]registry.FoundClient, error) {
	return nil, a.do()
}

func (a *agreeable) InspectClient(_ context.Context, clientID string) (registry.ProviderClient, error) {
	return registry.ProviderClient{FoundClient: registry.FoundClient{ClientID: clientID}, GrantTypes: []string{"client_credentials"}}, a.do()
}

func (a *agreeable) RotateSecret(_ context.Context, clientID string) (registry.Credentials, error) {
	return registry.Credentials{ClientID: clientID, ClientSecret: "shown anew"}, a.do()
}

func (a *agreeable) EnsureGrant(context.Context, string, []string) (string, error) {
	return a.ensured("grant")
}

func (a *agreeable) EnsureEntity(context.Context, registry.Agent) (string, error) {
	return a.ensured("entity")
}

func (a *agreeable) EnsureAlias(context.Context, string, string) (string, error) {
	return a.ensured("alias")
}

func (a *agreeable) EnsureClient(context.Context, registry.Agent) error { return a.do() }
func (a *agreeable) DeleteGrants(context.Context, string) error         { return a.do() }
func (a *agreeable) DeleteClient(context.Context, string) error         { return a.do() }
func (a *agreeable) EnableEntity(context.Context, string) error         { return a.do() }
func (a *agreeable) DisableEntity(context.Context, string) error        { return a.do() }
func (a *agreeable) DeleteEntity(context.Context, string) error         { return a.do() }
