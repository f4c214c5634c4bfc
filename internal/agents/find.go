package agents

import (
	"context"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// Get returns the agent that ref, a name or an id, stands for. With tombstones,
// which is for admins, it also finds the decommissioned. It returns NotFound or
// Forbidden.
func (s *Service) Get(ctx context.Context, by registry.Principal, ref string, tombstones bool) (registry.Agent, error) {
	if tombstones && !by.Can(registry.Admin) {
		return registry.Agent{}, adminOnly()
	}
	return s.store.Agent(ctx, ref, tombstones)
}

// readyPoll is how often WaitReady looks.
const readyPoll = 200 * time.Millisecond

// WaitReady returns the agent once it is ready, or as it was seen last when ctx
// ends. It returns NotFound, also when the agent goes away meanwhile.
func (s *Service) WaitReady(ctx context.Context, ref string) (registry.Agent, error) {
	ticker := time.NewTicker(readyPoll)
	defer ticker.Stop()
	var seen registry.Agent
	for {
		readCtx, cancel := detached(ctx, noteTimeout) // ctx may end meanwhile
		a, err := s.store.Agent(readCtx, ref, false)
		cancel()
		if err != nil && ctx.Err() != nil && seen.ID != "" {
			return seen, nil
		}
		if err != nil || a.IsReady() {
			return a, err
		}
		seen, ref = a, a.ID // a name may find another holder
		select {
		case <-ctx.Done():
			return a, nil
		case <-ticker.C:
		}
	}
}

// List returns up to f.Limit agents, fewer where they are large, and, when there
// are more, where the next page begins after. It returns Forbidden when somebody
// else than an admin asks for the decommissioned.
func (s *Service) List(ctx context.Context, by registry.Principal, f registry.AgentFilter) ([]registry.Agent, *registry.AgentPosition, error) {
	if f.Lifecycle == registry.Decommissioned && !by.Can(registry.Admin) {
		return nil, nil, adminOnly()
	}
	page, more, err := s.store.Agents(ctx, f)
	if err != nil || !more {
		return page, nil, err
	}
	last := page[len(page)-1]
	return page, &registry.AgentPosition{Name: last.Name, ID: last.ID}, nil
}

func adminOnly() error {
	return registry.Forbidden.Errorf("permission_denied", "decommissioned agents are shown to admins only")
}
