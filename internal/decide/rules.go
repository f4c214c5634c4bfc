package decide

import (
	"slices"
	"strings"

	"github.com/credenceproject/credence/internal/registry"
)

// truth is what can be told of a condition: that it holds, that it fails, or
// neither.
type truth int

const (
	fails truth = iota
	unknown
	holds
)

// isCode reports whether a reason may have the code.
func isCode(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// invalidCode is what denies with a code that no reason may have.
const invalidCode = "invalid_code"

// said is the code of a reason that denies.
func said(code string) string {
	if isCode(code) {
		return code
	}
	return invalidCode
}

// grants reports whether a rule that allows matches the call: every condition must
// hold.
func (c *call) grants(r *registry.Rule) bool { return isSound(r) && c.conditions(&r.When) == holds }

// denies reports whether a rule that denies matches the call: no condition may be
// known to fail. A rule that we do not understand denies.
func (c *call) denies(r *registry.Rule) bool { return !isSound(r) || c.conditions(&r.When) != fails }

func isSound(r *registry.Rule) bool {
	return isCode(r.Code) && (r.When.OutsideHours == nil || soundHours(*r.When.OutsideHours))
}

// conditions is the least that can be told of all conditions.
func (c *call) conditions(w *registry.Conditions) truth {
	least := min(
		listed(w.Resources, c.resource.Name),
		listed(w.ResourceTypes, c.resource.Type),
		listed(w.DataClassification, c.resource.DataClassification),
		listed(w.Environments, c.agentEnvironment()),
		listed(w.AgentTypes, c.agent.AgentType),
		c.permissionListed(w.Permissions),
		c.methodListed(w.Methods),
	)
	if w.OutsideHours != nil {
		least = min(least, c.places.outside(*w.OutsideHours, c.now))
	}
	return least
}

// listed is the truth of a condition that lists values. nil is none.
func listed[S ~string](list []S, value S) truth {
	if list == nil || slices.Contains(list, value) {
		return holds
	}
	return fails
}

func (c *call) permissionListed(list []string) truth {
	if list == nil || slices.ContainsFunc(c.permissions, func(p string) bool { return slices.Contains(list, p) }) {
		return holds
	}
	return fails
}

func (c *call) methodListed(list []string) truth {
	if list != nil && c.method == "" {
		return unknown
	}
	return listed(list, strings.ToUpper(c.method))
}

// agentEnvironment is that of the agent, as layers are shown it.
func (c *call) agentEnvironment() string {
	if !c.agentKnown {
		return ""
	}
	return c.environment.Name
}
