package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/credenceproject/credence/internal/registry"
)

// Registration is what a caller asks for an agent. Lists, labels and config that
// were not sent are empty, not nil, but for Scopes.
type Registration struct {
	Name         string
	Team         string
	AgentType    string
	Environment  string
	Owner        string
	Description  string
	Scopes       *[]string // nil: the defaults of the agent type
	Capabilities []registry.Capability
	Labels       map[string]string
	Config       json.RawMessage // compact; an object
	Quota        registry.Quota
}

type registrationDocument struct {
	Name         string               `json:"name"`
	Team         string               `json:"team"`
	AgentType    string               `json:"agent_type"`
	Environment  string               `json:"environment"`
	Owner        string               `json:"owner"`
	Description  string               `json:"description"`
	Scopes       *[]string            `json:"scopes"`
	Capabilities []capabilityDocument `json:"capabilities"`
	Labels       map[string]string    `json:"labels"`
	Config       json.RawMessage      `json:"config"`
	Quota        quotaDocument        `json:"quota"`
}

// Registration checks and decodes the registration of an agent.
//
// typeSchema returns the schema of an agent type, nil when the type allows any
// config, and whether there is such a type; environmentExists whether there is
// such an environment. Each is called once at most, and only with a valid name.
// The config, {} when it was not sent, is checked against that schema in the same
// go.
//
// It returns Invalid (invalid_registration) with every fault, the config's
// under /config, and an error without a kind when the type's schema, which was
// accepted once, is not usable any more.
func (v *Validator) Registration(data []byte, typeSchema func(agentType string) (json.RawMessage, bool), environmentExists func(name string) bool) (Registration, error) {
	d, err := v.read(agentRegistration, data)
	if err != nil {
		return Registration{}, err
	}
	if name, ok := d.fields["environment"].(string); ok && registry.ValidName(name) && !environmentExists(name) {
		d.faults.add("/environment", "unknown_environment", "there is no such environment")
	}
	if err := v.checkConfig(d, typeSchema); err != nil {
		return Registration{}, err
	}
	d.checkCapabilities("capabilities")
	var sent registrationDocument
	if err := d.finish("invalid_registration", "registration", &sent); err != nil {
		return Registration{}, err
	}
	return sent.registration()
}

func (r registrationDocument) registration() (Registration, error) {
	var config bytes.Buffer
	if err := json.Compact(&config, orObject(r.Config)); err != nil {
		return Registration{}, fmt.Errorf("compact config: %w", err)
	}
	capabilities := make([]registry.Capability, len(r.Capabilities))
	for i, c := range r.Capabilities {
		capabilities[i] = c.capability()
	}
	if r.Labels == nil {
		r.Labels = map[string]string{}
	}
	return Registration{
		Name:         r.Name,
		Team:         r.Team,
		AgentType:    r.AgentType,
		Environment:  r.Environment,
		Owner:        r.Owner,
		Description:  r.Description,
		Scopes:       r.Scopes,
		Capabilities: capabilities,
		Labels:       r.Labels,
		Config:       config.Bytes(),
		Quota:        r.Quota.quota(),
	}, nil
}

// orObject is what was sent, or {}.
func orObject(sent json.RawMessage) json.RawMessage {
	if sent == nil {
		return json.RawMessage(`{}`)
	}
	return sent
}

// checkConfig checks the agent type and, by its schema, the config.
func (v *Validator) checkConfig(d *document, typeSchema func(string) (json.RawMessage, bool)) error {
	if len(d.raw["capabilities"]) > MaxCapabilitiesBytes {
		d.faults.add("/capabilities", "too_large", "must be at most %d bytes in all", MaxCapabilitiesBytes)
	}
	config := orObject(d.raw["config"])
	if len(config) > MaxConfigBytes {
		d.faults.add("/config", "too_large", "must be at most %d bytes", MaxConfigBytes)
	}
	name, ok := d.fields["agent_type"].(string)
	if !ok || !registry.ValidName(name) {
		return nil // a fault already
	}
	source, ok := typeSchema(name)
	if !ok {
		d.faults.add("/agent_type", "unknown_agent_type", "there is no such agent type")
		return nil
	}
	if source == nil || len(config) > MaxConfigBytes {
		return nil
	}
	schema, err := v.configs.compile(source)
	if err != nil {
		// Text, not %w: that the schema is Invalid is not the caller's fault.
		return fmt.Errorf("compile the schema of agent type %s: %s", name, err.Error())
	}
	value, err := decode(config)
	if err != nil {
		return fmt.Errorf("decode config: %w", err)
	}
	if _, ok := value.(map[string]any); !ok {
		return nil // a fault already
	}
	found, err := schema.check(value)
	if err != nil {
		return fmt.Errorf("validate config: %w", err)
	}
	d.faults.addBelow("/config", found)
	return nil
}

const (
	maxCapabilitySchema      = 16 << 10 // bytes
	maxCapabilitySchemaDepth = 32
)

// checkCapabilities checks that the capabilities, or operations, of a field are told
// apart by their names, and the shape of their schemas, which are never run
// (invariant E1).
func (d *document) checkCapabilities(field string) {
	var capabilities []json.RawMessage
	if json.Unmarshal(d.raw[field], &capabilities) != nil {
		return // a fault already, or not sent
	}
	seen := map[string]bool{}
	for i, raw := range capabilities {
		var c map[string]json.RawMessage
		if json.Unmarshal(raw, &c) != nil {
			continue
		}
		pointer := "/" + field + "/" + strconv.Itoa(i)
		var name string
		if json.Unmarshal(c["name"], &name) == nil {
			if seen[name] {
				d.faults.add(pointer+"/name", "duplicate", "another one has this name")
			}
			seen[name] = true
		}
		d.checkCapabilitySchema(pointer+"/input", c["input"])
		d.checkCapabilitySchema(pointer+"/output", c["output"])
	}
}

func (d *document) checkCapabilitySchema(pointer string, raw json.RawMessage) {
	if raw == nil {
		return
	}
	if len(raw) > maxCapabilitySchema {
		d.faults.add(pointer, "too_large", "must be at most %d bytes", maxCapabilitySchema)
		return
	}
	if c := raw[0]; c != '{' && c != 't' && c != 'f' {
		d.faults.add(pointer, "type", "must be a JSON Schema: an object or a boolean")
		return
	}
	if depth(raw) > maxCapabilitySchemaDepth {
		d.faults.add(pointer, "too_deep", "must be nested at most %d deep", maxCapabilitySchemaDepth)
	}
}

// depth returns how deep valid JSON is nested.
func depth(data []byte) int {
	deepest, open, inText := 0, 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inText && c == '\\':
			i++
		case c == '"':
			inText = !inText
		case inText:
		case c == '{' || c == '[':
			open++
			deepest = max(deepest, open)
		case c == '}' || c == ']':
			open--
		}
	}
	return deepest
}
