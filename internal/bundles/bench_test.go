package bundles_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/credenceproject/credence/internal/bundles"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

const resources = 10_000

// How long from a change of an agent to the bundle that has it: whole and the part
// that it is in, signed and not.
func BenchmarkChangeToBundle(b *testing.B) {
	for _, agents := range []int{1_000, 10_000, 100_000} {
		facts := registrytest.Large(agents, resources)
		for _, algorithm := range []string{"unsigned", "EdDSA", "RS256"} {
			keys := signer(b, algorithm)
			for _, part := range []string{"", "agents"} {
				b.Run(fmt.Sprintf("agents=%d/%s/%s", agents, algorithm, part), func(b *testing.B) {
					changeToBundle(b, facts, keys, part == "")
				})
			}
		}
	}
}

func changeToBundle(b *testing.B, facts registry.Facts, keys *bundles.Keys, whole bool) {
	b.Helper()
	v, maker := snapshot.New(facts), bundles.NewMaker(bundles.MakerOptions{Keys: keys})
	nameOf := func(a registry.AgentFacts) registry.ScopePart {
		if whole {
			return of("production", "")
		}
		return of("production", registry.AgentsPart(a.Subject))
	}
	for _, a := range facts.Agents[:500] { // the first bundle of each part is not the change's
		bundleOf(b, maker, v, nameOf(a))
	}
	var size int64
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		a := facts.Agents[i%len(facts.Agents)]
		a.Suspended = i/len(facts.Agents)%2 == 0
		v = changed(b, v, registry.Change{Kind: registry.AgentChange, ObjectID: a.ID, OldScope: "production", NewScope: "production", Agent: &a})
		size = bundleOf(b, maker, v, nameOf(a)).Size
	}
	b.ReportMetric(float64(size), "bundle-bytes")
}

// The same of a resource, which is in every environment's bundle.
func BenchmarkResourceChangeToBundle(b *testing.B) {
	facts := registrytest.Large(10_000, resources)
	for _, part := range []string{"", registry.ResourcesPart} {
		b.Run(part, func(b *testing.B) {
			v, maker := snapshot.New(facts), bundles.NewMaker(bundles.MakerOptions{Keys: signer(b, "RS256")})
			bundleOf(b, maker, v, of("production", part))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r := facts.Resources[i%resources]
				r.Team = fmt.Sprintf("team-%d", i)
				v = changed(b, v, registry.Change{Kind: registry.ResourceChange, ObjectID: r.Name, OldScope: registry.AllScopes, NewScope: registry.AllScopes, Resource: &r})
				bundleOf(b, maker, v, of("production", part))
			}
		})
	}
}

// The first bundle after a start packs everything.
func BenchmarkFirstBundle(b *testing.B) {
	for _, agents := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("agents=%d", agents), func(b *testing.B) {
			v := snapshot.New(registrytest.Large(agents, resources))
			keys := signer(b, "RS256")
			for b.Loop() {
				bundleOf(b, bundles.NewMaker(bundles.MakerOptions{Keys: keys}), v, of("production", ""))
			}
		})
	}
}

// What a server holds of its agents: the view, the whole and the parts, and after
// changes the states before, of which as many are kept as there can be.
func BenchmarkMemory(b *testing.B) {
	for _, agents := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("agents=%d", agents), func(b *testing.B) {
			for b.Loop() {
				memory(b, agents)
			}
		})
	}
}

func memory(b *testing.B, agents int) {
	b.Helper()
	facts, keys := registrytest.Large(agents, resources), signer(b, "RS256")
	before := heap()
	v, maker := snapshot.New(facts), bundles.NewMaker(bundles.MakerOptions{Keys: keys})
	viewed := heap()
	names := append([]string{""}, registry.Parts...)
	for _, part := range names {
		bundleOf(b, maker, v, of("production", part))
	}
	made := heap()
	for i := range 32 {
		a := facts.Agents[i]
		a.Suspended = true
		v = changed(b, v, registry.Change{Kind: registry.AgentChange, ObjectID: a.ID, OldScope: "production", NewScope: "production", Agent: &a})
		for _, part := range names {
			bundleOf(b, maker, v, of("production", part))
		}
	}
	kept := heap()
	runtime.KeepAlive(facts)
	runtime.KeepAlive(maker)
	runtime.KeepAlive(v)
	b.ReportMetric((viewed-before)/float64(agents), "view-B/agent")
	b.ReportMetric((made-viewed)/float64(agents), "bundles-B/agent")
	b.ReportMetric((kept-made)/(1<<20), "32-states-MiB")
}

// heap is how many bytes are in use.
func heap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

func signer(b *testing.B, algorithm string) *bundles.Keys {
	b.Helper()
	return signers(b)[algorithm]
}

// bundleOf is made without the questions.
func bundleOf(b *testing.B, m *bundles.Maker, v *snapshot.View, name registry.ScopePart) *bundles.Bundle {
	b.Helper()
	made, err := m.Bundle(v, name)
	if err != nil {
		b.Fatal(err)
	}
	return made
}

func changed(b *testing.B, v *snapshot.View, c registry.Change) *snapshot.View {
	b.Helper()
	c.Head = v.Head()
	c.Revision++
	next, err := v.Apply([]registry.Change{c})
	if err != nil {
		b.Fatal(err)
	}
	return next
}

// What an OPA that has the present state costs.
func BenchmarkNotModified(b *testing.B) {
	s := newService(&fixed{snapshot.New(registrytest.Large(10_000, resources))})
	have := tags(get(b, s, "production").Tag.String())
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if a, err := ask(b.Context(), s, "production", have); err != nil || a.Bundle != nil {
				b.Errorf("Get() = %v, %v", a, err)
			}
		}
	})
}
