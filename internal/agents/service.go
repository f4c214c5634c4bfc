// Package agents registers agents and removes them: it carries an agent from a
// registration through the identity provider, the secret store and the registry,
// and back.
//
// A registration grants itself nothing: what an agent may have is what its
// agent type allows, and only admins write agent types. Authority appears last
// and leaves first: policy sees an agent only when every provider has it, and no
// longer from the moment its removal begins. No database transaction is open
// while a provider is called; progress is kept in the agent's steps.
package agents

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// Reader reads agents. *postgres.Store implements it.
type Reader interface {
	Agent(ctx context.Context, ref string, tombstones bool) (registry.Agent, error)
	Agents(ctx context.Context, f registry.AgentFilter) (page []registry.Agent, more bool, err error)
	ClientIntentsSettled(ctx context.Context, agentID string, after time.Duration) (bool, error)
}

// Rulebook reads what admins decided. *postgres.Store implements it.
type Rulebook interface {
	Environment(ctx context.Context, name string) (registry.Environment, error)
	AgentType(ctx context.Context, name string) (registry.AgentType, error)
	Team(ctx context.Context, name string) (registry.Team, error)
}

// Writer records what becomes of an agent; each method is one transaction with
// its audit event. *postgres.Store implements it.
type Writer interface {
	CreateAgent(ctx context.Context, n registry.NewAgent, by registry.Actor) (registry.Agent, error)
	RecordProgress(ctx context.Context, agentID string, p registry.Progress) error
	PublishAgent(ctx context.Context, agentID string, by registry.Actor) (registry.Agent, error)
	DecommissionAgent(ctx context.Context, agentID string, pre registry.Precondition, action string, by registry.Actor) (gone registry.Agent, did bool, err error)
	RecordTeardown(ctx context.Context, a registry.Agent, p []registry.Progress, action string, outcome registry.Outcome, detail string, by registry.Actor) error
}

// Store is the registry.
type Store interface {
	Reader
	Rulebook
	Writer
}

// IdentityProvider gives an agent its OAuth client. *auth0.Client implements it.
type IdentityProvider interface {
	// CreateClient creates the agent's client, once. After any error but
	// Refused and ErrNotDone it is unknown whether the client exists, or will.
	CreateClient(ctx context.Context, a registry.Agent, intentID string) (registry.Credentials, error)
	// FindClients returns the ids of all clients that were made for the agent.
	FindClients(ctx context.Context, agentID string) ([]string, error)
	// EnsureGrant lets the client ask for exactly these scopes.
	EnsureGrant(ctx context.Context, clientID string, scopes []string) (grantID string, err error)
	// DeleteClient removes the client and its grant; gone is success.
	DeleteClient(ctx context.Context, clientID string) error
}

// SecretStore gives an agent its place among the secrets. *vault.Client
// implements it.
type SecretStore interface {
	// EnsureEntity creates the agent's entity, or finds it.
	EnsureEntity(ctx context.Context, a registry.Agent) (entityID string, err error)
	// EnsureAlias ties the subject of the agent's tokens to its entity.
	EnsureAlias(ctx context.Context, entityID, subject string) (aliasID string, err error)
	// DisableEntity refuses the agent's tokens and log-ins from now on.
	DisableEntity(ctx context.Context, agentID string) error
	// DeleteEntity removes an entity that nobody ever logged in to.
	DeleteEntity(ctx context.Context, agentID string) error
}

// Observer times the steps of a registration. It may be nil.
type Observer interface {
	ObserveStep(step registry.StepName, d time.Duration, err error)
}

// Options bound the work of one call.
type Options struct {
	// Provisioning is how long the calls to the providers may take in all. It
	// goes on when the caller hangs up, so that no agent is left half made.
	Provisioning time.Duration
	// Teardown is how long taking an agent back may take in all.
	Teardown time.Duration
	// Settle is how long after its intent a client may still appear whose
	// creation was not answered; 0 is DefaultSettle. Until then, that none is
	// found proves nothing. It is longer than a request can be under way.
	Settle time.Duration
}

// DefaultSettle is the Settle of Options that say nothing.
const DefaultSettle = time.Minute

// Service registers, finds and removes agents. It is safe for concurrent use.
type Service struct {
	store    Store
	identity IdentityProvider
	secrets  SecretStore
	observer Observer
	log      *slog.Logger
	options  Options
}

// NewService returns a Service. All arguments but observer are required.
func NewService(store Store, identity IdentityProvider, secrets SecretStore, observer Observer, log *slog.Logger, o Options) *Service {
	o.Settle = cmp.Or(o.Settle, DefaultSettle)
	return &Service{store: store, identity: identity, secrets: secrets, observer: observer, log: log, options: o}
}

// detached returns a context that outlives the request of ctx by at most d.
func detached(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), d)
}
