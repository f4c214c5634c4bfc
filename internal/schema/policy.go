package schema

import (
	"strconv"

	"github.com/credenceproject/credence/internal/registry"
)

const (
	// MaxRegoBytes is the most that a policy's module may have, and its tests.
	MaxRegoBytes = 64 << 10
	// MaxRulesBytes is the most that a policy's rules may have, as they are sent:
	// every policy engine holds all that there are.
	MaxRulesBytes = 128 << 10
)

// ourCodes are reasons that the platform gives in a layer's name. A rule with one
// of them would say that it was something else that denied.
var ourCodes = map[string]bool{"above_ceiling": true, "invalid_code": true}

type policyDocument struct {
	Rules    []ruleDocument   `json:"rules"`
	Rego     string           `json:"rego"`
	Tests    string           `json:"tests"`
	Required bool             `json:"required"`
	Ceiling  *ceilingDocument `json:"ceiling"`
}

type ruleDocument struct {
	Code    string             `json:"code"`
	Effect  registry.Effect    `json:"effect"`
	Message string             `json:"message"`
	When    conditionsDocument `json:"when"`
}

type conditionsDocument struct {
	Resources          []string                `json:"resources"`
	ResourceTypes      []registry.ResourceType `json:"resource_types"`
	Methods            []string                `json:"methods"`
	Environments       []string                `json:"environments"`
	DataClassification []string                `json:"data_classification"`
	Permissions        []string                `json:"permissions"`
	AgentTypes         []string                `json:"agent_types"`
	OutsideHours       *hoursDocument          `json:"outside_hours"`
}

type hoursDocument struct {
	From     string   `json:"from"`
	To       string   `json:"to"`
	Days     []string `json:"days"`
	Timezone string   `json:"timezone"`
}

type ceilingDocument struct {
	Permissions        []string `json:"permissions"`
	DataClassification []string `json:"data_classification"`
}

// Policy checks and decodes the document of the policy called key. Its Rego is not
// looked into. A document without rules, Rego and ceiling is one that adds nothing.
// Rules are not nil.
//
// It returns Invalid (invalid_policy) with every fault.
func (v *Validator) Policy(key registry.LayerKey, data []byte) (registry.Policy, error) {
	d, err := v.read(policy, data)
	if err != nil {
		return registry.Policy{}, err
	}
	d.checkLayer(key)
	d.checkRules()
	d.checkRego()
	if _, sent := d.fields["ceiling"]; sent && key.Tier != registry.TierTeam && key.Tier != registry.TierAgentType {
		d.faults.add("/ceiling", "tier_without_ceiling", "is of the tiers team and agent_type alone")
	}
	var sent policyDocument
	if err := d.finish("invalid_policy", "policy", &sent); err != nil {
		return registry.Policy{}, err
	}
	return sent.policy(key), nil
}

// PolicyRollback checks and decodes the document that names the version to go back
// to. It returns Invalid (invalid_rollback) with every fault.
func (v *Validator) PolicyRollback(data []byte) (version int64, err error) {
	d, err := v.read(policyRollback, data)
	if err != nil {
		return 0, err
	}
	var sent struct {
		Version integer `json:"version"`
	}
	err = d.finish("invalid_rollback", "rollback", &sent)
	return int64(sent.Version), err
}

// checkLayer checks the tier and id under which a policy is put: they are part of
// the path, not of the document.
func (d *document) checkLayer(key registry.LayerKey) {
	switch {
	case key.Valid():
	case key.Tier == registry.TierAgent:
		d.faults.add("", "invalid_id", "the id in the path must be the agent's id, a UUID, as GET /agents/{name} shows it; names find new holders")
	default:
		d.faults.add("", "invalid_id",
			"the path must be /policies/{tier}/{id}: a tier of global, team, agent_type and agent, and a name of 1 to 63 lower-case letters, digits and inner hyphens, not a UUID")
	}
}

// checkRules checks what of the rules no schema can say: codes that are told apart,
// and hours that there are.
func (d *document) checkRules() {
	if len(d.raw["rules"]) > MaxRulesBytes {
		d.faults.add("/rules", "too_large", "must be at most %d bytes in all", MaxRulesBytes)
	}
	rules, _ := d.fields["rules"].([]any)
	seen := map[[2]string]bool{}
	for i, item := range rules {
		rule, _ := item.(map[string]any)
		pointer := "/rules/" + strconv.Itoa(i)
		code, _ := rule["code"].(string)
		effect, _ := rule["effect"].(string)
		if ourCodes[code] {
			d.faults.add(pointer+"/code", "reserved_code", "is what the platform itself says; choose another")
		}
		if name := [2]string{effect, code}; code != "" && seen[name] {
			d.faults.add(pointer+"/code", "duplicate", "another rule of this effect has this code")
		} else {
			seen[name] = true
		}
		when, _ := rule["when"].(map[string]any)
		hours, _ := when["outside_hours"].(map[string]any)
		d.checkHours(pointer+"/when/outside_hours", hours)
	}
}

func (d *document) checkRego() {
	rego, _ := d.fields["rego"].(string)
	tests, _ := d.fields["tests"].(string)
	if len(rego) > MaxRegoBytes {
		d.faults.add("/rego", "too_large", "must be at most %d bytes", MaxRegoBytes)
	}
	if len(tests) > MaxRegoBytes {
		d.faults.add("/tests", "too_large", "must be at most %d bytes", MaxRegoBytes)
	}
	if sent, ok := d.fields["rego"]; tests != "" && (!ok || sent == "") {
		d.faults.add("/tests", "nothing_to_test", "are tests of rego, and there is none")
	}
}

func (p policyDocument) policy(key registry.LayerKey) registry.Policy {
	rules := make([]registry.Rule, len(p.Rules))
	for i, r := range p.Rules {
		rules[i] = registry.Rule{Code: r.Code, Effect: r.Effect, Message: r.Message, When: r.When.conditions()}
	}
	return registry.Policy{
		LayerKey: key, Rules: rules, Rego: p.Rego, Tests: p.Tests, Required: p.Required, Ceiling: (*registry.Ceiling)(p.Ceiling),
	}
}

func (c conditionsDocument) conditions() registry.Conditions {
	return registry.Conditions{
		Resources: c.Resources, ResourceTypes: c.ResourceTypes, Methods: c.Methods, Environments: c.Environments,
		DataClassification: c.DataClassification, Permissions: c.Permissions, AgentTypes: c.AgentTypes,
		OutsideHours: (*registry.Hours)(c.OutsideHours),
	}
}
