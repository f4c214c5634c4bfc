package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/registry"
)

const (
	// The event is that of whoever changed the agent last: nobody else is given
	// credentials.
	issueCredentialsSQL = `
	WITH held AS (
	    UPDATE agents SET credential_generation = credential_generation + 1, version = version + 1, updated_at = now()
	    WHERE id = @agent_id AND lease_epoch = @epoch
	    RETURNING id, name, team, generation, credential_generation),
	key AS (
	    UPDATE idempotency_keys k SET credential_generation = held.credential_generation, issued_at = now()
	    FROM held
	    WHERE k.principal = @principal AND k.key = @key AND k.agent_id = held.id),
	event AS (
	    INSERT INTO audit_events (actor, source, request_id, action, outcome, object_kind, object_id, object_name, team, detail, generation)
	    SELECT COALESCE(i.actor, ''), COALESCE(i.source, ''), COALESCE(i.request_id, ''), 'agent.issue_credentials', 'success', 'agent',
	           held.id::text, held.name, held.team, 'credential generation ' || held.credential_generation, held.generation
	    FROM held LEFT JOIN LATERAL (
	        SELECT actor, source, request_id FROM audit_events
	        WHERE object_kind = 'agent' AND object_id = held.id::text AND outcome = 'intent'
	        ORDER BY generation DESC, id DESC
	        LIMIT 1) i ON true)
	SELECT count(*) FROM held`

	idempotentCreationSQL = `
	SELECT principal, key, fingerprint, agent_id, credential_generation,
	       created_at > now() - @within::interval AND (issued_at IS NULL OR issued_at <= now() - @gap::interval), created_at
	FROM idempotency_keys
	WHERE principal = @principal AND key = @key`
	freeKeysSQL  = `DELETE FROM idempotency_keys WHERE agent_id = $1`
	purgeKeysSQL = `
	DELETE FROM idempotency_keys
	WHERE (principal, key) IN (SELECT principal, key FROM idempotency_keys WHERE created_at <= now() - $1::interval ORDER BY created_at LIMIT $2)`
)

// IssueCredentials counts new credentials of the agent, before they are handed
// out, and notes them under the key that asked for them; key may be nil.
func (s *Store) IssueCredentials(ctx context.Context, l registry.Lease, key *registry.IdempotencyKey) error {
	if key == nil {
		key = &registry.IdempotencyKey{} // no row has an empty key
	}
	return s.underLease(ctx, "count credentials", issueCredentialsSQL, l, pgx.NamedArgs{"principal": key.Principal, "key": key.Key})
}

// IdempotentCreation returns what the principal's key led to, or NotFound. It is
// Reissuable within w by the database's clock.
func (s *Store) IdempotentCreation(ctx context.Context, principal, key string, w registry.ReissueWindow) (registry.IdempotentCreation, error) {
	var c registry.IdempotentCreation
	err := s.pool.QueryRow(ctx, idempotentCreationSQL, pgx.NamedArgs{
		"principal": principal, "key": key, "within": w.Within, "gap": w.Gap,
	}).Scan(&c.Principal, &c.Key, &c.Fingerprint, &c.AgentID, &c.CredentialGeneration, &c.Reissuable, &c.CreatedAt)
	if err != nil {
		return registry.IdempotentCreation{}, fmt.Errorf("look up idempotency key: %w", translate(err))
	}
	return c, nil
}

// maxPurge is how many keys one purge deletes at most, so that it stays a short
// transaction.
const maxPurge = 10_000

// PurgeIdempotencyKeys deletes keys that are older than olderThan, up to ten
// thousand of them, the oldest first, and returns how many there were.
func (s *Store) PurgeIdempotencyKeys(ctx context.Context, olderThan time.Duration) (int64, error) {
	tag, err := s.pool.Exec(ctx, purgeKeysSQL, olderThan, maxPurge)
	if err != nil {
		return 0, fmt.Errorf("purge idempotency keys: %w", translate(err))
	}
	return tag.RowsAffected(), nil
}
