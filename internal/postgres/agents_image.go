package postgres

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// agentImage is what policy may see of an agent (invariant B7): no owner, no
// description, no config, no secret. It is what changes and agents.published hold,
// so what is loaded and what is followed are the same.
type agentImage struct {
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Team        string            `json:"team"`
	AgentType   string            `json:"agent_type"`
	Environment string            `json:"environment"`
	Subject     string            `json:"subject"`
	Suspended   bool              `json:"suspended"`
	Scopes      []string          `json:"scopes"`
	ExpiresAt   time.Time         `json:"expires_at,omitzero"`
	ValidAfter  time.Time         `json:"valid_after,omitzero"`
	Labels      map[string]string `json:"labels"`
	Quota       quotaColumn       `json:"quota"`
}

// imageOf returns nil for nil: policy sees nothing of the agent.
func imageOf(f *registry.AgentFacts) *agentImage {
	if f == nil {
		return nil
	}
	return &agentImage{
		ID: f.ID, Name: f.Name, Team: f.Team, AgentType: f.AgentType, Environment: f.Environment, Subject: f.Subject,
		Suspended: f.Suspended, Scopes: list(f.Scopes), ExpiresAt: asKept(f.ExpiresAt), ValidAfter: asKept(f.ValidAfter),
		Labels: labelsOf(f.Labels), Quota: quotaColumn(f.Quota),
	}
}

func (i agentImage) facts() registry.AgentFacts {
	return registry.AgentFacts{
		ID: i.ID, Name: i.Name, Team: i.Team, AgentType: i.AgentType, Environment: i.Environment, Subject: i.Subject,
		Suspended: i.Suspended, Scopes: i.Scopes, ExpiresAt: i.ExpiresAt, ValidAfter: i.ValidAfter,
		Labels: i.Labels, Quota: registry.Quota(i.Quota),
	}
}

// sameImage reports whether policy sees the same of an agent in both.
func sameImage(a, b *registry.AgentFacts) (bool, error) {
	x, err := json.Marshal(imageOf(a))
	if err != nil {
		return false, err
	}
	y, err := json.Marshal(imageOf(b))
	return bytes.Equal(x, y), err
}

// agentChange is the change of what policy sees of an agent.
func agentChange(agentID, environment string, before, after *registry.AgentFacts) change {
	c := change{kind: registry.AgentChange, id: agentID}
	if before != nil {
		c.oldScope, c.oldSubject = &environment, before.Subject
	}
	if after != nil {
		c.newScope, c.after = &environment, imageOf(after)
	}
	return c
}

func labelsOf(labels map[string]string) map[string]string {
	if labels == nil {
		return map[string]string{}
	}
	return labels
}

// agentShown is an agent in the audit log: what was asked for, under the names
// that the API gives it. How the providers follow is not in it.
type agentShown struct {
	ID                  string              `json:"id"`
	Name                string              `json:"name"`
	Team                string              `json:"team"`
	AgentType           string              `json:"agent_type"`
	Environment         string              `json:"environment"`
	Owner               string              `json:"owner"`
	Description         string              `json:"description"`
	Scopes              []string            `json:"scopes"`
	Capabilities        []capabilityColumn  `json:"capabilities"`
	Labels              map[string]string   `json:"labels"`
	Config              json.RawMessage     `json:"config,omitempty"`
	Quota               quotaColumn         `json:"quota"`
	Lifecycle           registry.Lifecycle  `json:"lifecycle"`
	Suspended           bool                `json:"suspended"`
	SuspendReason       string              `json:"suspend_reason,omitempty"`
	ExpiresAt           time.Time           `json:"expires_at,omitzero"`
	CredentialsExpireAt time.Time           `json:"credentials_expire_at,omitzero"`
	TokensValidAfter    time.Time           `json:"tokens_valid_after,omitzero"`
	Authentication      registry.AuthMethod `json:"authentication"`
	Keys                json.RawMessage     `json:"jwks,omitempty"`
}

// shown returns the agent as the audit log shows it.
func shown(a registry.Agent) (json.RawMessage, error) {
	text, err := json.Marshal(agentShown{
		ID: a.ID, Name: a.Name, Team: a.Team, AgentType: a.AgentType, Environment: a.Environment, Owner: a.Owner,
		Description: a.Description, Scopes: list(a.Scopes), Capabilities: capabilityColumns(a.Capabilities), Labels: labelsOf(a.Labels),
		Config: a.Config, Quota: quotaColumn(a.Quota), Lifecycle: a.Lifecycle, Suspended: a.Suspended, SuspendReason: a.SuspendReason,
		ExpiresAt: asKept(a.ExpiresAt), CredentialsExpireAt: asKept(a.CredentialsExpireAt), TokensValidAfter: asKept(a.TokensValidAfter),
		Authentication: a.Authentication, Keys: a.Keys,
	})
	if err != nil {
		return nil, fmt.Errorf("encode the agent: %w", err)
	}
	return text, nil
}

func capabilityColumns(capabilities []registry.Capability) []capabilityColumn {
	columns := make([]capabilityColumn, 0, len(capabilities))
	for _, c := range capabilities {
		columns = append(columns, capabilityColumn(c))
	}
	return columns
}
