// Package registry is the vocabulary of the control plane: what an agent is,
// what an admin decides about it, who is calling, and what can go wrong. It does
// no I/O and imports no other package of this module, so every other package
// may use it.
package registry

import (
	"encoding/json"
	"regexp"
	"strings"
	"time"
)

// Agent is a program that acts on its own and calls resources. Its ID is its
// identity for ever; its Name is unique among the living and only a handle.
type Agent struct {
	ID           string // UUIDv7
	Name         string
	Team         string
	AgentType    string
	Environment  string
	Owner        string // a person or list to reach, such as an e-mail address
	Description  string
	Scopes       []string
	Capabilities []Capability
	Labels       map[string]string
	Config       json.RawMessage // checked by the schema of the agent type
	Quota        Quota

	Lifecycle            Lifecycle
	Suspended            bool
	SuspendReason        string          // why, for people; "" when it is not suspended
	ExpiresAt            time.Time       // from then on policy denies; zero: never
	CredentialsExpireAt  time.Time       // the same for the credentials that were issued last
	TokensValidAfter     time.Time       // tokens issued before it count no more; zero: all count
	Authentication       AuthMethod      // how the agent proves to the identity provider who it is
	Keys                 json.RawMessage // JWK Set (RFC 7517) of public keys, with PrivateKeyJWT
	Steps                []Step          // how far provisioning got, in order; conditions follow from it
	Published            *AgentFacts     // what policy sees of it; nil: nothing
	Revision             int64           // of the last change that API or policy can see; 0 before the first
	Version              int64           // counts every change of the row; feeds the ETag
	CredentialGeneration int64           // how many secrets were issued
	ClientID             string          // "" until the identity provider made the client
	GrantID              string
	EntityID             string // the secret store's own id; its name is EntityName(ID)
	AliasID              string
	Convergence          Convergence
	CreatedAt            time.Time
	UpdatedAt            time.Time
	CreatedBy            string // subject of the principal
	DecommissionedAt     time.Time
}

// AuthMethod is how an agent authenticates at the token endpoint, by the names
// of RFC 7591 section 2 and OpenID Connect Core section 9.
type AuthMethod string

// The methods.
const (
	ClientSecretPost AuthMethod = "client_secret_post" // a secret, shown once
	PrivateKeyJWT    AuthMethod = "private_key_jwt"    // an assertion signed with a key that we never see
)

// Subject is the `sub` claim of the agent's tokens, or "" before it has a client.
func (a Agent) Subject() string {
	if a.ClientID == "" {
		return ""
	}
	return SubjectOf(a.ClientID)
}

// SubjectOf is the `sub` claim that Auth0 gives a client's own tokens.
func SubjectOf(clientID string) string { return clientID + "@clients" }

// ClientOf is the client whose own tokens carry the subject; ok is false for the
// subject of anybody else.
func ClientOf(subject string) (clientID string, ok bool) {
	return strings.CutSuffix(subject, "@clients")
}

// EntityName is the name of the agent's entity in the secret store. It is made
// of the id alone, never of a name that somebody chose: policies are templated
// on it.
func EntityName(agentID string) string { return "agent_" + agentID }

// Capability is something an agent says it can do. Input and Output are JSON
// Schemas that are checked for shape and never run.
type Capability struct {
	Name        string
	Description string
	Input       json.RawMessage
	Output      json.RawMessage
}

// Quota bounds an agent's requests. A nil field says nothing.
type Quota struct {
	RequestsPerSecond *int64
	RequestsPerDay    *int64
}

// Lifecycle says whether an agent lives. Suspension and conditions are axes of
// their own.
type Lifecycle string

// The two lifecycles.
const (
	Active         Lifecycle = "active"
	Decommissioned Lifecycle = "decommissioned"
)

// ConditionType names one thing that must be true of a working agent.
type ConditionType string

// The conditions, in the order in which they come true.
const (
	IdentityReady   ConditionType = "IdentityReady"   // the identity provider has the client and its grant
	SecretsReady    ConditionType = "SecretsReady"    // the secret store has the entity and its alias
	PolicyPublished ConditionType = "PolicyPublished" // policy data is committed at a revision
	Ready           ConditionType = "Ready"           // all of them
)

// ConditionStatus is whether a condition holds.
type ConditionStatus string

// The statuses of a condition.
const (
	True    ConditionStatus = "true"
	False   ConditionStatus = "false"
	Unknown ConditionStatus = "unknown"
)

// Condition says whether something is true of an agent, since when and why.
type Condition struct {
	Type               ConditionType
	Status             ConditionStatus
	Reason             string // CamelCase, for programs
	Message            string // a sentence, for people; never a provider's raw text
	LastTransitionTime time.Time
}

// StepName names a provisioning step.
type StepName string

// The steps, in the order in which they run.
const (
	StepClient StepName = "auth0_client"
	StepGrant  StepName = "auth0_grant"
	StepEntity StepName = "vault_entity"
	StepAlias  StepName = "vault_alias"
	StepPolicy StepName = "policy"
)

// Steps lists every step in order.
var Steps = []StepName{StepClient, StepGrant, StepEntity, StepAlias, StepPolicy}

// StepState says how far a step got.
type StepState string

// The states of a step.
const (
	StepPending StepState = "pending" // not done yet
	StepDone    StepState = "done"    // done and seen to be done
	StepFailed  StepState = "failed"  // the last attempt failed; LastError says how
	StepUndone  StepState = "undone"  // taken back
)

// Step is the state of one provisioning step of an agent.
type Step struct {
	Name      StepName
	State     StepState
	LastError string // for people, without any provider's raw text
	At        time.Time
}

// Credentials let an agent obtain tokens. They are shown once and never stored.
type Credentials struct {
	ClientID     string
	ClientSecret string
}

// Environment is what an admin decides about one environment.
type Environment struct {
	Name             string
	AllowedEndpoints []string // host:port globs and CIDRs
	Grants           string   // "permissions" or "explicit"
	MaxStaleness     string   // a Go duration such as "15m"
	ReservedNames    []string
	Meta
}

// AgentType is what an admin decides about one kind of agent.
type AgentType struct {
	Name                string
	Schema              json.RawMessage // JSON Schema of Config; nil allows any object
	DefaultScopes       []string
	AllowedScopes       []string
	AllowedEnvironments []string
	DefaultQuota        Quota
	MaxQuota            *Quota // nil: the default is the most
	Meta
}

// Team is what an admin decides about one team. A team without one has the
// defaults of NewTeam.
type Team struct {
	Name      string
	MaxAgents int64
	Blocked   bool
	Meta
}

// DefaultMaxAgents is how many living agents a team may have when no admin said
// otherwise.
const DefaultMaxAgents = 100

// NewTeam is a team of which nobody said anything.
func NewTeam(name string) Team { return Team{Name: name, MaxAgents: DefaultMaxAgents} }

// Meta is what the registry itself says about an admin's document.
type Meta struct {
	Revision  int64 // of the last change
	Version   int64 // counts the changes; feeds the ETag
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Head is the newest state of the registry.
type Head struct {
	Epoch    string
	Revision int64
}

var (
	nameRE = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	uuidRE = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`)
)

// ValidName reports whether s may name an agent, a team, a type, an
// environment or a resource. Names reach Vault templates, Rego package paths and
// URL paths, so the rule is one of security. A UUID is no name (invariant A3).
func ValidName(s string) bool { return nameRE.MatchString(s) && !IsUUID(s) }

// IsUUID reports whether s has the shape of a UUID.
func IsUUID(s string) bool { return uuidRE.MatchString(s) }
