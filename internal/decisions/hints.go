package decisions

import (
	"fmt"
	"strings"

	"github.com/credenceproject/credence/internal/decide"
	"github.com/credenceproject/credence/internal/registry"
)

// hints say what would have to change for the call to be allowed and who can change
// it, one for each reason; and what to keep in mind of the answer.
func hints(t decide.Trace, a registry.AgentFacts, ask Ask) []string {
	var all []string
	for _, r := range t.Decision.Reasons {
		if h := hint(r, t, a); h != "" {
			all = append(all, h)
		}
	}
	if !ask.At.IsZero() {
		all = append(all, fmt.Sprintf("The registry as it is now, at revision %d, was asked as if it were %s: what changed between then and now is not taken back.", t.Decision.Revision, moment(ask.At)))
	}
	return all
}

func hint(r Reason, t decide.Trace, a registry.AgentFacts) string {
	if r.Tier != string(registry.TierPlatform) {
		return layerHint(r, t)
	}
	switch r.Code {
	case "registry_stale":
		return fmt.Sprintf("An operator can find out why the registry's changes do not arrive; an admin can change max_staleness of environment %s.", t.Environment.Name)
	case "agent_unknown":
		return "An admin can look at the agent's registration: policy takes no agent without a name, a team and a type."
	case "agent_suspended":
		return fmt.Sprintf("Team %s or an admin can resume agent %s.", a.Team, a.Name)
	case "agent_expired":
		return fmt.Sprintf("Team %s can move the expiry of agent %s, or get it new credentials.", a.Team, a.Name)
	case "resource_unknown":
		return "Check the resource's name, or have its team register it."
	case "environment_mismatch":
		return fmt.Sprintf("Team %s can deploy resource %s in environment %s. An agent's environment never changes.", t.Called.Team, t.Called.Name, a.Environment)
	case "access_denied":
		return fmt.Sprintf("Team %s, which owns resource %s, can admit team %s or agents of type %s in the resource's access.", t.Called.Team, t.Called.Name, a.Team, a.AgentType)
	case "missing_permission":
		return fmt.Sprintf("Team %s can give agent %s the scope %s, as far as an admin lets agents of type %s have it.", a.Team, a.Name, strings.Join(lacking(t.Asked, a.Scopes), ", "), a.AgentType)
	case "no_grant":
		return fmt.Sprintf("Environment %s wants an allow rule: team %s can write one in its layer or the agent's, an admin in any, and an admin can let permissions suffice there.", t.Environment.Name, a.Team)
	case "layer_missing":
		return fmt.Sprintf("The Rego of layer %s is required and is not in force: %s can mend it, an admin can make it not required.", r.ID, ownerOf(keyOf(r.ID), a))
	case "decision_undefined":
		return "The policy of a layer gave no answer, which denies; the server's log tells which."
	default:
		return ""
	}
}

// layerHint is that of a layer's reason.
func layerHint(r Reason, t decide.Trace) string {
	key := registry.LayerKey{Tier: registry.Tier(r.Tier), ID: r.ID}
	if r.Code == "above_ceiling" {
		for _, c := range t.Layers {
			if c.Layer.LayerKey == key && c.Layer.Ceiling != nil {
				return fmt.Sprintf("Resource %s asks for [%s] and is classified %s; the ceiling of %s is %s. An admin can change the ceiling.",
					t.Called.Name, strings.Join(t.Asked, ", "), t.Called.DataClassification, key, ceilingText(*c.Layer.Ceiling))
			}
		}
	}
	return fmt.Sprintf("Layer %s denies with %s: %s can change it.", key, r.Code, ownerOf(key, t.Caller))
}

func ceilingText(c registry.Ceiling) string {
	bound := func(list []string) string {
		if list == nil {
			return "any"
		}
		return "[" + strings.Join(list, ", ") + "]"
	}
	return fmt.Sprintf("permissions %s and classifications %s", bound(c.Permissions), bound(c.DataClassification))
}

// ownerOf is who may write the layer.
func ownerOf(key registry.LayerKey, a registry.AgentFacts) string {
	switch key.Tier {
	case registry.TierTeam:
		return fmt.Sprintf("team %s or an admin", key.ID)
	case registry.TierAgent:
		return fmt.Sprintf("team %s or an admin", a.Team)
	default:
		return "an admin"
	}
}

// keyOf is the key that LayerKey.String makes.
func keyOf(name string) registry.LayerKey {
	tier, id, _ := strings.Cut(name, "/")
	return registry.LayerKey{Tier: registry.Tier(tier), ID: id}
}
