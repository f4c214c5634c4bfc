package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/registry"
)

// Everything that a pass writes is on condition of its lease's epoch. What it has
// found out of a generation that is no longer the present one counts only so far:
// the ids of what it made do, that it is done does not (invariant F5).

// holdLeaseSQL begins a statement that writes for the holder of a lease to other
// tables than agents: held has one row, locked, or none when the lease was lost.
const holdLeaseSQL = `
	WITH held AS (SELECT id FROM agents WHERE id = @agent_id AND lease_epoch = @epoch FOR NO KEY UPDATE)`

// recordProgressSQL counts a client that the agent did not have as new
// credentials. The key that the registration came with has issued the first of
// them, if we made the client.
const recordProgressSQL = `
	WITH held AS (
	    UPDATE agents
	    SET auth0_client_id = COALESCE(NULLIF(@client_id, ''), CASE WHEN 'auth0_client' = ANY (@forget::text[]) THEN '' ELSE auth0_client_id END),
	        auth0_grant_id = COALESCE(NULLIF(@grant_id, ''), CASE WHEN 'auth0_grant' = ANY (@forget) THEN '' ELSE auth0_grant_id END),
	        vault_entity_id = COALESCE(NULLIF(@entity_id, ''), CASE WHEN 'vault_entity' = ANY (@forget) THEN '' ELSE vault_entity_id END),
	        vault_alias_id = COALESCE(NULLIF(@alias_id, ''), CASE WHEN 'vault_alias' = ANY (@forget) THEN '' ELSE vault_alias_id END),
	        credential_generation = credential_generation + CASE WHEN @client_id NOT IN ('', auth0_client_id) THEN 1 ELSE 0 END,
	        renewal = CASE WHEN @renewed AND generation = lease_generation THEN '' ELSE renewal END,
	        lease_until = now() + @lease::interval,
	        version = version + 1, updated_at = now()
	    WHERE id = @agent_id AND lease_epoch = @epoch
	    RETURNING id, credential_generation, CASE WHEN generation <> lease_generation AND @state = 'done' THEN 'pending' ELSE @state END AS state),
	steps AS (
	    UPDATE agent_steps s
	    SET state = held.state, last_error = @error, at = CASE WHEN s.state = held.state THEN s.at ELSE now() END
	    FROM held
	    WHERE s.agent_id = held.id AND s.step = ANY (@steps::text[])),
	clients AS (
	    INSERT INTO agent_clients (client_id, agent_id) SELECT @client_id, id FROM held WHERE @client_id <> ''
	    ON CONFLICT (client_id) DO NOTHING),
	intents AS (
	    UPDATE client_intents i SET outcome = 'created', client_id = @client_id
	    FROM held
	    WHERE i.id = NULLIF(@intent_id, '')::uuid AND i.agent_id = held.id AND @client_id <> ''),
	keys AS (
	    UPDATE idempotency_keys k SET credential_generation = 1
	    FROM held
	    WHERE k.agent_id = held.id AND k.credential_generation = 0 AND held.credential_generation = 1
	      AND @client_id <> '' AND @intent_id <> '')
	SELECT count(*) FROM held`

// RecordProgress notes what a step brought about, and makes the lease last for
// lease from now on. Policy sees none of it, so it takes no revision. A step that
// was done for a generation that is not the present one stays pending, and so does
// its renewal.
func (s *Store) RecordProgress(ctx context.Context, l registry.Lease, p registry.Progress, lease time.Duration) (registry.Lease, error) {
	l.Expires = time.Now().Add(lease)
	err := s.underLease(ctx, "record progress", recordProgressSQL, l, pgx.NamedArgs{
		"client_id": p.ClientID, "grant_id": p.GrantID, "entity_id": p.EntityID, "alias_id": p.AliasID, "intent_id": p.IntentID,
		"forget": stepNames(p.Forget), "renewed": p.Renewed, "steps": stepNames(p.Steps), "state": string(p.State), "error": p.Error,
		"lease": lease,
	})
	return l, err
}

// underLease runs a statement for the holder of the lease, which returns how many
// agents it was about: one, or none when the lease was lost. One statement is a
// transaction: there is nothing to wait for between its begin and its commit.
func (s *Store) underLease(ctx context.Context, doing, sql string, l registry.Lease, args pgx.NamedArgs) error {
	args["agent_id"], args["epoch"] = l.AgentID, l.Epoch
	var held int64
	if err := s.pool.QueryRow(ctx, sql, args).Scan(&held); err != nil {
		return fmt.Errorf("%s: %w", doing, translate(err))
	}
	if held == 0 {
		return fmt.Errorf("%s: %w", doing, registry.ErrLeaseLost)
	}
	return nil
}

const (
	lockLeasedSQL = `SELECT FROM agents WHERE id = $1 AND lease_epoch = $2 FOR NO KEY UPDATE`

	// endLease makes the epoch another one: whoever had the lease writes no more.
	endLease = `lease_epoch = a.lease_epoch + 1, lease_until = '-infinity', version = a.version + 1, updated_at = now()`

	finishPassSQL = `
	UPDATE agents a
	SET observed_generation = a.generation, published = @published, revision = COALESCE(@revision, a.revision),
	    passes = a.passes + 1, attempts = 0, last_error = '', due_at = now() + @again::interval, ` + endLease + `
	WHERE a.id = @id
	RETURNING ` + leasedColumns
	overtakenPassSQL = `
	UPDATE agents a
	SET attempts = 0, last_error = '', due_at = now(), ` + endLease + `
	WHERE a.id = $1
	RETURNING ` + leasedColumns
	postponePassSQL = `
	WITH held AS (
	    UPDATE agents a
	    SET attempts = CASE WHEN a.generation = a.lease_generation THEN a.attempts + 1 ELSE 0 END,
	        last_error = CASE WHEN a.generation = a.lease_generation THEN @last_error ELSE '' END,
	        due_at = CASE WHEN a.generation = a.lease_generation THEN now() + @after::interval ELSE now() END, ` + endLease + `
	    WHERE a.id = @agent_id AND a.lease_epoch = @epoch
	    RETURNING a.id)
	SELECT count(*) FROM held`

	// The client that policy sees the agent with is an agent's from now on. Only one
	// that was adopted is not on record yet.
	recordClientSQL = `INSERT INTO agent_clients (client_id, agent_id) VALUES ($1, $2) ON CONFLICT (client_id) DO NOTHING`

	// What led to the generations that this pass brought about, as its outcome. Of
	// an agent that is gone only its removal was brought about. New credentials come
	// only of the pass that the request itself made: the providers agree with the
	// registry also without them.
	auditOutcomesSQL = `
	INSERT INTO audit_events (actor, source, action, outcome, object_kind, object_id, object_name, team, request_id, detail, generation)
	SELECT i.actor, i.source, i.action, CASE failure.why WHEN '' THEN 'success' ELSE 'failure' END,
	       i.object_kind, i.object_id, i.object_name, i.team, i.request_id, failure.why, i.generation
	FROM audit_events i CROSS JOIN LATERAL (
	    SELECT CASE
	        WHEN @gone AND i.generation < @generation THEN 'the agent was removed first'
	        WHEN i.action IN ('agent.rotate', 'agent.reissue') AND NOT EXISTS (
	            SELECT FROM audit_events c
	            WHERE c.object_kind = 'agent' AND c.object_id = i.object_id AND c.id > i.id
	              AND c.action = 'agent.issue_credentials' AND c.generation = i.generation)
	        THEN 'no credentials were issued; repeat the call'
	        ELSE '' END) AS failure (why)
	WHERE i.object_kind = 'agent' AND i.object_id = @id AND i.outcome = 'intent' AND i.generation > @observed AND i.generation <= @generation
	ORDER BY i.id`
)

// FinishPass ends a pass that brought the agent to what was desired of it at
// f.Generation, and the lease. Policy sees f.Published from this commit on, the
// client that it sees is an agent's for ever, and every change that led there has
// its outcome in the audit log.
//
// When the agent was changed meanwhile, none of that is so: the agent that is
// returned is not converged, and another pass is due at once (invariant F5).
func (s *Store) FinishPass(ctx context.Context, l registry.Lease, f registry.Finish) (registry.Agent, error) {
	var finished leased
	err := s.inTx(ctx, "finish pass", func(tx pgx.Tx) error {
		now, err := lockAgent(ctx, tx, lockLeasedSQL, l.AgentID, l.Epoch)
		if errors.Is(err, pgx.ErrNoRows) {
			return registry.ErrLeaseLost
		}
		if err != nil {
			return err
		}
		if now.Convergence.Generation != f.Generation {
			rows, _ := tx.Query(ctx, overtakenPassSQL, l.AgentID) // CollectExactlyOneRow returns the query's error
			finished, err = pgx.CollectExactlyOneRow(rows, scanLeased)
			return err
		}
		finished, err = writeFinish(ctx, tx, now.Agent, f)
		return err
	})
	return finished.Agent, err
}

func writeFinish(ctx context.Context, tx pgx.Tx, now registry.Agent, f registry.Finish) (leased, error) {
	same, err := sameImage(now.Published, f.Published)
	if err != nil {
		return leased{}, fmt.Errorf("encode what policy sees: %w", err)
	}
	batch := &pgx.Batch{}
	batch.Queue(setStepsSQL, now.ID, stepNames(f.Steps), string(f.StepState), "")
	if f.Published != nil && now.ClientID != "" {
		batch.Queue(recordClientSQL, now.ClientID, now.ID)
	}
	batch.Queue(auditOutcomesSQL, pgx.NamedArgs{
		"id": now.ID, "observed": now.Convergence.Observed, "generation": f.Generation, "gone": now.Lifecycle == registry.Decommissioned,
	})
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return leased{}, err
	}
	args := pgx.NamedArgs{"id": now.ID, "published": imageOf(f.Published), "revision": (*int64)(nil), "again": (*time.Duration)(nil)}
	if f.Again > 0 {
		args["again"] = &f.Again
	}
	var head registry.Head
	if !same {
		if head, err = nextRevision(ctx, tx); err != nil {
			return leased{}, err
		}
		args["revision"] = &head.Revision
	}
	rows, _ := tx.Query(ctx, finishPassSQL, args) // CollectExactlyOneRow returns the query's error
	finished, err := pgx.CollectExactlyOneRow(rows, scanLeased)
	if err != nil || same {
		return finished, err
	}
	return finished, recordChange(ctx, tx, head, agentChange(now.ID, now.Environment, now.Published, f.Published))
}

const setStepsSQL = `
	UPDATE agent_steps SET state = $3, last_error = $4, at = CASE WHEN state = $3 THEN at ELSE now() END
	WHERE agent_id = $1 AND step = ANY ($2)`

// PostponePass ends a pass that failed, and the lease: the next is due after. When
// the agent was changed meanwhile it is due at once, and what failed does not
// count (invariant F5).
func (s *Store) PostponePass(ctx context.Context, l registry.Lease, lastError string, after time.Duration) error {
	return s.underLease(ctx, "postpone pass", postponePassSQL, l, pgx.NamedArgs{"last_error": lastError, "after": after})
}
