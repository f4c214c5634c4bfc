// Package registrytest makes registries for tests: in memory, changed at random
// as the store would record it, and real ones that random writes are made to.
package registrytest

import (
	"maps"
	"slices"

	"github.com/credenceproject/credence/internal/registry"
)

// Model is a registry in memory. It says independently of package snapshot what
// a change does to the registry, so that the two can be held against each other.
// It is not safe for concurrent use.
type Model struct {
	head         registry.Head
	scopes       map[string]int64
	environments map[string]registry.EnvironmentFacts
	agents       map[string]registry.AgentFacts // by id
	resources    map[string]registry.ResourceFacts
	clients      map[string]bool
	policy       registry.PlatformPolicy
	made         int // objects so far, for names and ids of new ones
}

// NewModel returns an empty registry at revision 0 of the epoch.
func NewModel(epoch string) *Model {
	return &Model{
		head: registry.Head{Epoch: epoch}, scopes: map[string]int64{}, environments: map[string]registry.EnvironmentFacts{},
		agents: map[string]registry.AgentFacts{}, resources: map[string]registry.ResourceFacts{}, clients: map[string]bool{},
	}
}

// Head is the newest state.
func (m *Model) Head() registry.Head { return m.head }

// SetHead puts another state's number on the registry, as restoring a database
// or renewing the epoch does.
func (m *Model) SetHead(h registry.Head) { m.head = h }

// Facts are what loading the registry anew would give.
func (m *Model) Facts() registry.Facts {
	return registry.Facts{
		Head: m.head, Scopes: maps.Clone(m.scopes), Policy: m.policy, AgentClients: slices.Sorted(maps.Keys(m.clients)),
		Environments: values(m.environments), Agents: values(m.agents), Resources: values(m.resources),
	}
}

// values are the values of m in the order of the keys.
func values[V any](m map[string]V) []V {
	list := make([]V, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		list = append(list, m[k])
	}
	return list
}

// next takes the next revision for a change of the object.
func (m *Model) next(kind registry.ChangeKind, id string) registry.Change {
	m.head.Revision++
	return registry.Change{Head: m.head, Kind: kind, ObjectID: id}
}

// touch notes that the scopes' bundles are other ones from now on.
func (m *Model) touch(scopes ...string) {
	for _, s := range scopes {
		m.scopes[s] = m.head.Revision
	}
}

func (m *Model) touchAll() { m.touch(slices.Collect(maps.Keys(m.environments))...) }

// PutEnvironment creates or replaces the environment.
func (m *Model) PutEnvironment(e registry.EnvironmentFacts) registry.Change {
	c := m.next(registry.EnvironmentChange, e.Name)
	if _, exists := m.environments[e.Name]; exists {
		c.OldScope = e.Name
	}
	m.environments[e.Name] = e
	c.NewScope, c.Environment = e.Name, &e
	m.touch(e.Name)
	return c
}

// DeleteEnvironment removes an environment that is there and has no agents.
func (m *Model) DeleteEnvironment(name string) registry.Change {
	c := m.next(registry.EnvironmentChange, name)
	c.OldScope = name
	delete(m.environments, name)
	delete(m.scopes, name)
	return c
}

// PutAgent publishes the agent or changes it.
func (m *Model) PutAgent(a registry.AgentFacts) registry.Change {
	c := m.next(registry.AgentChange, a.ID)
	if old, exists := m.agents[a.ID]; exists {
		c.OldScope = old.Environment
		m.touch(old.Environment)
	}
	m.agents[a.ID] = a
	client, _ := registry.ClientOf(a.Subject)
	m.clients[client] = true
	c.NewScope, c.Agent = a.Environment, &a
	m.touch(a.Environment)
	return c
}

// DeleteAgent decommissions an agent that is there.
func (m *Model) DeleteAgent(id string) registry.Change {
	c := m.next(registry.AgentChange, id)
	c.OldScope = m.agents[id].Environment
	m.touch(c.OldScope)
	delete(m.agents, id)
	return c
}

// PutResource creates or replaces the resource.
func (m *Model) PutResource(r registry.ResourceFacts) registry.Change {
	c := m.next(registry.ResourceChange, r.Name)
	if _, exists := m.resources[r.Name]; exists {
		c.OldScope = registry.AllScopes
	}
	r.Revision = m.head.Revision
	m.resources[r.Name] = r
	c.NewScope, c.Resource = registry.AllScopes, &r
	m.touchAll()
	return c
}

// DeleteResource removes a resource that is there.
func (m *Model) DeleteResource(name string) registry.Change {
	c := m.next(registry.ResourceChange, name)
	c.OldScope = registry.AllScopes
	delete(m.resources, name)
	m.touchAll()
	return c
}

// PutPolicy activates the policy.
func (m *Model) PutPolicy(p registry.PlatformPolicy) registry.Change {
	c := m.next(registry.PolicyChange, p.Hash)
	p.Revision = m.head.Revision
	m.policy = p
	c.OldScope, c.NewScope, c.Policy = registry.AllScopes, registry.AllScopes, &p
	m.touchAll()
	return c
}

// PutTeam changes what is in nobody's bundle.
func (m *Model) PutTeam(name string) registry.Change {
	c := m.next(registry.TeamChange, name)
	c.OldScope, c.NewScope = registry.AllScopes, registry.AllScopes
	return c
}
