package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/registry"
)

const (
	recordDriftSQL = `
	INSERT INTO drift (provider, object_kind, object_id, agent_id, field, expected, found, action)
	VALUES (@provider, @object_kind, @object_id, NULLIF(@agent_id, '')::uuid, @field, @expected, @found, @action)
	ON CONFLICT (provider, object_kind, object_id, field) DO UPDATE
	SET agent_id = excluded.agent_id, expected = excluded.expected, found = excluded.found, action = excluded.action, last_seen = excluded.last_seen`
	driftsSQL = `
	SELECT id, provider, object_kind, object_id, COALESCE(agent_id::text, ''), field, expected, found, action, first_seen, last_seen
	FROM drift WHERE id > $1 ORDER BY id LIMIT $2`
	clockSQL      = `SELECT clock_timestamp()`
	clearDriftSQL = `DELETE FROM drift WHERE last_seen < $1`
)

// RecordDrift notes differences that were seen just now. One that was seen before
// keeps its id, and since when it is.
func (s *Store) RecordDrift(ctx context.Context, seen []registry.Drift) error {
	return s.inTx(ctx, "record drift", func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		for _, d := range seen {
			batch.Queue(recordDriftSQL, pgx.NamedArgs{
				"provider": d.Provider, "object_kind": d.ObjectKind, "object_id": d.ObjectID, "agent_id": d.AgentID,
				"field": d.Field, "expected": d.Expected, "found": d.Found, "action": string(d.Action),
			})
		}
		return tx.SendBatch(ctx, batch).Close()
	})
}

// Drifts returns up to limit differences with ids after the given one, by id, and
// whether there are more.
func (s *Store) Drifts(ctx context.Context, after int64, limit int) (page []registry.DriftRecord, more bool, err error) {
	rows, err := s.pool.Query(ctx, driftsSQL, after, limit+1) // one more tells of more
	if err == nil {
		page, more, err = readPage(rows, limit, scanDrift)
	}
	if err != nil {
		return nil, false, fmt.Errorf("list drift: %w", translate(err))
	}
	return page, more, nil
}

func scanDrift(row pgx.CollectableRow) (registry.DriftRecord, error) {
	var d registry.DriftRecord
	err := row.Scan(&d.ID, &d.Provider, &d.ObjectKind, &d.ObjectID, &d.AgentID, &d.Field, &d.Expected, &d.Found, &d.Action, &d.FirstSeen, &d.LastSeen)
	return d, err
}

// ClearDrift forgets the differences that were not seen since then, a time of
// this process, and returns how many there were.
func (s *Store) ClearDrift(ctx context.Context, notSeenSince time.Time) (int64, error) {
	var now time.Time
	if err := s.pool.QueryRow(ctx, clockSQL).Scan(&now); err != nil {
		return 0, fmt.Errorf("read the database's clock: %w", translate(err))
	}
	// The answer was under way for a while: so long ago, or a little longer.
	tag, err := s.pool.Exec(ctx, clearDriftSQL, now.Add(-time.Since(notSeenSince)))
	if err != nil {
		return 0, fmt.Errorf("clear drift: %w", translate(err))
	}
	return tag.RowsAffected(), nil
}
