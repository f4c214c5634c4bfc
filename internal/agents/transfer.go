package agents

import (
	"context"
	"errors"

	"github.com/credenceproject/credence/internal/registry"
)

// Transfer gives an agent to another team.
type Transfer struct {
	Team   string
	Owner  string // "" leaves it
	Reason string
	DryRun bool
}

// Transfer gives the agent to another team, with an identity made anew: its
// client, its entity and every token of either are gone before the new ones come,
// so that people of the old team hold nothing that works (invariant A6). The new
// team collects credentials with Rotate. To the team that has it already, it
// renews the agent's identity.
//
// It returns NotFound, Forbidden unless the caller acts for both teams and the new
// one is not blocked and has room, and PreconditionFailed.
func (s *Service) Transfer(ctx context.Context, by registry.Principal, ref string, pre registry.Precondition, t Transfer) (registry.Agent, error) {
	a, err := s.forChange(ctx, by, ref)
	if err != nil {
		return registry.Agent{}, err
	}
	if !by.ActsFor(t.Team) {
		return registry.Agent{}, registry.Forbidden.Errorf("team_not_allowed", "you are not a member of team %q", t.Team).
			With(registry.FieldError{Pointer: "/team", Code: "team_not_allowed", Detail: "is not one of your teams"})
	}
	for attempt := 1; ; attempt++ {
		rules, err := s.rulesOf(ctx, a, t.Team)
		if err != nil {
			return registry.Agent{}, err
		}
		if rules.Team.Blocked {
			return registry.Agent{}, registry.Forbidden.Errorf("team_blocked", "team %q is blocked; ask an admin", t.Team)
		}
		moved, err := s.update(ctx, a.ID, registry.AgentUpdate{
			Action: "agent.transfer", Detail: t.Reason, By: by.Actor(ctx), Pre: pre, Rules: &rules, DryRun: t.DryRun,
			Apply: ofTeam(a.Team, func(now *registry.Agent) error {
				if now.AgentType != a.AgentType { // whose rules hold is not known here
					return changedMeanwhile()
				}
				applyTransfer(now, t)
				return nil
			}),
		})
		if e, ok := registry.AsError(err); ok && e.Code == "rules_changed" && attempt < maxRuleChanges {
			continue
		}
		return moved, err
	}
}

func applyTransfer(a *registry.Agent, t Transfer) {
	a.Team = t.Team
	if t.Owner != "" {
		a.Owner = t.Owner
	}
	a.Convergence.Renewal = registry.RenewIdentity
	a.Reopen(registry.Steps...)
	if a.Published != nil {
		seen := *a.Published
		seen.Suspended = true // until the new identity stands
		a.Published = &seen
	}
}

// rulesOf reads the documents that the agent is held to as one of the team.
func (s *Service) rulesOf(ctx context.Context, a registry.Agent, team string) (rules registry.Rules, err error) {
	if rules.AgentType, err = s.store.AgentType(ctx, a.AgentType); err != nil {
		return rules, err
	}
	if rules.Environment, err = s.store.Environment(ctx, a.Environment); err != nil {
		return rules, err
	}
	if rules.Team, err = s.store.Team(ctx, team); errors.Is(err, registry.NotFound) {
		return registry.Rules{AgentType: rules.AgentType, Environment: rules.Environment, Team: registry.NewTeam(team)}, nil
	}
	return rules, err
}
