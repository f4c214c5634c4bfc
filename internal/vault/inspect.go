package vault

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"

	"github.com/credenceproject/credence/internal/registry"
)

// How a Drift of the whole store says that an object is as it is.
const (
	present    = "present"
	absent     = "absent"
	unreadable = "unreadable"
)

// maxFound bounds what a report quotes of the store, in bytes.
const maxFound = 256

// InspectEntity returns the agent's entity as the store has it. Of several
// aliases it tells of the one at the agents' mount; where there is none, of the
// one that is left at another mount, without its id.
//
// It fails with registry.NotFound, code vault_entity_gone, when there is no
// entity.
func (c *Client) InspectEntity(ctx context.Context, agentID string) (registry.ProviderEntity, error) {
	if err := validAgentID(agentID); err != nil {
		return registry.ProviderEntity{}, err
	}
	found, err := c.readEntity(ctx, agentID)
	if err != nil {
		return registry.ProviderEntity{}, err
	}
	if found == nil {
		return registry.ProviderEntity{}, entityGone()
	}
	p := registry.ProviderEntity{
		ID: found.ID, Metadata: found.Metadata, Policies: found.Policies, Disabled: found.Disabled,
	}
	for _, a := range found.Aliases {
		if c.atAgentsMount(a) {
			p.AliasID, p.AliasName, p.AliasAccessor, p.MountAccessor = a.ID, a.Name, a.MountAccessor, a.MountAccessor
			return p, nil
		}
		p.AliasName, p.AliasAccessor = a.Name, a.MountAccessor
	}
	// Nothing tells us what the mount is now; what we remember may be gone.
	c.accessor.forget(c.accessor.get())
	p.MountAccessor, err = c.mountAccessor(ctx)
	return p, err
}

// InspectStore compares what decides about all agents with what Setup writes:
// the policy that they have, whose tokens their mount takes, and the role that
// ties the two. All of it is an operator's, and is reported, never repaired.
// Field is what differs, or "" when the object is not there or may not be read:
// Found then says which.
func (c *Client) InspectStore(ctx context.Context) ([]registry.Drift, error) {
	s := c.config.setup()
	var drifts []registry.Drift
	for _, o := range []inspected{
		{"policy", s.AgentPolicy(), s.agentPolicyPath(), map[string]any{"policy": agentsPolicy(s.KVMount)}},
		{"mount", "auth/" + s.JWTMount, s.jwtConfigPath(), s.known(s.jwtConfig())},
		{"role", s.Role, s.agentRolePath(), s.known(s.agentRole())},
	} {
		more, err := c.inspect(ctx, o)
		if err != nil {
			return nil, err
		}
		drifts = append(drifts, more...)
	}
	return drifts, nil
}

// inspected is an object of the store that everybody's access hangs on.
type inspected struct {
	kind, id, path string
	want           map[string]any
}

func (c *Client) inspect(ctx context.Context, o inspected) ([]registry.Drift, error) {
	secret, err := c.do(ctx, request{op: "inspect_store", method: http.MethodGet, path: o.path, repeat: true})
	switch {
	case statusOf(err) == http.StatusForbidden:
		return []registry.Drift{o.drift("", present, unreadable)}, nil
	case err != nil:
		return nil, fmt.Errorf("inspect %s: %w", o.path, err)
	case secret == nil:
		return []registry.Drift{o.drift("", present, absent)}, nil
	}
	var drifts []registry.Drift
	for _, field := range differences(secret.Data, o.want) {
		drifts = append(drifts, o.drift(field, quote(o.want[field]), quote(secret.Data[field])))
	}
	return drifts, nil
}

func (o inspected) drift(field, expected, found string) registry.Drift {
	return registry.Drift{
		Provider: "vault", ObjectKind: o.kind, ObjectID: o.id,
		Field: field, Expected: expected, Found: found, Action: registry.DriftReported,
	}
}

// setup is the configuration with which Setup prepared the store, as far as we
// were told.
func (c Config) setup() SetupConfig {
	return SetupConfig{
		JWTMount: c.JWTMount, KVMount: c.KVMount, AppRoleMount: c.AppRoleMount, Role: c.Role, AppRole: c.Expected.AppRole,
		Issuer: c.Expected.Issuer, JWKSURL: c.Expected.JWKSURL, Audience: c.Expected.Audience,
		TokenTTL: c.Expected.TokenTTL, TokenMaxTTL: c.Expected.TokenMaxTTL,
	}.withDefaults()
}

// known returns want without the fields that hang on what c does not say.
func (c SetupConfig) known(want map[string]any) map[string]any {
	for field, said := range map[string]string{
		"bound_issuer": c.Issuer, "jwks_url": c.JWKSURL, "bound_audiences": c.Audience, "bound_claims": c.Audience,
	} {
		if said == "" {
			delete(want, field)
		}
	}
	return want
}

// quote shows a value in a report: text of many lines by a hash, the rest as
// JSON, cut where it is long.
func quote(v any) string {
	text, ok := v.(string)
	if !ok {
		text = compact(v)
	}
	if strings.Contains(text, "\n") {
		sum := sha256.Sum256([]byte(text))
		return "sha256:" + hex.EncodeToString(sum[:8])
	}
	if len(text) > maxFound {
		text = strings.ToValidUTF8(text[:maxFound], "") + "…"
	}
	return scrub(text, nil)
}
