package policy_test

import (
	"fmt"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

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
	for _, n := range []int{10, 10_000, 100_000} {
		e := newEngine(b, policy.Query, population(n))
		b.Run(fmt.Sprintf("allowed/agents=%d", n), func(b *testing.B) { run(b, e, allowed) })
	}
	e := newEngine(b, policy.Query, population(10_000))
	b.Run("allowed behind Envoy", func(b *testing.B) { run(b, e, envoyInput("alice@clients", "POST", "/mcp/hello/say")) })
	b.Run("denied", func(b *testing.B) { run(b, e, input("nobody@clients", "POST", "nothing")) })
}

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
