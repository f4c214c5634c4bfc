package decisions

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	"github.com/credenceproject/credence/internal/bundles"
	"github.com/credenceproject/credence/internal/layers"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/policy"
)

// tb is what a test and a property have in common.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
}

// platform is the policy that this binary carries, as it is when it is active.
func platform() registry.PlatformPolicy {
	p := policy.Platform()
	p.Revision = 1
	return p
}

// policyOf is the platform policy that consists of one module.
func policyOf(source string) registry.PlatformPolicy {
	sum := sha256.Sum256([]byte(source))
	return registry.PlatformPolicy{
		Hash: hex.EncodeToString(sum[:]), Version: 1, Layout: 2, Revision: 1,
		Modules: map[string]string{"mcp/authz/authz.rego": source},
	}
}

// saying is a policy that denies everything for a reason of its own.
func saying(code string) registry.PlatformPolicy {
	return policyOf(fmt.Sprintf(`package mcp.authz

decision := {
	"allow": false, "allowed": false,
	"reasons": [{"tier": "platform", "id": "test", "code": %q}],
	"agent": null, "resource": null,
	"revision": data.registry.meta.revision,
}`, code))
}

// viewOf is a small registry under the policy.
func viewOf(p registry.PlatformPolicy) *snapshot.View {
	return snapshot.New(registry.Facts{
		Head:   registry.Head{Epoch: "e1", Revision: 42},
		Scopes: touched(map[string]int64{"production": 41, "staging": 40, "sealed": 39}),
		Environments: []registry.EnvironmentFacts{
			{Name: "production", Grants: "permissions", MaxStaleness: "15m"},
			{Name: "staging", Grants: "permissions", MaxStaleness: "15m"},
			{Name: "sealed", Grants: "explicit", MaxStaleness: "15m"},
		},
		Agents: []registry.AgentFacts{
			agentIn("production", "triage", "customer-success"),
			agentIn("production", "billing-bot", "payments"),
			agentIn("staging", "tester", "customer-success"),
			agentIn("sealed", "careful", "customer-success"),
			suspended(agentIn("production", "sleeper", "customer-success")),
			expires(agentIn("production", "gone", "customer-success"), time.Unix(1700000000, 0)),
			expires(agentIn("production", "temp", "customer-success"), time.Unix(4102444800, 0)),
			revoked(agentIn("production", "leaky", "customer-success"), time.Unix(1700000000, 500_000_000)),
			{
				ID: "id-of-reader", Name: "reader", Team: "customer-success", AgentType: "support", Environment: "production",
				Subject: "reader@clients", Scopes: []string{"data:read", "ledger:read"},
			},
			{ID: "id-of-mute", Name: "mute", Team: "platform", AgentType: "support", Environment: "production", Subject: "mute@clients"},
		},
		Resources: []registry.ResourceFacts{
			{
				Name: "hello-skill", Type: registry.Skill, Team: "platform", DataClassification: "low",
				Access: registry.Access{Visibility: registry.VisibleToOrganization}, Environments: []string{"production", "sealed"}, Revision: 7,
			},
			{
				Name: "ledger", Type: registry.DataSource, Team: "payments", DataClassification: "restricted",
				RequiredPermissions: []string{"ledger:read"},
				Access:              registry.Access{Visibility: registry.VisibleToTeam}, Environments: []string{"production"}, Revision: 8,
			},
		},
		Policy: p,
	})
}

// touched are scopes that were last touched at these revisions, just now.
func touched(revisions map[string]int64) map[registry.ScopePart]registry.Touch {
	scopes := map[registry.ScopePart]registry.Touch{}
	for name, revision := range revisions {
		scopes[registry.ScopePart{Scope: name}] = registry.Touch{Revision: revision, At: time.Now()}
	}
	return scopes
}

func agentIn(environment, name, team string) registry.AgentFacts {
	return registry.AgentFacts{
		ID: "id-of-" + name, Name: name, Team: team, AgentType: "support", Environment: environment,
		Subject: name + "@clients", Scopes: []string{"skills:invoke", "data:read"},
	}
}

func suspended(a registry.AgentFacts) registry.AgentFacts {
	a.Suspended = true
	return a
}

func expires(a registry.AgentFacts, at time.Time) registry.AgentFacts {
	a.ExpiresAt = at
	return a
}

func revoked(a registry.AgentFacts, at time.Time) registry.AgentFacts {
	a.ValidAfter = at
	return a
}

// fixed is a registry in memory that does not change.
type fixed struct{ view *snapshot.View }

func (f fixed) View() *snapshot.View { return f.view }

// parsing is a cache of layers' modules that are in force when they parse.
func parsing() *layers.Cache {
	return layers.NewCache(func(key registry.LayerKey, source string) (*ast.Module, error) {
		return ast.ParseModule(key.Module(), source)
	}, slog.New(slog.DiscardHandler))
}

// opa is an OPA that has loaded the environment's bundle: the bundle as we serve
// it, in OPA's own store, with a compiler that OPA made.
type opa struct {
	store    storage.Store
	compiler *ast.Compiler
}

func loadBundle(t tb, v *snapshot.View, environment string) opa {
	t.Helper()
	ctx := context.Background()
	made, err := bundles.NewMaker(bundles.MakerOptions{Layers: parsing()}).Bundle(v, registry.ScopePart{Scope: environment})
	if err != nil {
		t.Fatalf("build the bundle: %v", err)
	}
	b, err := bundle.NewReader(made.Reader()).Read()
	if err != nil {
		t.Fatalf("read the bundle: %v", err)
	}
	o := opa{store: inmem.New(), compiler: ast.NewCompiler()}
	err = storage.Txn(ctx, o.store, storage.WriteParams, func(txn storage.Transaction) error {
		return bundle.Activate(&bundle.ActivateOpts{
			Ctx: ctx, Store: o.store, Txn: txn, Compiler: o.compiler, Metrics: metrics.New(),
			Bundles: map[string]*bundle.Bundle{"b": &b},
		})
	})
	if err != nil {
		t.Fatalf("activate the bundle: %v", err)
	}
	return o
}

// ask evaluates the decision as the OPA would at that time.
func (o opa) ask(input ast.Value, now time.Time) (any, error) {
	results, err := rego.New(rego.Query(entrypoint), rego.Compiler(o.compiler), rego.Store(o.store),
		rego.ParsedInput(input), rego.Time(now)).Eval(context.Background())
	if err != nil || len(results) == 0 {
		return nil, err
	}
	return results[0].Expressions[0].Value, nil
}

// mustDecide is Decide where no error is expected.
func mustDecide(t *testing.T, e *Evaluator, v *snapshot.View, environment string, q Query) Decision {
	t.Helper()
	d, err := e.Decide(t.Context(), v, environment, q, time.Now())
	if err != nil {
		t.Fatalf("Decide: %v", err)
	}
	return d
}

// patientEvaluator gives policy the time that a busy machine takes.
func patientEvaluator() *Evaluator {
	e := NewEvaluator(parsing())
	e.limit = time.Minute
	return e
}
