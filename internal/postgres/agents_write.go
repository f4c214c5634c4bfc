package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/registry"
)

const (
	insertAgentSQL = `
	INSERT INTO agents (id, name, team, agent_type, environment, owner, description, scopes, capabilities, capability_names,
	                    labels, config, quota, expires_at, credentials_expire_at, tokens_valid_after, authentication, keys,
	                    auth0_client_id, credential_generation, created_by, due_at, lease_epoch, lease_until, lease_generation)
	VALUES (@id, @name, @team, @agent_type, @environment, @owner, @description, @scopes, @capabilities, @capability_names,
	        @labels, @config, @quota, @expires_at, @credentials_expire_at, @tokens_valid_after, @authentication, @keys,
	        @client_id, @credential_generation, @created_by, now(), 1, now() + @lease::interval, 1)`
	insertStepsSQL = `INSERT INTO agent_steps (agent_id, step) SELECT $1, unnest($2::text[])`

	insertClientIntentSQL   = `INSERT INTO client_intents (id, agent_id) VALUES ($1, $2)`
	insertIdempotencyKeySQL = `
	INSERT INTO idempotency_keys (principal, key, fingerprint, agent_id) VALUES (@principal, @key, @fingerprint, @agent_id)
	ON CONFLICT (principal, key) DO NOTHING`
)

// CreateAgent records a new agent at generation 1, none of its steps done, and
// gives the caller its lease. Policy does not see it yet. With n.IntentID it notes
// the intent to create its client. An agent that comes with a ClientID adopts that
// client, and counts as having credentials, which its key did not issue. The
// client is on record as an agent's only when policy sees the agent (FinishPass):
// an adoption that is refused leaves it what it was.
//
// It returns Conflict with code idempotency_key_in_use when n.Key led to an
// agent already, which is found out before anything else; Conflict with code
// name_taken when a living agent has the name, with code client_taken when the
// client is a living agent's or on record as one's, and with code rules_changed when n.Rules no longer
// hold (read them again); and Forbidden when the team has as many agents as it may.
// A dry run uses up no key.
func (s *Store) CreateAgent(ctx context.Context, n registry.NewAgent, by registry.Actor) (registry.Agent, registry.Lease, error) {
	lease := registry.Lease{AgentID: n.Agent.ID, Epoch: 1, Expires: time.Now().Add(n.Lease)}
	var recorded registry.Agent
	err := s.transact(ctx, "record agent", n.DryRun, func(tx pgx.Tx) error {
		if n.Key != nil && !n.DryRun {
			if err := takeKey(ctx, tx, *n.Key, n.Agent.ID); err != nil {
				return err
			}
		}
		if err := holdRules(ctx, tx, n.Rules, true); err != nil {
			return err
		}
		if err := insertAgent(ctx, tx, n, by); err != nil {
			return err
		}
		a := n.Agent
		a.Lifecycle, a.Authentication = registry.Active, authenticationOf(a)
		event, err := agentEvent(by, "agent.register", "", nil, a, 1)
		if err != nil {
			return err
		}
		batch := &pgx.Batch{}
		batch.Queue(insertStepsSQL, a.ID, stepNames(registry.Steps))
		if n.IntentID != "" {
			batch.Queue(insertClientIntentSQL, n.IntentID, a.ID)
		}
		queueAudit(batch, event)
		batch.Queue(agentByIDSQL, a.ID).Query(func(rows pgx.Rows) (err error) {
			recorded, err = pgx.CollectExactlyOneRow(rows, scanAgent)
			return err
		})
		return tx.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		return registry.Agent{}, registry.Lease{}, err
	}
	return recorded, lease, nil
}

// takeKey notes what the key leads to. Of two transactions with the same key the
// second waits here for the first.
func takeKey(ctx context.Context, tx pgx.Tx, k registry.IdempotencyKey, agentID string) error {
	tag, err := tx.Exec(ctx, insertIdempotencyKeySQL, pgx.NamedArgs{
		"principal": k.Principal, "key": k.Key, "fingerprint": k.Fingerprint, "agent_id": agentID,
	})
	if err == nil && tag.RowsAffected() == 0 {
		return registry.Conflict.Errorf("idempotency_key_in_use", "the Idempotency-Key was used before")
	}
	return err
}

func insertAgent(ctx context.Context, tx pgx.Tx, n registry.NewAgent, by registry.Actor) error {
	a := n.Agent
	args, err := agentArgs(a)
	if err != nil {
		return err
	}
	args["id"], args["name"], args["environment"] = a.ID, a.Name, a.Environment
	args["client_id"], args["credential_generation"] = a.ClientID, 0
	args["created_by"], args["lease"] = by.Subject, n.Lease
	if a.ClientID != "" {
		args["credential_generation"] = 1
	}
	if _, err := tx.Exec(ctx, insertAgentSQL, args); err != nil {
		if isUniqueViolation(err, "agents_living_name_key") {
			return registry.Conflict.Wrap(err, "name_taken", fmt.Sprintf("an agent named %q exists; choose another name", a.Name)).
				With(registry.FieldError{Pointer: "/name", Code: "name_taken", Detail: "is taken"})
		}
		if isUniqueViolation(err, "agents_living_client_key") {
			return clientTaken(err)
		}
		return err
	}
	if a.ClientID == "" {
		return nil
	}
	// By now no living agent has the client, nor can one come to have it before we
	// commit: whoever had it is on record, or policy never saw them.
	var taken bool
	if err := tx.QueryRow(ctx, wasAgentClientSQL, a.ClientID).Scan(&taken); err != nil {
		return err
	}
	if taken {
		return clientTaken(nil)
	}
	return nil
}

func clientTaken(cause error) error {
	return registry.Conflict.Wrap(cause, "client_taken", "the client is an agent's, or was").
		With(registry.FieldError{Pointer: "/adopt/client_id", Code: "client_taken", Detail: "is an agent's, or was"})
}

// agentArgs are the columns that say what is desired of an agent and may change.
func agentArgs(a registry.Agent) (pgx.NamedArgs, error) {
	names := make([]string, 0, len(a.Capabilities))
	for _, c := range a.Capabilities {
		names = append(names, c.Name)
	}
	capabilities, err := json.Marshal(capabilityColumns(a.Capabilities))
	if err != nil {
		return nil, fmt.Errorf("encode capabilities: %w", err)
	}
	return pgx.NamedArgs{
		"team": a.Team, "agent_type": a.AgentType, "owner": a.Owner, "description": a.Description, "scopes": list(a.Scopes),
		"capabilities": string(capabilities), "capability_names": names, "labels": labelsOf(a.Labels), "config": string(a.Config),
		"quota": quotaColumn(a.Quota), "expires_at": orNull(a.ExpiresAt), "credentials_expire_at": orNull(a.CredentialsExpireAt),
		"tokens_valid_after": orNull(a.TokensValidAfter), "authentication": string(authenticationOf(a)), "keys": rawJSON(a.Keys),
	}, nil
}

// authenticationOf is how the agent authenticates; it has a secret unless
// something else is said.
func authenticationOf(a registry.Agent) registry.AuthMethod {
	if a.Authentication == "" {
		return registry.ClientSecretPost
	}
	return a.Authentication
}

func stepNames(steps []registry.StepName) []string {
	names := make([]string, len(steps))
	for i, s := range steps {
		names[i] = string(s)
	}
	return names
}

// agentEvent is the intent of a change that makes before, nil for nothing, into
// after, at the generation.
func agentEvent(by registry.Actor, action, detail string, before *registry.Agent, after registry.Agent, generation int64) (registry.AuditEvent, error) {
	e := registry.AuditEvent{
		Actor: by, Action: action, Outcome: registry.Intent, ObjectKind: string(registry.AgentChange),
		ObjectID: after.ID, ObjectName: after.Name, Team: after.Team, Detail: detail, Generation: generation,
	}
	was, err := error(nil), error(nil)
	if before != nil {
		e.Before, was = shown(*before)
	}
	e.After, err = shown(after)
	return e, errors.Join(was, err)
}
