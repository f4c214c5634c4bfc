package rulebook

import (
	"context"

	"github.com/credenceproject/credence/internal/registry"
)

// Team returns the team of that name, or NotFound.
func (s *Service) Team(ctx context.Context, name string) (registry.Team, error) {
	return s.store.Team(ctx, name)
}

// Teams returns up to limit teams after the named one, and the name after which
// the next page begins, or "".
func (s *Service) Teams(ctx context.Context, after string, limit int) ([]registry.Team, string, error) {
	items, err := s.store.Teams(ctx, after, limit+1)
	if err != nil {
		return nil, "", err
	}
	items, next := page(items, limit, func(t registry.Team) string { return t.Name })
	return items, next, nil
}

// PutTeam creates or replaces t and reports whether it created it.
func (s *Service) PutTeam(ctx context.Context, by registry.Principal, t registry.Team, pre registry.Precondition) (registry.Team, bool, error) {
	if err := mayWrite(by); err != nil {
		return registry.Team{}, false, err
	}
	return s.store.PutTeam(ctx, t, pre, by.Actor(ctx))
}

// DeleteTeam removes a team that no living agent uses.
func (s *Service) DeleteTeam(ctx context.Context, by registry.Principal, name string, pre registry.Precondition) error {
	if err := mayWrite(by); err != nil {
		return err
	}
	return s.store.DeleteTeam(ctx, name, pre, by.Actor(ctx))
}
