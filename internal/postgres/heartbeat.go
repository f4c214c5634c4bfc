package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/registry"
)

const (
	staleScopesSQL = `
	SELECT s.name FROM scopes s
	WHERE s.as_of < now() - $1::interval OR EXISTS (SELECT FROM scope_parts p WHERE p.name = s.name AND p.as_of < now() - $1::interval)
	ORDER BY s.name`
	scopeIsStaleSQL = `
	SELECT EXISTS (SELECT FROM scopes WHERE name = $1 AND as_of < now() - $2::interval)
	    OR EXISTS (SELECT FROM scope_parts WHERE name = $1 AND as_of < now() - $2::interval)`
)

// Heartbeat says of each scope that it is still as it was, where that was last said,
// of the scope's bundle or of any part of it, longer ago than every by the database's
// clock (invariant B8). Each takes a revision, and what that touches is sent to every
// policy engine of the scope. It returns how many did; a scope that fails does not
// keep the others from it. Of replicas that do so at once, one does.
//
// Nothing changes and nobody did anything, so the audit log holds none of it.
func (s *Store) Heartbeat(ctx context.Context, every time.Duration) (beaten int, err error) {
	rows, _ := s.pool.Query(ctx, staleScopesSQL, every) // CollectRows returns the query's error
	stale, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return 0, fmt.Errorf("look for scopes that are stale: %w", translate(err))
	}
	var failures []error
	for _, scope := range stale {
		switch err := s.beat(ctx, scope, every); {
		case err == nil:
			beaten++
		case !errors.Is(err, registry.ErrUnchanged):
			failures = append(failures, err)
		}
	}
	return beaten, errors.Join(failures...)
}

// beat makes a heartbeat of the scope, or returns ErrUnchanged where it is not stale
// any more, or gone. That is known only with the head locked.
func (s *Store) beat(ctx context.Context, scope string, every time.Duration) error {
	return s.inTx(ctx, "make a heartbeat", func(tx pgx.Tx) error {
		head, err := nextRevision(ctx, tx)
		if err != nil {
			return err
		}
		var stale bool
		if err := tx.QueryRow(ctx, scopeIsStaleSQL, scope, every).Scan(&stale); err != nil {
			return err
		}
		if !stale {
			return registry.ErrUnchanged // which gives the revision back
		}
		return recordChange(ctx, tx, head, change{kind: registry.HeartbeatChange, id: scope, oldScope: &scope, newScope: &scope})
	})
}
