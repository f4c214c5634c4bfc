package registry

import "time"

// NewAgent is an agent about to be recorded, with the rules that admitted it.
type NewAgent struct {
	Agent    Agent           // identity and what was asked for, defaults filled in
	IntentID string          // UUIDv7 that the identity provider's client will carry; "": no client is to be made
	Rules    Rules           // recording fails with Conflict unless they still hold
	Key      *IdempotencyKey // nil: the caller sent none
	Lease    time.Duration   // of the lease that comes with it
	DryRun   bool            // nothing is kept
}

// Rules are the admins' documents that a registration is held to.
type Rules struct {
	Team        Team
	AgentType   AgentType
	Environment Environment

	// Bounds are what the agent's scopes were judged by, as the store's Bounds gave
	// them. None: they did not count, as in a change that leaves the scopes alone.
	Bounds []Bound
}

// Bound is the ceiling of a layer, of which only teams and agent types have one.
type Bound struct {
	LayerKey
	Ceiling  *Ceiling // nil: there is none
	Revision int64    // of the layer; 0: there is no layer
}

// AgentFilter selects agents. A zero field does not restrict, but for
// Lifecycle, which is always one of the two.
type AgentFilter struct {
	Lifecycle     Lifecycle
	Team          string
	AgentType     string
	Environment   string
	Capability    string
	ExpiresBefore time.Time // agents or credentials that expire before it; zero does not restrict
	After         AgentPosition
	Limit         int
}

// AgentPosition is where a page of agents ended: the order is by name, then id.
type AgentPosition struct {
	Name string
	ID   string // "" before the first of that name
}

// Progress is what one provisioning step brought about. Empty ids leave what is
// recorded as it is.
type Progress struct {
	Steps    []StepName
	State    StepState
	Error    string // for people; with StepFailed
	ClientID string
	GrantID  string
	EntityID string
	AliasID  string
	IntentID string     // of the attempt that made ClientID: its outcome is known with it
	Forget   []StepName // whose ids there are no more
	Renewed  bool       // the agent's renewal is done
}
