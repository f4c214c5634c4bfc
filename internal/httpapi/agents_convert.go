package httpapi

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/registry"
)

func agentToAPI(a registry.Agent) api.Agent {
	out := api.Agent{
		ID: a.ID, Name: a.Name, Team: a.Team, AgentType: a.AgentType, Environment: a.Environment,
		Owner: a.Owner, Description: a.Description, Scopes: notNil(a.Scopes), Capabilities: make([]api.Capability, len(a.Capabilities)),
		Labels: a.Labels, Config: a.Config, Quota: quotaToAPI(a.Quota),
		Lifecycle: api.AgentLifecycle(a.Lifecycle), Suspended: a.Suspended, Revision: a.Revision, CredentialGeneration: a.CredentialGeneration,
		Identity:  api.AgentIdentity{Provider: api.Auth0},
		Secrets:   api.AgentSecrets{Provider: api.Vault, Entity: registry.EntityName(a.ID)},
		CreatedAt: a.CreatedAt.UTC(), UpdatedAt: a.UpdatedAt.UTC(), CreatedBy: a.CreatedBy,
	}
	if out.Labels == nil {
		out.Labels = map[string]string{}
	}
	for i, c := range a.Capabilities {
		out.Capabilities[i] = api.Capability{Name: c.Name, Description: optional(c.Description), Input: optionalJSON(c.Input), Output: optionalJSON(c.Output)}
	}
	if a.ClientID != "" {
		out.Identity.ClientID, out.Identity.Subject = optional(a.ClientID), optional(a.Subject())
	}
	if !a.DecommissionedAt.IsZero() {
		at := a.DecommissionedAt.UTC()
		out.DecommissionedAt = &at
	}
	for _, c := range registry.ConditionsOf(a.Steps) {
		out.Conditions = append(out.Conditions, api.Condition{
			Type: api.ConditionType(c.Type), Status: api.ConditionStatus(c.Status), Reason: c.Reason, Message: c.Message,
			LastTransitionTime: c.LastTransitionTime.UTC(),
		})
	}
	for _, s := range a.Steps {
		out.Provisioning = append(out.Provisioning, api.ProvisioningStep{
			Step: api.ProvisioningStepStep(s.Name), State: api.ProvisioningStepState(s.State), LastError: optional(s.LastError), At: s.At.UTC(),
		})
	}
	return out
}

func (s *Server) registeredToAPI(r agents.Registered) api.RegisteredAgent {
	paths := s.handout.SecretPaths(r.Agent)
	out := api.RegisteredAgent{
		Agent: agentToAPI(r.Agent),
		Credentials: api.AgentCredentials{
			ClientID: r.Credentials.ClientID, ClientSecret: r.Credentials.ClientSecret,
			TokenEndpoint: s.handout.TokenEndpoint, Audience: s.handout.Audience,
		},
		Vault: api.AgentVault{Address: s.handout.VaultAddress, AuthPath: s.handout.VaultAuthPath, Role: s.handout.VaultRole},
		Next: []string{
			fmt.Sprintf("read -rs CREDENCE_CLIENT_SECRET && export CREDENCE_CLIENT_SECRET && TOKEN=$(credence token --token-endpoint %s --client-id %s --audience %s)",
				s.handout.TokenEndpoint, r.Credentials.ClientID, s.handout.Audience),
			fmt.Sprintf(`curl -s %s/v1/%s -d "{\"role\": \"%s\", \"jwt\": \"$TOKEN\"}"`, s.handout.VaultAddress, s.handout.VaultAuthPath, s.handout.VaultRole),
		},
	}
	out.Vault.SecretPaths.Own, out.Vault.SecretPaths.Team, out.Vault.SecretPaths.Common = paths.Own, paths.Team, paths.Common
	return out
}

func quotaToAPI(q registry.Quota) api.Quota {
	return api.Quota{RequestsPerSecond: q.RequestsPerSecond, RequestsPerDay: q.RequestsPerDay}
}

// notNil makes an absent list an empty one: the wire has no null lists.
func notNil(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func optionalJSON(doc json.RawMessage) *json.RawMessage {
	if doc == nil {
		return nil
	}
	return &doc
}

// times are the dates of an admin's document.
func times(m registry.Meta) (created, updated time.Time) { return m.CreatedAt.UTC(), m.UpdatedAt.UTC() }
