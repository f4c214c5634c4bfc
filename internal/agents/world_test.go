package agents_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/postgres"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/testdb"
)

var (
	ana   = registry.Principal{Subject: "auth0|ana", Teams: []string{"customer-success"}}
	ben   = registry.Principal{Subject: "auth0|ben", Teams: []string{"platform"}}
	admin = registry.Principal{Subject: "auth0|root", Permissions: []registry.Permission{registry.Admin}}

	some = registry.Precondition{} // allows all
)

// tb is what a test and a random schedule have in common.
type tb interface {
	Helper()
	Error(args ...any)
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Context() context.Context
}

// world is two services on one real database, with two providers in memory.
type world struct {
	t        tb
	service  *agents.Service
	other    *agents.Service // another replica
	store    *postgres.Store
	pool     *pgxpool.Pool // past the store, to look at rows
	dsn      string
	tenant   *tenant
	secrets  *secretStore
	script   *script
	observed *observed
	logs     *logs
	swept    string // id of the last agent that is of no interest any more
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldWith(t, patient)
}

// patient are options under which nothing happens because time passes: tests make
// it pass in the rows.
var patient = agents.Options{Lease: time.Minute, Inline: time.Minute, Settle: 10 * time.Minute}

func newWorldWith(t *testing.T, o agents.Options) *world {
	t.Helper()
	dsn := testdb.DSN(t)
	pool, err := postgres.Open(t.Context(), func() (string, error) { return dsn, nil }, 8)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	s := &script{t: t, pool: pool, around: map[string]around{}}
	w := &world{
		t: t, store: postgres.NewStore(pool), pool: pool, dsn: dsn, script: s, observed: &observed{}, logs: &logs{},
		tenant: newTenant(s), secrets: newSecretStore(s), swept: uuid.Nil.String(),
	}
	log := slog.New(slog.NewJSONHandler(w.logs, nil))
	w.service = agents.NewService(scriptedStore{w.store, s}, w.tenant, w.secrets, w.observed, log, o)
	w.other = agents.NewService(scriptedStore{w.store, s}, w.tenant, w.secrets, nil, log, o)
	w.putEnvironment("production")
	w.putAgentType(func(*registry.AgentType) {})
	return w
}

// run runs f as a subtest on the same world: databases are what costs in these
// tests. Such subtests come one after the other; nothing of one's script is left
// for the next.
func (w *world) run(name string, f func(t *testing.T)) {
	w.t.Helper()
	outer := w.t.(*testing.T)
	outer.Run(name, func(t *testing.T) {
		w.t, w.script.t = t, t
		defer func() { w.t, w.script.t = outer, outer }()
		w.script.forget()
		f(t)
	})
}

func (w *world) putEnvironment(name string) {
	w.t.Helper()
	e := registry.Environment{Name: name, Grants: "permissions", MaxStaleness: "15m"}
	if _, _, err := w.store.PutEnvironment(w.t.Context(), e, some, registry.Actor{Subject: "auth0|root"}); err != nil {
		w.t.Fatal(err)
	}
}

// putAgentType writes the agent type support, changed by change.
func (w *world) putAgentType(change func(*registry.AgentType)) {
	w.t.Helper()
	w.putType("support", change)
}

func (w *world) putType(name string, changes ...func(*registry.AgentType)) {
	w.t.Helper()
	t := registry.AgentType{
		Name: name, AllowedEnvironments: []string{"production"},
		DefaultScopes: []string{"skills:invoke"}, AllowedScopes: []string{"skills:invoke", "data:read"},
	}
	for _, change := range changes {
		change(&t)
	}
	if _, _, err := w.store.PutAgentType(w.t.Context(), t, some, registry.Actor{Subject: "auth0|root"}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) putTeam(team registry.Team) {
	w.t.Helper()
	if _, _, err := w.store.PutTeam(w.t.Context(), team, some, registry.Actor{Subject: "auth0|root"}); err != nil {
		w.t.Fatal(err)
	}
}

// typeRevision is the present revision of the agent type.
func (w *world) typeRevision(name string) int64 {
	w.t.Helper()
	t, err := w.store.AgentType(w.t.Context(), name)
	if err != nil {
		w.t.Fatal(err)
	}
	return t.Revision
}

// triage is a registration that the rules allow, validated just now.
func (w *world) triage() agents.Registration {
	w.t.Helper()
	return agents.Registration{
		TypeRevision: w.typeRevision("support"), Name: "support-triage", Team: "customer-success", AgentType: "support", Environment: "production",
		Owner: "ana@example.com", Config: []byte(`{}`),
	}
}

// request is the context of a request.
func (w *world) request() context.Context { return registry.WithRequestID(w.t.Context(), "request-1") }

func (w *world) mustRegister() agents.Registered {
	w.t.Helper()
	r, err := w.service.Register(w.request(), ana, w.triage())
	if err != nil {
		w.t.Fatalf("Register() = %v", err)
	}
	return r
}

// mustBegin registers an agent under a script that keeps it from being ready.
func (w *world) mustBegin() (id string) {
	w.t.Helper()
	a := w.mustRegister().Agent
	if a.IsReady() {
		w.t.Fatal("the agent is ready")
	}
	return a.ID
}

func (w *world) mustDecommission(ref string) registry.Agent {
	w.t.Helper()
	a, err := w.service.Decommission(w.request(), ana, ref, some, false)
	if err != nil {
		w.t.Fatalf("Decommission(%s) = %v", ref, err)
	}
	return a
}

// idOf returns the id of the newest agent of that name, dead or alive.
func (w *world) idOf(name string) string {
	w.t.Helper()
	a, err := w.store.Agent(w.t.Context(), name, true)
	if err != nil {
		w.t.Fatal(err)
	}
	return a.ID
}

// agent reads an agent, dead or alive.
func (w *world) agent(id string) registry.Agent {
	w.t.Helper()
	a, err := w.store.Agent(w.t.Context(), id, true)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// states are the steps' states, in order.
func states(a registry.Agent) string {
	all := make([]string, 0, len(a.Steps))
	for _, s := range a.Steps {
		all = append(all, string(s.State))
	}
	return strings.Join(all, " ")
}

// joined and split are a list of words as one text, sorted.
func joined(words []string) string { return strings.Join(slices.Sorted(slices.Values(words)), " ") }

func split(words string) []string { return strings.Fields(words) }

// audited are the last n events of agents: action, outcome, who, in which
// request, about whom.
func (w *world) audited(n int) []string {
	w.t.Helper()
	rows, _ := w.pool.Query(w.t.Context(), `
		SELECT concat_ws(' ', action, outcome, actor, request_id, object_name) || CASE WHEN detail <> '' THEN ': ' || detail ELSE '' END
		FROM audit_events WHERE object_kind = 'agent' ORDER BY id`)
	events, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		w.t.Fatal(err)
	}
	return events[max(0, len(events)-n):]
}

// wantError checks err's kind and code.
func wantError(t *testing.T, err error, kind registry.Kind, code string) {
	t.Helper()
	_ = asError(t, err, kind, code)
}

// asError checks err's kind and code, and returns it.
func asError(t *testing.T, err error, kind registry.Kind, code string) *registry.Error {
	t.Helper()
	e, ok := registry.AsError(err)
	if !ok || e.Kind != kind || e.Code != code {
		t.Fatalf("the error is %v, want the kind %q with code %s", err, kind, code)
	}
	if !errors.Is(err, kind) {
		t.Errorf("errors.Is(err, %q) = false", kind)
	}
	return e
}

func wantEqual[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
