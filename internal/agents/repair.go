package agents

import (
	"context"
	"errors"
	"strings"

	"github.com/credenceproject/credence/internal/registry"
)

// sweeper is who repairs drift, in the audit log.
var sweeper = registry.Actor{Subject: "credence:sweep"}

// Repair has the steps made again, because a provider was found to differ from
// the registry in the respects that drift lists. It does nothing to an agent that
// is gone.
func (s *Service) Repair(ctx context.Context, agentID string, steps []registry.StepName, drift []registry.Drift) error {
	fields := make([]string, 0, len(drift))
	for _, d := range drift {
		fields = append(fields, d.Provider+" "+d.ObjectKind+" "+d.Field)
	}
	_, _, err := s.store.UpdateAgent(ctx, agentID, registry.AgentUpdate{
		Action: "agent.repair", Detail: strings.Join(fields, ", "), By: sweeper,
		Apply: func(a *registry.Agent) error {
			if !a.Convergence.Converged() {
				return registry.ErrUnchanged // a pass is due anyway, and may be what the drift comes from
			}
			a.Reopen(steps...)
			return nil
		},
	})
	if errors.Is(err, registry.NotFound) {
		return nil
	}
	return err
}
