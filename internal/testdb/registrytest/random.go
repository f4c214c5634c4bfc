package registrytest

import (
	"fmt"
	"maps"
	"slices"

	"github.com/credenceproject/credence/internal/registry"
)

// Draw chooses: it returns a number from 0 to n-1.
type Draw func(n int) int

// Change changes something at random.
func (m *Model) Change(draw Draw) registry.Change {
	switch kind := draw(13); {
	case len(m.environments) == 0 || kind == 0:
		return m.changeEnvironment(draw)
	case kind <= 4:
		return m.changeAgent(draw)
	case kind <= 7:
		return m.changeResource(draw)
	case kind == 8:
		return m.PutTeam("support")
	case kind <= 10:
		return m.changeLayer(draw)
	case kind == 11:
		return m.Beat(pick(draw, slices.Sorted(maps.Keys(m.environments))...))
	}
	return m.PutPolicy(Policy(int64(1 + draw(3))))
}

func (m *Model) changeEnvironment(draw Draw) registry.Change {
	name := pick(draw, "production", "staging", "test")
	if _, exists := m.environments[name]; exists && m.unused(name) && draw(2) == 0 {
		return m.DeleteEnvironment(name)
	}
	return m.PutEnvironment(registry.EnvironmentFacts{
		Name: name, Grants: pick(draw, "permissions", "explicit"), MaxStaleness: pick(draw, "0", "15m"), ReservedNames: some(draw, "billing", "admin"),
	})
}

func (m *Model) unused(environment string) bool {
	for _, a := range m.agents {
		if a.Environment == environment {
			return false
		}
	}
	for _, l := range m.layers {
		if l.Environment == environment {
			return false
		}
	}
	return true
}

// changeLayer changes a layer of any tier, with a module of its own now and then.
func (m *Model) changeLayer(draw Draw) registry.Change {
	key := registry.LayerKey{Tier: registry.Tiers[draw(len(registry.Tiers))], ID: pick(draw, "support", "sales")}
	environment := ""
	if key.Tier == registry.TierAgent {
		ids := slices.Sorted(maps.Keys(m.agents))
		if len(ids) == 0 {
			return m.changeAgent(draw)
		}
		key.ID = pick(draw, ids...)
		environment = m.agents[key.ID].Environment
	}
	if old, exists := m.layers[key.String()]; exists && (draw(3) == 0 || old.Environment != environment) {
		return m.DeleteLayer(key)
	}
	l := registry.LayerFacts{
		LayerKey: key, Environment: environment, Required: draw(4) == 0,
		Rules: []registry.Rule{{Code: pick(draw, "no_writes", "use_it"), Effect: registry.Deny, When: registry.Conditions{Methods: some(draw, "POST", "PUT")}}},
	}
	if draw(3) == 0 {
		l.Rego = LayerModule(key, pick(draw, "too_late", "too_early"))
	}
	if key.Tier == registry.TierTeam && draw(3) == 0 {
		l.Ceiling = &registry.Ceiling{Permissions: some(draw, "skills:invoke", "data:read")}
	}
	return m.PutLayer(l)
}

// LayerModule is a module of the layer that denies with the code what POSTs.
func LayerModule(key registry.LayerKey, code string) string {
	return fmt.Sprintf("package %s\n\nimport data.mcp.request\n\nmeta := {}\n\ndeny contains %q if request.method == \"POST\"\n", key.Package(), code)
}

func (m *Model) changeAgent(draw Draw) registry.Change {
	var old registry.AgentFacts
	if ids := slices.Sorted(maps.Keys(m.agents)); len(ids) > 0 && draw(3) > 0 {
		old = m.agents[pick(draw, ids...)]
		if draw(3) == 0 {
			return m.DeleteAgent(old.ID)
		}
	}
	return m.PutAgent(m.agent(draw, old))
}

// agent makes the next state of an agent, or a new one after the zero old.
// Names are used again as soon as they are free, and a client may be replaced.
func (m *Model) agent(draw Draw, old registry.AgentFacts) registry.AgentFacts {
	a := registry.AgentFacts{
		ID: old.ID, Name: old.Name, Subject: old.Subject,
		Team: pick(draw, "support", "sales"), AgentType: "assistant", Environment: pick(draw, slices.Sorted(maps.Keys(m.environments))...),
		Suspended: draw(4) == 0, Scopes: some(draw, "skills:invoke", "data:read"), Labels: labels(draw),
	}
	m.made++
	if a.ID == "" {
		a.ID = fmt.Sprintf("0197c000-0000-7000-8000-%012d", m.made)
	}
	if a.Subject == "" || draw(5) == 0 {
		a.Subject = registry.SubjectOf(fmt.Sprintf("client-%d", m.made))
	}
	for n := 0; a.Name == ""; n++ {
		if name := fmt.Sprintf("agent-%d", n); !m.living(name) {
			a.Name = name
		}
	}
	return a
}

func (m *Model) living(name string) bool {
	for _, a := range m.agents {
		if a.Name == name {
			return true
		}
	}
	return false
}

func labels(draw Draw) map[string]string {
	if draw(2) == 0 {
		return map[string]string{}
	}
	return map[string]string{"tier": pick(draw, "gold", "silver"), "region": "eu"}
}

func (m *Model) changeResource(draw Draw) registry.Change {
	name := fmt.Sprintf("resource-%d", draw(8))
	if _, exists := m.resources[name]; exists && draw(3) == 0 {
		return m.DeleteResource(name)
	}
	return m.PutResource(registry.ResourceFacts{
		Name: name, Type: registry.Skill, Team: pick(draw, "support", "sales"), DataClassification: pick(draw, "public", "high"),
		RequiredPermissions: some(draw, "skills:invoke", "data:read"), Environments: some(draw, slices.Sorted(maps.Keys(m.environments))...),
		Access: registry.Access{Visibility: pick(draw, registry.VisibleToTeam, registry.VisibleToOrganization), Teams: some(draw, "ops"), AgentTypes: []string{}},
		Labels: labels(draw),
	})
}

func pick(draw Draw, choices ...string) string { return choices[draw(len(choices))] }

// some returns a part of the choices, in their order; never nil.
func some(draw Draw, choices ...string) []string {
	part := []string{}
	for _, c := range choices {
		if draw(2) == 0 {
			part = append(part, c)
		}
	}
	return part
}
