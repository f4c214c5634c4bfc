// Package agents registers agents, changes and removes them, and brings the
// identity provider and the secret store to what the registry says of each.
//
// A change is one transaction on the agent's row, which says what is desired. A
// pass then brings the providers there, step by step, each an ensure that may run
// again; whoever works on an agent holds its lease. The first pass runs within the
// request, whatever it leaves undone any replica carries on (package reconcile).
// So no crash, lost answer or outage leaves half an agent for good.
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
	// OpenIntents returns the agent's intents to make a client whose outcome is
	// not known, the oldest first, and whether all of them are older than after:
	// only then can no request be under way any more.
	OpenIntents(ctx context.Context, agentID string, after time.Duration) (ids []string, settled bool, err error)
	// IsAdoptedClient reports whether none of our attempts made the client.
	IsAdoptedClient(ctx context.Context, clientID string) (bool, error)
	// ExpiredAgents returns up to limit living agents that have expired, or whose
	// credentials have, and that are not suspended.
	ExpiredAgents(ctx context.Context, limit int) ([]registry.Agent, error)
	// IdempotentCreation returns what the key led to, or NotFound. issuedWithin
	// and minGap bound Reissuable.
	IdempotentCreation(ctx context.Context, principal, key string, w registry.ReissueWindow) (registry.IdempotentCreation, error)
}

// Rulebook reads what admins decided. *postgres.Store implements it.
type Rulebook interface {
	Environment(ctx context.Context, name string) (registry.Environment, error)
	AgentType(ctx context.Context, name string) (registry.AgentType, error)
	Team(ctx context.Context, name string) (registry.Team, error)
	// Bounds returns the ceilings over agents of the team and of the agent type.
	Bounds(ctx context.Context, team, agentType string) ([]registry.Bound, error)
}

// Writer records what becomes of an agent; each method is one transaction with
// its audit event. Methods that take a lease fail with registry.ErrLeaseLost when
// somebody else has had it since, and write nothing then. *postgres.Store
// implements it.
type Writer interface {
	// CreateAgent records a new agent, due at once, and gives the caller its lease.
	CreateAgent(ctx context.Context, n registry.NewAgent, by registry.Actor) (registry.Agent, registry.Lease, error)
	// UpdateAgent changes the desired state: generation grows, a pass is due. It
	// returns the lease when nobody had it, and nil otherwise.
	UpdateAgent(ctx context.Context, agentID string, u registry.AgentUpdate) (registry.Agent, *registry.Lease, error)

	// ClaimAgents takes the leases of up to limit agents that are due.
	ClaimAgents(ctx context.Context, lease time.Duration, limit int) ([]registry.Claim, error)
	// ClaimAgent takes the lease of one agent; held is true when somebody has it.
	ClaimAgent(ctx context.Context, agentID string, lease time.Duration) (c registry.Claim, held bool, err error)

	// BeginClient notes the intent to make a client, before it is made.
	BeginClient(ctx context.Context, l registry.Lease, intentID string) error
	// EndIntents notes that no client came, or will come, of the intents.
	EndIntents(ctx context.Context, l registry.Lease, intentIDs []string) error
	// RecordProgress notes what a step brought about, and makes the lease last
	// for lease from now on.
	RecordProgress(ctx context.Context, l registry.Lease, p registry.Progress, lease time.Duration) (registry.Lease, error)
	// FinishPass ends a pass that went well, and the lease. Policy sees what it
	// says when nothing changed meanwhile; otherwise another pass is due at once.
	FinishPass(ctx context.Context, l registry.Lease, f registry.Finish) (registry.Agent, error)
	// PostponePass ends a pass that failed, and the lease: the next is due after.
	PostponePass(ctx context.Context, l registry.Lease, lastError string, after time.Duration) error
	// IssueCredentials counts a new secret before it is handed out, and notes it
	// under the key that asked for it, if one did.
	IssueCredentials(ctx context.Context, l registry.Lease, key *registry.IdempotencyKey) error
}

// Store is the registry.
type Store interface {
	Reader
	Rulebook
	Writer
}

// IdentityProvider gives an agent its OAuth client. *auth0.Client implements it.
// No call outlives its context.
type IdentityProvider interface {
	// CreateClient creates the agent's client, once. After any error but
	// Refused and ErrNotDone it is unknown whether the client exists, or will.
	CreateClient(ctx context.Context, a registry.Agent, intentID string) (registry.Credentials, error)
	// FindClients returns all clients that were made for the agent.
	FindClients(ctx context.Context, agentID string) ([]registry.FoundClient, error)
	// InspectClient returns a client, whoever made it; NotFound when there is none.
	InspectClient(ctx context.Context, clientID string) (registry.ProviderClient, error)
	// EnsureClient makes the agent's client as the registry says; NotFound when
	// it is gone.
	EnsureClient(ctx context.Context, a registry.Agent) error
	// EnsureGrant lets the client ask for exactly these scopes.
	EnsureGrant(ctx context.Context, clientID string, scopes []string) (grantID string, err error)
	// DeleteGrants lets the client ask for nothing any more.
	DeleteGrants(ctx context.Context, clientID string) error
	// RotateSecret replaces the client's secret. After an error it is unknown
	// whether it did.
	RotateSecret(ctx context.Context, clientID string) (registry.Credentials, error)
	// DeleteClient removes the client and its grant; gone is success.
	DeleteClient(ctx context.Context, clientID string) error
}

// SecretStore gives an agent its place among the secrets. *vault.Client
// implements it. No call outlives its context.
type SecretStore interface {
	// EnsureEntity creates the agent's entity, or makes it as the registry says.
	// It does not enable one that is disabled.
	EnsureEntity(ctx context.Context, a registry.Agent) (entityID string, err error)
	// EnsureAlias ties the subject of the agent's tokens to its entity.
	EnsureAlias(ctx context.Context, entityID, subject string) (aliasID string, err error)
	// EnableEntity lets the agent's tokens and log-ins work again.
	EnableEntity(ctx context.Context, agentID string) error
	// DisableEntity refuses the agent's tokens and log-ins from now on; none to
	// disable is success.
	DisableEntity(ctx context.Context, agentID string) error
	// DeleteEntity removes the entity and its alias; gone is success.
	DeleteEntity(ctx context.Context, agentID string) error
}

// Observer times the steps of a pass. It may be nil.
type Observer interface {
	ObserveStep(step registry.StepName, d time.Duration, err error)
}

// Options bound the work. What is zero has its default.
type Options struct {
	// Lease is how long one holder may work on an agent without a word; each step
	// that is done makes it last as long again. No call to a provider outlives it.
	Lease time.Duration // default 15 s
	// Inline is how long a request waits for the providers before it is answered
	// with what there is, and the rest goes on without it.
	Inline time.Duration // default 8 s
	// Settle is how long after its intent a client may still appear whose
	// creation was not answered. Until then, that none is found proves nothing. It
	// is longer than a request can be under way: a lease and half a minute.
	Settle time.Duration // default 1 min
	// RetryBase and RetryMax bound the pause after a pass that failed. It doubles
	// with each, and is jittered.
	RetryBase, RetryMax time.Duration // default 1 s, 5 min
	// Reissue bounds when a repeated registration gets its secret anew.
	Reissue registry.ReissueWindow // default within 10 min, 30 s apart
	// TokenLifetime is how long the agents' tokens live at most. A decommissioned
	// agent's entity is deleted only after it: whoever holds a token could log in
	// to the place of one that is gone.
	TokenLifetime time.Duration // default 1 h
}

func (o Options) withDefaults() Options {
	o.Lease = cmp.Or(o.Lease, 15*time.Second)
	o.Inline = cmp.Or(o.Inline, 8*time.Second)
	o.Settle = cmp.Or(o.Settle, time.Minute)
	o.RetryBase = cmp.Or(o.RetryBase, time.Second)
	o.RetryMax = cmp.Or(o.RetryMax, 5*time.Minute)
	o.Reissue.Within = cmp.Or(o.Reissue.Within, 10*time.Minute)
	o.Reissue.Gap = cmp.Or(o.Reissue.Gap, 30*time.Second)
	o.TokenLifetime = cmp.Or(o.TokenLifetime, time.Hour)
	return o
}

// Service registers, finds, changes and removes agents. It is safe for concurrent
// use.
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
	return &Service{store: store, identity: identity, secrets: secrets, observer: observer, log: log, options: o.withDefaults()}
}

// detached returns a context that outlives the request of ctx by at most d.
func detached(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), d)
}
