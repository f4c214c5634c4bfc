package schema

import (
	"encoding/json"

	"github.com/credenceproject/credence/internal/endpoint"
	"github.com/credenceproject/credence/internal/registry"
)

// MaxResourceBytes is the most that a resource's document may have: every listing
// carries it whole.
const MaxResourceBytes = 64 << 10

// defaultClassification is that of data of which nobody said how sensitive it is:
// a rule about sensitive data must not miss it.
const defaultClassification = "restricted"

type resourceDocument struct {
	Type                string                        `json:"type"`
	Team                string                        `json:"team"`
	Description         string                        `json:"description"`
	DataClassification  string                        `json:"data_classification"`
	RequiredPermissions []string                      `json:"required_permissions"`
	Access              accessDocument                `json:"access"`
	Deployments         map[string]deploymentDocument `json:"deployments"`
	Operations          []operationDocument           `json:"operations"`
	Labels              map[string]string             `json:"labels"`
}

type accessDocument struct {
	Visibility string   `json:"visibility"`
	Teams      []string `json:"teams"`
	AgentTypes []string `json:"agent_types"`
}

type deploymentDocument struct {
	Endpoint string `json:"endpoint"`
}

type operationDocument struct {
	Name   string          `json:"name"`
	Method string          `json:"method"`
	Path   string          `json:"path"`
	Input  json.RawMessage `json:"input"`
	Output json.RawMessage `json:"output"`
}

// Resource checks and decodes the document of the resource called name, and fills
// in defaults: the data is restricted, and the owner's team alone is admitted.
// Endpoints are checked for their shape (endpoint.Parse); whether an environment
// allows them is not asked here. Lists and maps that were not sent are empty, not
// nil.
//
// It returns Invalid (invalid_resource) with every fault.
func (v *Validator) Resource(name string, data []byte) (registry.Resource, error) {
	if len(data) > MaxResourceBytes {
		var f faults
		f.add("", "too_large", "must be at most %d bytes", MaxResourceBytes)
		return registry.Resource{}, invalid("invalid_resource", "resource", f)
	}
	d, err := v.read(resource, data)
	if err != nil {
		return registry.Resource{}, err
	}
	d.checkName(name)
	d.checkEndpoints()
	d.checkCapabilities("operations")
	sent := resourceDocument{DataClassification: defaultClassification, Access: accessDocument{Visibility: registry.VisibleToTeam}}
	if err := d.finish("invalid_resource", "resource", &sent); err != nil {
		return registry.Resource{}, err
	}
	return sent.resource(name), nil
}

func (d *document) checkEndpoints() {
	deployments, _ := d.fields["deployments"].(map[string]any)
	for environment, deployment := range deployments {
		fields, _ := deployment.(map[string]any)
		text, ok := fields["endpoint"].(string)
		if !ok || text == "" {
			continue // a fault already
		}
		if _, err := endpoint.Parse(text); err != nil {
			d.faults.add("/deployments/"+escapeToken(environment)+"/endpoint", "invalid_endpoint", "%s", err.Error())
		}
	}
}

func (r resourceDocument) resource(name string) registry.Resource {
	deployments := make(map[string]registry.Deployment, len(r.Deployments))
	for environment, d := range r.Deployments {
		deployments[environment] = registry.Deployment(d)
	}
	operations := make([]registry.Operation, len(r.Operations))
	for i, o := range r.Operations {
		operations[i] = registry.Operation(o)
	}
	if r.Labels == nil {
		r.Labels = map[string]string{}
	}
	return registry.Resource{
		Name:                name,
		Type:                registry.ResourceType(r.Type),
		Team:                r.Team,
		Description:         r.Description,
		DataClassification:  r.DataClassification,
		RequiredPermissions: orEmpty(r.RequiredPermissions),
		Access: registry.Access{
			Visibility: r.Access.Visibility, Teams: orEmpty(r.Access.Teams), AgentTypes: orEmpty(r.Access.AgentTypes),
		},
		Deployments: deployments,
		Operations:  operations,
		Labels:      r.Labels,
	}
}
