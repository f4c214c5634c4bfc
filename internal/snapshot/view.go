// Package snapshot keeps the registry in memory at one revision, and current.
//
// A View is immutable: whoever holds one sees the registry at its revision for as
// long as they like. The Follower replaces it as the registry changes. Reading
// needs no lock and no database.
package snapshot

import (
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/credenceproject/credence/internal/registry"
)

// View is the registry at one revision. It is safe for concurrent use.
type View struct {
	head         registry.Head
	environments map[string]registry.EnvironmentFacts
	touched      map[registry.ScopePart]registry.Touch
	policy       registry.PlatformPolicy

	agents    map[string]*Map[registry.AgentFacts] // by environment, then by subject
	byID      *Map[agentKey]
	byName    *Map[string] // id
	resources *Map[registry.ResourceFacts]
	layers    *layers
	clients   *Map[struct{}]
}

// agentKey is where an agent stands in agents.
type agentKey struct{ environment, subject string }

// New makes the view of f.
func New(f registry.Facts) *View {
	v := &View{
		head: f.Head, touched: maps.Clone(f.Scopes), policy: f.Policy, layers: newLayers(f.Layers),
		environments: map[string]registry.EnvironmentFacts{}, agents: map[string]*Map[registry.AgentFacts]{},
	}
	for _, e := range f.Environments {
		v.environments[e.Name] = e
	}
	inEnvironment := map[string][]registry.AgentFacts{}
	for _, a := range f.Agents {
		inEnvironment[a.Environment] = append(inEnvironment[a.Environment], a)
	}
	for environment, agents := range inEnvironment {
		v.agents[environment] = build(keyed(agents, func(a registry.AgentFacts) (string, registry.AgentFacts) { return a.Subject, a }))
	}
	v.byID = build(keyed(f.Agents, func(a registry.AgentFacts) (string, agentKey) { return a.ID, agentKey{a.Environment, a.Subject} }))
	v.byName = build(keyed(f.Agents, func(a registry.AgentFacts) (string, string) { return a.Name, a.ID }))
	v.resources = build(keyed(f.Resources, func(r registry.ResourceFacts) (string, registry.ResourceFacts) { return r.Name, r }))
	v.clients = build(keyed(f.AgentClients, func(id string) (string, struct{}) { return id, struct{}{} }))
	return v
}

func keyed[T, V any](items []T, f func(T) (string, V)) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, item := range items {
			if !yield(f(item)) {
				return
			}
		}
	}
}

// Head is the state that the view shows.
func (v *View) Head() registry.Head { return v.head }

// Policy is the platform policy that is active.
func (v *View) Policy() registry.PlatformPolicy { return v.policy }

// Environment returns the environment of that name.
func (v *View) Environment(name string) (registry.EnvironmentFacts, bool) {
	e, ok := v.environments[name]
	return e, ok
}

// EnvironmentNames are the names of all environments, sorted.
func (v *View) EnvironmentNames() []string { return slices.Sorted(maps.Keys(v.environments)) }

// ScopeRevision is the revision that last touched the scope's bundle: a change
// of the environment, of an agent in it, of any resource or of the policy.
func (v *View) ScopeRevision(scope string) int64 {
	return v.Touched(registry.ScopePart{Scope: scope}).Revision
}

// Touched is the newest change of a scope's bundle, or of a part of it.
func (v *View) Touched(p registry.ScopePart) registry.Touch { return v.touched[p] }

// Agents are the agents of an environment by the subject of their tokens.
func (v *View) Agents(environment string) *Map[registry.AgentFacts] {
	if m := v.agents[environment]; m != nil {
		return m
	}
	return &Map[registry.AgentFacts]{}
}

// Agent returns the agent that ref, a name or an id, stands for.
func (v *View) Agent(ref string) (registry.AgentFacts, bool) {
	id := ref
	if !registry.IsUUID(ref) {
		var ok bool
		if id, ok = v.byName.Get(ref); !ok {
			return registry.AgentFacts{}, false
		}
	}
	key, ok := v.byID.Get(id)
	if !ok {
		return registry.AgentFacts{}, false
	}
	return v.Agents(key.environment).Get(key.subject)
}

// Resources are all resources by name.
func (v *View) Resources() *Map[registry.ResourceFacts] { return v.resources }

// IsAgentClient reports whether the client is or ever was an agent's, of which
// the feed told or the load did: that of an agent that policy has yet to see
// shows with its publication. The store knows all of them.
func (v *View) IsAgentClient(clientID string) bool {
	_, ok := v.clients.Get(clientID)
	return ok
}

// Apply returns the view after the changes, which must follow the view's
// revision without a gap.
func (v *View) Apply(changes []registry.Change) (*View, error) {
	at := v.head
	for _, c := range changes {
		if c.Epoch != at.Epoch || c.Revision != at.Revision+1 {
			return nil, doesNotFollow(c.Head, at)
		}
		at = c.Head
	}
	return v.after(changes, at), nil
}

// ApplyScoped returns the view of one scope after the changes, which must be all
// those of the scope from the view's revision on to upTo: between them are the
// revisions that changed other scopes. More of them may follow; the view is then at
// the last.
func (v *View) ApplyScoped(changes []registry.Change, upTo registry.Head) (*View, error) {
	at := v.head
	for _, c := range changes {
		if c.Epoch != at.Epoch || c.Revision <= at.Revision {
			return nil, doesNotFollow(c.Head, at)
		}
		at = c.Head
	}
	if upTo.Epoch != v.head.Epoch || upTo.Revision < v.head.Revision {
		return nil, doesNotFollow(upTo, v.head)
	}
	at.Revision = max(at.Revision, upTo.Revision)
	return v.after(changes, at), nil
}

func doesNotFollow(h, at registry.Head) error {
	return fmt.Errorf("change %s.%d does not follow %s.%d", h.Epoch, h.Revision, at.Epoch, at.Revision)
}

// after is the view after the changes, at head.
func (v *View) after(changes []registry.Change, head registry.Head) *View {
	next := *v
	next.head = head
	next.touched, next.environments, next.agents = maps.Clone(v.touched), maps.Clone(v.environments), maps.Clone(v.agents)
	for _, c := range changes {
		if key, ok := next.byID.Get(c.ObjectID); ok && c.Kind == registry.AgentChange {
			c.OldSubject = key.subject
		}
		next.apply(c)
		next.touch(c)
	}
	return &next
}

func (v *View) apply(c registry.Change) {
	switch c.Kind {
	case registry.AgentChange:
		v.removeAgent(c.ObjectID)
		if c.Agent != nil {
			v.addAgent(*c.Agent)
		}
	case registry.ResourceChange:
		if c.Resource == nil {
			v.resources = v.resources.Without(c.ObjectID)
		} else {
			v.resources = v.resources.With(c.ObjectID, *c.Resource)
		}
	case registry.EnvironmentChange:
		if c.Environment == nil {
			delete(v.environments, c.ObjectID)
		} else {
			v.environments[c.ObjectID] = *c.Environment
		}
	case registry.PolicyChange:
		if c.Policy != nil {
			v.policy = *c.Policy
		}
	case registry.LayerChange:
		v.layers = v.layers.with(c.ObjectID, c.Layer)
	}
}

func (v *View) removeAgent(id string) {
	key, ok := v.byID.Get(id)
	if !ok {
		return
	}
	old, _ := v.agents[key.environment].Get(key.subject)
	v.agents[key.environment] = v.agents[key.environment].Without(key.subject)
	v.byID = v.byID.Without(id)
	v.byName = v.byName.Without(old.Name) // nobody else has it yet: a name is unique among the living
}

func (v *View) addAgent(a registry.AgentFacts) {
	v.agents[a.Environment] = v.Agents(a.Environment).With(a.Subject, a)
	v.byID = v.byID.With(a.ID, agentKey{a.Environment, a.Subject})
	v.byName = v.byName.With(a.Name, a.ID)
	if client, ok := registry.ClientOf(a.Subject); ok {
		v.clients = v.clients.With(client, struct{}{})
	}
}

// touch notes which bundles the change touches, as the registry does.
func (v *View) touch(c registry.Change) {
	if c.Kind == registry.EnvironmentChange && c.NewScope == "" {
		maps.DeleteFunc(v.touched, func(p registry.ScopePart, _ registry.Touch) bool { return p.Scope == c.ObjectID })
		return
	}
	touch := registry.Touch{Revision: c.Revision, At: c.At}
	for _, p := range c.Touches() {
		if p.Scope != registry.AllScopes {
			v.touched[p] = touch
			continue
		}
		for name := range v.environments {
			v.touched[registry.ScopePart{Scope: name, Part: p.Part}] = touch
		}
	}
}
