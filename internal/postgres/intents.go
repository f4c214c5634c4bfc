package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/registry"
)

const (
	openIntentsSQL = `
	SELECT id, created_at <= now() - $2::interval FROM client_intents
	WHERE agent_id = $1 AND outcome = 'open'
	ORDER BY created_at, id`
	beginClientSQL = holdLeaseSQL + `,
	intent AS (INSERT INTO client_intents (id, agent_id) SELECT @intent_id::uuid, id FROM held)
	SELECT count(*) FROM held`
	endIntentsSQL = holdLeaseSQL + `,
	ended AS (
	    UPDATE client_intents i SET outcome = 'abandoned'
	    FROM held
	    WHERE i.agent_id = held.id AND i.id = ANY (@intent_ids::uuid[]) AND i.outcome = 'open')
	SELECT count(*) FROM held`
	isAdoptedClientSQL = `
	SELECT NOT EXISTS (
	    SELECT FROM client_intents i JOIN agent_clients c ON c.agent_id = i.agent_id
	    WHERE c.client_id = $1 AND i.client_id = $1)`
	abandonedIntentsSQL = `
	SELECT i.id
	FROM client_intents i JOIN agents a ON a.id = i.agent_id
	WHERE i.id = ANY ($1::uuid[]) AND i.created_at <= now() - $2::interval
	  AND (i.outcome = 'abandoned' OR a.lifecycle = 'decommissioned'
	       OR (a.auth0_client_id <> '' AND a.auth0_client_id <> i.client_id))`
)

// OpenIntents returns the agent's intents to make a client whose outcome is not
// known, the oldest first, and whether all of them are older than after, by the
// database's clock. It is so of none.
func (s *Store) OpenIntents(ctx context.Context, agentID string, after time.Duration) (ids []string, settled bool, err error) {
	settled = true
	var id string
	var old bool
	rows, _ := s.pool.Query(ctx, openIntentsSQL, agentID, after) // ForEachRow returns the query's error
	_, err = pgx.ForEachRow(rows, []any{&id, &old}, func() error {
		ids, settled = append(ids, id), old // the last is the youngest
		return nil
	})
	if err != nil {
		return nil, false, fmt.Errorf("list client intents: %w", translate(err))
	}
	return ids, settled, nil
}

// IsAdoptedClient reports whether an agent's client existed before the agent: none
// of the attempts on record made it.
func (s *Store) IsAdoptedClient(ctx context.Context, clientID string) (adopted bool, err error) {
	if err := s.pool.QueryRow(ctx, isAdoptedClientSQL, clientID).Scan(&adopted); err != nil {
		return false, fmt.Errorf("look up who made a client: %w", translate(err))
	}
	return adopted, nil
}

// BeginClient notes the intent to make a client for the agent, before it is made.
func (s *Store) BeginClient(ctx context.Context, l registry.Lease, intentID string) error {
	return s.underLease(ctx, "note client intent", beginClientSQL, l, pgx.NamedArgs{"intent_id": intentID})
}

// EndIntents notes that no client came, or will come, of those of the agent's
// intents that are open.
func (s *Store) EndIntents(ctx context.Context, l registry.Lease, intentIDs []string) error {
	return s.underLease(ctx, "end client intents", endIntentsSQL, l, pgx.NamedArgs{"intent_ids": list(intentIDs)})
}

// AbandonedIntents returns those of the intents whose client nobody needs,
// should there be one: this database says that none came of them, or that their
// agent is decommissioned, or that it has another client (invariant C4). Of
// intents that are younger than age, or that this database does not know, it says
// nothing.
func (s *Store) AbandonedIntents(ctx context.Context, intentIDs []string, age time.Duration) (map[string]bool, error) {
	known := make([]string, 0, len(intentIDs))
	for _, id := range intentIDs {
		if registry.IsUUID(id) { // anybody can write anything into a client's metadata
			known = append(known, id)
		}
	}
	rows, _ := s.pool.Query(ctx, abandonedIntentsSQL, known, age) // CollectRows returns the query's error
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look up client intents: %w", translate(err))
	}
	abandoned := make(map[string]bool, len(ids))
	for _, id := range ids {
		abandoned[id] = true
	}
	return abandoned, nil
}
