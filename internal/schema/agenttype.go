package schema

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/credenceproject/credence/internal/registry"
)

type agentTypeDocument struct {
	Schema              json.RawMessage `json:"schema"`
	DefaultScopes       []string        `json:"default_scopes"`
	AllowedScopes       []string        `json:"allowed_scopes"`
	AllowedEnvironments []string        `json:"allowed_environments"`
	DefaultQuota        quotaDocument   `json:"default_quota"`
	MaxQuota            *quotaDocument  `json:"max_quota"`
}

// AgentType checks and decodes the document of the agent type called name, whose
// schema must be one that CompileUntrusted accepts. It returns Invalid
// (invalid_agent_type) with every fault, the schema's under /schema.
func (v *Validator) AgentType(name string, data []byte) (registry.AgentType, error) {
	d, err := v.read(agentType, data)
	if err != nil {
		return registry.AgentType{}, err
	}
	d.checkName(name)
	if err := v.checkTypeSchema(d); err != nil {
		return registry.AgentType{}, err
	}
	d.checkAllowedScopes()
	d.checkDefaultScopes()
	d.checkDefaultQuota()
	var sent agentTypeDocument
	if err := d.finish("invalid_agent_type", "agent type", &sent); err != nil {
		return registry.AgentType{}, err
	}
	t := registry.AgentType{
		Name:                name,
		Schema:              sent.Schema,
		DefaultScopes:       orEmpty(sent.DefaultScopes),
		AllowedScopes:       orEmpty(sent.AllowedScopes),
		AllowedEnvironments: orEmpty(sent.AllowedEnvironments),
		DefaultQuota:        sent.DefaultQuota.quota(),
	}
	if sent.MaxQuota != nil {
		most := sent.MaxQuota.quota()
		t.MaxQuota = &most
	}
	return t, nil
}

func (v *Validator) checkTypeSchema(d *document) error {
	if _, ok := d.fields["schema"].(map[string]any); !ok {
		return nil // a fault already, or not sent
	}
	_, err := v.configs.compile(d.raw["schema"])
	if err == nil {
		return nil
	}
	e, ok := registry.AsError(err)
	if !ok {
		return err
	}
	d.faults.addBelow("/schema", e.Fields)
	return nil
}

// checkDefaultScopes checks that the defaults are allowed (invariant A1).
// checkAllowedScopes refuses the control plane's own permissions: they are never
// an agent's (invariant A2), not even on another audience.
func (d *document) checkAllowedScopes() {
	for i, scope := range d.list("allowed_scopes") {
		own := slices.ContainsFunc(registry.Permissions, func(p registry.PermissionInfo) bool { return string(p.Name) == scope })
		if own || strings.HasPrefix(scope, string(registry.BundlesRead)+":") {
			d.faults.add("/allowed_scopes/"+strconv.Itoa(i), "reserved_scope", "is a permission of the control plane, which no agent can have")
		}
	}
}

func (d *document) checkDefaultScopes() {
	allowed := d.list("allowed_scopes")
	granted := make([]string, 0, len(allowed))
	for _, scope := range allowed {
		granted = append(granted, scope)
	}
	for i, scope := range d.list("default_scopes") {
		if !slices.Contains(granted, scope) {
			d.faults.add("/default_scopes/"+strconv.Itoa(i), "scope_not_allowed", "must be one of allowed_scopes")
		}
	}
}

// checkDefaultQuota checks that the default is within the most (invariant A1).
func (d *document) checkDefaultQuota() {
	usual, _ := d.fields["default_quota"].(map[string]any)
	most, _ := d.fields["max_quota"].(map[string]any)
	for field := range usual {
		u, ok := number(usual[field])
		m, limited := number(most[field])
		if ok && limited && u.Cmp(m) > 0 {
			d.faults.add("/default_quota/"+escapeToken(field), "quota_not_allowed", "must be at most that of max_quota")
		}
	}
}
