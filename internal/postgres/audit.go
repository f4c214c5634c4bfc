package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/credenceproject/credence/internal/registry"
)

const insertAuditSQL = `
	INSERT INTO audit_events (actor, action, outcome, object_kind, object_id, object_name, team, request_id, detail)
	VALUES (@actor, @action, @outcome, @kind, @id, @name, @team, @request_id, @detail)`

// execer is a pool or a transaction.
type execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// audit writes e with db, which is the transaction of the change it tells of.
func audit(ctx context.Context, db execer, e registry.AuditEvent) error {
	_, err := db.Exec(ctx, insertAuditSQL, pgx.NamedArgs{
		"actor": e.Actor.Subject, "action": e.Action, "outcome": string(e.Outcome),
		"kind": e.ObjectKind, "id": e.ObjectID, "name": e.ObjectName, "team": e.Team,
		"request_id": e.Actor.RequestID, "detail": e.Detail,
	})
	if err != nil {
		return fmt.Errorf("write the audit event: %w", err)
	}
	return nil
}

// RecordAudit writes an event that goes with no change of the registry, such as
// a refusal.
func (s *Store) RecordAudit(ctx context.Context, e registry.AuditEvent) error {
	return translate(audit(ctx, s.pool, e))
}
