// Package decide is the platform policy as Go: what its Rego answers, a hundred
// times faster. It reads a snapshot.View as it is.
//
// It knows the policy that this binary carries and the one before it. A registry may
// have another one active, of an older or a newer binary: that is to be evaluated as
// Rego (package decisions). A differential test holds both to OPA's answers.
package decide

import (
	"slices"
	"time"

	"github.com/credenceproject/credence/internal/layers"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/policy"
)

// mostReasons is how many reasons a decision has.
const mostReasons = 32

// Decider decides by the platform policies that it knows. It is safe for concurrent
// use.
type Decider struct {
	layers   *layers.Cache
	places   places
	programs programs
	limit    time.Duration
}

// limit bounds the evaluation of one layer's own Rego. It takes well under a
// millisecond.
const limit = time.Second

// New returns a Decider that runs the custom layers which the cache says are in
// force.
func New(layers *layers.Cache) *Decider { return &Decider{layers: layers, limit: limit} }

// Knows reports whether the policy is one that a Decider decides as: that of this
// binary or the one before it, each with its own data layout.
func Knows(p registry.PlatformPolicy) bool {
	return p.Hash == currentHash && p.Layout == policy.Layout || p.Hash == policy.PreviousHash && p.Layout == policy.Layout-1
}

var currentHash = policy.Platform().Hash

// Decide returns what the policy that is active at v says of q at that time, asked
// with the data of the environment's bundle.
//
// A layer whose own Rego fails or takes too long denies: Decision.Fault tells. Decide
// returns Invalid for claims that it reads and that are no JSON, NotFound when there
// is no such environment, and Unavailable for a policy that it does not know.
func (d *Decider) Decide(v *snapshot.View, environment string, q Query, now time.Time) (Decision, error) {
	var c call
	if err := d.begin(&c, v, environment, q, now); err != nil {
		return Decision{}, err
	}
	return d.decide(&c), nil
}

// begin reads the question into c.
func (d *Decider) begin(c *call, v *snapshot.View, environment string, q Query, now time.Time) error {
	if !Knows(v.Policy()) {
		return registry.Unavailable.Errorf("policy_unknown", "the active platform policy is not one that this server knows")
	}
	e, ok := v.Environment(environment)
	if !ok {
		return registry.NotFound.Errorf("not_found", "there is no environment of that name")
	}
	c.view, c.environment, c.places, c.tiers, c.now = v, e, &d.places, v.Policy().Layout >= 3, now.UnixNano()
	return c.find(q)
}

// decide asks the platform's checks and the layers.
func (d *Decider) decide(c *call) Decision {
	revision := c.view.ScopeRevision(c.environment.Name)
	reasons := c.platform()
	granted := c.environment.Grants == "permissions"
	r := runner{decider: d, call: c}
	for l := range c.applicable {
		said, err := c.judge(l, &r)
		if err != nil {
			return Undefined(revision, err)
		}
		reasons = said.denials(reasons, l)
		granted = granted || c.environment.Grants == "explicit" && said.grants()
	}
	out := Decision{Allow: len(reasons) == 0 && granted, Reasons: reasons, Revision: revision}
	switch {
	case out.Allow:
		out.Reasons = []Reason{}
	case len(reasons) == 0:
		out.Reasons = []Reason{platformReason("grants", "no_grant")}
	default:
		slices.SortFunc(reasons, Reason.compare)
		reasons = slices.Compact(reasons)
		out.Reasons = reasons[:min(len(reasons), mostReasons)]
	}
	if c.agentKnown {
		out.Agent = &Agent{ID: c.agent.ID, Name: c.agent.Name, Team: c.agent.Team, AgentType: c.agent.AgentType, Environment: c.environment.Name}
	}
	if c.resourceKnown {
		out.Resource = &Resource{Name: c.resource.Name, Type: string(c.resource.Type), Team: c.resource.Team}
	}
	return out
}

func platformReason(id, code string) Reason {
	return Reason{Tier: string(registry.TierPlatform), ID: id, Code: code}
}

// denials appends the reasons that the layer gives.
func (said contribution) denials(reasons []Reason, l *registry.LayerFacts) []Reason {
	if said.missing {
		reasons = append(reasons, platformReason(l.String(), "layer_missing"))
	}
	add := func(code string) {
		reasons = append(reasons, Reason{Tier: string(l.Tier), ID: l.ID, Code: code})
	}
	if said.above {
		add("above_ceiling")
	}
	for _, code := range said.codes {
		add(code)
	}
	for _, code := range said.own.deny {
		add(code)
	}
	return reasons
}

// grants reports whether the layer grants the call.
func (said contribution) grants() bool { return said.granted || len(said.own.allow) > 0 }
