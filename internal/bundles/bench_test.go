package bundles_test

import (
	"fmt"
	"testing"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

const resources = 10_000

// How long from a change to the bundle that has it.
func BenchmarkChangeToBundle(b *testing.B) {
	for _, agents := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("agents=%d", agents), func(b *testing.B) {
			facts := registrytest.Large(agents, resources)
			current := &fixed{snapshot.New(facts)}
			s := newService(current)
			size := get(b, s, "production").Size
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				a := facts.Agents[i%agents]
				a.Suspended = i/agents%2 == 0
				change(b, current, registry.Change{Kind: registry.AgentChange, ObjectID: a.ID, OldScope: "production", NewScope: "production", Agent: &a})
				get(b, s, "production")
			}
			b.ReportMetric(float64(size), "bundle-bytes")
		})
	}
}

// The same of a resource, which is in every environment's bundle.
func BenchmarkResourceChangeToBundle(b *testing.B) {
	facts := registrytest.Large(10_000, resources)
	current := &fixed{snapshot.New(facts)}
	s := newService(current)
	get(b, s, "production")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r := facts.Resources[i%resources]
		r.Team = fmt.Sprintf("team-%d", i)
		change(b, current, registry.Change{Kind: registry.ResourceChange, ObjectID: r.Name, OldScope: registry.AllScopes, NewScope: registry.AllScopes, Resource: &r})
		get(b, s, "production")
	}
}

func change(b *testing.B, current *fixed, c registry.Change) {
	b.Helper()
	c.Head = current.view.Head()
	c.Revision++
	next, err := current.view.Apply([]registry.Change{c})
	if err != nil {
		b.Fatal(err)
	}
	current.view = next
}

// The first bundle after a start packs everything.
func BenchmarkFirstBundle(b *testing.B) {
	for _, agents := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("agents=%d", agents), func(b *testing.B) {
			view := &fixed{snapshot.New(registrytest.Large(agents, resources))}
			for b.Loop() {
				get(b, newService(view), "production")
			}
		})
	}
}

// What an OPA that has the present state costs.
func BenchmarkNotModified(b *testing.B) {
	s := newService(&fixed{snapshot.New(registrytest.Large(10_000, resources))})
	have := tags(get(b, s, "production").Tag.String())
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if a, err := s.Get(b.Context(), "production", have); err != nil || a.Bundle != nil {
				b.Errorf("Get() = %v, %v", a, err)
			}
		}
	})
}
