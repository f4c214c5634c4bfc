package agents

import (
	"context"
	"errors"

	"github.com/credenceproject/credence/internal/registry"
)

// Decommission removes the agent that ref names. Policy denies it from the
// moment the registry has committed; then the secret store refuses it, then the
// identity provider forgets its client. Its entity stays, disabled: tokens that
// were issued live on, and an entity that is gone can be logged in to again.
//
// By id it may be repeated, and then finishes what a failure left undone; by
// name only the living are found, so a repetition never hits the name's next
// holder. It returns NotFound, Forbidden when the caller may not act for the
// agent's team or the team is blocked, PreconditionFailed, and Unavailable when a
// provider failed: the agent is decommissioned all the same.
func (s *Service) Decommission(ctx context.Context, by registry.Principal, ref string, pre registry.Precondition) error {
	const action = "agent.decommission"
	a, err := s.store.Agent(ctx, ref, registry.IsUUID(ref))
	if err != nil {
		return err
	}
	if err := s.mayDelete(ctx, by, a); err != nil {
		return err
	}
	if isTornDown(a) {
		return nil
	}
	actor := by.Actor(ctx)
	gone, _, err := s.store.DecommissionAgent(ctx, a.ID, pre, action, actor)
	if err != nil {
		return err
	}
	workCtx, cancel := detached(ctx, s.options.Teardown)
	defer cancel()
	progress, err := s.teardown(workCtx, gone, everything, s.secrets.DisableEntity)
	outcome, detail := registry.Success, ""
	if err != nil {
		outcome, detail = registry.Failure, publicText(err)
	}
	noteCtx, cancelNote := detached(ctx, s.options.Teardown) // a provider that hangs must not use up the note's time
	defer cancelNote()
	if recordErr := s.store.RecordTeardown(noteCtx, gone, progress, action, outcome, detail, actor); recordErr != nil {
		err = errors.Join(err, recordErr)
	}
	if err != nil {
		e := registry.Unavailable.Wrap(err, "decommission_incomplete",
			"the agent is decommissioned and denied everywhere, but a provider could not be told; DELETE /agents/"+gone.ID+" finishes it")
		e.RetryAfter = retryHint(err)
		return e
	}
	return nil
}

// mayDelete returns Forbidden unless the caller acts for the agent's team and
// that is not blocked: who carries a blocked name today need not be who made the
// agents (invariant A3). Admins may.
func (s *Service) mayDelete(ctx context.Context, by registry.Principal, a registry.Agent) error {
	if by.Can(registry.Admin) {
		return nil
	}
	if !by.ActsFor(a.Team) {
		return registry.Forbidden.Errorf("team_not_allowed", "the agent belongs to team %q, of which you are not a member", a.Team)
	}
	team, err := s.store.Team(ctx, a.Team)
	if err != nil && !errors.Is(err, registry.NotFound) { // nobody said anything of the team
		return err
	}
	if team.Blocked {
		return registry.Forbidden.Errorf("team_blocked", "team %q is blocked; ask an admin", a.Team)
	}
	return nil
}

// isTornDown reports whether nothing of a decommissioned agent is left to undo.
func isTornDown(a registry.Agent) bool {
	if a.Lifecycle != registry.Decommissioned {
		return false
	}
	for _, step := range registry.Steps {
		if a.StepState(step) != registry.StepUndone {
			return false
		}
	}
	return true
}

// teardown takes back from both providers what was made of the agent: the secret
// store first, since its refusal bites at once while a client's tokens live on.
// One failing does not keep the other from being told. It returns how far it got.
func (s *Service) teardown(ctx context.Context, a registry.Agent, made touched, retireEntity func(ctx context.Context, agentID string) error) ([]registry.Progress, error) {
	var secretsErr, identityErr error
	if made.entity {
		secretsErr = retireEntity(ctx, a.ID)
	}
	if made.client {
		identityErr = s.deleteClients(ctx, a)
	}
	return []registry.Progress{
		undone(secretsErr, registry.StepEntity, registry.StepAlias),
		undone(identityErr, registry.StepClient, registry.StepGrant),
	}, errors.Join(secretsErr, identityErr)
}

func undone(err error, steps ...registry.StepName) registry.Progress {
	if err != nil {
		return registry.Progress{Steps: steps, State: registry.StepFailed, Error: publicText(err)}
	}
	return registry.Progress{Steps: steps, State: registry.StepUndone}
}

// deleteClients deletes the agent's client. When the identity provider's answer
// to its creation was lost, the client is found by what it carries.
func (s *Service) deleteClients(ctx context.Context, a registry.Agent) error {
	clients := []string{a.ClientID}
	if a.ClientID == "" {
		var err error
		if clients, err = s.findClients(ctx, a.ID); err != nil {
			return err
		}
	}
	for _, id := range clients {
		if err := s.identity.DeleteClient(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// findClients returns the clients that were made for the agent. None is an
// answer only once a request to make one can no longer be under way; before, it
// is Unavailable with code client_unsettled.
func (s *Service) findClients(ctx context.Context, agentID string) ([]string, error) {
	// Before the list is read: a client could appear between the two.
	settled, err := s.store.ClientIntentsSettled(ctx, agentID, s.options.Settle)
	if err != nil {
		return nil, err
	}
	clients, err := s.identity.FindClients(ctx, agentID)
	if err == nil && len(clients) == 0 && !settled {
		e := registry.Unavailable.Errorf("client_unsettled", "it is not certain yet that the identity provider made no client")
		e.RetryAfter = s.options.Settle
		return nil, e
	}
	return clients, err
}
