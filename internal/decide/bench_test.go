package decide_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/decide"
	"github.com/credenceproject/credence/internal/layers"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// One decision, by the size of the registry and the layers that apply. The baseline,
// measured in turns with it, is the prepared query of the Rego over the same data.
func BenchmarkDecide(b *testing.B) {
	custom := []registry.LayerFacts{ofTeam(regoOf("deny contains \"no_deletes\" if {\n\trequest.method == \"DELETE\"\n\trequest.resource.data_classification == \"restricted\"\n}"))}
	for _, n := range []int{100, 10_000, 100_000} {
		for _, row := range []struct {
			name   string
			layers []registry.LayerFacts
		}{{"none", nil}, {"1", dataLayers(1)}, {"4", dataLayers(4)}, {"custom", custom}} {
			b.Run(fmt.Sprintf("agents=%d/layers=%s", n, row.name), func(b *testing.B) {
				benchmark(b, large(n, row.layers...))
			})
		}
	}
}

func benchmark(b *testing.B, v *snapshot.View) {
	b.Helper()
	cache := layers.NewCache(accept, slog.New(slog.DiscardHandler))
	d, o, q := decide.New(cache), newOPA(b, v, parsed(b, platform()), cache, "production"), call()
	input := inputOf(b, q)
	const batch = 100 // the Rego is slow: ours is measured in batches of as many beside one of its
	ours, theirs := time.Duration(0), time.Duration(0)
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		for range batch {
			if got, err := d.Decide(v, "production", q, noon); err != nil || !got.Allow {
				b.Fatalf("%+v, %v", got, err)
			}
		}
		middle := time.Now()
		o.eval(b, input, noon)
		ours, theirs = ours+middle.Sub(start), theirs+time.Since(middle)
	}
	own, baseline := float64(ours.Nanoseconds())/float64(b.N*batch), float64(theirs.Nanoseconds())/float64(b.N)
	b.ReportMetric(own, "ns/decision")
	b.ReportMetric(baseline, "rego-ns/decision")
	b.ReportMetric(baseline/own, "x-faster")
}
