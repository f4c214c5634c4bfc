package decide

import (
	"slices"

	"github.com/credenceproject/credence/internal/registry"
)

// contribution is what one layer makes of the call.
type contribution struct {
	missing bool     // its Rego is not in force, or the layer is none that can be judged by
	above   bool     // the resource asks for more than the layer's ceiling
	own     own      // what its Rego says
	codes   []string // of its rules that deny
	granted bool     // one of its rules allows
}

// hasSoundCeiling reports whether the layer has no ceiling, or may have one: those of
// teams and types may.
func hasSoundCeiling(l registry.LayerFacts) bool {
	return l.Ceiling == nil || l.Tier == registry.TierTeam || l.Tier == registry.TierAgentType
}

// judge asks the layer.
func (c *call) judge(l *registry.LayerFacts, r *runner) (contribution, error) {
	if !hasSoundCeiling(*l) {
		return contribution{missing: true}, nil
	}
	out := contribution{above: c.isAbove(l.Ceiling)}
	if l.Rego != "" {
		var inForce bool
		var err error
		if out.own, inForce, err = r.run(l.LayerKey); err != nil {
			return contribution{}, err
		}
		out.missing = l.Required && !inForce
	}
	for i := range l.Rules {
		rule := &l.Rules[i]
		if isAllow(rule) {
			out.granted = out.granted || c.grants(rule)
		} else if c.denies(rule) {
			out.codes = append(out.codes, said(rule.Code))
		}
	}
	return out, nil
}

// isAllow reports whether the rule stands among those that allow. One of another
// effect than we know denies.
func isAllow(r *registry.Rule) bool { return r.Effect == registry.Allow }

// isAbove reports whether the resource asks for more than the ceiling lets the agent
// have.
func (c *call) isAbove(ceiling *registry.Ceiling) bool {
	if ceiling == nil || !c.both() {
		return false
	}
	classes := ceiling.DataClassification
	return classes != nil && !slices.Contains(classes, c.resource.DataClassification) ||
		ceiling.Permissions != nil && !c.asksWithin(ceiling.Permissions)
}

func (c *call) asksWithin(permissions []string) bool {
	byType, known := c.askedByType()
	return known && (byType == "" || slices.Contains(permissions, byType)) &&
		!slices.ContainsFunc(c.resource.RequiredPermissions, func(p string) bool { return !slices.Contains(permissions, p) })
}

// applicable yields the layers that apply to the call, from the widest tier to the
// narrowest.
func (c *call) applicable(yield func(*registry.LayerFacts) bool) {
	if !c.tiers || !c.token.verified {
		return
	}
	global := c.view.GlobalLayers()
	for i := range global {
		if !yield(&global[i]) {
			return
		}
	}
	for i := range c.layers {
		if !yield(&c.own[i]) {
			return
		}
	}
}
