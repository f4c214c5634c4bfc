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
// in one go.
const agentColumns = `a.id, a.name, a.team, a.agent_type, a.environment, a.owner, a.description, a.scopes, a.capabilities,
	a.labels, a.config, a.quota, a.lifecycle, a.suspended, a.credential_generation, a.auth0_client_id, a.auth0_grant_id,
	a.vault_entity_id, a.vault_alias_id, a.revision, a.version, a.created_at, a.updated_at, a.created_by, a.decommissioned_at,
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

func scanAgent(row pgx.CollectableRow) (registry.Agent, error) {
	var (
		a              registry.Agent
		capabilities   []capabilityColumn
		config         []byte
		quota          quotaColumn
		decommissioned *time.Time
		steps          []stepColumn
	)
	err := row.Scan(&a.ID, &a.Name, &a.Team, &a.AgentType, &a.Environment, &a.Owner, &a.Description, &a.Scopes, &capabilities,
		&a.Labels, &config, &quota, &a.Lifecycle, &a.Suspended, &a.CredentialGeneration, &a.ClientID, &a.GrantID,
		&a.EntityID, &a.AliasID, &a.Revision, &a.Version, &a.CreatedAt, &a.UpdatedAt, &a.CreatedBy, &decommissioned, &steps)
	if err != nil {
		return registry.Agent{}, err
	}
	a.Config, a.Quota = config, registry.Quota(quota)
	for _, c := range capabilities {
		a.Capabilities = append(a.Capabilities, registry.Capability(c))
	}
	if decommissioned != nil {
		a.DecommissionedAt = *decommissioned
	}
	byName := make(map[registry.StepName]registry.Step, len(steps))
	for _, s := range steps {
		byName[s.Name] = registry.Step(s)
	}
	for _, name := range registry.Steps {
		a.Steps = append(a.Steps, byName[name])
	}
	return a, nil
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
		return registry.Agent{}, registry.NotFound.Errorf("not_found", "there is no agent of that name or id")
	}
	return a, nil
}

const agentsSQL = `
	SELECT ` + agentColumns + `
	FROM agents a
	WHERE a.lifecycle = @lifecycle
	  AND (@team = '' OR a.team = @team)
	  AND (@agent_type = '' OR a.agent_type = @agent_type)
	  AND (@environment = '' OR a.environment = @environment)
	  AND (@capability = '' OR a.capability_names @> ARRAY[@capability::text])
	  AND (a.name, a.id) > (@after_name, @after_id::uuid)
	ORDER BY a.name, a.id
	LIMIT @limit`

const nilUUID = "00000000-0000-0000-0000-000000000000"

// maxPage is about how many bytes of documents one page of agents has: an agent
// may bring a hundred kilobytes, and many callers list at once.
const maxPage = 4 << 20

// Agents returns up to f.Limit agents, by name and id, and whether there are more.
// A page with large agents ends early; it has at least one.
func (s *Store) Agents(ctx context.Context, f registry.AgentFilter) (page []registry.Agent, more bool, err error) {
	after := f.After.ID
	if after == "" {
		after = nilUUID
	}
	rows, err := s.pool.Query(ctx, agentsSQL, pgx.NamedArgs{
		"lifecycle": string(f.Lifecycle), "team": f.Team, "agent_type": f.AgentType, "environment": f.Environment,
		"capability": f.Capability, "after_name": f.After.Name, "after_id": after, "limit": f.Limit + 1, // one more tells of more
	})
	if err != nil {
		return nil, false, fmt.Errorf("list agents: %w", translate(err))
	}
	defer rows.Close() // what is not read is not kept
	for size := 0; rows.Next(); {
		if len(page) == f.Limit || size > maxPage {
			return page, true, nil
		}
		for _, column := range rows.RawValues() {
			size += len(column)
		}
		a, err := scanAgent(rows)
		if err != nil {
			return nil, false, fmt.Errorf("list agents: %w", translate(err))
		}
		page = append(page, a)
	}
	if err := rows.Err(); err != nil {
		return nil, false, fmt.Errorf("list agents: %w", translate(err))
	}
	return page, false, nil
}

const isAgentClientSQL = `SELECT EXISTS (SELECT FROM agent_clients WHERE client_id = $1)`

// IsAgentClient reports whether the client is or ever was an agent's.
func (s *Store) IsAgentClient(ctx context.Context, clientID string) (bool, error) {
	var is bool
	if err := s.pool.QueryRow(ctx, isAgentClientSQL, clientID).Scan(&is); err != nil {
		return false, fmt.Errorf("look up agent client: %w", translate(err))
	}
	return is, nil
}

const clientIntentsSettledSQL = `
	SELECT NOT EXISTS (SELECT FROM client_intents WHERE agent_id = $1 AND created_at > now() - $2::interval)`

// ClientIntentsSettled reports whether every intent to make a client for the
// agent is older than after, by the database's clock.
func (s *Store) ClientIntentsSettled(ctx context.Context, agentID string, after time.Duration) (bool, error) {
	var settled bool
	if err := s.pool.QueryRow(ctx, clientIntentsSettledSQL, agentID, after).Scan(&settled); err != nil {
		return false, fmt.Errorf("look up client intents: %w", translate(err))
	}
	return settled, nil
}

// agentImage is what policy may see of an agent (invariant B7): no owner, no
// description, no config, no secret.
type agentImage struct {
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Team        string            `json:"team"`
	AgentType   string            `json:"agent_type"`
	Environment string            `json:"environment"`
	Subject     string            `json:"subject"`
	Suspended   bool              `json:"suspended"`
	Scopes      []string          `json:"scopes"`
	Labels      map[string]string `json:"labels"`
	Quota       quotaColumn       `json:"quota"`
}

func imageOf(a registry.Agent) agentImage {
	return agentImage{
		ID: a.ID, Name: a.Name, Team: a.Team, AgentType: a.AgentType, Environment: a.Environment,
		Subject: a.Subject(), Suspended: a.Suspended, Scopes: list(a.Scopes), Labels: a.Labels, Quota: quotaColumn(a.Quota),
	}
}
