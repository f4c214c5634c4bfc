package registrytest

import (
	"cmp"
	"slices"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// FactsOf reads everything that the view shows, in a fixed order, for comparing
// views as whole values. The clients are those of clients that it knows.
func FactsOf(v *snapshot.View, clients ...string) registry.Facts {
	f := registry.Facts{Head: v.Head(), Policy: v.Policy(), Scopes: map[registry.ScopePart]registry.Touch{}}
	for _, name := range v.EnvironmentNames() {
		e, _ := v.Environment(name)
		f.Environments = append(f.Environments, e)
		for _, part := range append(allParts(), "") {
			p := registry.ScopePart{Scope: name, Part: part}
			f.Scopes[p] = v.Touched(p)
		}
		for _, l := range v.AgentLayers(name).All() {
			f.Layers = append(f.Layers, l)
		}
		for _, a := range v.Agents(name).All() {
			f.Agents = append(f.Agents, a)
		}
	}
	for _, r := range v.Resources().All() {
		f.Resources = append(f.Resources, r)
	}
	f.Layers = append(f.Layers, v.GlobalLayers()...)
	for _, tier := range []registry.Tier{registry.TierTeam, registry.TierAgentType} {
		for _, l := range v.Layers(tier).All() {
			f.Layers = append(f.Layers, l)
		}
	}
	for _, c := range clients {
		if v.IsAgentClient(c) {
			f.AgentClients = append(f.AgentClients, c)
		}
	}
	return Sorted(f)
}

// Sorted returns the facts in a fixed order, and lists of none as nil. Loading
// gives them in no order.
func Sorted(f registry.Facts) registry.Facts {
	f.Environments, f.Agents = orNil(f.Environments), orNil(f.Agents)
	f.Resources, f.AgentClients, f.Layers = orNil(f.Resources), orNil(f.AgentClients), orNil(f.Layers)
	slices.SortFunc(f.Layers, func(a, b registry.LayerFacts) int { return cmp.Compare(a.String(), b.String()) })
	slices.SortFunc(f.Environments, func(a, b registry.EnvironmentFacts) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(f.Agents, func(a, b registry.AgentFacts) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(f.Resources, func(a, b registry.ResourceFacts) int { return cmp.Compare(a.Name, b.Name) })
	slices.Sort(f.AgentClients)
	return f
}

func orNil[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return s
}
