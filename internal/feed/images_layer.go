package feed

import "github.com/credenceproject/credence/internal/registry"

// layerImage is a layer. Its rules have no messages: those are for people.
type layerImage struct {
	Tier        registry.Tier `json:"tier"`
	ID          string        `json:"id"`
	Environment string        `json:"environment"` // of the agent whose layer it is, else ""
	Rules       []ruleImage   `json:"rules"`
	Rego        string        `json:"rego"`
	Previous    string        `json:"previous"`
	Required    bool          `json:"required"`
	Ceiling     *ceilingImage `json:"ceiling"`
	Revision    int64         `json:"revision"`
}

type ruleImage struct {
	Code   string           `json:"code"`
	Effect registry.Effect  `json:"effect"`
	When   *conditionsImage `json:"when"`
}

// conditionsImage are the conditions that are listed: a list of none is one that
// never holds, and none at all is no condition.
type conditionsImage struct {
	Resources          []string                `json:"resources,omitzero"`
	ResourceTypes      []registry.ResourceType `json:"resource_types,omitzero"`
	Methods            []string                `json:"methods,omitzero"`
	Environments       []string                `json:"environments,omitzero"`
	DataClassification []string                `json:"data_classification,omitzero"`
	Permissions        []string                `json:"permissions,omitzero"`
	AgentTypes         []string                `json:"agent_types,omitzero"`
	OutsideHours       *hoursImage             `json:"outside_hours,omitzero"`
}

type hoursImage struct {
	From     string   `json:"from"`
	To       string   `json:"to"`
	Days     []string `json:"days,omitzero"`
	Timezone string   `json:"timezone"`
}

type ceilingImage struct {
	Permissions        []string `json:"permissions"`         // null bounds nothing, an empty list grants nothing
	DataClassification []string `json:"data_classification"` // the same
}

func layerImageOf(l registry.LayerFacts) layerImage {
	i := layerImage{
		Tier: l.Tier, ID: l.ID, Environment: l.Environment, Rules: make([]ruleImage, len(l.Rules)), Rego: l.Rego, Previous: l.Previous,
		Required: l.Required, Ceiling: (*ceilingImage)(l.Ceiling), Revision: l.Revision,
	}
	for n, r := range l.Rules {
		w := r.When
		i.Rules[n] = ruleImage{Code: r.Code, Effect: r.Effect, When: &conditionsImage{
			Resources: w.Resources, ResourceTypes: w.ResourceTypes, Methods: w.Methods, Environments: w.Environments,
			DataClassification: w.DataClassification, Permissions: w.Permissions, AgentTypes: w.AgentTypes, OutsideHours: (*hoursImage)(w.OutsideHours),
		}}
	}
	return i
}

func (i layerImage) facts() registry.LayerFacts {
	l := registry.LayerFacts{
		LayerKey: i.key(), Environment: i.Environment, Rego: i.Rego, Previous: i.Previous,
		Required: i.Required, Ceiling: (*registry.Ceiling)(i.Ceiling), Revision: i.Revision,
	}
	for _, r := range i.Rules {
		w := r.When
		l.Rules = append(l.Rules, registry.Rule{Code: r.Code, Effect: r.Effect, When: registry.Conditions{
			Resources: w.Resources, ResourceTypes: w.ResourceTypes, Methods: w.Methods, Environments: w.Environments,
			DataClassification: w.DataClassification, Permissions: w.Permissions, AgentTypes: w.AgentTypes, OutsideHours: (*registry.Hours)(w.OutsideHours),
		}})
	}
	return l
}

func (i layerImage) key() registry.LayerKey { return registry.LayerKey{Tier: i.Tier, ID: i.ID} }
