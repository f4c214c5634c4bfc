package agents_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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

// world is a service on a real database and two providers in memory.
type world struct {
	t        *testing.T
	service  *agents.Service
	store    *postgres.Store
	pool     *pgxpool.Pool // past the store, to look at rows
	dsn      string
	tenant   *tenant
	secrets  *secretStore
	script   *script
	observed *observed
	logs     *logs
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldWith(t, agents.Options{Provisioning: time.Minute, Teardown: time.Minute})
}

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
		tenant:  &tenant{script: s, clients: map[string]oauthClient{}},
		secrets: &secretStore{script: s, entities: map[string]entity{}},
	}
	w.service = agents.NewService(scriptedStore{w.store, s}, w.tenant, w.secrets, w.observed, slog.New(slog.NewJSONHandler(w.logs, nil)), o)
	w.putEnvironment("production")
	w.putAgentType(func(*registry.AgentType) {})
	return w
}

// run runs f as a subtest on the same world: databases are what costs in these
// tests. Such subtests come one after the other; nothing of one's script is left
// for the next.
func (w *world) run(name string, f func(t *testing.T)) {
	w.t.Helper()
	outer := w.t
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
	t := registry.AgentType{
		Name: "support", AllowedEnvironments: []string{"production"},
		DefaultScopes: []string{"skills:invoke"}, AllowedScopes: []string{"skills:invoke", "data:read"},
	}
	change(&t)
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

// settle makes every intent so old that no request to the identity provider can
// be under way any more.
func (w *world) settle() {
	w.t.Helper()
	if _, err := w.pool.Exec(w.t.Context(), `UPDATE client_intents SET created_at = created_at - interval '1 hour'`); err != nil {
		w.t.Fatal(err)
	}
}

// triage is a registration that the rules allow, validated just now.
func (w *world) triage() agents.Registration {
	w.t.Helper()
	support, err := w.store.AgentType(w.t.Context(), "support")
	if err != nil {
		w.t.Fatal(err)
	}
	return agents.Registration{
		TypeRevision: support.Revision, Name: "support-triage", Team: "customer-success", AgentType: "support", Environment: "production",
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

func (w *world) mustDecommission(ref string) {
	w.t.Helper()
	if err := w.service.Decommission(w.request(), ana, ref, some); err != nil {
		w.t.Fatalf("Decommission(%s) = %v", ref, err)
	}
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

// left says what there is of agents anywhere; nothing is the empty string. An
// entity that is disabled is nothing: nobody can log in to it.
func (w *world) left() string {
	w.t.Helper()
	var found []string
	living, _, err := w.store.Agents(w.t.Context(), registry.AgentFilter{Lifecycle: registry.Active, Limit: 100})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, a := range living {
		found = append(found, "agent "+a.Name)
	}
	for id := range w.tenant.all() {
		found = append(found, "client "+id)
	}
	for _, e := range w.secrets.all() {
		if !e.Disabled {
			found = append(found, "entity "+e.ID)
		}
	}
	var seen int
	const seenSQL = `
		SELECT count(*) FROM changes c
		WHERE kind = 'agent' AND after IS NOT NULL
		  AND NOT EXISTS (SELECT FROM changes n WHERE n.kind = c.kind AND n.object_id = c.object_id AND n.revision > c.revision)`
	if err := w.pool.QueryRow(w.t.Context(), seenSQL).Scan(&seen); err != nil {
		w.t.Fatal(err)
	}
	if seen > 0 {
		found = append(found, fmt.Sprintf("%d agents that policy sees", seen))
	}
	return strings.Join(found, ", ")
}

func (w *world) wantNothingLeft() {
	w.t.Helper()
	if left := w.left(); left != "" {
		w.t.Errorf("left behind: %s", left)
	}
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

// logs is what was logged.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
