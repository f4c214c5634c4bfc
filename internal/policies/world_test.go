package policies_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/credenceproject/credence/internal/layers"
	"github.com/credenceproject/credence/internal/policies"
	"github.com/credenceproject/credence/internal/policies/gate"
	"github.com/credenceproject/credence/internal/postgres"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

var (
	ana   = registry.Principal{Subject: "auth0|ana", Permissions: []registry.Permission{registry.PoliciesWrite}, Teams: []string{"support"}}
	ben   = registry.Principal{Subject: "auth0|ben", Permissions: []registry.Permission{registry.PoliciesWrite}, Teams: []string{"platform"}}
	admin = registry.Principal{Subject: "auth0|root", Permissions: []registry.Permission{registry.Admin}}

	by = registry.Actor{Subject: "auth0|root"}
)

var (
	ofTeam   = registry.LayerKey{Tier: registry.TierTeam, ID: "support"}
	ofType   = registry.LayerKey{Tier: registry.TierAgentType, ID: "assistant"}
	ofAll    = registry.LayerKey{Tier: registry.TierGlobal, ID: "office-hours"}
	nobodys  = registry.LayerKey{Tier: registry.TierAgent, ID: "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"}
	platform = map[string]string{"mcp/authz/decision.rego": "package mcp.authz"}
)

// world is a service on a real database, with a gate and a memory that a test
// chooses. The agent is one of team support, of type assistant, in production.
type world struct {
	t       *testing.T
	service *policies.Service
	store   *postgres.Store
	gate    *gatekeeper
	memory  *memory
	agent   registry.Agent
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dsn := testdb.DSN(t)
	pool, err := postgres.Open(t.Context(), func() (string, error) { return dsn, nil }, 8)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	w := &world{t: t, store: postgres.NewStore(pool), gate: &gatekeeper{}, memory: &memory{}}
	writer := registrytest.NewWriter(w.store, "w")
	if err := writer.Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w.agent, err = writer.Register(t.Context(), "triage", "production", true); err != nil {
		t.Fatal(err)
	}
	w.remember()
	w.service = w.serviceOn(w.store)
	return w
}

func (w *world) serviceOn(store policies.Store) *policies.Service {
	cache := layers.NewCache(func(registry.LayerKey, string) (*ast.Module, error) { return nil, nil }, slog.New(slog.DiscardHandler)) //nolint:nilnil // nobody reads the module
	return policies.NewService(store, w.memory, cache, w.gate)
}

// remember makes the memory one with these layers.
func (w *world) remember(all ...registry.LayerFacts) {
	w.memory.view = snapshot.New(registry.Facts{
		Environments: []registry.EnvironmentFacts{{Name: "production"}, {Name: "staging"}},
		Policy:       registry.PlatformPolicy{Layout: 3, Modules: platform}, Layers: all,
	})
}

func (w *world) ofAgent() registry.LayerKey {
	return registry.LayerKey{Tier: registry.TierAgent, ID: w.agent.ID}
}

// memory is the registry in memory.
type memory struct{ view *snapshot.View }

func (m *memory) View() *snapshot.View { return m.view }

// gatekeeper is a gate that says what a test wants, and does what the test has it do
// meanwhile.
type gatekeeper struct {
	asked     []gate.Request
	verdict   gate.Verdict
	err       error
	meanwhile func()
}

func (g *gatekeeper) Check(_ context.Context, r gate.Request) (gate.Verdict, error) {
	g.asked = append(g.asked, r)
	if g.meanwhile != nil {
		g.meanwhile()
	}
	return g.verdict, g.err
}

// quiet is a policy that denies little.
func quiet(key registry.LayerKey) registry.Policy {
	return registry.Policy{LayerKey: key, Rules: []registry.Rule{
		{Code: "no_writes", Effect: registry.Deny, Message: "Reads only", When: registry.Conditions{Resources: []string{"billing"}, Methods: []string{"POST"}}},
	}}
}

// custom is one with Rego of its own.
func custom(key registry.LayerKey) registry.Policy {
	p := quiet(key)
	p.Rego, p.Tests = "package a", "package a_test"
	return p
}

var (
	create  = policies.Write{Pre: registry.Precondition{IfNoneMatch: &registry.Tags{Any: true}}}
	replace = policies.Write{Pre: registry.Precondition{IfMatch: &registry.Tags{Any: true}}}
)

// on is a write on that state.
func on(p registry.Policy) policies.Write {
	return policies.Write{Pre: registry.Precondition{IfMatch: &registry.Tags{List: []string{p.Tag()}}}}
}

func (w *world) put(by registry.Principal, p registry.Policy, how policies.Write) error {
	_, _, err := w.service.Put(w.t.Context(), by, p, how)
	return err
}

func (w *world) mustPut(p registry.Policy, how policies.Write) registry.Policy {
	w.t.Helper()
	saved, _, err := w.service.Put(w.t.Context(), admin, p, how)
	if err != nil {
		w.t.Fatalf("Put(%v) = %v", p.LayerKey, err)
	}
	return saved
}

func (w *world) mustDelete(key registry.LayerKey) {
	w.t.Helper()
	if err := w.service.Delete(w.t.Context(), admin, key, replace.Pre); err != nil {
		w.t.Fatalf("Delete(%v) = %v", key, err)
	}
}

func (w *world) block(team string) {
	w.t.Helper()
	if _, _, err := w.store.PutTeam(w.t.Context(), registry.Team{Name: team, MaxAgents: 100, Blocked: true}, registry.Precondition{}, by); err != nil {
		w.t.Fatal(err)
	}
}

// transfer gives the agent to another team.
func (w *world) transfer(team string) {
	w.t.Helper()
	_, _, err := w.store.UpdateAgent(w.t.Context(), w.agent.ID, registry.AgentUpdate{Action: "agent.transfer", By: by, Apply: func(a *registry.Agent) error {
		a.Team = team
		return nil
	}})
	if err != nil {
		w.t.Fatal(err)
	}
}

// wantError checks err's kind and code, and the pointers and codes of its faults.
func wantError(t *testing.T, err error, kind registry.Kind, code string, faults ...string) {
	t.Helper()
	e, ok := registry.AsError(err)
	if !ok || e.Kind != kind || e.Code != code {
		t.Errorf("the error is %v, want the kind %q with code %s", err, kind, code)
		return
	}
	var got []string
	for _, f := range e.Fields {
		got = append(got, f.Pointer+" "+f.Code)
	}
	if diff := cmp.Diff(faults, got); diff != "" {
		t.Errorf("faults of %v (-want +got):\n%s", err, diff)
	}
}
