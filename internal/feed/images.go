package feed

import (
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// The images are what objects look like on the wire. Each always has all of its
// fields: a reader that does not find one takes the answer for broken, since what
// is missing might be what denies.

type agentImage struct {
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Team        string            `json:"team"`
	AgentType   string            `json:"agent_type"`
	Environment string            `json:"environment"`
	Subject     string            `json:"subject"`
	Suspended   bool              `json:"suspended"`
	Scopes      []string          `json:"scopes"`
	ExpiresAt   *time.Time        `json:"expires_at"`  // null: never
	ValidAfter  *time.Time        `json:"valid_after"` // null: no token was revoked
	Labels      map[string]string `json:"labels"`
	Quota       quotaImage        `json:"quota"`
}

type quotaImage struct {
	RequestsPerSecond *int64 `json:"requests_per_second"`
	RequestsPerDay    *int64 `json:"requests_per_day"`
}

func agentImageOf(a registry.AgentFacts) agentImage {
	return agentImage{
		ID: a.ID, Name: a.Name, Team: a.Team, AgentType: a.AgentType, Environment: a.Environment, Subject: a.Subject, Suspended: a.Suspended,
		Scopes: list(a.Scopes), ExpiresAt: moment(a.ExpiresAt), ValidAfter: moment(a.ValidAfter), Labels: labels(a.Labels), Quota: quotaImage(a.Quota),
	}
}

func (i agentImage) facts() registry.AgentFacts {
	return registry.AgentFacts{
		ID: i.ID, Name: i.Name, Team: i.Team, AgentType: i.AgentType, Environment: i.Environment, Subject: i.Subject, Suspended: i.Suspended,
		Scopes: i.Scopes, ExpiresAt: timeOf(i.ExpiresAt), ValidAfter: timeOf(i.ValidAfter), Labels: i.Labels, Quota: registry.Quota(i.Quota),
	}
}

type resourceImage struct {
	Name                string                `json:"name"`
	Type                registry.ResourceType `json:"type"`
	Team                string                `json:"team"`
	DataClassification  string                `json:"data_classification"`
	RequiredPermissions []string              `json:"required_permissions"`
	Access              *accessImage          `json:"access"`
	Environments        []string              `json:"environments"`
	Labels              map[string]string     `json:"labels"`
	Revision            int64                 `json:"revision"`
}

type accessImage struct {
	Visibility string   `json:"visibility"`
	Teams      []string `json:"teams"`
	AgentTypes []string `json:"agent_types"`
}

func resourceImageOf(r registry.ResourceFacts) resourceImage {
	return resourceImage{
		Name: r.Name, Type: r.Type, Team: r.Team, DataClassification: r.DataClassification, RequiredPermissions: list(r.RequiredPermissions),
		Access:       &accessImage{Visibility: r.Access.Visibility, Teams: list(r.Access.Teams), AgentTypes: list(r.Access.AgentTypes)},
		Environments: list(r.Environments), Labels: labels(r.Labels), Revision: r.Revision,
	}
}

func (i resourceImage) facts() registry.ResourceFacts {
	return registry.ResourceFacts{
		Name: i.Name, Type: i.Type, Team: i.Team, DataClassification: i.DataClassification, RequiredPermissions: i.RequiredPermissions,
		Access: registry.Access(*i.Access), Environments: i.Environments, Labels: i.Labels, Revision: i.Revision,
	}
}

type environmentImage struct {
	Name         string `json:"name"`
	Grants       string `json:"grants"`
	MaxStaleness string `json:"max_staleness"`
}

func environmentImageOf(e registry.EnvironmentFacts) environmentImage {
	return environmentImage{Name: e.Name, Grants: e.Grants, MaxStaleness: e.MaxStaleness}
}

func (i environmentImage) facts() registry.EnvironmentFacts {
	return registry.EnvironmentFacts{Name: i.Name, Grants: i.Grants, MaxStaleness: i.MaxStaleness}
}

type policyImage struct {
	Hash     string            `json:"hash"`
	Version  int64             `json:"version"`
	Layout   int64             `json:"layout"`
	Modules  map[string]string `json:"modules"`
	Revision int64             `json:"revision"` // at which it was activated
}

func policyImageOf(p registry.PlatformPolicy) policyImage { return policyImage(p) }
func (i policyImage) facts() registry.PlatformPolicy      { return registry.PlatformPolicy(i) }

func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func labels(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
