package authn

import (
	"context"
	"time"
)

// agentDoubt is how long the answer is believed that a client is no agent's: one
// that exists already may be adopted by an agent.
const agentDoubt = 10 * time.Second

// AgentClients knows the clients that agents have and had.
type AgentClients interface {
	// IsAgentClient reports whether the OAuth client is or ever was an agent's. An
	// error means that it is not known. It is called concurrently.
	IsAgentClient(ctx context.Context, clientID string) (bool, error)
}

// agentGuard keeps agents out of the control plane (invariant A2). It is safe
// for concurrent use.
type agentGuard struct {
	clients AgentClients
	answers *lru[string, agentAnswer]
	now     func() time.Time
}

// agentAnswer is what the registry said of a client. Once an agent's, a client
// remains one for ever.
type agentAnswer struct {
	agent bool
	until time.Time // of the answer no
}

func newAgentGuard(clients AgentClients, size int, now func() time.Time) *agentGuard {
	return &agentGuard{clients: clients, answers: newLRU[string, agentAnswer](size), now: now}
}

// check returns Forbidden when any of the clients is or was an agent's, and
// Unavailable when that cannot be found out.
func (g *agentGuard) check(ctx context.Context, clients []string) error {
	for _, id := range clients {
		agent, err := g.isAgent(ctx, id)
		if err != nil {
			return errNoRegistry(err)
		}
		if agent {
			return errAgentClient()
		}
	}
	return nil
}

func (g *agentGuard) isAgent(ctx context.Context, id string) (bool, error) {
	// Before asking: the client may be adopted while the answer is on its way.
	now := g.now()
	if known, ok := g.answers.get(id); ok && (known.agent || now.Before(known.until)) {
		return known.agent, nil
	}
	agent, err := g.clients.IsAgentClient(ctx, id)
	if err != nil {
		return false, err
	}
	g.answers.put(id, agentAnswer{agent: agent, until: now.Add(agentDoubt)})
	return agent, nil
}
