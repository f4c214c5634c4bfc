package vault

import (
	"context"
	"fmt"
	"maps"
	"net/http"

	"github.com/hashicorp/vault/api"

	"github.com/credenceproject/credence/internal/registry"
)

// managedBy marks the entities of this control plane.
const managedBy = "credence"

// entity is an identity in the store, as far as we care.
type entity struct {
	ID             string            `json:"id"`
	Name           string            `json:"name"`
	Metadata       map[string]string `json:"metadata"`
	Policies       []string          `json:"policies"`
	GroupIDs       []string          `json:"group_ids"`
	DirectGroupIDs []string          `json:"direct_group_ids"`
	Disabled       bool              `json:"disabled"`
	Aliases        []alias           `json:"aliases"`
}

// EnsureEntity makes the entity of a as it must be, and returns the store's id
// of it. It writes the metadata that the agents' policy is templated on, never
// policies; what else is there in the entity's metadata goes. It may be
// repeated.
//
// It refuses values that could widen a templated policy (registry.Refused)
// before it sends anything, and does not revive a disabled entity
// (registry.Conflict, code vault_entity_disabled): its old tokens would live
// again.
func (c *Client) EnsureEntity(ctx context.Context, a registry.Agent) (entityID string, err error) {
	if err := validAgent(a); err != nil {
		return "", err
	}
	want := metadata(a)
	found, err := c.readEntity(ctx, a.ID)
	if err != nil {
		return "", err
	}
	if found == nil || !found.Disabled && !maps.Equal(found.Metadata, want) {
		if found, err = c.writeEntity(ctx, a.ID, map[string]any{"metadata": want}); err != nil {
			return "", err
		}
	}
	switch {
	case found.Disabled:
		return "", registry.Conflict.Errorf(CodeEntityDisabled, "The agent's entity in the secret store is disabled.")
	case !maps.Equal(found.Metadata, want):
		return "", unavailable(fmt.Errorf("entity %s is not as it was written", found.Name))
	}
	return found.ID, nil
}

// DisableEntity shuts the agent out: its tokens stop working at once and it
// cannot log in any more, which deletion alone would allow it. It may be
// repeated; an entity that is not there is a success.
func (c *Client) DisableEntity(ctx context.Context, agentID string) error {
	if err := validAgentID(agentID); err != nil {
		return err
	}
	found, err := c.readEntity(ctx, agentID)
	if err != nil {
		return err
	}
	if found == nil || found.Disabled {
		return nil
	}
	found, err = c.writeEntity(ctx, agentID, map[string]any{"disabled": true})
	if err != nil {
		return err
	}
	if !found.Disabled {
		return unavailable(fmt.Errorf("entity %s is still enabled", found.Name))
	}
	return nil
}

// EnableEntity lets the agent in again: it may log in, and the tokens that it
// had when it was disabled live again. So only a fenced resume calls it, and one
// that is to revoke them deletes the entity instead. It may be repeated.
//
// It fails with registry.NotFound, code vault_entity_gone, when there is no
// entity.
func (c *Client) EnableEntity(ctx context.Context, agentID string) error {
	if err := validAgentID(agentID); err != nil {
		return err
	}
	found, err := c.readEntity(ctx, agentID)
	switch {
	case err != nil:
		return err
	case found == nil:
		return entityGone()
	case !found.Disabled:
		return nil
	}
	found, err = c.writeEntity(ctx, agentID, map[string]any{"disabled": false})
	if err != nil {
		return err
	}
	if found.Disabled {
		return unavailable(fmt.Errorf("entity %s is still disabled", found.Name))
	}
	return nil
}

// DeleteEntity removes the agent's entity and its aliases, and with them every
// token that it has: an entity made later under the same name revives none. It
// is for taking back a registration that nobody ever saw, for a transfer, for a
// resume that revokes tokens, and for a decommissioned agent.
//
// Deletion is no revocation: who holds a JWT that is still valid logs in again
// afterwards, to a bare entity that reads nothing. So a decommissioned agent is
// disabled first, and deleted when the last of its JWTs has expired. The secrets
// in its own folder stay: operators put them there, and they may be all that is
// left of them. No other agent ever reads them, as the folder hangs on the id.
//
// It may be repeated; an entity that is not there is a success.
func (c *Client) DeleteEntity(ctx context.Context, agentID string) error {
	if err := validAgentID(agentID); err != nil {
		return err
	}
	_, err := c.do(ctx, request{op: "delete_entity", method: http.MethodDelete, path: entityPath(agentID), repeat: true})
	if err != nil {
		return fmt.Errorf("delete entity: %w", err)
	}
	return nil
}

func entityGone() error {
	return registry.NotFound.Errorf(CodeEntityGone, "The agent has no entity in the secret store.")
}

// readEntity returns the agent's entity, or nil when there is none.
func (c *Client) readEntity(ctx context.Context, agentID string) (*entity, error) {
	secret, err := c.do(ctx, request{op: "read_entity", method: http.MethodGet, path: entityPath(agentID), repeat: true})
	if err != nil {
		return nil, fmt.Errorf("read entity: %w", err)
	}
	if secret == nil {
		return nil, nil
	}
	return decodeEntity(secret)
}

// writeEntity creates the agent's entity, or updates the given fields of it, and
// returns it as it is then: the store's answer to an update is empty.
func (c *Client) writeEntity(ctx context.Context, agentID string, fields map[string]any) (*entity, error) {
	_, err := c.do(ctx, request{op: "write_entity", method: http.MethodPut, path: entityPath(agentID), body: fields, repeat: true})
	if err != nil {
		return nil, fmt.Errorf("write entity: %w", err)
	}
	written, err := c.readEntity(ctx, agentID)
	if err == nil && written == nil {
		err = unavailable(fmt.Errorf("entity %s is gone after it was written", EntityName(agentID)))
	}
	return written, err
}

func decodeEntity(secret *api.Secret) (*entity, error) {
	var e entity
	if err := decode(secret.Data, &e); err != nil {
		return nil, err
	}
	if e.ID == "" {
		return nil, unavailable(fmt.Errorf("the answer holds no entity"))
	}
	return &e, nil
}

func entityPath(agentID string) string { return "identity/entity/name/" + EntityName(agentID) }

// metadata is what the store knows about a. Policies are templated on team and
// environment; the rest is for people and for operators' own policies.
func metadata(a registry.Agent) map[string]string {
	return map[string]string{
		"agent_id":    a.ID,
		"agent_name":  a.Name,
		"team":        a.Team,
		"agent_type":  a.AgentType,
		"environment": a.Environment,
		"managed_by":  managedBy,
	}
}
