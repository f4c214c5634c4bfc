package decide

import (
	"math"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// mostSegments is how long a path may be that layers are shown.
const mostSegments = 64

// longest is how many characters a text that a caller chooses may have.
const longest = 256

func short(s string) bool { return len(s) <= longest || utf8.RuneCountInString(s) <= longest }

// call is one call and what the registry knows of it.
type call struct {
	view        *snapshot.View
	environment registry.EnvironmentFacts
	places      *places
	tiers       bool  // whether the policy knows of layers: it does from data layout 3 on
	now         int64 // nanoseconds since 1970
	method      string
	path        []string
	token       token
	fresh       bool // the data is as current as the environment asks for

	agent         registry.AgentFacts
	agentKnown    bool
	resource      registry.ResourceFacts
	resourceKnown bool
	own           [3]registry.LayerFacts // the layers of the agent's team, its type and itself
	layers        int                    // how many of them there are
	permissions   []string               // those that count: the token's that the agent still has and no ceiling takes away
}

// find finds what the question is about. The subject of the token finds an agent
// and the name finds a resource; nothing else does.
func (c *call) find(q Query) (err error) {
	if c.token, err = tokenOf(q, c.now); err != nil {
		return err
	}
	if !c.tiers || short(q.Method) {
		c.method = text(q.Method)
	}
	if c.tiers && c.token.named && !short(c.token.subject) {
		c.token.named, c.token.subject = false, ""
	}
	c.fresh = c.isFresh(c.now)
	if !c.tiers || len(q.Path) <= mostSegments && !slices.ContainsFunc(q.Path, func(s string) bool { return !short(s) }) {
		c.path = q.Path
		c.resource, c.resourceKnown = c.view.Resources().Get(text(q.Resource))
	}
	if !c.token.named {
		return nil
	}
	a, ok := c.view.Agents(c.environment.Name).Get(c.token.subject)
	if !ok || a.ID == "" || a.Name == "" || a.Team == "" || a.AgentType == "" {
		return nil
	}
	c.agent, c.agentKnown = a, true
	if c.tiers {
		c.findLayers()
	}
	c.permissions = c.counting()
	return nil
}

// isFresh reports whether the scope was current a short while ago, as far as the
// environment asks for that, in nanoseconds since 1970.
func (c *call) isFresh(now int64) bool {
	if !c.tiers {
		return true // data layout 2 does not say how current it is
	}
	most, err := time.ParseDuration(c.environment.MaxStaleness)
	if err != nil {
		return false
	}
	oldest := int64(0) // no data is older than that
	if most != 0 {
		oldest = before(now, most.Nanoseconds())
	}
	asOf, _ := moment(c.view.Touched(registry.ScopePart{Scope: c.environment.Name}).At) // of what was never current 0
	return asOf >= oldest
}

// before is now - age, held at the ends of what 64 bits reach.
func before(now, age int64) int64 {
	switch at := now - age; {
	case age > 0 && at > now:
		return math.MinInt64
	case age < 0 && at < now:
		return math.MaxInt64
	default:
		return at
	}
}

// findLayers finds the layers of the agent's side. Those of the tier global apply to
// everybody.
func (c *call) findLayers() {
	add := func(l registry.LayerFacts, ok bool) {
		if ok {
			c.own[c.layers] = l
			c.layers++
		}
	}
	for _, tier := range [...]registry.Tier{registry.TierTeam, registry.TierAgentType} {
		id := c.agent.Team
		if tier == registry.TierAgentType {
			id = c.agent.AgentType
		}
		if all := c.view.Layers(tier); all.Len() > 0 { // else there is nothing to look up
			add(all.Get(id))
		}
	}
	l, ok := c.view.Layer(registry.LayerKey{Tier: registry.TierAgent, ID: c.agent.ID})
	add(l, ok && l.Environment == c.environment.Name)
}

// counting are the token's permissions that the agent still has, and that no ceiling
// takes away.
func (c *call) counting() []string {
	bounded := func(p string) bool {
		for _, l := range c.own[:c.layers] {
			if hasSoundCeiling(l) && l.Ceiling != nil && l.Ceiling.Permissions != nil && !slices.Contains(l.Ceiling.Permissions, p) {
				return true
			}
		}
		return false
	}
	some := make([]string, 0, len(c.token.permissions))
	for _, p := range c.token.permissions {
		if slices.Contains(c.agent.Scopes, p) && !bounded(p) {
			some = append(some, p)
		}
	}
	return some
}

// both reports whether caller and resource are known. Of what hangs on an unknown
// nothing is said.
func (c *call) both() bool { return c.agentKnown && c.resourceKnown }

// holds reports whether the token has the permission and the agent still does.
// Ceilings are another matter.
func (c *call) holds(permission string) bool {
	return slices.Contains(c.token.permissions, permission) && slices.Contains(c.agent.Scopes, permission)
}

func (c *call) inTerm() bool {
	end, ends := moment(c.agent.ExpiresAt)
	return !ends || c.now < end
}

// issuedSince reports whether the token is none of those that were revoked. Issuers
// round `iat` down to the second: within that of the revocation none counts.
func (c *call) issuedSince() bool {
	after, revoked := moment(c.agent.ValidAfter)
	return !revoked || c.token.issuedSince(after)
}

func (c *call) deployed() bool { return slices.Contains(c.resource.Environments, c.environment.Name) }

// admitted reports whether the resource's owner lets the agent's side in.
func (c *call) admitted() bool {
	access := c.resource.Access
	switch {
	case c.agent.Team == c.resource.Team || access.Visibility == registry.VisibleToOrganization:
		return true
	case access.Visibility != registry.VisibleToTeam:
		return false
	default:
		return slices.Contains(access.Teams, c.agent.Team) || slices.Contains(access.AgentTypes, c.agent.AgentType)
	}
}

// permitted reports whether the caller holds all that the resource and its type ask
// for.
func (c *call) permitted() bool {
	byType, known := c.askedByType()
	return known && (byType == "" || c.holds(byType)) && !slices.ContainsFunc(c.resource.RequiredPermissions, func(p string) bool { return !c.holds(p) })
}

// askedByType is the permission that the resource's type asks for, or "". Of a type
// that we do not know it is unknown what it asks for.
func (c *call) askedByType() (permission string, known bool) {
	switch c.resource.Type {
	case registry.Skill:
		return "skills:invoke", true
	case registry.Tool:
		return "tools:access", true
	case registry.DataSink:
		return "data:write", true
	case registry.Service:
		return "", true
	case registry.DataSource:
		if c.method == "GET" || c.method == "HEAD" {
			return "data:read", true
		}
		return "data:write", true // a method that we do not know is taken for one that writes
	default:
		return "", false
	}
}

// What 64 bits of nanoseconds reach from: the years 1677 to 2262.
var (
	firstMoment = time.Unix(0, math.MinInt64)
	lastMoment  = time.Unix(0, math.MaxInt64)
)

// moment is t as bundles have it: in nanoseconds since 1970, held at the ends of
// what they reach. The zero time is none.
func moment(t time.Time) (ns int64, said bool) {
	switch {
	case t.IsZero():
		return 0, false
	case t.Before(firstMoment):
		return math.MinInt64, true
	case t.After(lastMoment):
		return math.MaxInt64, true
	default:
		return t.UnixNano(), true
	}
}
