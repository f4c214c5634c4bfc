package decide_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/util"

	"github.com/credenceproject/credence/internal/bundles"
	"github.com/credenceproject/credence/internal/decide"
	"github.com/credenceproject/credence/internal/layers"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// active is a policy with its modules, parsed once for all registries.
type active struct {
	registry.PlatformPolicy
	modules map[string]*ast.Module
}

func parsed(tb testing.TB, p registry.PlatformPolicy) active {
	tb.Helper()
	a := active{p, map[string]*ast.Module{}}
	for path, source := range p.Modules {
		m, err := ast.ParseModuleWithOpts(path, source, ast.ParserOptions{RegoVersion: ast.RegoV1})
		if err != nil {
			tb.Fatal(err)
		}
		a.modules[path] = m
	}
	return a
}

// opa is OPA's engine with a scope's bundle: its modules, and its data in OPA's own
// store.
type opa struct {
	query         rego.PreparedEvalQuery
	contributions *rego.PreparedEvalQuery // where the policy has such a document
	txn           storage.Transaction
}

// newOPA is an OPA with what is in the environment's bundle.
func newOPA(tb testing.TB, v *snapshot.View, p active, cache *layers.Cache, environment string) opa {
	tb.Helper()
	modules := maps.Clone(p.modules)
	if p.Layout >= 3 {
		for _, m := range cache.InForce(v, environment).Modules {
			modules[m.Path] = m.Parsed
		}
	}
	compiler := ast.NewCompiler()
	if compiler.Compile(modules); compiler.Failed() {
		tb.Fatal(compiler.Errors)
	}
	store := inmem.NewFromObjectWithOpts(map[string]any{"registry": documents(tb, v, environment)}, inmem.OptRoundTripOnWrite(false), inmem.OptReturnASTValuesOnRead(true))
	return prepare(tb, compiler, store)
}

// serve is an OPA that has activated the environment's bundle.
func serve(tb testing.TB, v *snapshot.View, cache *layers.Cache, environment string) opa {
	tb.Helper()
	made, err := bundles.NewMaker(bundles.MakerOptions{Layers: cache}).Bundle(v, registry.ScopePart{Scope: environment})
	if err != nil {
		tb.Fatal(err)
	}
	b, err := bundle.NewReader(made.Reader()).Read()
	if err != nil {
		tb.Fatal(err)
	}
	store, compiler := inmem.New(), ast.NewCompiler()
	err = storage.Txn(tb.Context(), store, storage.WriteParams, func(txn storage.Transaction) error {
		return bundle.Activate(&bundle.ActivateOpts{
			Ctx: tb.Context(), Store: store, Txn: txn, Compiler: compiler, Metrics: metrics.New(), Bundles: map[string]*bundle.Bundle{"b": &b},
		})
	})
	if err != nil {
		tb.Fatal(err)
	}
	o := prepare(tb, compiler, store)
	if v.Policy().Layout >= 3 {
		query := prepareQuery(tb, compiler, store, o.txn, "data.mcp.authz.contributions")
		o.contributions = &query
	}
	return o
}

func prepare(tb testing.TB, compiler *ast.Compiler, store storage.Store) opa {
	tb.Helper()
	txn, err := store.NewTransaction(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return opa{query: prepareQuery(tb, compiler, store, txn, "data.mcp.authz.verdict"), txn: txn}
}

func prepareQuery(tb testing.TB, compiler *ast.Compiler, store storage.Store, txn storage.Transaction, question string) rego.PreparedEvalQuery {
	tb.Helper()
	query, err := rego.New(rego.Query(question), rego.Compiler(compiler), rego.Store(store), rego.Transaction(txn)).PrepareForEval(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return query
}

// documents are what is below data.registry in the environment's bundle.
func documents(tb testing.TB, v *snapshot.View, environment string) map[string]any {
	tb.Helper()
	layout := v.Policy().Layout
	e, _ := v.Environment(environment)
	touch := v.Touched(registry.ScopePart{Scope: environment})
	tag := bundles.Tag{Scope: environment, Epoch: v.Head().Epoch, Revision: touch.Revision}
	data := map[string]any{
		"meta": bundles.Meta(tag, layout, touch.At), "environment": bundles.Environment(layout, e),
		"agents": sharded(v.Agents(environment), bundles.Agent), "resources": sharded(v.Resources(), bundles.Resource),
	}
	if layout >= 3 {
		global := map[string]any{}
		for _, l := range v.GlobalLayers() {
			global[l.ID] = bundles.Layer(l)
		}
		data["layers"] = map[string]any{
			"global": global, "team": sharded(v.Layers(registry.TierTeam), bundles.Layer),
			"agent_type": sharded(v.Layers(registry.TierAgentType), bundles.Layer), "agent": sharded(v.AgentLayers(environment), bundles.Layer),
		}
	}
	encoded, err := json.Marshal(data)
	if err != nil {
		tb.Fatal(err)
	}
	var plain map[string]any
	if err := util.UnmarshalJSON(encoded, &plain); err != nil {
		tb.Fatal(err)
	}
	return plain
}

func sharded[V any](m *snapshot.Map[V], record func(V) any) map[string]any {
	shards := map[string]any{}
	for i := range snapshot.Shards {
		records := map[string]any{}
		for key, v := range m.Shard(i).All() {
			records[key] = record(v)
		}
		if len(records) > 0 {
			shards[fmt.Sprintf("%02x", i)] = records
		}
	}
	return shards
}

// inputOf is the question as a program asks it.
func inputOf(tb testing.TB, q decide.Query) ast.Value {
	tb.Helper()
	claims, path := q.Claims, q.Path
	if claims == nil {
		claims = map[string]any{}
	}
	if path == nil {
		path = []string{}
	}
	encoded, err := json.Marshal(map[string]any{
		"jwt":      map[string]any{"valid": q.TokenValid, "payload": claims},
		"request":  map[string]any{"method": q.Method, "path": path},
		"resource": map[string]any{"id": q.Resource},
	})
	if err != nil {
		tb.Fatalf("encode %+v: %v", q, err)
	}
	input, err := ast.ValueFromReader(bytes.NewReader(encoded))
	if err != nil {
		tb.Fatal(err)
	}
	return input
}

// ask evaluates the decision as of that time.
func (o opa) ask(tb testing.TB, input ast.Value, now time.Time) decide.Decision {
	tb.Helper()
	return decisionOf(tb, o.eval(tb, input, now))
}

func (o opa) eval(tb testing.TB, input ast.Value, now time.Time) any {
	tb.Helper()
	return evaluate(tb, o.query, o.txn, input, now)
}

// tell evaluates what each layer contributes.
func (o opa) tell(tb testing.TB, input ast.Value, now time.Time) []any {
	tb.Helper()
	return evaluate(tb, *o.contributions, o.txn, input, now).([]any)
}

func evaluate(tb testing.TB, query rego.PreparedEvalQuery, txn storage.Transaction, input ast.Value, now time.Time) any {
	tb.Helper()
	results, err := query.Eval(context.Background(), rego.EvalParsedInput(input), rego.EvalTime(now), rego.EvalTransaction(txn), rego.EvalSortSets(true))
	if err != nil || len(results) != 1 {
		tb.Fatalf("evaluate %v: %v, %v", input, results, err)
	}
	return results[0].Expressions[0].Value
}

// decisionOf reads the verdict of the Rego, which has nothing beside what it is to have.
func decisionOf(tb testing.TB, verdict any) decide.Decision {
	tb.Helper()
	o := verdict.(map[string]any)
	revision, err := o["revision"].(json.Number).Int64()
	if err != nil || o["allow"] != o["allowed"] {
		tb.Fatalf("the verdict is %v", verdict)
	}
	d := decide.Decision{Allow: o["allow"].(bool), Reasons: []decide.Reason{}, Revision: revision}
	for _, r := range o["reasons"].([]any) {
		r := r.(map[string]any)
		d.Reasons = append(d.Reasons, decide.Reason{Tier: r["tier"].(string), ID: r["id"].(string), Code: r["code"].(string)})
	}
	if a, ok := o["agent"].(map[string]any); ok {
		d.Agent = &decide.Agent{
			ID: a["id"].(string), Name: a["name"].(string), Team: a["team"].(string), AgentType: a["agent_type"].(string), Environment: a["environment"].(string),
		}
	}
	if r, ok := o["resource"].(map[string]any); ok {
		d.Resource = &decide.Resource{Name: r["name"].(string), Type: r["type"].(string), Team: r["team"].(string)}
	}
	return d
}
