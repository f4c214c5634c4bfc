package auth0

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"

	"github.com/auth0/go-auth0/management"

	"github.com/credenceproject/credence/internal/registry"
)

// The kinds of object in a Drift of the tenant itself.
const (
	kindServer = "resource_server"
	kindAction = "action"
)

// How a Drift says that an object is there or is not.
const (
	present = "present"
	absent  = "absent"
)

// InspectTenant compares with what Setup made: the resource server of the agents'
// audience, without whose settings tokens carry no permissions, and the Action
// that writes claims into them, which must be there, deployed with our code, and
// bound. It writes nothing: each Drift is for an operator, who runs `credence
// setup auth0`. Scopes and token lifetime are the operator's to choose.
//
// It waits where the rate limit is reached, as long as ctx lives.
func (c *Client) InspectTenant(ctx context.Context) ([]registry.Drift, error) {
	p := &preparer{config: SetupConfig{Config: c.config}, client: c}
	drifts, err := p.inspectServer(ctx)
	if err != nil {
		return nil, err
	}
	more, err := p.inspectAction(ctx)
	if err != nil {
		return nil, err
	}
	return append(drifts, more...), nil
}

func (p *preparer) inspectServer(ctx context.Context) ([]registry.Drift, error) {
	server, err := p.findServer(ctx, p.config.Audience)
	if err != nil {
		return nil, err
	}
	d := tenantDrift{kind: kindServer, id: p.config.Audience}
	if server == nil {
		d.compare("", present, absent)
		return d.drifts, nil
	}
	d.compare("enforce_policies", "true", strconv.FormatBool(server.GetEnforcePolicies()))
	d.compare("token_dialect", tokenDialect, server.GetTokenDialect())
	d.compare("signing_alg", signingAlg, server.GetSigningAlgorithm())
	return d.drifts, nil
}

func (p *preparer) inspectAction(ctx context.Context) ([]registry.Drift, error) {
	code, err := claimsCode(p.config.Audience, p.config.managedBy())
	if err != nil {
		return nil, err
	}
	action, err := p.findAction(ctx)
	if err != nil {
		return nil, err
	}
	d := tenantDrift{kind: kindAction, id: p.actionName()}
	if action == nil {
		d.compare("", present, absent)
		return d.drifts, nil
	}
	d.compare("trigger", trigger, firstTrigger(action))
	d.compare("code", fingerprint(code), fingerprint(action.GetCode()))
	d.compare("deployed_code", fingerprint(code), fingerprint(action.GetDeployedVersion().GetCode()))
	bindings, err := p.bindings(ctx)
	if err != nil {
		return nil, err
	}
	bound := absent
	if slices.Contains(boundActions(bindings), action.GetID()) {
		bound = present
	}
	d.compare("binding", present, bound)
	return d.drifts, nil
}

// tenantDrift collects in which fields one object differs.
type tenantDrift struct {
	kind, id string
	drifts   []registry.Drift
}

func (d *tenantDrift) compare(field, expected, found string) {
	if expected == found {
		return
	}
	d.drifts = append(d.drifts, registry.Drift{
		Provider: provider, ObjectKind: d.kind, ObjectID: d.id,
		Field: field, Expected: expected, Found: found, Action: registry.DriftReported,
	})
}

func firstTrigger(a *management.Action) string {
	if len(a.SupportedTriggers) == 0 {
		return ""
	}
	return a.SupportedTriggers[0].GetID()
}

// fingerprint stands for a program in a report; "" is none.
func fingerprint(code string) string {
	if code == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(code))
	return "sha256:" + hex.EncodeToString(sum[:8])
}
