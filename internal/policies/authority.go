package policies

import (
	"context"
	"errors"

	"github.com/credenceproject/credence/internal/registry"
)

// subject is whom a policy is about, and whose it is.
type subject struct {
	agent registry.Agent // of the tier agent
	owner registry.Team  // the zero Team: admins'
}

// subjectOf finds whom the policy is about. An agent must be one that lives.
func (s *Service) subjectOf(ctx context.Context, key registry.LayerKey) (about subject, err error) {
	team := ""
	switch key.Tier {
	case registry.TierTeam:
		team = key.ID
	case registry.TierAgent:
		if about.agent, err = s.store.Agent(ctx, key.ID, false); err != nil {
			return about, err
		}
		team = about.agent.Team
	default:
		return about, nil
	}
	about.owner, err = s.store.Team(ctx, team)
	if errors.Is(err, registry.NotFound) { // nobody said anything about it
		return subject{about.agent, registry.NewTeam(team)}, nil
	}
	return about, err
}

// Judge judges whether a policy may become what it is to be: by what is there, if
// exists, and by the team whose it is, which is the zero Team in the tiers global and
// agent_type.
type Judge = func(present registry.Policy, exists bool, owner registry.Team) error

// judge judges the write of want, in whose place a deletion has the policy that says
// nothing: Forbidden unless the caller may write the policy and leaves as it is what
// bounds the policy's own authors (invariant A4). Admins may all.
func judge(by registry.Principal, want registry.Policy) Judge {
	return func(present registry.Policy, _ bool, owner registry.Team) error {
		switch {
		case by.Can(registry.Admin):
			return nil
		case owner.Name == "":
			return registry.Forbidden.Errorf("tier_not_allowed", "policies of the tier %s are about the agents of many teams: only admins write them", want.Tier)
		case !by.ActsFor(owner.Name):
			return registry.Forbidden.Errorf("team_not_allowed", "the policy is that of team %q, of which you are not a member", owner.Name)
		case owner.Blocked:
			return registry.Forbidden.Errorf("team_blocked", "team %q is blocked; ask an admin", owner.Name)
		default:
			return keepsBounds(present, want)
		}
	}
}

func keepsBounds(present, want registry.Policy) error {
	var faults []registry.FieldError
	if !sameCeiling(present.Ceiling, want.Ceiling) {
		faults = append(faults, registry.FieldError{
			Pointer: "/ceiling", Code: "ceiling_not_allowed", Detail: "is set, changed and removed by admins alone: send it as it is",
		})
	}
	if present.Required != want.Required {
		faults = append(faults, registry.FieldError{
			Pointer: "/required", Code: "required_not_allowed", Detail: "is said by admins alone: send it as it is",
		})
	}
	if len(faults) == 0 {
		return nil
	}
	return registry.Forbidden.Errorf(faults[0].Code, "only admins change what bounds a policy: its ceiling, and that it is required").With(faults...)
}

// sameCeiling reports whether two ceilings let the same through. None is not one
// that lets nothing through.
func sameCeiling(a, b *registry.Ceiling) bool {
	if a == nil || b == nil {
		return a == b
	}
	return sameBound(a.Permissions, b.Permissions) && sameBound(a.DataClassification, b.DataClassification)
}

func sameBound(a, b []string) bool { return (a == nil) == (b == nil) && registry.SameSet(a, b) }

// admit finds whom the policy is about, and judges a write by what is there now. The
// store judges again, with all of that locked: what comes between takes its time.
func (s *Service) admit(ctx context.Context, key registry.LayerKey, pre registry.Precondition, j Judge) (subject, error) {
	about, err := s.subjectOf(ctx, key)
	if err != nil {
		return subject{}, err
	}
	present, err := s.store.Policy(ctx, key)
	if err != nil && !errors.Is(err, registry.NotFound) {
		return subject{}, err
	}
	exists := err == nil
	if err := j(present, exists, about.owner); err != nil {
		return subject{}, err
	}
	return about, pre.Check(exists, present.Tag())
}
