package rulebook

import (
	"context"

	"github.com/credenceproject/credence/internal/registry"
)

// AgentType returns the agent type of that name, or NotFound.
func (s *Service) AgentType(ctx context.Context, name string) (registry.AgentType, error) {
	return s.store.AgentType(ctx, name)
}

// AgentTypes returns up to limit agent types after the named one, and the name after which
// the next page begins, or "".
func (s *Service) AgentTypes(ctx context.Context, after string, limit int) ([]registry.AgentType, string, error) {
	items, err := s.store.AgentTypes(ctx, after, limit+1)
	if err != nil {
		return nil, "", err
	}
	items, next := page(items, limit, func(t registry.AgentType) string { return t.Name })
	return items, next, nil
}

// PutAgentType creates or replaces t and reports whether it created it.
func (s *Service) PutAgentType(ctx context.Context, by registry.Principal, t registry.AgentType, pre registry.Precondition) (registry.AgentType, bool, error) {
	if err := mayWrite(by); err != nil {
		return registry.AgentType{}, false, err
	}
	return s.store.PutAgentType(ctx, t, pre, by.Actor(ctx))
}

// DeleteAgentType removes an agent type that no living agent uses.
func (s *Service) DeleteAgentType(ctx context.Context, by registry.Principal, name string, pre registry.Precondition) error {
	if err := mayWrite(by); err != nil {
		return err
	}
	return s.store.DeleteAgentType(ctx, name, pre, by.Actor(ctx))
}
