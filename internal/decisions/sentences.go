package decisions

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/credenceproject/credence/internal/decide"
	"github.com/credenceproject/credence/internal/registry"
)

// textOf says of a check what was asked for and what there is.
func textOf(c decide.Check, t decide.Trace, a registry.AgentFacts, q Query, at time.Time) string {
	r := t.Called
	switch c.Code {
	case "no_verified_token", "token_expired":
		return "We think of a new token of the agent's, which is in force and was verified."
	case "token_revoked":
		if a.ValidAfter.IsZero() {
			return "None of the agent's tokens were revoked."
		}
		return fmt.Sprintf("The agent's tokens that were issued before %s are revoked; a new one is not.", moment(a.ValidAfter))
	case "registry_stale":
		return fmt.Sprintf("The registry's data is as of %s; %s.", moment(t.AsOf), staleness(t.Environment))
	case "agent_unknown":
		if !c.Holds {
			return fmt.Sprintf("Agent %s lacks a name, a team or a type, and so policy does not know it.", a.ID)
		}
		return fmt.Sprintf("Agent %s of team %s, of type %s, is in environment %s.", a.Name, a.Team, a.AgentType, a.Environment)
	case "agent_suspended":
		return fmt.Sprintf("Agent %s is %ssuspended.", a.Name, unless(c.Holds, "not "))
	case "agent_expired":
		return expiry(a, at)
	case "resource_unknown":
		return resourceText(c.Holds, r, q)
	case "environment_mismatch":
		return fmt.Sprintf("Resource %s is deployed in %s; the agent is in %s.", r.Name, listOr(r.Environments, "no environment"), a.Environment)
	case "access_denied":
		return fmt.Sprintf("Resource %s of team %s admits %s; the agent is of team %s and type %s.", r.Name, r.Team, admits(r), a.Team, a.AgentType)
	case "missing_permission":
		return permissionText(c.Holds, t, a)
	case "no_grant":
		return grantText(c.Holds, t)
	default:
		return ""
	}
}

func unless(no bool, text string) string {
	if no {
		return text
	}
	return ""
}

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// listOr is a list of names as text, or what there is where it has none.
func listOr(names []string, none string) string {
	if len(names) == 0 {
		return none
	}
	return strings.Join(names, ", ")
}

func staleness(e registry.EnvironmentFacts) string {
	most, err := time.ParseDuration(e.MaxStaleness)
	switch {
	case err != nil:
		return fmt.Sprintf("environment %s does not say how old it may be", e.Name)
	case most == 0:
		return fmt.Sprintf("in environment %s it is never too old", e.Name)
	default:
		return fmt.Sprintf("in environment %s it may be %s old", e.Name, most)
	}
}

func expiry(a registry.AgentFacts, at time.Time) string {
	switch {
	case a.ExpiresAt.IsZero():
		return fmt.Sprintf("Neither agent %s nor its credentials expire.", a.Name)
	case at.Before(a.ExpiresAt):
		return fmt.Sprintf("Agent %s or its credentials expire at %s.", a.Name, moment(a.ExpiresAt))
	default:
		return fmt.Sprintf("Agent %s or its credentials expired at %s.", a.Name, moment(a.ExpiresAt))
	}
}

func resourceText(known bool, r registry.ResourceFacts, q Query) string {
	switch {
	case known:
		return fmt.Sprintf("Resource %s is a %s of team %s, classified %s.", r.Name, r.Type, r.Team, r.DataClassification)
	case len(q.Path) > 64:
		return fmt.Sprintf("The path has %d segments; policy reads no more than 64, and takes such a call for one of no resource.", len(q.Path))
	default:
		return fmt.Sprintf("No resource has the name %q.", q.Resource)
	}
}

// admits is whom the resource's owner lets in.
func admits(r registry.ResourceFacts) string {
	if r.Access.Visibility == registry.VisibleToOrganization {
		return "the whole organization"
	}
	return fmt.Sprintf("its own team, the teams [%s] and the types [%s]", strings.Join(r.Access.Teams, ", "), strings.Join(r.Access.AgentTypes, ", "))
}

func permissionText(holds bool, t decide.Trace, a registry.AgentFacts) string {
	if holds {
		return fmt.Sprintf("The call needs %s; the agent has that.", listOr(t.Asked, "no permission"))
	}
	lacks := lacking(t.Asked, a.Scopes)
	if len(lacks) == 0 { // of a type that we do not know
		return fmt.Sprintf("What a resource of type %q asks for is not known, and nobody has it.", t.Called.Type)
	}
	return fmt.Sprintf("The call needs %s; the agent has %s and lacks %s.", listOr(t.Asked, "no permission"), listOr(a.Scopes, "no scope"), strings.Join(lacks, ", "))
}

func lacking(asked, has []string) []string {
	return slices.DeleteFunc(slices.Clone(asked), func(p string) bool { return slices.Contains(has, p) })
}

func grantText(holds bool, t decide.Trace) string {
	switch {
	case t.Environment.Grants == "permissions":
		return fmt.Sprintf("In environment %s, permissions that suffice are a grant.", t.Environment.Name)
	case holds:
		return fmt.Sprintf("In environment %s a layer must allow the call, and one does.", t.Environment.Name)
	default:
		return fmt.Sprintf("In environment %s a layer must allow the call, and none does.", t.Environment.Name)
	}
}

// unknownPolicy says why there is a decision and nothing else.
func unknownPolicy(p registry.PlatformPolicy) string {
	return fmt.Sprintf("The registry's active policy, version %d, is not one that this server can explain: the decision is its answer. Run the server of that version, or credence migrate.", p.Version)
}
