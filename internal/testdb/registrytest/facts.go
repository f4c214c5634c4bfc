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
	f := registry.Facts{Head: v.Head(), Policy: v.Policy(), Scopes: map[string]int64{}}
	for _, name := range v.EnvironmentNames() {
		e, _ := v.Environment(name)
		f.Environments = append(f.Environments, e)
		f.Scopes[name] = v.ScopeRevision(name)
		for _, a := range v.Agents(name).All() {
			f.Agents = append(f.Agents, a)
		}
	}
	for _, r := range v.Resources().All() {
		f.Resources = append(f.Resources, r)
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
	f.Resources, f.AgentClients = orNil(f.Resources), orNil(f.AgentClients)
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
