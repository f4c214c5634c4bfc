package postgres

import "github.com/credenceproject/credence/internal/registry"

// Rules and ceilings are kept under the names that the API gives them. A list that
// is not there is null or absent, which is another thing than an empty one: a
// condition on an empty list never holds, and an empty ceiling lets nothing through.

type ruleColumn struct {
	Code    string           `json:"code"`
	Effect  registry.Effect  `json:"effect"`
	Message string           `json:"message,omitempty"`
	When    conditionsColumn `json:"when,omitzero"`
}

type conditionsColumn struct {
	Resources          []string                `json:"resources,omitzero"`
	ResourceTypes      []registry.ResourceType `json:"resource_types,omitzero"`
	Methods            []string                `json:"methods,omitzero"`
	Environments       []string                `json:"environments,omitzero"`
	DataClassification []string                `json:"data_classification,omitzero"`
	Permissions        []string                `json:"permissions,omitzero"`
	AgentTypes         []string                `json:"agent_types,omitzero"`
	OutsideHours       *hoursColumn            `json:"outside_hours,omitzero"`
}

type hoursColumn struct {
	From     string   `json:"from"`
	To       string   `json:"to"`
	Days     []string `json:"days,omitzero"`
	Timezone string   `json:"timezone,omitempty"`
}

type ceilingColumn struct {
	Permissions        []string `json:"permissions"`
	DataClassification []string `json:"data_classification"`
}

// ruleColumns is never nil: no column of rules is null.
func ruleColumns(rules []registry.Rule) []ruleColumn {
	columns := make([]ruleColumn, 0, len(rules))
	for _, r := range rules {
		w := r.When
		columns = append(columns, ruleColumn{Code: r.Code, Effect: r.Effect, Message: r.Message, When: conditionsColumn{
			Resources: w.Resources, ResourceTypes: w.ResourceTypes, Methods: w.Methods, Environments: w.Environments,
			DataClassification: w.DataClassification, Permissions: w.Permissions, AgentTypes: w.AgentTypes,
			OutsideHours: (*hoursColumn)(w.OutsideHours),
		}})
	}
	return columns
}

func rulesOf(columns []ruleColumn) []registry.Rule {
	var rules []registry.Rule
	for _, c := range columns {
		w := c.When
		rules = append(rules, registry.Rule{Code: c.Code, Effect: c.Effect, Message: c.Message, When: registry.Conditions{
			Resources: w.Resources, ResourceTypes: w.ResourceTypes, Methods: w.Methods, Environments: w.Environments,
			DataClassification: w.DataClassification, Permissions: w.Permissions, AgentTypes: w.AgentTypes,
			OutsideHours: (*registry.Hours)(w.OutsideHours),
		}})
	}
	return rules
}

// layerImage is what policy may see of a layer: not its tests, nor who wrote it.
type layerImage struct {
	Tier        registry.Tier  `json:"tier"`
	ID          string         `json:"id"`
	Environment string         `json:"environment,omitempty"`
	Rules       []ruleColumn   `json:"rules"`
	Rego        string         `json:"rego,omitempty"`
	Previous    string         `json:"previous,omitempty"`
	Required    bool           `json:"required"`
	Ceiling     *ceilingColumn `json:"ceiling"`
	Revision    int64          `json:"revision"`
}

func layerImageOf(l layer) layerImage {
	return layerImage{
		Tier: l.Tier, ID: l.ID, Environment: l.environment, Rules: ruleColumns(l.Rules), Rego: l.Rego, Previous: l.previous,
		Required: l.Required, Ceiling: (*ceilingColumn)(l.Ceiling), Revision: l.Revision,
	}
}

func (i layerImage) facts() registry.LayerFacts {
	return registry.LayerFacts{
		LayerKey: registry.LayerKey{Tier: i.Tier, ID: i.ID}, Environment: i.Environment, Rules: rulesOf(i.Rules), Rego: i.Rego, Previous: i.Previous,
		Required: i.Required, Ceiling: (*registry.Ceiling)(i.Ceiling), Revision: i.Revision,
	}
}
