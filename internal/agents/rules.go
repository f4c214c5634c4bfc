package agents

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/credenceproject/credence/internal/registry"
)

// rules reads the documents that the registration is held to. It returns
// Invalid when the agent type or the environment does not exist, naming both, and
// Conflict when the agent type is not the one whose schema accepted r: a stricter
// one may have taken its place (invariant A1).
func (s *Service) rules(ctx context.Context, r Registration) (registry.Rules, error) {
	var rules registry.Rules
	var unknown []registry.FieldError
	var err error

	if rules.AgentType, err = s.store.AgentType(ctx, r.AgentType); errors.Is(err, registry.NotFound) {
		unknown = append(unknown, registry.FieldError{Pointer: "/agent_type", Code: "unknown_agent_type", Detail: fmt.Sprintf("there is no agent type %q", r.AgentType)})
	} else if err != nil {
		return rules, err
	}
	if rules.Environment, err = s.store.Environment(ctx, r.Environment); errors.Is(err, registry.NotFound) {
		unknown = append(unknown, registry.FieldError{Pointer: "/environment", Code: "unknown_environment", Detail: fmt.Sprintf("there is no environment %q", r.Environment)})
	} else if err != nil {
		return rules, err
	}
	if len(unknown) > 0 {
		return rules, registry.Invalid.Errorf("invalid_registration", "the registration names what does not exist").With(unknown...)
	}
	if rules.AgentType.Revision != r.TypeRevision {
		return rules, registry.Conflict.Errorf("rules_changed", "an admin changed the agent type meanwhile; repeat the call")
	}
	if rules.Team, err = s.store.Team(ctx, r.Team); errors.Is(err, registry.NotFound) {
		rules.Team = registry.NewTeam(r.Team)
	} else if err != nil {
		return rules, err
	}
	rules.Bounds, err = s.store.Bounds(ctx, r.Team, r.AgentType)
	return rules, err
}

// admit returns the agent that r asks for, defaults filled in, or a Forbidden
// error with every respect in which the rules do not allow it (invariant A1). Of the
// default scopes an agent gets those that no ceiling keeps from it.
func admit(r Registration, rules registry.Rules) (registry.Agent, error) {
	if rules.Team.Blocked {
		return registry.Agent{}, registry.Forbidden.Errorf("team_blocked", "team %q is blocked; ask an admin", r.Team).
			With(registry.FieldError{Pointer: "/team", Code: "team_blocked", Detail: "is blocked"})
	}
	t := rules.AgentType
	a := registry.Agent{
		Name: r.Name, Team: r.Team, AgentType: r.AgentType, Environment: r.Environment, Owner: r.Owner, Description: r.Description,
		Scopes: beneath(rules.Bounds, t.DefaultScopes), Capabilities: r.Capabilities, Labels: r.Labels, Config: r.Config,
		Lifecycle: registry.Active, ExpiresAt: r.ExpiresAt, CredentialsExpireAt: r.CredentialsExpireAt,
		Authentication: cmp.Or(r.Authentication, registry.ClientSecretPost), Keys: r.Keys,
	}
	if r.Scopes != nil {
		a.Scopes = *r.Scopes
	}
	var faults []registry.FieldError
	if !slices.Contains(t.AllowedEnvironments, r.Environment) {
		faults = append(faults, registry.FieldError{
			Pointer: "/environment", Code: "environment_not_allowed",
			Detail: fmt.Sprintf("agents of type %q may be in %q", t.Name, t.AllowedEnvironments),
		})
	}
	faults = append(faults, scopesBeyond(a.Scopes, rules)...)
	most := t.DefaultQuota // what max_quota does not say, the default bounds
	if t.MaxQuota != nil {
		most.RequestsPerSecond = cmp.Or(t.MaxQuota.RequestsPerSecond, most.RequestsPerSecond)
		most.RequestsPerDay = cmp.Or(t.MaxQuota.RequestsPerDay, most.RequestsPerDay)
	}
	var fault *registry.FieldError
	if a.Quota.RequestsPerSecond, fault = quota("requests_per_second", r.Quota.RequestsPerSecond, t.DefaultQuota.RequestsPerSecond, most.RequestsPerSecond); fault != nil {
		faults = append(faults, *fault)
	}
	if a.Quota.RequestsPerDay, fault = quota("requests_per_day", r.Quota.RequestsPerDay, t.DefaultQuota.RequestsPerDay, most.RequestsPerDay); fault != nil {
		faults = append(faults, *fault)
	}
	if len(faults) > 0 {
		return registry.Agent{}, registry.Forbidden.Errorf(faults[0].Code, "the rules for agents of type %q in team %q do not allow what the registration asks for", t.Name, r.Team).With(faults...)
	}
	return a, nil
}

// scopesBeyond is what is wrong with scopes that the agent type does not allow, or
// that are above the ceiling of the type or of the team.
func scopesBeyond(scopes []string, rules registry.Rules) []registry.FieldError {
	var faults []registry.FieldError
	add := func(at int, detail string, args ...any) {
		faults = append(faults, registry.FieldError{Pointer: fmt.Sprintf("/scopes/%d", at), Code: "scope_not_allowed", Detail: fmt.Sprintf(detail, args...)})
	}
	for i, scope := range scopes {
		if t := rules.AgentType; !slices.Contains(t.AllowedScopes, scope) {
			add(i, "agents of type %q may have %q, not %q", t.Name, t.AllowedScopes, scope)
		}
		for _, b := range rules.Bounds {
			if !lets(b, scope) {
				add(i, "the ceiling of policy %s lets agents have %q, not %q", b, b.Ceiling.Permissions, scope)
			}
		}
	}
	return faults
}

// beneath are the scopes that no ceiling keeps from the agent.
func beneath(bounds []registry.Bound, scopes []string) []string {
	kept := scopes
	for _, b := range bounds {
		kept = slices.DeleteFunc(slices.Clone(kept), func(scope string) bool { return !lets(b, scope) })
	}
	return kept
}

// lets reports whether the ceiling, if there is one, lets agents have the scope.
func lets(b registry.Bound, scope string) bool {
	return b.Ceiling == nil || b.Ceiling.Permissions == nil || slices.Contains(b.Ceiling.Permissions, scope)
}

// quota returns what was asked for, or else the default, or else the most; a
// nil most does not bound.
func quota(field string, asked, byDefault, most *int64) (*int64, *registry.FieldError) {
	switch {
	case asked == nil && byDefault == nil:
		return most, nil
	case asked == nil && (most == nil || *byDefault <= *most):
		return byDefault, nil
	case asked == nil:
		return most, nil
	case most != nil && *asked > *most:
		return nil, &registry.FieldError{
			Pointer: "/quota/" + field, Code: "quota_not_allowed", Detail: fmt.Sprintf("may be at most %d", *most),
		}
	default:
		return asked, nil
	}
}
