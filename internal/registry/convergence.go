package registry

import (
	"slices"
	"time"
)

// Convergence is how far an agent is from being everywhere as the registry says.
// It is level-triggered: whoever works on the agent brings it to its present
// desired state, whatever led there.
type Convergence struct {
	// Generation counts the changes of the desired state, Observed says up to
	// which of them the providers have followed. They differ while there is work.
	Generation int64
	Observed   int64

	// Renewal is what must be made anew at the providers, or revived, before the
	// agent is brought to its desired state.
	Renewal Renewal

	// Passes counts the passes that ended well since the desired state changed.
	Passes int64

	Attempts  int64     // passes in a row that failed; 0 after a good one
	LastError string    // of the last attempt, for people; without any provider's raw text
	DueAt     time.Time // when the next pass is due; zero: none is
	HeldUntil time.Time // until when somebody holds the lease; in the past: nobody does
}

// Converged reports whether the providers have followed every change.
func (c Convergence) Converged() bool { return c.Observed == c.Generation }

// Renewal says what of an agent at the providers is not to be carried over. Each
// includes what stands before it.
type Renewal string

// The renewals, from the least to the most.
const (
	RenewNothing  Renewal = ""         // what is there stays
	RenewAccess   Renewal = "access"   // a disabled entity is enabled again: its tokens revive
	RenewEntity   Renewal = "entity"   // the entity is made anew: no token of the old one works again
	RenewIdentity Renewal = "identity" // client, grant, alias and entity are made anew
)

var renewals = map[Renewal]int{RenewNothing: 0, RenewAccess: 1, RenewEntity: 2, RenewIdentity: 3}

// Or returns the one of r and other that renews more.
func (r Renewal) Or(other Renewal) Renewal {
	if renewals[other] > renewals[r] {
		return other
	}
	return r
}

// Lease is the right to work on one agent at the providers, for a time. It fences
// rows, not providers: a holder that was frozen may still send a call. So no call
// may take longer than what is left of the lease, checked just before it.
type Lease struct {
	AgentID string
	Epoch   int64     // grows with each holder; every write of a pass is on condition of it
	Expires time.Time // by this process's monotonic clock, never later than the database thinks
}

// Claim is an agent with the right to work on it.
type Claim struct {
	Agent Agent
	Lease Lease
}

// AgentUpdate is a change of an agent's desired state, in one transaction.
type AgentUpdate struct {
	Action string // for the audit log, such as agent.suspend
	Detail string // for the audit log
	By     Actor
	Pre    Precondition
	Rules  *Rules        // must still hold when the change is written; nil: none are concerned
	Lease  time.Duration // of the lease to take with it, where nobody holds one
	DryRun bool          // nothing is kept: it shows whether the change would be allowed, and what comes of it

	// NeedLease fails the change with Conflict, code agent_busy, where somebody
	// holds the lease.
	NeedLease bool

	// Apply makes the change to the agent, whose row is locked: it calls nobody.
	// ErrUnchanged says that there is nothing to write; any other error ends the
	// change.
	Apply func(*Agent) error
}

// Finish is the end of a pass that brought an agent to its desired state.
type Finish struct {
	Generation int64       // that the pass has worked by
	Published  *AgentFacts // what policy is to see from now on; nil: nothing
	Steps      []StepName  // done with this
	StepState  StepState   // of Steps

	// Again is when to look at the agent again though nothing changes; 0: never.
	Again time.Duration
}

// IdempotencyKey makes a creation repeatable (the Idempotency-Key header,
// draft-ietf-httpapi-idempotency-key-header-07).
type IdempotencyKey struct {
	Principal   string // whose key it is: keys of different callers never meet
	Key         string // 1 to 255 characters
	Fingerprint string // of the request, hex: the same key with another one is an error
}

// IdempotentCreation is what a key led to.
type IdempotentCreation struct {
	IdempotencyKey
	AgentID              string
	CredentialGeneration int64     // that was issued under the key last
	Reissuable           bool      // young enough for a secret to be issued anew, and none was just now
	CreatedAt            time.Time // by the database's clock
}

// ReissueWindow bounds when a repeated creation gets its secret anew (invariant
// C3).
type ReissueWindow struct {
	Within time.Duration // of the creation
	Gap    time.Duration // since the secret was issued last
}

// Reopen makes steps to be done again by the next pass. Steps that were never
// done stay as they are.
func (a *Agent) Reopen(steps ...StepName) {
	a.Steps = slices.Clone(a.Steps) // others may hold the old ones
	for i := range a.Steps {
		if slices.Contains(steps, a.Steps[i].Name) {
			a.Steps[i].State, a.Steps[i].LastError = StepPending, ""
		}
	}
}

// Facts are what policy is to see of the agent once the providers have followed.
func (a Agent) Facts() AgentFacts {
	return AgentFacts{
		ID: a.ID, Name: a.Name, Team: a.Team, AgentType: a.AgentType, Environment: a.Environment, Subject: a.Subject(),
		Suspended: a.Suspended, Scopes: a.Scopes, Labels: a.Labels, Quota: a.Quota,
		ExpiresAt: a.expiry(), ValidAfter: a.TokensValidAfter,
	}
}

// expiry is when the agent or its credentials expire, whichever is first; zero is
// never.
func (a Agent) expiry() time.Time {
	if a.ExpiresAt.IsZero() || (!a.CredentialsExpireAt.IsZero() && a.CredentialsExpireAt.Before(a.ExpiresAt)) {
		return a.CredentialsExpireAt
	}
	return a.ExpiresAt
}
