package agents

import (
	"context"
	"errors"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// Replay answers a registration whose Idempotency-Key was used before, by the
// agent that it led to; the caller is authorised anew (invariant C3). It returns
// NotFound when the key is new.
//
// The secret was never stored. While the agent still has the credentials that
// this key led to, a new secret takes their place and is handed out, for a short
// while after the registration and not again within the gap; otherwise there are
// no credentials, and Rotate gives new ones. It returns Invalid with code
// idempotency_key_reused when the key came with another request, Conflict with
// code idempotency_key_in_progress while the registration runs, and Forbidden.
func (s *Service) Replay(ctx context.Context, by registry.Principal, key, fingerprint string) (Registered, error) {
	c, err := s.store.IdempotentCreation(ctx, by.Subject, key, s.options.Reissue)
	if err != nil {
		return Registered{}, err
	}
	if c.Fingerprint != fingerprint {
		return Registered{}, registry.Invalid.Errorf("idempotency_key_reused", "the Idempotency-Key was used for another request; use a new key for a new registration")
	}
	a, err := s.store.Agent(ctx, c.AgentID, true)
	if err != nil {
		return Registered{}, err
	}
	if err := s.mayChange(ctx, by, a); err != nil {
		return Registered{}, err
	}
	now := Registered{Agent: a, Replayed: true}
	switch {
	case a.Lifecycle == registry.Decommissioned:
		return Registered{}, spent()
	case !a.Convergence.Converged() && a.Convergence.HeldUntil.After(time.Now()):
		return Registered{}, inProgress()
	case !a.IsReady(), !c.Reissuable, c.CredentialGeneration != a.CredentialGeneration:
		return now, nil
	}
	u := registry.AgentUpdate{
		Action: "agent.reissue", By: by.Actor(ctx), Lease: s.options.Lease, NeedLease: true,
		Apply: ofTeam(a.Team, func(a *registry.Agent) error {
			if a.CredentialGeneration != c.CredentialGeneration || a.Suspended {
				return registry.ErrUnchanged
			}
			return nil
		}),
	}
	again, err := s.reissue(ctx, a.ID, u, &c.IdempotencyKey)
	again.Replayed = true
	if e, ok := registry.AsError(err); ok && e.Code == "agent_busy" {
		return Registered{}, inProgress()
	}
	if isGone(err) {
		return Registered{}, spent()
	}
	if errors.Is(err, registry.Conflict) { // another call with the key was given the secret
		return now, nil
	}
	return again, err
}

func spent() error {
	return registry.Conflict.Errorf("idempotency_key_spent", "the agent that this Idempotency-Key registered was deleted; use a new key")
}

func inProgress() error {
	e := registry.Conflict.Errorf("idempotency_key_in_progress", "a registration with this Idempotency-Key is still running; repeat the call")
	e.RetryAfter = time.Second
	return e
}
