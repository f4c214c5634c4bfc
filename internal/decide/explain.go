package decide

import (
	"time"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// Trace is how a decision came about.
type Trace struct {
	Decision    Decision
	Caller      registry.AgentFacts    // the zero AgentFacts: unknown
	Called      registry.ResourceFacts // the zero ResourceFacts: unknown
	Environment registry.EnvironmentFacts
	AsOf        time.Time // when the scope last changed or was last said to be current
	Asked       []string  // the permissions that the resource and its type ask for
	Permissions []string  // those that layers see: the token's that the agent has and no ceiling takes away
	Checks      []Check   // those that were made, in the order in which they are best read
	Layers      []Contribution
}

// Check is one of the platform's checks.
type Check struct {
	ID, Code string // of the reason that is given where it does not hold
	Holds    bool
}

// Contribution is what one layer that applies makes of a call.
type Contribution struct {
	Layer        registry.LayerFacts
	Matched      []bool   // of each of its rules, whether it does
	Deny, Allow  []string // codes of its own Rego
	Missing      bool     // its Rego is to be in force and is not, or the layer is none that can be judged by
	AboveCeiling bool
}

// Denies reports whether the layer speaks against the call.
func (c Contribution) Denies() bool {
	return c.Missing || c.AboveCeiling || len(c.Deny) > 0 || c.matches(func(r *registry.Rule) bool { return !isAllow(r) })
}

// Allows reports whether the layer grants the call.
func (c Contribution) Allows() bool { return len(c.Allow) > 0 || c.matches(isAllow) }

func (c Contribution) matches(wanted func(*registry.Rule) bool) bool {
	for i, matched := range c.Matched {
		if matched && wanted(&c.Layer.Rules[i]) {
			return true
		}
	}
	return false
}

// Explain decides as Decide does and tells how. How old the data is, is judged as of
// present: a call can be thought of at another time than that of the data.
//
// It returns the errors of Decide.
func (d *Decider) Explain(v *snapshot.View, environment string, q Query, at, present time.Time) (Trace, error) {
	var c call
	if err := d.begin(&c, v, environment, q, at); err != nil {
		return Trace{}, err
	}
	c.fresh = c.isFresh(present.UnixNano())
	t := Trace{
		Decision: d.decide(&c), Environment: c.environment, Permissions: c.permissions,
		AsOf: v.Touched(registry.ScopePart{Scope: environment}).At,
	}
	if c.agentKnown {
		t.Caller = c.agent
	}
	if c.resourceKnown {
		t.Called, t.Asked = c.resource, c.asked()
	}
	granted := c.environment.Grants == "permissions"
	r := runner{decider: d, call: &c}
	for l := range c.applicable {
		contribution, err := c.contribution(l, &r)
		if err != nil {
			break // the decision has it for a fault
		}
		granted = granted || c.environment.Grants == "explicit" && contribution.Allows()
		t.Layers = append(t.Layers, contribution)
	}
	for i := range checks {
		if checks[i].judged(&c) {
			t.Checks = append(t.Checks, Check{ID: checks[i].id, Code: checks[i].code, Holds: checks[i].holds(&c)})
		}
	}
	if c.both() {
		t.Checks = append(t.Checks, Check{ID: "grants", Code: "no_grant", Holds: granted})
	}
	return t, nil
}

// contribution is what the layer makes of the call, rule by rule.
func (c *call) contribution(l *registry.LayerFacts, r *runner) (Contribution, error) {
	said, err := c.judge(l, r)
	if err != nil {
		return Contribution{}, err
	}
	out := Contribution{
		Layer: *l, Matched: make([]bool, len(l.Rules)),
		Deny: said.own.deny, Allow: said.own.allow, Missing: said.missing, AboveCeiling: said.above,
	}
	for i := range l.Rules {
		switch rule := &l.Rules[i]; {
		case !hasSoundCeiling(*l):
		case isAllow(rule):
			out.Matched[i] = c.grants(rule)
		default:
			out.Matched[i] = c.denies(rule)
		}
	}
	return out, nil
}

// asked are the permissions that the resource and its type ask for, each once.
func (c *call) asked() []string {
	all := c.resource.RequiredPermissions
	if byType, known := c.askedByType(); known && byType != "" {
		all = append([]string{byType}, all...)
	}
	return set(all)
}
