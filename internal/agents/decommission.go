package agents

import (
	"context"
	"errors"

	"github.com/credenceproject/credence/internal/registry"
)

// Decommission removes the agent that ref names. Policy denies it from the
// moment the registry has committed; then the secret store refuses it, then the
// identity provider forgets its client. Its entity stays, disabled, until the last
// token has expired: one that is gone can be logged in to again.
//
// By id it may be repeated; by name only the living are found, so a repetition
// never hits the name's next holder. It returns the agent as it is then: what is
// not Converged is denied everywhere, but a provider has yet to follow. It returns
// NotFound, Forbidden when the caller may not act for the agent's team or the team
// is blocked, and PreconditionFailed.
func (s *Service) Decommission(ctx context.Context, by registry.Principal, ref string, pre registry.Precondition, dryRun bool) (registry.Agent, error) {
	a, err := s.store.Agent(ctx, ref, registry.IsUUID(ref))
	if err != nil {
		return registry.Agent{}, err
	}
	if err := s.mayChange(ctx, by, a); err != nil {
		return registry.Agent{}, err
	}
	if a.Lifecycle == registry.Decommissioned {
		return a, nil
	}
	gone, err := s.update(ctx, a.ID, registry.AgentUpdate{
		Action: "agent.decommission", By: by.Actor(ctx), Pre: pre, DryRun: dryRun, Apply: ofTeam(a.Team, applyRemoval),
	})
	if errors.Is(err, registry.NotFound) && registry.IsUUID(ref) {
		return s.present(ctx, a), nil // somebody else was faster
	}
	return gone, err
}

func applyRemoval(a *registry.Agent) error {
	a.Lifecycle = registry.Decommissioned
	a.Published = nil
	a.Convergence.Renewal = registry.RenewNothing
	return nil
}

func isGone(err error) bool { return errors.Is(err, registry.NotFound) }
