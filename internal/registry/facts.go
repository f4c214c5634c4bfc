package registry

import "time"

// Facts are what policy may know of the registry at one revision: nothing that
// a decision does not need (invariant B7). Slices and maps in them are not to be
// changed.
type Facts struct {
	Head
	Scopes       map[ScopePart]Touch // when each scope's bundle, and each part of it, was last touched
	Environments []EnvironmentFacts
	Agents       []AgentFacts
	Resources    []ResourceFacts
	Layers       []LayerFacts
	AgentClients []string // every client that is or ever was an agent's
	Policy       PlatformPolicy
}

// AgentFacts are what policy may know of an agent.
type AgentFacts struct {
	ID          string
	Name        string
	Team        string
	AgentType   string
	Environment string
	Subject     string // `sub` of its tokens
	Suspended   bool
	Scopes      []string  // what its tokens' permissions can be
	ExpiresAt   time.Time // of the agent or of its credentials, whichever is first; zero: never
	ValidAfter  time.Time // tokens issued before it are revoked; zero: none is
	Labels      map[string]string
	Quota       Quota
}

// ResourceFacts are what policy and Envoy may know of a resource.
type ResourceFacts struct {
	Name                string
	Type                ResourceType
	Team                string
	DataClassification  string
	RequiredPermissions []string
	Access              Access
	Environments        []string // deployed in, sorted
	Labels              map[string]string
	Revision            int64
}

// EnvironmentFacts are what policy may know of an environment.
type EnvironmentFacts struct {
	Name          string
	Grants        string
	MaxStaleness  string
	ReservedNames []string
}

// PlatformPolicy is the platform's own Rego as it was activated. The zero
// PlatformPolicy is none.
type PlatformPolicy struct {
	Hash     string // SHA-256 of the modules, hex
	Version  int64  // grows with each release's policy
	Layout   int64  // of the data that the modules read
	Modules  map[string]string
	Revision int64 // at which it was activated
}

// Change is one object as it is from a revision on. Of the pointers the one that
// goes with Kind is set, or none when the object is gone.
type Change struct {
	Head
	Kind        ChangeKind
	ObjectID    string
	OldScope    string // "" for none, AllScopes for every environment
	NewScope    string
	Agent       *AgentFacts
	Resource    *ResourceFacts
	Environment *EnvironmentFacts
	Policy      *PlatformPolicy
	Layer       *LayerFacts
	At          time.Time // of the database's clock
	OldSubject  string    // of an agent that had another subject before, or is gone
}

// AllScopes is the scope of what every environment's policy sees.
const AllScopes = "*"

// ChangeKind is the kind of the object that changed.
type ChangeKind string

// The kinds of objects.
const (
	AgentChange       ChangeKind = "agent"
	EnvironmentChange ChangeKind = "environment"
	AgentTypeChange   ChangeKind = "agent_type"
	TeamChange        ChangeKind = "team"
	ResourceChange    ChangeKind = "resource"
	PolicyChange      ChangeKind = "platform_policy"
	LayerChange       ChangeKind = "layer"
	HeartbeatChange   ChangeKind = "heartbeat" // nothing changed: it says that the scope is still current
)
