package rulebook

import (
	"context"

	"github.com/credenceproject/credence/internal/registry"
)

// Environment returns the environment of that name, or NotFound.
func (s *Service) Environment(ctx context.Context, name string) (registry.Environment, error) {
	return s.store.Environment(ctx, name)
}

// Environments returns up to limit environments after the named one, and the name after which
// the next page begins, or "".
func (s *Service) Environments(ctx context.Context, after string, limit int) ([]registry.Environment, string, error) {
	items, err := s.store.Environments(ctx, after, limit+1)
	if err != nil {
		return nil, "", err
	}
	items, next := page(items, limit, func(e registry.Environment) string { return e.Name })
	return items, next, nil
}

// PutEnvironment creates or replaces e and reports whether it created it.
func (s *Service) PutEnvironment(ctx context.Context, by registry.Principal, e registry.Environment, pre registry.Precondition) (registry.Environment, bool, error) {
	if err := mayWrite(by); err != nil {
		return registry.Environment{}, false, err
	}
	return s.store.PutEnvironment(ctx, e, pre, by.Actor(ctx))
}

// DeleteEnvironment removes an environment that no living agent uses.
func (s *Service) DeleteEnvironment(ctx context.Context, by registry.Principal, name string, pre registry.Precondition) error {
	if err := mayWrite(by); err != nil {
		return err
	}
	return s.store.DeleteEnvironment(ctx, name, pre, by.Actor(ctx))
}
