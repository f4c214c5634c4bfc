package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/registry"
)

// document says how one kind of document is kept: those that admins write, and
// resources. The kinds differ in their columns; what a write means is the same for
// all.
type document[T any] struct {
	kind   registry.ChangeKind
	noun   string // its name in audit_events and in errors; "": kind
	get    string // $1 name
	lock   string // $1 name; the same, FOR UPDATE
	list   string // $1 the last name of the page before, $2 rows at most; "": page is not asked
	upsert string // named arguments: those of args, and @revision
	remove string // $1 name
	inUse  string // $1 name; one boolean: does a living agent, a resource or a policy use it; "": nothing can

	scan  func(pgx.CollectableRow) (T, error)
	args  func(T) pgx.NamedArgs
	name  func(T) string
	tag   func(T) string
	bare  func(T) T // without Meta, to see whether anything changed
	scope func(T) string
	image func(T) any                            // what policy may see
	hold  func(context.Context, pgx.Tx, T) error // keeps what the document refers to until it is written; nil: nothing
	team  func(T) string                         // that owns it, for the audit log; nil: none

	// begin holds what the write stands on, before the document itself is locked;
	// nil: nothing.
	begin func(context.Context, pgx.Tx) error
	// judge says whether the document that is there may be replaced or removed, or
	// one be made where there is none; nil: it may.
	judge func(present T, exists bool) error
	// record keeps the write itself, of the document as it was saved, or removed at
	// the revision; nil: only the log does.
	record func(ctx context.Context, tx pgx.Tx, v T, action string, revision int64) error

	// settle has the last word, when no other change of the registry can come
	// before this one; nil: none.
	settle func(context.Context, pgx.Tx) error
}

// lockNameSQL keeps two writers from creating the same object at once: a row
// that is not there yet cannot be locked.
const lockNameSQL = `SELECT pg_advisory_xact_lock(hashtextextended($1 || '/' || $2, 0))`

func (d document[T]) read(ctx context.Context, s *Store, name string) (T, error) {
	rows, _ := s.pool.Query(ctx, d.get, name) // CollectExactlyOneRow returns the query's error
	v, err := pgx.CollectExactlyOneRow(rows, d.scan)
	if err != nil {
		return v, fmt.Errorf("read %s: %w", d.called(), translate(err))
	}
	return v, nil
}

func (d document[T]) page(ctx context.Context, s *Store, after string, limit int) ([]T, error) {
	rows, _ := s.pool.Query(ctx, d.list, after, limit)
	vs, err := pgx.CollectRows(rows, d.scan)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", d.called(), translate(err))
	}
	return vs, nil
}

// current returns the document, locked, and whether there is one.
func (d document[T]) current(ctx context.Context, tx pgx.Tx, name string) (T, bool, error) {
	if _, err := tx.Exec(ctx, lockNameSQL, string(d.kind), name); err != nil {
		var zero T
		return zero, false, err
	}
	rows, _ := tx.Query(ctx, d.lock, name)
	v, err := pgx.CollectExactlyOneRow(rows, d.scan)
	if errors.Is(err, pgx.ErrNoRows) {
		return v, false, nil
	}
	return v, err == nil, err
}

// put creates or replaces the document and reports whether it created it. A
// document that says what is there already changes nothing, takes no revision
// and is no event.
func (d document[T]) put(ctx context.Context, s *Store, v T, pre registry.Precondition, by registry.Actor) (T, bool, error) {
	return d.putAs(ctx, s, "put", v, pre, by)
}

// putAs is put by another name, for the audit log.
func (d document[T]) putAs(ctx context.Context, s *Store, action string, v T, pre registry.Precondition, by registry.Actor) (T, bool, error) {
	var saved T
	var created bool
	err := s.inTx(ctx, "write "+d.called(), func(tx pgx.Tx) error {
		old, exists, err := d.open(ctx, tx, d.name(v), pre)
		if err != nil {
			return err
		}
		if exists && reflect.DeepEqual(d.bare(old), d.bare(v)) {
			saved = old
			return nil
		}
		if d.hold != nil {
			if err := d.hold(ctx, tx, v); err != nil {
				return err
			}
		}
		created = !exists
		event := d.event(by, action, v)
		if exists {
			if event.Before, err = d.shown(old); err != nil {
				return err
			}
		}
		if event.After, err = d.shown(v); err != nil {
			return err
		}
		if err := audit(ctx, tx, event); err != nil {
			return err
		}
		head, err := d.nextRevision(ctx, tx)
		if err != nil {
			return err
		}
		args := d.args(v)
		args["revision"] = head.Revision
		rows, _ := tx.Query(ctx, d.upsert, args) // CollectExactlyOneRow returns the query's error
		if saved, err = pgx.CollectExactlyOneRow(rows, d.scan); err != nil {
			return err
		}
		scope := d.scope(saved)
		c := change{kind: d.kind, id: d.name(saved), newScope: &scope, after: d.image(saved)}
		if exists {
			c.oldScope = &scope
		}
		return d.finish(ctx, tx, head, saved, action, c)
	})
	return saved, created, err
}

// delete removes the document. It returns NotFound when there is none and
// Conflict while something uses it.
func (d document[T]) delete(ctx context.Context, s *Store, name string, pre registry.Precondition, by registry.Actor) error {
	return s.inTx(ctx, "delete "+d.called(), func(tx pgx.Tx) error {
		old, exists, err := d.open(ctx, tx, name, pre)
		if err != nil {
			return err
		}
		if !exists {
			return registry.NotFound.Errorf("not_found", "there is no %s of that name", d.called())
		}
		if err := d.checkUnused(ctx, tx, name); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, d.remove, name); err != nil {
			return err
		}
		event := d.event(by, "delete", old)
		if event.Before, err = d.shown(old); err != nil {
			return err
		}
		if err := audit(ctx, tx, event); err != nil {
			return err
		}
		head, err := d.nextRevision(ctx, tx)
		if err != nil {
			return err
		}
		scope := d.scope(old)
		return d.finish(ctx, tx, head, old, "delete", change{kind: d.kind, id: name, oldScope: &scope})
	})
}

// open returns the document that a write is about, locked, and whether there is
// one, if the write may act on it.
func (d document[T]) open(ctx context.Context, tx pgx.Tx, name string, pre registry.Precondition) (T, bool, error) {
	var none T
	if d.begin != nil {
		if err := d.begin(ctx, tx); err != nil {
			return none, false, err
		}
	}
	old, exists, err := d.current(ctx, tx, name)
	if err != nil {
		return none, false, err
	}
	if d.judge != nil {
		if err := d.judge(old, exists); err != nil {
			return none, false, err
		}
	}
	return old, exists, pre.Check(exists, d.tag(old))
}

// finish records the write of v, which made the change at the head.
func (d document[T]) finish(ctx context.Context, tx pgx.Tx, head registry.Head, v T, action string, c change) error {
	if d.record != nil {
		if err := d.record(ctx, tx, v, action, head.Revision); err != nil {
			return err
		}
	}
	return recordChange(ctx, tx, head, c)
}

// nextRevision takes the next revision, unless settle is against it.
func (d document[T]) nextRevision(ctx context.Context, tx pgx.Tx) (registry.Head, error) {
	head, err := nextRevision(ctx, tx)
	if err == nil && d.settle != nil {
		err = d.settle(ctx, tx)
	}
	return head, err
}

// checkUnused returns Conflict while something living uses the document.
// Whoever begins to use it holds its row FOR SHARE until it commits, so by now,
// with the row locked, all of them are visible.
func (d document[T]) checkUnused(ctx context.Context, tx pgx.Tx, name string) error {
	if d.inUse == "" {
		return nil
	}
	var inUse bool
	if err := tx.QueryRow(ctx, d.inUse, name).Scan(&inUse); err != nil {
		return err
	}
	if inUse {
		return registry.Conflict.Errorf("in_use", "a living agent, a resource or a policy uses it; delete that first")
	}
	return nil
}

// shown is the document as the audit log shows it: its columns, which have the
// names of the API.
func (d document[T]) shown(v T) (json.RawMessage, error) {
	columns := map[string]any{}
	for name, value := range d.args(v) {
		if text, ok := value.(*string); ok { // a document within it, as it was sent
			value = nil
			if text != nil {
				value = json.RawMessage(*text)
			}
		}
		columns[name] = value
	}
	text, err := json.Marshal(columns)
	if err != nil {
		return nil, fmt.Errorf("encode the %s: %w", d.called(), err)
	}
	return text, nil
}

// called is what the document is called.
func (d document[T]) called() string { return cmp.Or(d.noun, string(d.kind)) }

func (d document[T]) event(by registry.Actor, action string, v T) registry.AuditEvent {
	kind, name := d.called(), d.name(v)
	e := registry.AuditEvent{Actor: by, Action: kind + "." + action, Outcome: registry.Success, ObjectKind: kind, ObjectID: name, ObjectName: name}
	if d.team != nil {
		e.Team = d.team(v)
	}
	return e
}
