package postgres_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/credenceproject/credence/internal/postgres"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/testdb"
)

var (
	alice = registry.Actor{Subject: "auth0|alice", RequestID: "request-1"}
	some  = registry.Precondition{} // allows all

	// ignoreTimes leaves out what the database's clock says.
	ignoreTimes = cmpopts.IgnoreFields(registry.Meta{}, "CreatedAt", "UpdatedAt")
)

// bundle is what each test has to itself.
type bundle struct {
	store *postgres.Store
	pool  *pgxpool.Pool // past the store, to look at rows
	dsn   string
}

func setup(t *testing.T) *bundle {
	t.Helper()
	dsn := testdb.DSN(t)
	pool, err := postgres.Open(t.Context(), func() (string, error) { return dsn, nil }, 8)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return &bundle{store: postgres.NewStore(pool), pool: pool, dsn: dsn}
}

// rules writes the documents that a registration is held to.
func (b *bundle) rules(t *testing.T) registry.Rules {
	t.Helper()
	ctx := t.Context()
	environment, _, err := b.store.PutEnvironment(ctx, registry.Environment{Name: "production", Grants: "permissions", MaxStaleness: "15m"}, some, alice)
	if err != nil {
		t.Fatal(err)
	}
	agentType, _, err := b.store.PutAgentType(ctx, registry.AgentType{Name: "support", AllowedEnvironments: []string{"production"}}, some, alice)
	if err != nil {
		t.Fatal(err)
	}
	return registry.Rules{Team: registry.NewTeam("customer-success"), AgentType: agentType, Environment: environment}
}

func newAgent(t testing.TB, name string, rules registry.Rules) registry.NewAgent {
	t.Helper()
	return registry.NewAgent{
		Agent: registry.Agent{
			ID: uuid.Must(uuid.NewV7()).String(), Name: name, Team: rules.Team.Name, AgentType: rules.AgentType.Name,
			Environment: rules.Environment.Name, Owner: "ana@example.com", Config: []byte(`{}`), Scopes: []string{"skills:invoke"},
			Capabilities: []registry.Capability{{Name: "triage"}},
		},
		IntentID: uuid.Must(uuid.NewV7()).String(),
		Rules:    rules,
	}
}

func (b *bundle) create(t *testing.T, name string, rules registry.Rules) registry.Agent {
	t.Helper()
	a, err := b.store.CreateAgent(t.Context(), newAgent(t, name, rules), alice)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (b *bundle) revision(t *testing.T) int64 {
	t.Helper()
	h, err := b.store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return h.Revision
}

// one reads a single value past the store.
func one[T any](t *testing.T, b *bundle, sql string, args ...any) T {
	t.Helper()
	var v T
	if err := b.pool.QueryRow(context.WithoutCancel(t.Context()), sql, args...).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func contains(err error, text string) bool { return err != nil && strings.Contains(err.Error(), text) }
