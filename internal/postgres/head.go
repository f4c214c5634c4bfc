package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/registry"
)

// channel is where followers hear of a new revision.
const channel = "credence_changes"

const headSQL = `SELECT epoch, revision FROM registry_head`

// Head returns the newest state's epoch and revision.
func (s *Store) Head(ctx context.Context) (registry.Head, error) {
	var h registry.Head
	if err := s.pool.QueryRow(ctx, headSQL).Scan(&h.Epoch, &h.Revision); err != nil {
		return registry.Head{}, fmt.Errorf("read the head: %w", translate(err))
	}
	return h, nil
}

// change is one object as policy sees it from a revision on.
type change struct {
	kind     registry.ChangeKind
	id       string
	oldScope *string // nil: it was in none
	newScope *string // nil: it is in none
	after    any     // nil: it is gone

	oldSubject string // of an agent that was there before
}

const nextRevisionSQL = `UPDATE registry_head SET revision = revision + 1 RETURNING epoch, revision`

// nextRevision takes the next revision. The head's row stays locked until the
// transaction ends, which is what makes revisions commit in order and without
// gaps: call it as late as possible.
func nextRevision(ctx context.Context, tx pgx.Tx) (registry.Head, error) {
	var h registry.Head
	if err := tx.QueryRow(ctx, nextRevisionSQL).Scan(&h.Epoch, &h.Revision); err != nil {
		return registry.Head{}, fmt.Errorf("take a revision: %w", err)
	}
	return h, nil
}

const (
	insertChangeSQL = `
	INSERT INTO changes (epoch, revision, kind, object_id, old_scope, new_scope, after)
	VALUES (@epoch, @revision, @kind, @id, @old_scope, @new_scope, @after)`
	notifySQL     = `SELECT pg_notify($1, $2)`
	touchScopeSQL = `
	INSERT INTO scopes (name, revision, as_of, parts_at) VALUES ($1, $2, now(), $2)
	ON CONFLICT (name) DO UPDATE SET revision = excluded.revision, as_of = excluded.as_of, parts_at = excluded.parts_at`
	touchPartSQL = `
	INSERT INTO scope_parts (name, part, revision, as_of) VALUES ($1, $3, $2, now())
	ON CONFLICT (name, part) DO UPDATE SET revision = excluded.revision, as_of = excluded.as_of`
	touchAllScopesSQL = `UPDATE scopes SET revision = $1, as_of = now(), parts_at = $1`
	touchAllPartsSQL  = `UPDATE scope_parts SET revision = $1, as_of = now() WHERE part = $2`
	deleteScopeSQL    = `DELETE FROM scopes WHERE name = $1`
	deletePartsSQL    = `DELETE FROM scope_parts WHERE name = $1`
)

// recordChange writes c's row at h and tells the followers on commit.
func recordChange(ctx context.Context, tx pgx.Tx, h registry.Head, c change) error {
	var after []byte
	if c.after != nil {
		var err error
		if after, err = json.Marshal(c.after); err != nil {
			return fmt.Errorf("encode the change: %w", err)
		}
	}
	batch := &pgx.Batch{}
	batch.Queue(insertChangeSQL, pgx.NamedArgs{
		"epoch": h.Epoch, "revision": h.Revision, "kind": string(c.kind), "id": c.id,
		"old_scope": c.oldScope, "new_scope": c.newScope, "after": after,
	})
	c.touchScopes(batch, h.Revision)
	batch.Queue(notifySQL, channel, h.Epoch+"."+strconv.FormatInt(h.Revision, 10))
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("record the change: %w", err)
	}
	return nil
}

// touchScopes notes which bundles the change touches.
func (c change) touchScopes(batch *pgx.Batch, revision int64) {
	if c.kind == registry.EnvironmentChange && c.newScope == nil {
		batch.Queue(deleteScopeSQL, c.id)
		batch.Queue(deletePartsSQL, c.id)
		return
	}
	for _, p := range c.touched() {
		switch all := p.Scope == registry.AllScopes; {
		case all && p.Part == "":
			batch.Queue(touchAllScopesSQL, revision)
		case all:
			batch.Queue(touchAllPartsSQL, revision, p.Part)
		case p.Part == "":
			batch.Queue(touchScopeSQL, p.Scope, revision)
		default:
			batch.Queue(touchPartSQL, p.Scope, revision, p.Part)
		}
	}
}

// touched are the bundles that the change is in.
func (c change) touched() []registry.ScopePart {
	facts := registry.Change{Kind: c.kind, ObjectID: c.id, OldSubject: c.oldSubject}
	if c.oldScope != nil {
		facts.OldScope = *c.oldScope
	}
	if c.newScope != nil {
		facts.NewScope = *c.newScope
	}
	if image, ok := c.after.(*agentImage); ok && image != nil {
		facts.Agent = &registry.AgentFacts{Subject: image.Subject}
	}
	return facts.Touches()
}
