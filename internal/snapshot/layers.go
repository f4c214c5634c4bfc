package snapshot

import (
	"maps"
	"slices"
	"strings"

	"github.com/credenceproject/credence/internal/registry"
)

// layers are the registry's layers. They never change: a changed layer makes
// another layers, which shares what it can with the one before.
type layers struct {
	global  []registry.LayerFacts                       // by id
	wide    map[registry.Tier]*Map[registry.LayerFacts] // team and agent_type, by id
	agents  map[string]*Map[registry.LayerFacts]        // those of agents, by environment and id
	ofAgent *Map[string]                                // the environment of the layer of the agent with the id
	custom  map[registry.LayerKey]registry.LayerFacts   // those with a module of their own
}

func newLayers(all []registry.LayerFacts) *layers {
	l := &layers{
		wide: map[registry.Tier]*Map[registry.LayerFacts]{}, agents: map[string]*Map[registry.LayerFacts]{},
		custom: map[registry.LayerKey]registry.LayerFacts{},
	}
	of := map[registry.Tier][]registry.LayerFacts{}
	inEnvironment := map[string][]registry.LayerFacts{}
	for _, f := range all {
		of[f.Tier] = append(of[f.Tier], f)
		if f.Tier == registry.TierAgent {
			inEnvironment[f.Environment] = append(inEnvironment[f.Environment], f)
		}
		if f.Rego != "" {
			l.custom[f.LayerKey] = f
		}
	}
	l.global = slices.SortedFunc(slices.Values(of[registry.TierGlobal]), func(a, b registry.LayerFacts) int { return strings.Compare(a.ID, b.ID) })
	for _, tier := range []registry.Tier{registry.TierTeam, registry.TierAgentType} {
		l.wide[tier] = layersByID(of[tier])
	}
	for environment, layers := range inEnvironment {
		l.agents[environment] = layersByID(layers)
	}
	l.ofAgent = build(keyed(of[registry.TierAgent], func(f registry.LayerFacts) (string, string) { return f.ID, f.Environment }))
	return l
}

func layersByID(all []registry.LayerFacts) *Map[registry.LayerFacts] {
	return build(keyed(all, func(f registry.LayerFacts) (string, registry.LayerFacts) { return f.ID, f }))
}

// with returns the layers in which the one of that name, tier/id, is facts, or is
// not there where facts is nil.
func (l *layers) with(name string, facts *registry.LayerFacts) *layers {
	tier, id, _ := strings.Cut(name, "/")
	key := registry.LayerKey{Tier: registry.Tier(tier), ID: id}
	next := *l
	next.without(key)
	if facts != nil {
		next.add(*facts)
	}
	return &next
}

// without and add are for with: they replace what they change.
func (l *layers) without(key registry.LayerKey) {
	if _, ok := l.custom[key]; ok {
		l.custom = maps.Clone(l.custom)
		delete(l.custom, key)
	}
	switch key.Tier {
	case registry.TierGlobal:
		l.global = slices.DeleteFunc(slices.Clone(l.global), func(f registry.LayerFacts) bool { return f.ID == key.ID })
	case registry.TierAgent:
		if environment, ok := l.ofAgent.Get(key.ID); ok {
			l.agents = maps.Clone(l.agents)
			l.agents[environment] = l.agents[environment].Without(key.ID)
			l.ofAgent = l.ofAgent.Without(key.ID)
		}
	default:
		if of := l.wide[key.Tier]; of != nil {
			l.wide = maps.Clone(l.wide)
			l.wide[key.Tier] = of.Without(key.ID)
		}
	}
}

func (l *layers) add(f registry.LayerFacts) {
	if f.Rego != "" {
		l.custom = maps.Clone(l.custom)
		l.custom[f.LayerKey] = f
	}
	switch f.Tier {
	case registry.TierGlobal:
		at, _ := slices.BinarySearchFunc(l.global, f.ID, func(have registry.LayerFacts, id string) int { return strings.Compare(have.ID, id) })
		l.global = slices.Insert(slices.Clone(l.global), at, f)
	case registry.TierAgent:
		of := l.agents[f.Environment]
		if of == nil {
			of = &Map[registry.LayerFacts]{}
		}
		l.agents = maps.Clone(l.agents)
		l.agents[f.Environment] = of.With(f.ID, f)
		l.ofAgent = l.ofAgent.With(f.ID, f.Environment)
	default:
		if of := l.wide[f.Tier]; of != nil {
			l.wide = maps.Clone(l.wide)
			l.wide[f.Tier] = of.With(f.ID, f)
		}
	}
}

// GlobalLayers are the layers of the tier global, by id. The caller does not
// change them.
func (v *View) GlobalLayers() []registry.LayerFacts { return v.layers.global }

// Layers are those of the tiers team and agent_type by id.
func (v *View) Layers(tier registry.Tier) *Map[registry.LayerFacts] {
	if of := v.layers.wide[tier]; of != nil {
		return of
	}
	return &Map[registry.LayerFacts]{}
}

// AgentLayers are the layers of an environment's agents, by the agent's id.
func (v *View) AgentLayers(environment string) *Map[registry.LayerFacts] {
	if of := v.layers.agents[environment]; of != nil {
		return of
	}
	return &Map[registry.LayerFacts]{}
}

// Layer returns the layer of that name.
func (v *View) Layer(key registry.LayerKey) (registry.LayerFacts, bool) {
	switch key.Tier {
	case registry.TierGlobal:
		at, ok := slices.BinarySearchFunc(v.layers.global, key.ID, func(have registry.LayerFacts, id string) int { return strings.Compare(have.ID, id) })
		if !ok {
			return registry.LayerFacts{}, false
		}
		return v.layers.global[at], true
	case registry.TierAgent:
		environment, ok := v.layers.ofAgent.Get(key.ID)
		if !ok {
			return registry.LayerFacts{}, false
		}
		return v.AgentLayers(environment).Get(key.ID)
	default:
		return v.Layers(key.Tier).Get(key.ID)
	}
}

// CustomLayers are the layers with a module of their own, of all scopes. Two views
// between which none of them changed have the same map. The caller does not change
// it.
func (v *View) CustomLayers() map[registry.LayerKey]registry.LayerFacts { return v.layers.custom }
