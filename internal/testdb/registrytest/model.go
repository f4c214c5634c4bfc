// Package registrytest makes registries for tests: in memory, changed at random
// as the store would record it, and real ones that random writes are made to.
package registrytest

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// Model is a registry in memory. It says independently of package snapshot what
// a change does to the registry, so that the two can be held against each other.
// It is not safe for concurrent use.
type Model struct {
	head         registry.Head
	scopes       map[registry.ScopePart]registry.Touch
	environments map[string]registry.EnvironmentFacts
	agents       map[string]registry.AgentFacts // by id
	resources    map[string]registry.ResourceFacts
	layers       map[string]registry.LayerFacts // by tier/id
	clients      map[string]bool
	policy       registry.PlatformPolicy
	made         int // objects so far, for names and ids of new ones
}

// NewModel returns an empty registry at revision 0 of the epoch.
func NewModel(epoch string) *Model {
	return &Model{
		head: registry.Head{Epoch: epoch}, scopes: map[registry.ScopePart]registry.Touch{}, environments: map[string]registry.EnvironmentFacts{},
		agents: map[string]registry.AgentFacts{}, resources: map[string]registry.ResourceFacts{}, clients: map[string]bool{},
		layers: map[string]registry.LayerFacts{},
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
		Layers: values(m.layers),
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
	return registry.Change{Head: m.head, Kind: kind, ObjectID: id, At: m.at()}
}

// at is when the newest change was made: a second a revision.
func (m *Model) at() time.Time { return time.Unix(1700000000+m.head.Revision, 0).UTC() }

// touch notes that the scope's bundle, and these parts of it, are other ones from
// now on.
func (m *Model) touch(scope string, parts ...string) {
	for _, part := range append(parts, "") {
		m.scopes[registry.ScopePart{Scope: scope, Part: part}] = registry.Touch{Revision: m.head.Revision, At: m.at()}
	}
}

func (m *Model) touchAll(parts ...string) {
	for scope := range m.environments {
		m.touch(scope, parts...)
	}
}

// partOf is the part that holds an agent.
func partOf(a registry.AgentFacts) string {
	sum := sha256.Sum256([]byte(a.Subject))
	return fmt.Sprintf("agents-%x", sum[0]>>4)
}

// allParts are the names of all parts.
func allParts() []string {
	parts := []string{"policy", "resources"}
	for i := range 16 {
		parts = append(parts, fmt.Sprintf("agents-%x", i))
	}
	return parts
}

// PutEnvironment creates or replaces the environment.
func (m *Model) PutEnvironment(e registry.EnvironmentFacts) registry.Change {
	c := m.next(registry.EnvironmentChange, e.Name)
	if _, exists := m.environments[e.Name]; exists {
		c.OldScope = e.Name
	}
	m.environments[e.Name] = e
	c.NewScope, c.Environment = e.Name, &e
	m.touch(e.Name, allParts()...)
	return c
}

// DeleteEnvironment removes an environment that is there and has no agents.
func (m *Model) DeleteEnvironment(name string) registry.Change {
	c := m.next(registry.EnvironmentChange, name)
	c.OldScope = name
	delete(m.environments, name)
	maps.DeleteFunc(m.scopes, func(p registry.ScopePart, _ registry.Touch) bool { return p.Scope == name })
	return c
}

// PutAgent publishes the agent or changes it.
func (m *Model) PutAgent(a registry.AgentFacts) registry.Change {
	c := m.next(registry.AgentChange, a.ID)
	if old, exists := m.agents[a.ID]; exists {
		c.OldScope = old.Environment
		m.touch(old.Environment, partOf(old))
	}
	m.agents[a.ID] = a
	client, _ := registry.ClientOf(a.Subject)
	m.clients[client] = true
	c.NewScope, c.Agent = a.Environment, &a
	m.touch(a.Environment, partOf(a))
	return c
}

// DeleteAgent decommissions an agent that is there.
func (m *Model) DeleteAgent(id string) registry.Change {
	c := m.next(registry.AgentChange, id)
	c.OldScope = m.agents[id].Environment
	m.touch(c.OldScope, partOf(m.agents[id]))
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
	m.touchAll("resources")
	return c
}

// DeleteResource removes a resource that is there.
func (m *Model) DeleteResource(name string) registry.Change {
	c := m.next(registry.ResourceChange, name)
	c.OldScope = registry.AllScopes
	delete(m.resources, name)
	m.touchAll("resources")
	return c
}

// PutPolicy activates the policy.
func (m *Model) PutPolicy(p registry.PlatformPolicy) registry.Change {
	c := m.next(registry.PolicyChange, p.Hash)
	p.Revision = m.head.Revision
	m.policy = p
	c.OldScope, c.NewScope, c.Policy = registry.AllScopes, registry.AllScopes, &p
	m.touchAll(allParts()...)
	return c
}

// PutLayer creates or replaces the layer; its Revision is taken.
func (m *Model) PutLayer(l registry.LayerFacts) registry.Change {
	c := m.next(registry.LayerChange, l.String())
	if old, exists := m.layers[l.String()]; exists {
		c.OldScope = old.Scope()
	}
	l.Revision = m.head.Revision
	m.layers[l.String()] = l
	c.NewScope, c.Layer = l.Scope(), &l
	m.touchPolicy(l.Scope())
	return c
}

// DeleteLayer removes a layer that is there.
func (m *Model) DeleteLayer(key registry.LayerKey) registry.Change {
	c := m.next(registry.LayerChange, key.String())
	c.OldScope = m.layers[key.String()].Scope()
	delete(m.layers, key.String())
	m.touchPolicy(c.OldScope)
	return c
}

func (m *Model) touchPolicy(scope string) {
	if scope == registry.AllScopes {
		m.touchAll("policy")
		return
	}
	m.touch(scope, "policy")
}

// Beat says that the environment is still current.
func (m *Model) Beat(environment string) registry.Change {
	c := m.next(registry.HeartbeatChange, environment)
	c.OldScope, c.NewScope = environment, environment
	m.touch(environment, allParts()...)
	return c
}

// PutTeam changes what is in nobody's bundle.
func (m *Model) PutTeam(name string) registry.Change {
	c := m.next(registry.TeamChange, name)
	c.OldScope, c.NewScope = registry.AllScopes, registry.AllScopes
	return c
}
