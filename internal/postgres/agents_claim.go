package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/registry"
)

const (
	// An idle registry asks this once a second, and nothing else: agents_due_idx is
	// as good as empty then.
	anyDueSQL = `SELECT EXISTS (SELECT FROM agents WHERE due_at <= now() AND lease_until < now())`

	takeLease = `lease_epoch = a.lease_epoch + 1, lease_until = now() + @lease::interval, lease_generation = a.generation`

	// Whom somebody else is just claiming is left to them.
	claimAgentsSQL = `
	WITH due AS (
	    SELECT id FROM agents
	    WHERE due_at <= now() AND lease_until < now()
	    ORDER BY due_at
	    LIMIT @limit
	    FOR NO KEY UPDATE SKIP LOCKED)
	UPDATE agents a SET ` + takeLease + `
	FROM due
	WHERE a.id = due.id
	RETURNING a.id`

	claimAgentSQL = `
	UPDATE agents a SET ` + takeLease + `
	WHERE a.id = @id AND a.lease_until < now()
	RETURNING a.id`

	agentExistsSQL = `SELECT EXISTS (SELECT FROM agents WHERE id = $1)`
)

// ClaimAgents takes the leases of up to limit agents that are due and that nobody
// works on, and returns them, the longest due first.
func (s *Store) ClaimAgents(ctx context.Context, lease time.Duration, limit int) ([]registry.Claim, error) {
	var due bool
	if err := s.pool.QueryRow(ctx, anyDueSQL).Scan(&due); err != nil {
		return nil, fmt.Errorf("look for agents that are due: %w", translate(err))
	}
	if !due {
		return nil, nil
	}
	return s.claim(ctx, claimAgentsSQL, lease, pgx.NamedArgs{"limit": limit})
}

// ClaimAgent takes the lease of one agent, due or not. When somebody has it, held
// is true and there is no claim. It returns NotFound when there is no agent of that
// id, dead or alive.
func (s *Store) ClaimAgent(ctx context.Context, agentID string, lease time.Duration) (c registry.Claim, held bool, err error) {
	claims, err := s.claim(ctx, claimAgentSQL, lease, pgx.NamedArgs{"id": agentID})
	if err != nil {
		return registry.Claim{}, false, err
	}
	if len(claims) == 1 {
		return claims[0], false, nil
	}
	if err := s.pool.QueryRow(ctx, agentExistsSQL, agentID).Scan(&held); err != nil {
		return registry.Claim{}, false, fmt.Errorf("claim agent: %w", translate(err))
	}
	if !held {
		return registry.Claim{}, false, noSuchAgent()
	}
	return registry.Claim{}, true, nil
}

// claim takes the leases of the agents that the statement finds. It reads them by
// another one, for the reason that lockAgentSQL has.
func (s *Store) claim(ctx context.Context, sql string, lease time.Duration, args pgx.NamedArgs) (claims []registry.Claim, err error) {
	expires := time.Now().Add(lease)
	args["lease"] = lease
	err = s.inTx(ctx, "claim agents", func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, sql, args) // CollectRows returns the query's error
		ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(ids) == 0 {
			return err
		}
		rows, _ = tx.Query(ctx, lockedAgentsSQL, ids)
		claimed, err := pgx.CollectRows(rows, scanLeased)
		for _, l := range claimed {
			claims = append(claims, l.claim(expires))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(claims, func(a, b registry.Claim) int {
		return a.Agent.Convergence.DueAt.Compare(b.Agent.Convergence.DueAt)
	})
	return claims, nil
}

func (l leased) claim(expires time.Time) registry.Claim {
	return registry.Claim{Agent: l.Agent, Lease: registry.Lease{AgentID: l.ID, Epoch: l.epoch, Expires: expires}}
}
