package registry

import (
	"encoding/json"
	"maps"
	"slices"
)

// Resource is what agents call. Its Name is unique across types, because a call's
// path has only the name.
type Resource struct {
	Name                string
	Type                ResourceType
	Team                string
	Description         string
	DataClassification  string // public, low, medium, high or restricted
	RequiredPermissions []string
	Access              Access
	Deployments         map[string]Deployment // by environment
	Operations          []Operation
	Labels              map[string]string
	Meta
}

// Tag identifies one state of the resource among all it had or will have.
func (r Resource) Tag() string { return r.tag(r.Name) }

// Environments are the names of the environments that the resource is deployed
// in, sorted.
func (r Resource) Environments() []string { return slices.Sorted(maps.Keys(r.Deployments)) }

// ResourceType is the kind of a resource.
type ResourceType string

// The types of resources.
const (
	Skill      ResourceType = "skill"
	Tool       ResourceType = "tool"
	DataSource ResourceType = "data_source"
	DataSink   ResourceType = "data_sink"
	Service    ResourceType = "service"
)

// Access is whom a resource's owner admits. Nothing on a caller's side widens it.
type Access struct {
	Visibility string // team or organization
	Teams      []string
	AgentTypes []string
}

// The visibilities.
const (
	VisibleToTeam         = "team"
	VisibleToOrganization = "organization"
)

// Deployment is a resource in one environment.
type Deployment struct {
	Endpoint string // URL
}

// Operation is one thing that a resource does. Input and Output are JSON Schemas
// that are checked for shape and never run.
type Operation struct {
	Name   string
	Method string
	Path   string
	Input  json.RawMessage
	Output json.RawMessage
}

// Judgement is that a write of a resource may happen. The zero Judgement allows
// it whatever the rules are.
type Judgement struct {
	// At is a revision from before the environments and teams were read that it
	// was judged by; 0 when there were none.
	At int64
	// Of judges the resource that is there when the write happens; nil allows
	// any. It is not asked when there is none.
	Of func(Resource) error
}

// ResourceFilter selects resources. A zero field does not restrict.
type ResourceFilter struct {
	Type        ResourceType
	Team        string
	Environment string
	Operation   string // name of an operation
	Q           string // text in name or description
	After       string // the last name of the page before
	Limit       int
}
