package schema

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// Registration is what a caller asks for an agent. Lists, labels and config that
// were not sent are empty, not nil, but for Scopes. Times are in UTC, to the
// microsecond; zero when they were not sent.
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

	ExpiresAt           time.Time
	CredentialsExpireAt time.Time
	Authentication      registry.AuthMethod
	Keys                json.RawMessage // a JWK Set as package keyset writes it; with PrivateKeyJWT only
	AdoptClientID       string          // "": none
}

// World is what a registration is judged by beside its own schema.
type World struct {
	// TypeSchema returns the schema of an agent type, nil when the type allows any
	// config, and whether there is such a type. It is called once at most, and only
	// with a valid name; EnvironmentExists too.
	TypeSchema        func(agentType string) (json.RawMessage, bool)
	EnvironmentExists func(name string) bool
	Now               time.Time // what expires does so later
}

type registrationDocument struct {
	Name                string               `json:"name"`
	Team                string               `json:"team"`
	AgentType           string               `json:"agent_type"`
	Environment         string               `json:"environment"`
	Owner               string               `json:"owner"`
	Description         string               `json:"description"`
	Scopes              *[]string            `json:"scopes"`
	Capabilities        []capabilityDocument `json:"capabilities"`
	Labels              map[string]string    `json:"labels"`
	Config              json.RawMessage      `json:"config"`
	Quota               quotaDocument        `json:"quota"`
	ExpiresAt           time.Time            `json:"expires_at"`
	CredentialsExpireAt time.Time            `json:"credentials_expire_at"`
	Authentication      registry.AuthMethod  `json:"authentication"`
	Adopt               struct {
		ClientID string `json:"client_id"`
	} `json:"adopt"`
}

// expiries are the fields of a registration that say when something ends.
var expiries = []string{"expires_at", "credentials_expire_at"}

// Registration checks and decodes the registration of an agent. The config, {}
// when it was not sent, is checked by the schema of the agent type in the same go.
//
// It returns Invalid (invalid_registration) with every fault, the config's
// under /config, and an error without a kind when the type's schema, which was
// accepted once, is not usable any more.
func (v *Validator) Registration(data []byte, w World) (Registration, error) {
	return v.registration(data, w, expiries)
}

// registration is Registration where only the named expiries must lie ahead.
func (v *Validator) registration(data []byte, w World, ahead []string) (Registration, error) {
	d, err := v.read(agentRegistration, data)
	if err != nil {
		return Registration{}, err
	}
	if name, ok := d.fields["environment"].(string); ok && registry.ValidName(name) && !w.EnvironmentExists(name) {
		d.faults.add("/environment", "unknown_environment", "there is no such environment")
	}
	if err := v.checkConfig(d, w.TypeSchema); err != nil {
		return Registration{}, err
	}
	d.checkCapabilities("capabilities")
	d.checkTimes(expiries, ahead, w.Now)
	d.checkAuthentication()
	var sent registrationDocument
	if err := d.finish("invalid_registration", "registration", &sent); err != nil {
		return Registration{}, err
	}
	return sent.registration(d.keys)
}

func (r registrationDocument) registration(keys json.RawMessage) (Registration, error) {
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
		Name:                r.Name,
		Team:                r.Team,
		AgentType:           r.AgentType,
		Environment:         r.Environment,
		Owner:               r.Owner,
		Description:         r.Description,
		Scopes:              r.Scopes,
		Capabilities:        capabilities,
		Labels:              r.Labels,
		Config:              config.Bytes(),
		Quota:               r.Quota.quota(),
		ExpiresAt:           instant(r.ExpiresAt),
		CredentialsExpireAt: instant(r.CredentialsExpireAt),
		Authentication:      cmp.Or(r.Authentication, registry.ClientSecretPost),
		Keys:                keys,
		AdoptClientID:       r.Adopt.ClientID,
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
