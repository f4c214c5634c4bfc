package postgres

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/registry"
)

const (
	agentTypeColumns = `name, schema, default_scopes, allowed_scopes, allowed_environments, default_quota, max_quota, revision, version, created_at, updated_at`

	getAgentTypeSQL    = `SELECT ` + agentTypeColumns + ` FROM agent_types WHERE name = $1`
	lockAgentTypeSQL   = getAgentTypeSQL + ` FOR UPDATE`
	listAgentTypesSQL  = `SELECT ` + agentTypeColumns + ` FROM agent_types WHERE name > $1 ORDER BY name LIMIT $2`
	deleteAgentTypeSQL = `DELETE FROM agent_types WHERE name = $1`
	agentTypeInUseSQL  = `
	SELECT EXISTS (SELECT FROM agents WHERE agent_type = $1 AND lifecycle = 'active')
	    OR EXISTS (SELECT FROM policies WHERE tier = 'agent_type' AND id = $1)`
	upsertAgentTypeSQL = `
	INSERT INTO agent_types (name, schema, default_scopes, allowed_scopes, allowed_environments, default_quota, max_quota, revision)
	VALUES (@name, @schema, @default_scopes, @allowed_scopes, @allowed_environments, @default_quota, @max_quota, @revision)
	ON CONFLICT (name) DO UPDATE
	SET schema = excluded.schema, default_scopes = excluded.default_scopes, allowed_scopes = excluded.allowed_scopes,
	    allowed_environments = excluded.allowed_environments, default_quota = excluded.default_quota, max_quota = excluded.max_quota,
	    revision = excluded.revision, version = agent_types.version + 1, updated_at = now()
	RETURNING ` + agentTypeColumns
)

// quotaColumn is a quota as jsonb holds it.
type quotaColumn struct {
	RequestsPerSecond *int64 `json:"requests_per_second,omitempty"`
	RequestsPerDay    *int64 `json:"requests_per_day,omitempty"`
}

// agentTypeImage is what policy may see of an agent type.
type agentTypeImage struct {
	Name          string   `json:"name"`
	AllowedScopes []string `json:"allowed_scopes"`
}

var agentTypes = document[registry.AgentType]{
	kind: registry.AgentTypeChange,
	get:  getAgentTypeSQL, lock: lockAgentTypeSQL, list: listAgentTypesSQL,
	upsert: upsertAgentTypeSQL, remove: deleteAgentTypeSQL, inUse: agentTypeInUseSQL,
	scan: scanAgentType,
	args: func(t registry.AgentType) pgx.NamedArgs {
		var maxQuota *quotaColumn
		if t.MaxQuota != nil {
			q := quotaColumn(*t.MaxQuota)
			maxQuota = &q
		}
		return pgx.NamedArgs{
			"name": t.Name, "schema": rawJSON(t.Schema), "default_scopes": list(t.DefaultScopes), "allowed_scopes": list(t.AllowedScopes),
			"allowed_environments": list(t.AllowedEnvironments), "default_quota": quotaColumn(t.DefaultQuota), "max_quota": maxQuota,
		}
	},
	name: func(t registry.AgentType) string { return t.Name },
	tag:  registry.AgentType.Tag,
	bare: func(t registry.AgentType) registry.AgentType {
		t.Meta = registry.Meta{}
		t.DefaultScopes, t.AllowedScopes, t.AllowedEnvironments = list(t.DefaultScopes), list(t.AllowedScopes), list(t.AllowedEnvironments)
		return t
	},
	scope: func(registry.AgentType) string { return registry.AllScopes },
	image: func(t registry.AgentType) any {
		return agentTypeImage{Name: t.Name, AllowedScopes: t.AllowedScopes}
	},
}

func scanAgentType(row pgx.CollectableRow) (registry.AgentType, error) {
	var t registry.AgentType
	var schema []byte
	var defaultQuota quotaColumn
	var maxQuota *quotaColumn
	err := row.Scan(&t.Name, &schema, &t.DefaultScopes, &t.AllowedScopes, &t.AllowedEnvironments, &defaultQuota, &maxQuota,
		&t.Revision, &t.Version, &t.CreatedAt, &t.UpdatedAt)
	t.Schema, t.DefaultQuota = schema, registry.Quota(defaultQuota)
	if maxQuota != nil {
		q := registry.Quota(*maxQuota)
		t.MaxQuota = &q
	}
	return t, err
}

// rawJSON hands a document to a json column as it is; nil is null.
func rawJSON(doc json.RawMessage) *string {
	if doc == nil {
		return nil
	}
	s := string(doc)
	return &s
}

// AgentType returns the agent type of that name, or NotFound.
func (s *Store) AgentType(ctx context.Context, name string) (registry.AgentType, error) {
	return agentTypes.read(ctx, s, name)
}

// AgentTypes returns up to limit agent types after the named one, by name.
func (s *Store) AgentTypes(ctx context.Context, after string, limit int) ([]registry.AgentType, error) {
	return agentTypes.page(ctx, s, after, limit)
}

// PutAgentType creates or replaces t and reports whether it created it. It
// returns PreconditionFailed when pre does not hold.
func (s *Store) PutAgentType(ctx context.Context, t registry.AgentType, pre registry.Precondition, by registry.Actor) (registry.AgentType, bool, error) {
	return agentTypes.put(ctx, s, t, pre, by)
}

// DeleteAgentType removes the agent type. It returns NotFound, Conflict while a
// living agent has it or it has a policy, or PreconditionFailed.
func (s *Store) DeleteAgentType(ctx context.Context, name string, pre registry.Precondition, by registry.Actor) error {
	return agentTypes.delete(ctx, s, name, pre, by)
}
