package registry

// NewAgent is an agent about to be recorded, with the rules that admitted it.
type NewAgent struct {
	Agent    Agent  // identity and what was asked for, defaults filled in
	IntentID string // UUIDv7 that the identity provider's client will carry
	Rules    Rules  // recording fails with Conflict unless they still hold
}

// Rules are the admins' documents that a registration is held to.
type Rules struct {
	Team        Team
	AgentType   AgentType
	Environment Environment
}

// AgentFilter selects agents. A zero field does not restrict, but for
// Lifecycle, which is always one of the two.
type AgentFilter struct {
	Lifecycle   Lifecycle
	Team        string
	AgentType   string
	Environment string
	Capability  string
	After       AgentPosition
	Limit       int
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
}
