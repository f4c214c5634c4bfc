package registry

import (
	"fmt"
	"slices"
	"time"
)

// Tier is where a rule stands. A denial in any tier wins.
type Tier string

// The tiers that have layers. The platform's own is TierPlatform, which nobody
// writes.
const (
	TierPlatform  Tier = "platform"
	TierGlobal    Tier = "global"
	TierTeam      Tier = "team"
	TierAgentType Tier = "agent_type"
	TierAgent     Tier = "agent"
)

// Tiers are the tiers that have layers, from the widest to the narrowest.
var Tiers = []Tier{TierGlobal, TierTeam, TierAgentType, TierAgent}

// LayerKey names a layer: one tier's rules for one id. The id is a team's or an
// agent type's name, an agent's id, or of the tier global the name of a rule set.
type LayerKey struct {
	Tier Tier
	ID   string
}

// String is the key as paths have it: tier/id.
func (k LayerKey) String() string { return string(k.Tier) + "/" + k.ID }

// Package is the Rego package of the layer's own module.
func (k LayerKey) Package() string { return fmt.Sprintf("mcp.layers.%s[%q]", k.Tier, k.ID) }

// Module is the path of the layer's own module in a bundle.
func (k LayerKey) Module() string { return "layers/" + k.String() + ".rego" }

// Valid reports whether there can be a layer of that name.
func (k LayerKey) Valid() bool {
	if k.Tier == TierAgent {
		return IsUUID(k.ID)
	}
	return slices.Contains(Tiers, k.Tier) && ValidName(k.ID)
}

// Policy is a layer as its owners wrote it.
type Policy struct {
	LayerKey
	Rules    []Rule
	Rego     string // a module of the package LayerKey.Package, or ""
	Tests    string // the author's tests of Rego, or ""
	Required bool   // a call is denied while Rego is not in force
	Ceiling  *Ceiling
	Meta
}

// Tag identifies one state of the policy among all it had or will have.
func (p Policy) Tag() string { return p.tag(string(p.Tier) + "." + p.ID) }

// Effect is what a rule that matches does.
type Effect string

// The effects.
const (
	Deny  Effect = "deny"
	Allow Effect = "allow"
)

// Rule is a rule as data.
type Rule struct {
	Code    string // ^[a-z0-9_]{1,64}$
	Effect  Effect
	Message string // for people; policy does not read it
	When    Conditions
}

// Conditions are those of a rule, which matches when each that is listed holds. A
// list holds when one of its values does; nil is not listed.
type Conditions struct {
	Resources          []string
	ResourceTypes      []ResourceType
	Methods            []string // of HTTP, in capitals
	Environments       []string
	DataClassification []string
	Permissions        []string
	AgentTypes         []string
	OutsideHours       *Hours
}

// Hours are times of the week. The condition holds outside of them.
type Hours struct {
	From, To string   // HH:MM of the local day; To is not within; when From is later they span midnight
	Days     []string // mon … sun, on which they begin; empty: every day
	Timezone string   // IANA name; "": UTC
}

// Ceiling bounds what lower tiers and registrations can grant. A nil list bounds
// nothing, an empty one grants nothing.
type Ceiling struct {
	Permissions        []string
	DataClassification []string
}

// PolicyVersion is a policy as it was from one write to the next.
type PolicyVersion struct {
	Policy  Policy
	Deleted bool // the policy was removed by this write
	By      string
	Action  string // put, rollback or delete
	At      time.Time
}

// LayerFacts are what policy may know of a layer.
type LayerFacts struct {
	LayerKey
	Environment string // that of the agent whose layer it is; "": of every environment
	Rules       []Rule
	Rego        string
	Previous    string // the last module before Rego that was another one: it stays in force where Rego does not compile
	Required    bool
	Ceiling     *Ceiling
	Revision    int64
}

// Scope is the scope whose policy sees the layer.
func (l LayerFacts) Scope() string {
	if l.Environment == "" {
		return AllScopes
	}
	return l.Environment
}
