package httpapi

import (
	"cmp"
	"encoding/json"
	"time"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/registry"
)

// expiryWarning is how long before an expiry an agent's conditions warn of it.
const expiryWarning = 7 * 24 * time.Hour

// agentToAPI is the agent as it is now.
func (s *Server) agentToAPI(a registry.Agent) api.Agent {
	out := api.Agent{
		ID: a.ID, Name: a.Name, Team: a.Team, AgentType: a.AgentType, Environment: a.Environment,
		Owner: a.Owner, Description: a.Description, Scopes: notNil(a.Scopes), Capabilities: make([]api.Capability, len(a.Capabilities)),
		Labels: labelsToAPI(a.Labels), Config: a.Config, Quota: quotaToAPI(a.Quota),
		Lifecycle: api.AgentLifecycle(a.Lifecycle), Suspended: a.Suspended, SuspendReason: optional(a.SuspendReason),
		ExpiresAt: optionalTime(a.ExpiresAt), CredentialsExpireAt: optionalTime(a.CredentialsExpireAt), TokensValidAfter: optionalTime(a.TokensValidAfter),
		Authentication: api.AgentAuthentication(cmp.Or(a.Authentication, registry.ClientSecretPost)), Jwks: optionalJSON(a.Keys),
		Revision: a.Revision, CredentialGeneration: a.CredentialGeneration,
		Generation: a.Convergence.Generation, ObservedGeneration: a.Convergence.Observed, Convergence: convergenceToAPI(a.Convergence),
		Identity:  api.AgentIdentity{Provider: api.Auth0},
		Secrets:   api.AgentSecrets{Provider: api.Vault, Entity: registry.EntityName(a.ID)},
		CreatedAt: a.CreatedAt.UTC(), UpdatedAt: a.UpdatedAt.UTC(), CreatedBy: a.CreatedBy, DecommissionedAt: optionalTime(a.DecommissionedAt),
	}
	for i, c := range a.Capabilities {
		out.Capabilities[i] = api.Capability{Name: c.Name, Description: optional(c.Description), Input: optionalJSON(c.Input), Output: optionalJSON(c.Output)}
	}
	if a.ClientID != "" {
		out.Identity.ClientID, out.Identity.Subject = optional(a.ClientID), optional(a.Subject())
	}
	for _, c := range a.Conditions(s.now(), expiryWarning) {
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

func convergenceToAPI(c registry.Convergence) api.Convergence {
	return api.Convergence{Attempts: c.Attempts, LastError: optional(c.LastError), NextAttemptAt: optionalTime(c.DueAt)}
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

func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func optionalJSON(doc json.RawMessage) *json.RawMessage {
	if doc == nil {
		return nil
	}
	return &doc
}

// times are the dates of an admin's document.
func times(m registry.Meta) (created, updated time.Time) { return m.CreatedAt.UTC(), m.UpdatedAt.UTC() }
