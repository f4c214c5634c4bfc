package postgres_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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

// long is a lease that does not run out in a test.
const long = time.Hour

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
		Lease:    long,
	}
}

// create records an agent and returns it with its lease.
func (b *bundle) create(t *testing.T, name string, rules registry.Rules) registry.Claim {
	t.Helper()
	a, lease, err := b.store.CreateAgent(t.Context(), newAgent(t, name, rules), alice)
	if err != nil {
		t.Fatal(err)
	}
	return registry.Claim{Agent: a, Lease: lease}
}

// provided records an agent that every provider has and that policy sees.
func (b *bundle) provided(t *testing.T, name string, rules registry.Rules) registry.Agent {
	t.Helper()
	n := newAgent(t, name, rules)
	_, lease, err := b.store.CreateAgent(t.Context(), n, alice)
	if err != nil {
		t.Fatal(err)
	}
	lease = b.progress(t, lease, registry.Progress{
		Steps: registry.Steps[:4], State: registry.StepDone, IntentID: n.IntentID,
		ClientID: "client-" + name, GrantID: "grant-" + name, EntityID: "entity-" + name, AliasID: "alias-" + name,
	})
	return b.finish(t, lease)
}

func (b *bundle) progress(t *testing.T, l registry.Lease, p registry.Progress) registry.Lease {
	t.Helper()
	l, err := b.store.RecordProgress(t.Context(), l, p, long)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// finish ends a pass over an agent as its present state wants it.
func (b *bundle) finish(t *testing.T, l registry.Lease) registry.Agent {
	t.Helper()
	a := b.agent(t, l.AgentID)
	f := registry.Finish{Generation: a.Convergence.Generation, Steps: []registry.StepName{registry.StepPolicy}, StepState: registry.StepDone}
	if facts := a.Facts(); a.Lifecycle == registry.Active {
		f.Published = &facts
	} else {
		f.StepState = registry.StepUndone
	}
	a, err := b.store.FinishPass(t.Context(), l, f)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// update makes a change that must go well. It takes the lease where nobody has it.
func (b *bundle) update(t *testing.T, agentID, action string, apply func(*registry.Agent)) (registry.Agent, *registry.Lease) {
	t.Helper()
	a, lease, err := b.store.UpdateAgent(t.Context(), agentID, change(action, apply))
	if err != nil {
		t.Fatal(err)
	}
	return a, lease
}

func change(action string, apply func(*registry.Agent)) registry.AgentUpdate {
	return registry.AgentUpdate{
		Action: action, By: alice, Lease: long,
		Apply: func(a *registry.Agent) error { apply(a); return nil },
	}
}

func describe(text string) func(*registry.Agent) {
	return func(a *registry.Agent) { a.Description = text }
}

func suspend(a *registry.Agent) {
	a.Suspended, a.SuspendReason = true, "leaked its secret"
	if a.Published != nil {
		seen := *a.Published
		seen.Suspended = true
		a.Published = &seen
	}
}

func remove(a *registry.Agent) { a.Lifecycle, a.Published = registry.Decommissioned, nil }

// agent reads an agent, dead or alive.
func (b *bundle) agent(t *testing.T, id string) registry.Agent {
	t.Helper()
	a, err := b.store.Agent(t.Context(), id, true)
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

// wantError checks the kind and the code of err.
func wantError(t *testing.T, err error, kind registry.Kind, code string) {
	t.Helper()
	if e, ok := registry.AsError(err); !ok || e.Kind != kind || e.Code != code {
		t.Errorf("error = %v, want the kind %q with code %s", err, kind, code)
	}
}

func wantEqual[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
