package registry

import (
	"slices"
	"time"
)

// FoundClient is a client that carries an agent's id at the identity provider.
type FoundClient struct {
	ClientID string
	IntentID string // of the attempt that made it; "" when it carries none
}

// ProviderClient is a client as the identity provider has it.
type ProviderClient struct {
	FoundClient
	Name       string
	AgentID    string
	Metadata   map[string]string
	GrantTypes []string
	AuthMethod AuthMethod
}

// ProviderGrant is what a client may ask for, as the identity provider has it.
type ProviderGrant struct {
	ID       string
	Scopes   []string
	AllowAll bool // of whatever scopes the audience has
}

// ProviderEntity is an agent's entity as the secret store has it.
type ProviderEntity struct {
	ID            string
	Metadata      map[string]string
	Policies      []string // attached to the entity itself: there should be none
	Disabled      bool
	AliasID       string // of the alias at the agents' mount; "" when there is none
	AliasName     string
	MountAccessor string // of the agents' mount as it is now
	AliasAccessor string // of the mount that the alias is at
}

// Drift is one respect in which a provider differs from the registry.
type Drift struct {
	Provider   string // auth0 or vault
	ObjectKind string // client, grant, entity, alias, policy, role, mount, action, resource_server or setup
	ObjectID   string
	AgentID    string // "" when it is no agent's
	Field      string
	Expected   string
	Found      string
	Action     DriftAction
}

// DriftRecord is a drift that was seen, as the registry keeps it.
type DriftRecord struct {
	Drift
	ID        int64 // the order of the list
	FirstSeen time.Time
	LastSeen  time.Time
}

// DriftAction is what becomes of a drift.
type DriftAction string

// The actions.
const (
	DriftReported  DriftAction = "reported"  // a person has to look at it
	DriftRepairing DriftAction = "repairing" // a pass is due that repairs it
	DriftRemoved   DriftAction = "removed"   // an orphan of ours that was proven abandoned
)

// SameSet reports whether a and b hold the same strings, in whatever order.
func SameSet(a, b []string) bool {
	sorted := func(s []string) []string { return slices.Compact(slices.Sorted(slices.Values(s))) }
	return slices.Equal(sorted(a), sorted(b))
}
