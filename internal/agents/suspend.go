package agents

import (
	"context"
	"errors"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// Switch is why an agent is suspended or resumed.
type Switch struct {
	Reason string
	// RevokeTokens has policy deny every token that was issued until now. With a
	// resume it also has the secret store make the agent's entity anew, since
	// enabling the old one would revive its tokens there.
	RevokeTokens bool
	DryRun       bool
}

// Suspend denies the agent everything from now on, whatever its tokens say: policy
// with this change, then the secret store, then the identity provider. An agent
// that is suspended stays so, now for this reason, and its tokens are revoked where
// that is asked for. It returns NotFound, Forbidden and PreconditionFailed.
func (s *Service) Suspend(ctx context.Context, by registry.Principal, ref string, pre registry.Precondition, w Switch) (registry.Agent, error) {
	a, err := s.forChange(ctx, by, ref)
	if err != nil {
		return registry.Agent{}, err
	}
	return s.update(ctx, a.ID, registry.AgentUpdate{
		Action: "agent.suspend", Detail: w.Reason, By: by.Actor(ctx), Pre: pre, DryRun: w.DryRun,
		Apply: ofTeam(a.Team, func(a *registry.Agent) error {
			if a.Suspended && a.SuspendReason == w.Reason && !w.RevokeTokens {
				return registry.ErrUnchanged
			}
			applySuspension(a, w.Reason)
			if w.RevokeTokens {
				a.TokensValidAfter = nextSecond(time.Now())
				a.Convergence.Renewal = a.Convergence.Renewal.Or(registry.RenewEntity) // when it is resumed
			}
			narrow(a)
			return nil
		}),
	})
}

func applySuspension(a *registry.Agent, reason string) {
	if a.Convergence.Renewal == registry.RenewAccess {
		a.Convergence.Renewal = registry.RenewNothing // nothing is enabled again any more
	}
	a.Suspended, a.SuspendReason = true, reason
	narrow(a)
}

// Resume gives a suspended agent back what it had; policy allows it last. It
// returns NotFound, Forbidden, PreconditionFailed, and Conflict when the agent is
// not suspended or has expired.
func (s *Service) Resume(ctx context.Context, by registry.Principal, ref string, pre registry.Precondition, w Switch) (registry.Agent, error) {
	a, err := s.forChange(ctx, by, ref)
	if err != nil {
		return registry.Agent{}, err
	}
	return s.update(ctx, a.ID, registry.AgentUpdate{
		Action: "agent.resume", Detail: w.Reason, By: by.Actor(ctx), Pre: pre, DryRun: w.DryRun,
		Apply: ofTeam(a.Team, func(a *registry.Agent) error { return applyResumption(a, w.RevokeTokens, time.Now()) }),
	})
}

func applyResumption(a *registry.Agent, revokeTokens bool, now time.Time) error {
	if !a.Suspended {
		return registry.Conflict.Errorf("not_suspended", "the agent is not suspended")
	}
	if until := a.Facts().ExpiresAt; !until.IsZero() && !now.Before(until) {
		return registry.Conflict.Errorf("agent_expired", "the agent or its credentials expired at %s; move expires_at or credentials_expire_at first", until.Format(time.RFC3339))
	}
	a.Suspended, a.SuspendReason = false, ""
	renewal := registry.RenewAccess
	if revokeTokens {
		renewal = registry.RenewEntity
		a.TokensValidAfter = nextSecond(now)
	}
	a.Convergence.Renewal = a.Convergence.Renewal.Or(renewal)
	a.Reopen(registry.StepGrant, registry.StepEntity, registry.StepAlias, registry.StepPolicy)
	narrow(a) // policy goes on to see it suspended until the providers have followed
	return nil
}

// nextSecond is when tokens count again that are issued from now on. The `iat` of a
// token has whole seconds: in the present one nobody can tell those that were issued
// before from those that come after, so none of them counts.
func nextSecond(now time.Time) time.Time { return now.UTC().Truncate(time.Second).Add(time.Second) }

// expirer is who suspends what has expired, in the audit log.
var expirer = registry.Actor{Subject: "credence:expiry"}

// maxExpired is how many agents one run of ExpireAgents suspends at most.
const maxExpired = 500

// ExpireAgents suspends the agents that have expired, or whose credentials have:
// policy denies them since that second, the providers do from now on. It returns
// how many there were; the passes are made by whoever claims them.
func (s *Service) ExpireAgents(ctx context.Context) (n int, err error) {
	expired, err := s.store.ExpiredAgents(ctx, maxExpired)
	if err != nil {
		return 0, err
	}
	var failed []error // one that cannot be written keeps none of the others waiting
	for _, a := range expired {
		after, _, err := s.store.UpdateAgent(ctx, a.ID, registry.AgentUpdate{
			Action: "agent.expire", By: expirer,
			Apply: func(a *registry.Agent) error {
				until := a.Facts().ExpiresAt
				if a.Suspended || until.IsZero() || time.Now().Before(until) {
					return registry.ErrUnchanged // somebody renewed it meanwhile
				}
				applySuspension(a, "expired at "+until.UTC().Format(time.RFC3339))
				return nil
			},
		})
		if err != nil && !isGone(err) {
			failed = append(failed, err)
		}
		if err == nil && after.Suspended {
			n++
		}
	}
	return n, errors.Join(failed...)
}
