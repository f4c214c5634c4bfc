package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/registry"
)

const (
	// The revisions that the registration was judged by; 0 for a team of which
	// nobody said anything. Versions would not do: a document that was deleted and
	// made anew begins with the first. FOR SHARE keeps them as they are until we
	// commit, but lets other registrations by.
	rulesSQL = `
	SELECT (SELECT revision FROM environments WHERE name = @environment FOR SHARE),
	       (SELECT revision FROM agent_types WHERE name = @agent_type FOR SHARE),
	       (SELECT revision FROM teams WHERE name = @team FOR SHARE)`
	countTeamSQL = `SELECT count(*) FROM agents WHERE team = $1 AND lifecycle = 'active'`

	insertAgentSQL = `
	INSERT INTO agents (id, name, team, agent_type, environment, owner, description, scopes, capabilities, capability_names,
	                    labels, config, quota, created_by)
	VALUES (@id, @name, @team, @agent_type, @environment, @owner, @description, @scopes, @capabilities, @capability_names,
	        @labels, @config, @quota, @created_by)`
	insertStepsSQL        = `INSERT INTO agent_steps (agent_id, step) SELECT $1, unnest($2::text[])`
	insertClientIntentSQL = `INSERT INTO client_intents (id, agent_id) VALUES ($1, $2)`
)

// CreateAgent records a new agent, none of its steps done, with the intent to
// create its client. Policy does not see it yet.
//
// It returns Conflict with code name_taken when a living agent has the name,
// Conflict with code rules_changed when n.Rules no longer hold (read them again),
// and Forbidden when the team has as many agents as it may.
func (s *Store) CreateAgent(ctx context.Context, n registry.NewAgent, by registry.Actor) (registry.Agent, error) {
	a := n.Agent
	var recorded registry.Agent
	err := s.inTx(ctx, "record agent", func(tx pgx.Tx) error {
		if err := holdRules(ctx, tx, n.Rules); err != nil {
			return err
		}
		args, err := agentArgs(a, by)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, insertAgentSQL, args); err != nil {
			if isUniqueViolation(err, "agents_living_name_key") {
				return registry.Conflict.Wrap(err, "name_taken", fmt.Sprintf("an agent named %q exists; choose another name", a.Name)).
					With(registry.FieldError{Pointer: "/name", Code: "name_taken", Detail: "is taken"})
			}
			return err
		}
		batch := &pgx.Batch{}
		batch.Queue(insertStepsSQL, a.ID, stepNames(registry.Steps))
		batch.Queue(insertClientIntentSQL, n.IntentID, a.ID)
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
		if err := audit(ctx, tx, agentEvent(by, "agent.register", registry.Intent, a, "")); err != nil {
			return err
		}
		recorded, err = lockAgent(ctx, tx, a.ID)
		return err
	})
	return recorded, err
}

// holdRules checks within tx that the rules are still those that the
// registration was judged by, and that the team has room. It serialises the
// registrations of one team, for the count.
func holdRules(ctx context.Context, tx pgx.Tx, r registry.Rules) error {
	if _, err := tx.Exec(ctx, lockNameSQL, "team-agents", r.Team.Name); err != nil {
		return err
	}
	var environment, agentType, team *int64
	args := pgx.NamedArgs{"environment": r.Environment.Name, "agent_type": r.AgentType.Name, "team": r.Team.Name}
	if err := tx.QueryRow(ctx, rulesSQL, args).Scan(&environment, &agentType, &team); err != nil {
		return err
	}
	same := func(now *int64, judged int64) bool {
		return (now == nil && judged == 0) || (now != nil && *now == judged)
	}
	if !same(environment, r.Environment.Revision) || !same(agentType, r.AgentType.Revision) || !same(team, r.Team.Revision) {
		return registry.Conflict.Errorf("rules_changed", "an admin changed the environment, the agent type or the team meanwhile; repeat the call")
	}
	var living int64
	if err := tx.QueryRow(ctx, countTeamSQL, r.Team.Name).Scan(&living); err != nil {
		return err
	}
	if living >= r.Team.MaxAgents {
		return registry.Forbidden.Errorf("team_limit_reached",
			"team %q has %d agents, which is as many as it may; delete one or ask an admin for more", r.Team.Name, living).
			With(registry.FieldError{Pointer: "/team", Code: "team_limit_reached", Detail: "has as many agents as it may"})
	}
	return nil
}

func agentArgs(a registry.Agent, by registry.Actor) (pgx.NamedArgs, error) {
	capabilities := make([]capabilityColumn, 0, len(a.Capabilities))
	names := make([]string, 0, len(a.Capabilities))
	for _, c := range a.Capabilities {
		capabilities = append(capabilities, capabilityColumn(c))
		names = append(names, c.Name)
	}
	encoded, err := json.Marshal(capabilities)
	if err != nil {
		return nil, fmt.Errorf("encode capabilities: %w", err)
	}
	labels := a.Labels
	if labels == nil {
		labels = map[string]string{}
	}
	return pgx.NamedArgs{
		"id": a.ID, "name": a.Name, "team": a.Team, "agent_type": a.AgentType, "environment": a.Environment, "owner": a.Owner,
		"description": a.Description, "scopes": list(a.Scopes), "capabilities": string(encoded), "capability_names": names,
		"labels": labels, "config": string(a.Config), "quota": quotaColumn(a.Quota), "created_by": by.Subject,
	}, nil
}

func stepNames(steps []registry.StepName) []string {
	names := make([]string, len(steps))
	for i, s := range steps {
		names[i] = string(s)
	}
	return names
}

func agentEvent(by registry.Actor, action string, outcome registry.Outcome, a registry.Agent, detail string) registry.AuditEvent {
	return registry.AuditEvent{
		Actor: by, Action: action, Outcome: outcome, ObjectKind: "agent",
		ObjectID: a.ID, ObjectName: a.Name, Team: a.Team, Detail: detail,
	}
}

const (
	setStepsSQL = `
	UPDATE agent_steps SET state = $3, last_error = $4, at = CASE WHEN state = $3 THEN at ELSE now() END
	WHERE agent_id = $1 AND step = ANY ($2)`
	setProgressSQL = `
	UPDATE agents
	SET auth0_client_id = COALESCE(NULLIF(@client_id, ''), auth0_client_id),
	    credential_generation = credential_generation + CASE WHEN @client_id <> '' THEN 1 ELSE 0 END,
	    auth0_grant_id = COALESCE(NULLIF(@grant_id, ''), auth0_grant_id),
	    vault_entity_id = COALESCE(NULLIF(@entity_id, ''), vault_entity_id),
	    vault_alias_id = COALESCE(NULLIF(@alias_id, ''), vault_alias_id),
	    version = version + 1, updated_at = now()
	WHERE id = @id`
	insertAgentClientSQL = `INSERT INTO agent_clients (client_id, agent_id) VALUES ($1, $2) ON CONFLICT (client_id) DO NOTHING`
)

// RecordProgress notes what a provisioning step of the agent brought about.
// Policy sees none of it, so it takes no revision.
func (s *Store) RecordProgress(ctx context.Context, agentID string, p registry.Progress) error {
	return s.inTx(ctx, "record progress", func(tx pgx.Tx) error { return recordProgress(ctx, tx, agentID, p) })
}

func recordProgress(ctx context.Context, tx pgx.Tx, agentID string, p registry.Progress) error {
	batch := &pgx.Batch{}
	batch.Queue(setProgressSQL, pgx.NamedArgs{
		"id": agentID, "client_id": p.ClientID, "grant_id": p.GrantID, "entity_id": p.EntityID, "alias_id": p.AliasID,
	})
	batch.Queue(setStepsSQL, agentID, stepNames(p.Steps), string(p.State), p.Error)
	if p.ClientID != "" {
		batch.Queue(insertAgentClientSQL, p.ClientID, agentID)
	}
	return tx.SendBatch(ctx, batch).Close()
}
