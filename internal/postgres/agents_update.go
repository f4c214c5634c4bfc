package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/credenceproject/credence/internal/registry"
)

const (
	// leasedColumns go on after agentColumns: what only whoever locks the row needs.
	leasedColumns = agentColumns + `, a.lease_epoch, a.lease_until >= now()`

	// An agent is locked by one statement and read by the next. A statement that had
	// to wait for the row sees it as it is then, but its steps as they were when the
	// statement began: what was reopened meanwhile would count as done.
	lockAgentSQL    = `SELECT FROM agents WHERE id = $1 FOR NO KEY UPDATE`
	lockedAgentsSQL = `SELECT ` + leasedColumns + ` FROM agents a WHERE a.id = ANY ($1::uuid[])`

	// lease_generation is what the holder of the lease works by.
	updateAgentSQL = `
	UPDATE agents a
	SET team = @team, agent_type = @agent_type, owner = @owner, description = @description, scopes = @scopes,
	    capabilities = @capabilities, capability_names = @capability_names, labels = @labels, config = @config, quota = @quota,
	    lifecycle = @lifecycle, decommissioned_at = CASE WHEN @lifecycle = 'decommissioned' THEN now() END,
	    suspended = @suspended, suspend_reason = @suspend_reason, expires_at = @expires_at, credentials_expire_at = @credentials_expire_at,
	    tokens_valid_after = @tokens_valid_after, authentication = @authentication, keys = @keys, published = @published, renewal = @renewal,
	    generation = a.generation + 1, passes = 0, attempts = 0, last_error = '', due_at = now(),
	    revision = COALESCE(@revision, a.revision), version = a.version + 1, updated_at = now(),
	    lease_epoch = a.lease_epoch + CASE WHEN @take THEN 1 ELSE 0 END,
	    lease_until = CASE WHEN @take THEN now() + @lease::interval ELSE a.lease_until END,
	    lease_generation = CASE WHEN @take THEN a.generation + 1 ELSE a.lease_generation END
	WHERE a.id = @id
	RETURNING ` + leasedColumns

	setStepStatesSQL = `
	UPDATE agent_steps s
	SET state = n.state, last_error = n.last_error, at = CASE WHEN s.state = n.state THEN s.at ELSE now() END
	FROM unnest(@steps::text[], @states::text[], @errors::text[]) AS n (step, state, last_error)
	WHERE s.agent_id = @id AND s.step = n.step AND (s.state, s.last_error) IS DISTINCT FROM (n.state, n.last_error)`
)

// leased is an agent whose row is locked.
type leased struct {
	registry.Agent
	epoch int64 // of the lease that was taken last
	held  bool  // whether somebody has it
}

func scanLeased(row pgx.CollectableRow) (leased, error) {
	var s agentScan
	var l leased
	if err := row.Scan(append(s.columns(), &l.epoch, &l.held)...); err != nil {
		return leased{}, err
	}
	l.Agent = s.result()
	return l, nil
}

// lockAgent locks the agent's row by the statement, whose first argument is the
// agent's id, and reads the agent. It returns pgx.ErrNoRows when there is none.
func lockAgent(ctx context.Context, tx pgx.Tx, lock, agentID string, args ...any) (leased, error) {
	var now []leased
	locked := false
	batch := &pgx.Batch{}
	batch.Queue(lock, append([]any{agentID}, args...)...).Exec(func(tag pgconn.CommandTag) error {
		locked = tag.RowsAffected() == 1
		return nil
	})
	batch.Queue(lockedAgentsSQL, []string{agentID}).Query(func(rows pgx.Rows) (err error) {
		now, err = pgx.CollectRows(rows, scanLeased)
		return err
	})
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return leased{}, err
	}
	if !locked || len(now) != 1 {
		return leased{}, pgx.ErrNoRows
	}
	return now[0], nil
}

// UpdateAgent changes what is desired of a living agent: generation grows and a
// pass is due. It takes the lease with it when u.Lease is set and nobody has it;
// otherwise the lease is nil. Policy sees what u.Apply left in Published from this
// commit on. An agent that is decommissioned takes its own policy with it; the
// versions of that stay.
//
// It returns NotFound when there is no living agent of that id, PreconditionFailed,
// Conflict with code agent_busy when u.NeedLease and somebody has the lease, with
// code rules_changed when u.Rules no longer hold, Forbidden when a team that the
// agent is new to has no room, and whatever error u.Apply returns. When that is
// ErrUnchanged, nothing is written, the agent is returned as it is, and the error
// is nil.
func (s *Store) UpdateAgent(ctx context.Context, agentID string, u registry.AgentUpdate) (registry.Agent, *registry.Lease, error) {
	expires := time.Now().Add(u.Lease)
	var updated leased
	took := false
	err := s.transact(ctx, "change agent", u.DryRun, func(tx pgx.Tx) error {
		now, err := lockAgent(ctx, tx, lockAgentSQL, agentID)
		if errors.Is(err, pgx.ErrNoRows) || (err == nil && now.Lifecycle == registry.Decommissioned) {
			return noSuchAgent()
		}
		if err != nil {
			return err
		}
		if err := u.Pre.Check(true, now.Tag()); err != nil {
			return err
		}
		if u.NeedLease && now.held {
			e := registry.Conflict.Errorf("agent_busy", "the agent is being worked on; repeat the call")
			e.RetryAfter = time.Second
			return e
		}
		after := now.Agent
		switch err := u.Apply(&after); {
		case errors.Is(err, registry.ErrUnchanged):
			updated = now
			return nil
		case err != nil:
			return err
		}
		if u.Rules != nil {
			if err := holdRules(ctx, tx, *u.Rules, after.Team != now.Team); err != nil {
				return err
			}
		}
		took = u.Lease > 0 && !now.held
		updated, err = writeUpdate(ctx, tx, u, now.Agent, after, took)
		return err
	})
	if err != nil {
		return registry.Agent{}, nil, err
	}
	if !took || u.DryRun {
		return updated.Agent, nil, nil
	}
	return updated.Agent, &registry.Lease{AgentID: agentID, Epoch: updated.epoch, Expires: expires}, nil
}

// writeUpdate writes the agent that u made of before, with the intent of what is
// to follow at the providers.
func writeUpdate(ctx context.Context, tx pgx.Tx, u registry.AgentUpdate, before, after registry.Agent, take bool) (leased, error) {
	args, err := agentArgs(after)
	if err != nil {
		return leased{}, err
	}
	event, err := agentEvent(u.By, u.Action, u.Detail, &before, after, before.Convergence.Generation+1)
	if err != nil {
		return leased{}, err
	}
	batch := &pgx.Batch{}
	queueStepStates(batch, after)
	if u.Action == takeBack {
		batch.Queue(freeKeysSQL, after.ID)
	}
	queueAudit(batch, event)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return leased{}, err
	}
	var policy *layer
	if after.Lifecycle == registry.Decommissioned {
		if policy, err = takePolicy(ctx, tx, before, u.By); err != nil {
			return leased{}, err
		}
	}
	// Policy is told of each change of an agent that it sees, or saw: also of one
	// that it sees nothing of, since the API shows the revision.
	visible := before.Published != nil || after.Published != nil
	var head registry.Head
	args["revision"] = (*int64)(nil)
	if visible {
		if head, err = nextRevision(ctx, tx); err != nil {
			return leased{}, err
		}
		args["revision"] = &head.Revision
	}
	args["id"], args["lifecycle"], args["suspended"], args["suspend_reason"] = after.ID, string(after.Lifecycle), after.Suspended, after.SuspendReason
	args["published"], args["renewal"] = imageOf(after.Published), string(after.Convergence.Renewal)
	args["take"], args["lease"] = take, u.Lease
	rows, _ := tx.Query(ctx, updateAgentSQL, args) // CollectExactlyOneRow returns the query's error
	updated, err := pgx.CollectExactlyOneRow(rows, scanLeased)
	if err != nil {
		return updated, err
	}
	if visible {
		if err := recordChange(ctx, tx, head, agentChange(after.ID, after.Environment, before.Published, after.Published)); err != nil {
			return updated, err
		}
	}
	return updated, recordTaken(ctx, tx, policy, u.By)
}

// takeBack is the action of a registration that a provider refused. Its key may
// be used again: it led to nothing.
const takeBack = "agent.take_back"

// queueStepStates makes the steps' states those of a.
func queueStepStates(batch *pgx.Batch, a registry.Agent) {
	names, states, failures := make([]string, len(a.Steps)), make([]string, len(a.Steps)), make([]string, len(a.Steps))
	for i, s := range a.Steps {
		names[i], states[i], failures[i] = string(s.Name), string(s.State), s.LastError
	}
	batch.Queue(setStepStatesSQL, pgx.NamedArgs{"id": a.ID, "steps": names, "states": states, "errors": failures})
}
