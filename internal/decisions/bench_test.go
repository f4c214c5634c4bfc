package decisions

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/rego"
)

// trivial is a prepared query that does nothing: what evaluating costs at the
// least on this machine.
func trivial(b *testing.B) func() {
	b.Helper()
	query, err := rego.New(rego.Query("data.x.y"), rego.Module("x.rego", "package x\n\ny := true")).PrepareForEval(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	return func() {
		if _, err := query.Eval(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

// against measures f and base in turns, and reports how many times longer f takes.
func against(b *testing.B, f, base func()) {
	b.Helper()
	f() // compiles
	base()
	var ours, theirs time.Duration
	for b.Loop() {
		start := time.Now()
		f()
		middle := time.Now()
		base()
		ours, theirs = ours+middle.Sub(start), theirs+time.Since(middle)
	}
	b.ReportMetric(float64(ours.Nanoseconds())/float64(b.N), "ns/op")
	b.ReportMetric(float64(theirs.Nanoseconds())/float64(b.N), "baseline-ns/op")
	b.ReportMetric(float64(ours)/float64(theirs), "x-baseline")
}

// One decision, by how many agents and resources there are. The baseline is a
// query that does nothing.
func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{100, 10_000, 100_000} {
		b.Run(fmt.Sprintf("agents=%d", n), func(b *testing.B) {
			e, v := NewEvaluator(parsing()), manyAgents(n, platform())
			q := call(claims("agent-000042@clients", "skills:invoke"))
			q.Resource = "skill-000007"
			against(b, func() {
				if d, err := e.Decide(context.Background(), v, "production", q, time.Now()); err != nil || !d.Allow {
					b.Fatalf("decision %+v, error %v", d, err)
				}
			}, trivial(b))
		})
	}
}

// One decision of an OPA's own store that holds the same, as the baseline.
func BenchmarkDecideAgainstAnOPAsStore(b *testing.B) {
	e, v := NewEvaluator(parsing()), manyAgents(10_000, platform())
	q := call(claims("agent-000042@clients", "skills:invoke"))
	q.Resource = "skill-000007"
	input, err := inputOf(q)
	if err != nil {
		b.Fatal(err)
	}
	o := loadBundle(b, v, "production")
	query, err := rego.New(rego.Query(entrypoint), rego.Compiler(o.compiler), rego.Store(o.store)).PrepareForEval(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	against(b, func() {
		if d, err := e.Decide(context.Background(), v, "production", q, time.Now()); err != nil || !d.Allow {
			b.Fatalf("decision %+v, error %v", d, err)
		}
	}, func() {
		if results, err := query.Eval(context.Background(), rego.EvalParsedInput(input)); err != nil || len(results) != 1 {
			b.Fatalf("results %v, error %v", results, err)
		}
	})
}

// A page of callers: of a resource that many may call, and of one that nobody may, where
// the page looks at as many agents as a page looks at.
func BenchmarkCallers(b *testing.B) {
	for _, n := range []int{100, 10_000, 100_000} {
		v := manyAgents(n, platform())
		for resource, method := range map[string]string{"skill-000000": "POST", "nobodys": "GET"} {
			b.Run(fmt.Sprintf("agents=%d/of=%s", n, resource), func(b *testing.B) {
				s := serviceOf(v)
				b.ReportAllocs()
				for b.Loop() {
					if _, _, err := s.Callers(context.Background(), resource, method, "", 50); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		b.Run(fmt.Sprintf("agents=%d/found", n), func(b *testing.B) {
			for b.Loop() {
				agentsAfter(v, "", scanned+1)
			}
		})
	}
}
