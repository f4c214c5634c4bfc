package policy_test

import (
	"fmt"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/policy"
)

// BenchmarkDecision measures one decision at several sizes of the registry, beside
// the cheapest rule there is: what the policy itself costs is the difference.
func BenchmarkDecision(b *testing.B) {
	b.Run("trivial rule", func(b *testing.B) {
		q, err := rego.New(rego.Query("data.t.allow"), rego.Module("t.rego", "package t\n\nallow := true\n"), rego.Store(inmem.New())).PrepareForEval(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		run(b, engine{q}, map[string]any{})
	})
	allowed := input("alice@clients", "POST", "hello")
	for _, n := range []int{100, 10_000, 100_000} {
		data := population(n)
		e := newEngine(b, policy.Query, data)
		b.Run(fmt.Sprintf("allowed/agents=%d", n), func(b *testing.B) { run(b, e, allowed) })
		data["layers"] = layersOf(n)
		e = newEngine(b, policy.Query, data)
		b.Run(fmt.Sprintf("allowed by layers/agents=%d", n), func(b *testing.B) { run(b, e, allowed) })
		e = newEngineWith(b, ownRego, policy.Query, data)
		b.Run(fmt.Sprintf("allowed by layers with own Rego/agents=%d", n), func(b *testing.B) { run(b, e, allowed) })
	}
	e := newEngine(b, policy.Query, population(10_000))
	b.Run("allowed behind Envoy", func(b *testing.B) { run(b, e, envoyInput("alice@clients", "POST", "/mcp/hello/say")) })
	b.Run("denied", func(b *testing.B) { run(b, e, input("nobody@clients", "POST", "nothing")) })
}

// layersOf are the layers that apply to alice, each with a rule that denies and one
// that allows, the team's with a ceiling and Rego of its own, and one for each of n
// other agents.
func layersOf(n int) object {
	record := func(fields object) object {
		fields["deny"] = []any{rule("no_writes", object{"data_classification": []any{"restricted"}, "methods": []any{"POST", "PUT"}})}
		fields["allow"] = []any{rule("hello", object{"resources": []any{"hello"}})}
		return layer(fields)
	}
	ceiling := object{"permissions": []any{"hello:say", "skills:invoke"}, "data_classification": []any{"low", "public"}}
	data := layered(object{
		"global/rules": record(object{}), "team/red": record(object{"ceiling": ceiling, "rego": true}),
		"agent_type/support": record(object{}), "agent/0197-alice": record(object{}),
	})
	layers := data["layers"].(object)
	for i := range n {
		put(layers["agent"].(object), fmt.Sprint(i), record(object{}))
	}
	return layers
}

var ownRego = own(registry.LayerKey{Tier: registry.TierTeam, ID: "red"}, `deny contains "not_on_sundays" if {
	request.method != "GET"
	time.weekday(time.now_ns()) == "no day"
}
`)

func run(b *testing.B, e engine, input any) {
	b.Helper()
	v, err := ast.InterfaceToValue(input)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if rs, err := e.query.Eval(b.Context(), rego.EvalParsedInput(v)); err != nil || len(rs) != 1 {
			b.Fatal(len(rs), err)
		}
	}
}
