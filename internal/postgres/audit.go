package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/credenceproject/credence/internal/registry"
)

const insertAuditSQL = `
	INSERT INTO audit_events (actor, source, action, outcome, object_kind, object_id, object_name, team, request_id, detail, generation, before, after)
	VALUES (@actor, @source, @action, @outcome, @kind, @id, @name, @team, @request_id, @detail, @generation, @before, @after)`

// execer is a pool or a transaction.
type execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// audit writes e with db, which is the transaction of the change it tells of.
func audit(ctx context.Context, db execer, e registry.AuditEvent) error {
	if _, err := db.Exec(ctx, insertAuditSQL, auditArgs(e)); err != nil {
		return fmt.Errorf("write the audit event: %w", err)
	}
	return nil
}

// queueAudit writes e with the batch.
func queueAudit(batch *pgx.Batch, e registry.AuditEvent) { batch.Queue(insertAuditSQL, auditArgs(e)) }

func auditArgs(e registry.AuditEvent) pgx.NamedArgs {
	return pgx.NamedArgs{
		"actor": e.Actor.Subject, "source": e.Actor.Source, "action": e.Action, "outcome": string(e.Outcome),
		"kind": e.ObjectKind, "id": e.ObjectID, "name": e.ObjectName, "team": e.Team, "request_id": e.Actor.RequestID,
		"detail": e.Detail, "generation": e.Generation, "before": rawJSON(e.Before), "after": rawJSON(e.After),
	}
}

// RecordAudit writes an event that goes with no change of the registry, such as
// a refusal.
func (s *Store) RecordAudit(ctx context.Context, e registry.AuditEvent) error {
	return translate(audit(ctx, s.pool, e))
}

const auditSQL = `
	SELECT id, at, actor, source, action, outcome, object_kind, object_id, object_name, team, request_id, detail, generation, before, after
	FROM audit_events
	WHERE true`

// auditQuery is the statement that selects what f does. Each restriction that f
// has is a condition of its own, so that the planner sees which there are.
func auditQuery(f registry.AuditFilter) (string, pgx.NamedArgs) {
	sql, args := auditSQL, pgx.NamedArgs{"limit": f.Limit + 1} // one more tells of more
	where := func(restricts bool, condition, name string, value any) {
		if restricts {
			sql += " AND " + condition
			args[name] = value
		}
	}
	agent := "object_kind = 'agent' AND object_name = @agent"
	if registry.IsUUID(f.Agent) {
		agent = "object_kind = 'agent' AND object_id = lower(@agent)"
	}
	where(f.Teams != nil, "team = ANY (@teams)", "teams", f.Teams)
	where(f.Agent != "", agent, "agent", f.Agent)
	where(f.Actor != "", "actor = @actor", "actor", f.Actor)
	where(f.Action != "", "action = @action", "action", f.Action)
	where(!f.From.IsZero(), "at >= @from", "from", f.From)
	where(!f.Until.IsZero(), "at < @until", "until", f.Until)
	where(f.Before > 0, "id < @before", "before", f.Before)
	return sql + " ORDER BY id DESC LIMIT @limit", args
}

// Audit returns up to f.Limit events, the newest first, and whether there are
// more. A page with large events ends early; it has at least one.
func (s *Store) Audit(ctx context.Context, f registry.AuditFilter) (events []registry.AuditEvent, more bool, err error) {
	sql, args := auditQuery(f)
	rows, err := s.pool.Query(ctx, sql, args)
	if err == nil {
		events, more, err = readPage(rows, f.Limit, scanAuditEvent)
	}
	if err != nil {
		return nil, false, fmt.Errorf("read the audit log: %w", translate(err))
	}
	return events, more, nil
}

func scanAuditEvent(row pgx.CollectableRow) (registry.AuditEvent, error) {
	var e registry.AuditEvent
	var before, after []byte
	err := row.Scan(&e.ID, &e.At, &e.Actor.Subject, &e.Actor.Source, &e.Action, &e.Outcome, &e.ObjectKind, &e.ObjectID, &e.ObjectName,
		&e.Team, &e.Actor.RequestID, &e.Detail, &e.Generation, &before, &after)
	e.Before, e.After = before, after
	return e, err
}
