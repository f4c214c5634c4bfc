package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/registry"
)

// agentColumns ends with the agent's steps as one json value: an agent is read
// in one go. A lease that nobody ever took is shown as null.
const agentColumns = `a.id, a.name, a.team, a.agent_type, a.environment, a.owner, a.description, a.scopes, a.capabilities,
	a.labels, a.config, a.quota, a.lifecycle, a.suspended, a.suspend_reason, a.expires_at, a.credentials_expire_at, a.tokens_valid_after,
	a.authentication, a.keys, a.published, a.credential_generation, a.auth0_client_id, a.auth0_grant_id,
	a.vault_entity_id, a.vault_alias_id, a.revision, a.version, a.generation, a.observed_generation, a.renewal, a.passes, a.attempts,
	a.last_error, a.due_at, NULLIF(a.lease_until, '-infinity'), a.created_at, a.updated_at, a.created_by, a.decommissioned_at,
	(SELECT jsonb_agg(jsonb_build_object('name', s.step, 'state', s.state, 'last_error', s.last_error, 'at', s.at))
	 FROM agent_steps s WHERE s.agent_id = a.id)`

type capabilityColumn struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Input       json.RawMessage `json:"input,omitempty"`
	Output      json.RawMessage `json:"output,omitempty"`
}

type stepColumn struct {
	Name      registry.StepName  `json:"name"`
	State     registry.StepState `json:"state"`
	LastError string             `json:"last_error"`
	At        time.Time          `json:"at"`
}

// agentScan holds the columns of an agent that are not read as they are kept.
type agentScan struct {
	agent          registry.Agent
	capabilities   []capabilityColumn
	config, keys   []byte
	quota          quotaColumn
	expires        *time.Time
	credsExpire    *time.Time
	validAfter     *time.Time
	published      *agentImage
	due, held      *time.Time
	decommissioned *time.Time
	steps          []stepColumn
}

// columns are where agentColumns go.
func (s *agentScan) columns() []any {
	a, c := &s.agent, &s.agent.Convergence
	return []any{
		&a.ID, &a.Name, &a.Team, &a.AgentType, &a.Environment, &a.Owner, &a.Description, &a.Scopes, &s.capabilities,
		&a.Labels, &s.config, &s.quota, &a.Lifecycle, &a.Suspended, &a.SuspendReason, &s.expires, &s.credsExpire, &s.validAfter,
		&a.Authentication, &s.keys, &s.published, &a.CredentialGeneration, &a.ClientID, &a.GrantID,
		&a.EntityID, &a.AliasID, &a.Revision, &a.Version, &c.Generation, &c.Observed, &c.Renewal, &c.Passes, &c.Attempts,
		&c.LastError, &s.due, &s.held, &a.CreatedAt, &a.UpdatedAt, &a.CreatedBy, &s.decommissioned,
		&s.steps,
	}
}

// result is the agent that was scanned.
func (s *agentScan) result() registry.Agent {
	a := s.agent
	a.Config, a.Keys, a.Quota = s.config, s.keys, registry.Quota(s.quota)
	for _, c := range s.capabilities {
		a.Capabilities = append(a.Capabilities, registry.Capability(c))
	}
	a.ExpiresAt, a.CredentialsExpireAt, a.TokensValidAfter = orZero(s.expires), orZero(s.credsExpire), orZero(s.validAfter)
	a.Convergence.DueAt, a.Convergence.HeldUntil = orZero(s.due), orZero(s.held)
	a.DecommissionedAt = orZero(s.decommissioned)
	if s.published != nil {
		facts := s.published.facts()
		a.Published = &facts
	}
	byName := make(map[registry.StepName]registry.Step, len(s.steps))
	for _, step := range s.steps {
		byName[step.Name] = registry.Step(step)
	}
	for _, name := range registry.Steps {
		a.Steps = append(a.Steps, byName[name])
	}
	return a
}

func scanAgent(row pgx.CollectableRow) (registry.Agent, error) {
	var s agentScan
	if err := row.Scan(s.columns()...); err != nil {
		return registry.Agent{}, err
	}
	return s.result(), nil
}

// orZero is the time that a column holds; null is the zero time.
func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// orNull is what a column holds of t; the zero time is null.
func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	kept := asKept(t)
	return &kept
}

// asKept is t as columns of timestamptz keep it: to the microsecond, rounded down.
// What documents hold of it is to be the same.
func asKept(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Microsecond)
}

const (
	agentByIDSQL    = `SELECT ` + agentColumns + ` FROM agents a WHERE a.id = $1`
	livingAgentSQL  = `SELECT ` + agentColumns + ` FROM agents a WHERE a.name = $1 AND a.lifecycle = 'active'`
	newestOfNameSQL = `SELECT ` + agentColumns + ` FROM agents a WHERE a.name = $1 ORDER BY (a.lifecycle = 'active') DESC, a.id DESC LIMIT 1`
)

// Agent returns the agent that ref names: an id, or the name of a living agent.
// With tombstones it also finds the decommissioned, by name the newest. It
// returns NotFound when there is none.
func (s *Store) Agent(ctx context.Context, ref string, tombstones bool) (registry.Agent, error) {
	sql := livingAgentSQL
	switch {
	case registry.IsUUID(ref):
		sql = agentByIDSQL
	case tombstones:
		sql = newestOfNameSQL
	}
	rows, _ := s.pool.Query(ctx, sql, ref) // CollectExactlyOneRow returns the query's error
	a, err := pgx.CollectExactlyOneRow(rows, scanAgent)
	if err != nil {
		return registry.Agent{}, fmt.Errorf("read agent: %w", translate(err))
	}
	if a.Lifecycle == registry.Decommissioned && !tombstones {
		return registry.Agent{}, noSuchAgent()
	}
	return a, nil
}

func noSuchAgent() error {
	return registry.NotFound.Errorf("not_found", "there is no agent of that name or id")
}

const (
	wasAgentClientSQL = `SELECT EXISTS (SELECT FROM agent_clients WHERE client_id = $1)`
	isAgentClientSQL  = `
	SELECT EXISTS (SELECT FROM agent_clients WHERE client_id = $1)
	    OR EXISTS (SELECT FROM agents WHERE auth0_client_id = $1 AND lifecycle = 'active' AND auth0_client_id <> '')`
)

// IsAgentClient reports whether the client is or ever was an agent's, or is being
// adopted by one.
func (s *Store) IsAgentClient(ctx context.Context, clientID string) (bool, error) {
	var is bool
	if err := s.pool.QueryRow(ctx, isAgentClientSQL, clientID).Scan(&is); err != nil {
		return false, fmt.Errorf("look up agent client: %w", translate(err))
	}
	return is, nil
}
