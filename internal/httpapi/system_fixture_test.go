package httpapi

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/postgres"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/rulebook"
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
	health *Health
	store  *postgres.Store
}

func newSystem(t testing.TB) *system {
	t.Helper()
	dsn := testdb.DSN(t)
	pool, err := postgres.Open(t.Context(), func() (string, error) { return dsn, nil }, 8)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	s := &system{store: postgres.NewStore(pool), health: NewHealth("v1.2.3", Check{Name: "database", Probe: probe(nil)})}
	s.fixture = newFixture(t, func(o *Options) {
		o.Agents = agents.NewService(s.store, &agreeable{}, &agreeable{}, nil, slog.New(slog.DiscardHandler),
			agents.Options{Provisioning: time.Minute, Teardown: time.Minute})
		o.Rulebook, o.Auditor, o.Health = rulebook.NewService(s.store), s.store, s.health
	})
	return s
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
