package resources

import (
	"context"
	"errors"

	"github.com/credenceproject/credence/internal/registry"
)

// Put creates or replaces r and reports whether it created it.
//
// It returns Forbidden when the caller may not act for r.Team or for the team that
// owns the resource already, when one of them is blocked, when an environment
// reserves the name and the caller is no admin, and when an environment does not
// allow the endpoint there; Invalid when r names an environment that does not exist
// or an endpoint that is none; and PreconditionFailed.
func (s *Service) Put(ctx context.Context, by registry.Principal, r registry.Resource, pre registry.Precondition) (saved registry.Resource, created bool, err error) {
	if !by.ActsFor(r.Team) {
		return registry.Resource{}, false, registry.Forbidden.Errorf("team_not_allowed", "you are not a member of team %q", r.Team).
			With(registry.FieldError{Pointer: "/team", Code: "team_not_allowed", Detail: "is not one of your teams"})
	}
	err = retry(func() error {
		j, rules, err := s.mayWrite(ctx, by, r.Name)
		if err != nil {
			return err
		}
		if err := s.notBlocked(ctx, r.Team); err != nil {
			return err
		}
		if err := admit(r, rules); err != nil {
			return err
		}
		saved, created, err = s.store.PutResource(ctx, r, pre, j, by.Actor(ctx))
		return err
	})
	return saved, created, err
}

// Delete removes the resource of that name. It returns NotFound,
// PreconditionFailed, and Forbidden when the caller may not act for the team that
// owns it, when that team is blocked, or when an environment reserves the name and
// the caller is no admin.
func (s *Service) Delete(ctx context.Context, by registry.Principal, name string, pre registry.Precondition) error {
	if !registry.ValidName(name) {
		return notFound()
	}
	return retry(func() error {
		j, _, err := s.mayWrite(ctx, by, name)
		if err != nil {
			return err
		}
		return s.store.DeleteResource(ctx, name, pre, j, by.Actor(ctx))
	})
}

// rulesChanged is the code of the Conflict that says that what a write was judged
// by is no longer so.
const rulesChanged = "rules_changed"

// maxRuleChanges is how often the rules may change under a write before it gives
// up.
const maxRuleChanges = 5

func retry(write func() error) error {
	for attempt := 1; ; attempt++ {
		err := write()
		if e, ok := registry.AsError(err); ok && e.Code == rulesChanged && attempt < maxRuleChanges {
			continue
		}
		return err
	}
}

// mayWrite judges whether the caller may write under this name at all. It returns
// the judgement, and the rules for the rest of it.
func (s *Service) mayWrite(ctx context.Context, by registry.Principal, name string) (j registry.Judgement, rules environments, err error) {
	head, err := s.store.Head(ctx) // before anything is read that is judged by
	if err != nil {
		return j, nil, err
	}
	owner := ""
	present, err := s.store.Resource(ctx, name)
	if err != nil && !errors.Is(err, registry.NotFound) {
		return j, nil, err
	}
	if err == nil {
		owner = present.Team
		if err := mayChange(by, owner)(present); err != nil {
			return j, nil, err
		}
	}
	if rules, err = s.environments(ctx); err != nil {
		return j, nil, err
	}
	j = registry.Judgement{At: head.Revision, Of: mayChange(by, owner)}
	if by.Can(registry.Admin) {
		return j, rules, nil
	}
	if environment, ok := rules.reserving(name); ok {
		return j, nil, registry.Forbidden.Errorf("name_reserved", "the name %q is reserved in environment %q; ask an admin", name, environment)
	}
	if owner != "" {
		err = s.notBlocked(ctx, owner)
	}
	return j, rules, err
}

// mayChange judges the resource that is there when the write happens. What was
// judged before was that the team owner has it.
func mayChange(by registry.Principal, owner string) func(registry.Resource) error {
	return func(present registry.Resource) error {
		switch {
		case !by.ActsFor(present.Team):
			return registry.Forbidden.Errorf("team_not_allowed", "the resource belongs to team %q, of which you are not a member", present.Team)
		case present.Team != owner:
			return registry.Conflict.Errorf(rulesChanged, "the resource has changed hands meanwhile; repeat the call")
		default:
			return nil
		}
	}
}

// notBlocked returns Forbidden when an admin has blocked the team.
func (s *Service) notBlocked(ctx context.Context, name string) error {
	team, err := s.store.Team(ctx, name)
	if errors.Is(err, registry.NotFound) {
		return nil // nobody said anything about it
	}
	if err != nil {
		return err
	}
	if team.Blocked {
		return registry.Forbidden.Errorf("team_blocked", "team %q is blocked; ask an admin", name)
	}
	return nil
}
