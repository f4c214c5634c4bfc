package agents

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// Change makes the agent what r, its whole document, says. Its team, environment
// and name stay: r must name the present ones.
//
// What narrows the agent holds for policy at once, what widens it when the
// providers have followed. Ceilings are asked about when scopes or type change: one
// that was set later takes scopes away in policy, and keeps nobody from changing
// something else. It returns NotFound, Forbidden when the caller may not
// act for the team or the rules do not allow it, Invalid when r names what does
// not exist, PreconditionFailed, and Conflict with code rules_changed. An agent
// that is not Converged is still being brought there.
func (s *Service) Change(ctx context.Context, by registry.Principal, ref string, pre registry.Precondition, r Registration) (registry.Agent, error) {
	a, err := s.forChange(ctx, by, ref)
	if err != nil {
		return registry.Agent{}, err
	}
	for attempt := 1; ; attempt++ {
		rules, err := s.rules(ctx, r)
		if err != nil {
			return registry.Agent{}, err
		}
		sameScopes := r.AgentType == a.AgentType && r.Scopes != nil && registry.SameSet(*r.Scopes, a.Scopes)
		if sameScopes {
			rules.Bounds = nil
		}
		judged := rules
		judged.Team.Blocked = rules.Team.Blocked && !by.Can(registry.Admin)
		want, err := admit(r, judged)
		if err != nil {
			return registry.Agent{}, err
		}
		changed, err := s.update(ctx, a.ID, registry.AgentUpdate{
			Action: "agent.change", By: by.Actor(ctx), Pre: pre, Rules: &rules, DryRun: r.DryRun,
			Apply: func(now *registry.Agent) error {
				if sameScopes && (now.AgentType != want.AgentType || !registry.SameSet(now.Scopes, want.Scopes)) {
					return changedMeanwhile()
				}
				return amend(now, want)
			},
		})
		if e, ok := registry.AsError(err); ok && e.Code == "rules_changed" && attempt < maxRuleChanges {
			continue
		}
		return changed, err
	}
}

// amend makes a what want says, and reopens the steps that follow from it.
func amend(a *registry.Agent, want registry.Agent) error {
	if a.Team != want.Team || a.Environment != want.Environment || a.Name != want.Name {
		return changedMeanwhile()
	}
	before := *a
	if !registry.SameSet(a.Scopes, want.Scopes) {
		a.Reopen(registry.StepGrant)
	}
	if a.AgentType != want.AgentType {
		a.Reopen(registry.StepClient, registry.StepEntity)
	}
	a.AgentType, a.Owner, a.Description, a.Scopes = want.AgentType, want.Owner, want.Description, want.Scopes
	a.Capabilities, a.Labels, a.Config, a.Quota = want.Capabilities, want.Labels, want.Config, want.Quota
	a.ExpiresAt, a.CredentialsExpireAt = want.ExpiresAt, want.CredentialsExpireAt
	if a.Authentication != want.Authentication || !sameJSON(a.Keys, want.Keys) {
		a.Authentication, a.Keys = want.Authentication, want.Keys
		a.Reopen(registry.StepClient)
	}
	if sameDocument(before, *a) {
		return registry.ErrUnchanged
	}
	narrow(a)
	return nil
}

// sameDocument reports whether two states of an agent have the same document.
func sameDocument(a, b registry.Agent) bool {
	return a.AgentType == b.AgentType && a.Owner == b.Owner && a.Description == b.Description && slices.Equal(a.Scopes, b.Scopes) &&
		maps.Equal(a.Labels, b.Labels) && sameJSON(a.Config, b.Config) && reflect.DeepEqual(a.Quota, b.Quota) &&
		slices.EqualFunc(a.Capabilities, b.Capabilities, sameCapability) && a.ExpiresAt.Equal(b.ExpiresAt) &&
		a.CredentialsExpireAt.Equal(b.CredentialsExpireAt) && a.Authentication == b.Authentication && sameJSON(a.Keys, b.Keys)
}

func sameCapability(a, b registry.Capability) bool {
	return a.Name == b.Name && a.Description == b.Description && sameJSON(a.Input, b.Input) && sameJSON(a.Output, b.Output)
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// narrow takes from what policy sees of the agent whatever it is no longer to
// have. What it is to have beside comes with the end of the pass: authority
// leaves first and appears last (invariant C1).
func narrow(a *registry.Agent) {
	if a.Published == nil {
		return
	}
	next, seen := a.Facts(), *a.Published
	seen.Suspended = seen.Suspended || next.Suspended
	seen.Scopes = slices.DeleteFunc(slices.Clone(seen.Scopes), func(scope string) bool { return !slices.Contains(next.Scopes, scope) })
	seen.ExpiresAt = earlier(seen.ExpiresAt, next.ExpiresAt)
	seen.ValidAfter = later(seen.ValidAfter, next.ValidAfter)
	if seen.AgentType != next.AgentType || seen.Team != next.Team {
		seen.Suspended = true // neither what it may no longer nor what it may from now on
	}
	a.Published = &seen
}

// earlier returns the earlier of two times, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// later returns the later of two times, of which zero is before all.
func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// forChange finds the living agent that ref names, for a caller who may change
// it: one who acts for its team, if that is not blocked. Who carries a blocked
// name today need not be who made the agents (invariant A3). Admins may.
func (s *Service) forChange(ctx context.Context, by registry.Principal, ref string) (registry.Agent, error) {
	a, err := s.store.Agent(ctx, ref, false)
	if err != nil {
		return registry.Agent{}, err
	}
	return a, s.mayChange(ctx, by, a)
}

func (s *Service) mayChange(ctx context.Context, by registry.Principal, a registry.Agent) error {
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

// ofTeam makes the change only while the agent belongs to the team that the caller
// was found to act for. It may have gone to another since, and who acted for the
// old one has no say in it any more (invariant A6).
func ofTeam(team string, apply func(*registry.Agent) error) func(*registry.Agent) error {
	return func(a *registry.Agent) error {
		if a.Team != team {
			return changedMeanwhile()
		}
		return apply(a)
	}
}

func changedMeanwhile() error {
	return registry.Conflict.Errorf("changed_meanwhile", "the agent was changed meanwhile; read it again and repeat the call")
}

// update makes a change and, where nobody else works on the agent, the first
// pass after it.
func (s *Service) update(ctx context.Context, agentID string, u registry.AgentUpdate) (registry.Agent, error) {
	u.Lease = s.options.Lease
	writeCtx, cancelWrite := detached(ctx, s.options.Inline) // who hangs up must not leave a lease that nobody uses
	defer cancelWrite()
	a, lease, err := s.store.UpdateAgent(writeCtx, agentID, u)
	if err != nil || lease == nil || u.DryRun {
		return a, err
	}
	p := &pass{s: s, agent: a, lease: *lease}
	workCtx, cancel := detached(ctx, s.options.Inline)
	defer cancel()
	if err := p.run(workCtx); err != nil {
		return s.present(ctx, p.agent), nil // the rest goes on without the request
	}
	return p.agent, nil
}

// present reads the agent as it is now; what was known of it will do where that
// fails.
func (s *Service) present(ctx context.Context, a registry.Agent) registry.Agent {
	readCtx, cancel := detached(ctx, noteTimeout)
	defer cancel()
	if now, err := s.store.Agent(readCtx, a.ID, true); err == nil {
		return now
	}
	return a
}
