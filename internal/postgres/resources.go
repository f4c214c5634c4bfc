package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/registry"
)

const (
	resourceColumns = `name, type, team, description, data_classification, required_permissions, access, deployments, operations, labels,
	revision, version, created_at, updated_at`

	getResourceSQL    = `SELECT ` + resourceColumns + ` FROM resources WHERE name = $1`
	lockResourceSQL   = getResourceSQL + ` FOR UPDATE`
	deleteResourceSQL = `DELETE FROM resources WHERE name = $1`
	upsertResourceSQL = `
	INSERT INTO resources (name, type, team, description, data_classification, required_permissions, access, deployments, operations, labels, revision)
	VALUES (@name, @type, @team, @description, @data_classification, @required_permissions, @access, @deployments, @operations, @labels, @revision)
	ON CONFLICT (name) DO UPDATE
	SET type = excluded.type, team = excluded.team, description = excluded.description, data_classification = excluded.data_classification,
	    required_permissions = excluded.required_permissions, access = excluded.access, deployments = excluded.deployments,
	    operations = excluded.operations, labels = excluded.labels, revision = excluded.revision,
	    version = resources.version + 1, updated_at = now()
	RETURNING ` + resourceColumns
	holdEnvironmentsSQL = `SELECT name FROM environments WHERE name = ANY ($1) ORDER BY name FOR SHARE`
	// What is gone forbids nothing, and holdEnvironments asks for what must be there.
	rulesChangedSQL = `
	SELECT EXISTS (SELECT FROM environments WHERE revision > $1)
	    OR EXISTS (SELECT FROM teams WHERE revision > $1 AND name = ANY ($2))`

	listResourcesSQL = `
	SELECT ` + resourceColumns + `
	FROM resources
	WHERE name > @after
	  AND (@type = '' OR type = @type)
	  AND (@team = '' OR team = @team)
	  AND (@environment = '' OR deployments ? @environment)
	  AND (@operation = '' OR EXISTS (SELECT FROM json_array_elements(operations) o WHERE o->>'name' = @operation))
	  AND (@q = '' OR strpos(lower(name || ' ' || description), lower(@q)) > 0)
	ORDER BY name
	LIMIT @limit`
)

type accessColumn struct {
	Visibility string   `json:"visibility"`
	Teams      []string `json:"teams"`
	AgentTypes []string `json:"agent_types"`
}

type deploymentColumn struct {
	Endpoint string `json:"endpoint"`
}

type operationColumn struct {
	Name   string          `json:"name"`
	Method string          `json:"method"`
	Path   string          `json:"path"`
	Input  json.RawMessage `json:"input,omitempty"`
	Output json.RawMessage `json:"output,omitempty"`
}

// resourceImage is what policy and Envoy may see of a resource (invariant B7):
// no description, no endpoint, no operations.
type resourceImage struct {
	Name                string                `json:"name"`
	Type                registry.ResourceType `json:"type"`
	Team                string                `json:"team"`
	DataClassification  string                `json:"data_classification"`
	RequiredPermissions []string              `json:"required_permissions"`
	Access              accessColumn          `json:"access"`
	Environments        []string              `json:"environments"`
	Labels              map[string]string     `json:"labels"`
	Revision            int64                 `json:"revision"`
}

func resourceImageOf(r registry.Resource) resourceImage {
	return resourceImage{
		Name: r.Name, Type: r.Type, Team: r.Team, DataClassification: r.DataClassification, RequiredPermissions: list(r.RequiredPermissions),
		Access: accessColumn(r.Access), Environments: list(r.Environments()), Labels: r.Labels, Revision: r.Revision,
	}
}

var resources = document[registry.Resource]{
	kind: registry.ResourceChange,
	get:  getResourceSQL, lock: lockResourceSQL, upsert: upsertResourceSQL, remove: deleteResourceSQL,
	scan:  scanResource,
	args:  resourceArgs,
	name:  func(r registry.Resource) string { return r.Name },
	team:  func(r registry.Resource) string { return r.Team },
	tag:   registry.Resource.Tag,
	bare:  bareResource,
	scope: func(registry.Resource) string { return registry.AllScopes },
	image: func(r registry.Resource) any { return resourceImageOf(r) },
	hold:  holdEnvironments,
}

// bareResource is r as the database would return it, without what the registry
// says of it.
func bareResource(r registry.Resource) registry.Resource {
	r.Meta = registry.Meta{}
	r.RequiredPermissions = list(r.RequiredPermissions)
	r.Access.Teams, r.Access.AgentTypes = list(r.Access.Teams), list(r.Access.AgentTypes)
	if r.Labels == nil {
		r.Labels = map[string]string{}
	}
	if r.Deployments == nil {
		r.Deployments = map[string]registry.Deployment{}
	}
	var operations []registry.Operation
	for _, o := range r.Operations {
		o.Input, o.Output = embedded(o.Input), embedded(o.Output)
		operations = append(operations, o)
	}
	r.Operations = operations
	return r
}

// embedded is a document as encoding/json writes it into another one: without
// insignificant space, and with the signs of HTML escaped.
func embedded(doc json.RawMessage) json.RawMessage {
	if doc == nil {
		return nil
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return doc // no JSON; writing it will say so
	}
	return text
}

func resourceArgs(r registry.Resource) pgx.NamedArgs {
	r = bareResource(r)
	deployments := make(map[string]deploymentColumn, len(r.Deployments))
	for environment, d := range r.Deployments {
		deployments[environment] = deploymentColumn(d)
	}
	operations := make([]operationColumn, 0, len(r.Operations))
	for _, o := range r.Operations {
		operations = append(operations, operationColumn(o))
	}
	return pgx.NamedArgs{
		"name": r.Name, "type": string(r.Type), "team": r.Team, "description": r.Description, "data_classification": r.DataClassification,
		"required_permissions": r.RequiredPermissions, "access": accessColumn(r.Access), "deployments": deployments,
		"operations": operations, "labels": r.Labels,
	}
}

func scanResource(row pgx.CollectableRow) (registry.Resource, error) {
	var (
		r           registry.Resource
		access      accessColumn
		deployments map[string]deploymentColumn
		operations  []operationColumn
	)
	err := row.Scan(&r.Name, &r.Type, &r.Team, &r.Description, &r.DataClassification, &r.RequiredPermissions, &access, &deployments, &operations,
		&r.Labels, &r.Revision, &r.Version, &r.CreatedAt, &r.UpdatedAt)
	r.Access = registry.Access(access)
	r.Deployments = make(map[string]registry.Deployment, len(deployments))
	for environment, d := range deployments {
		r.Deployments[environment] = registry.Deployment(d)
	}
	for _, o := range operations {
		r.Operations = append(r.Operations, registry.Operation(o))
	}
	return r, err
}

// holdEnvironments keeps the environments that r is deployed in from being
// deleted until r is written.
func holdEnvironments(ctx context.Context, tx pgx.Tx, r registry.Resource) error {
	wanted := r.Environments()
	rows, _ := tx.Query(ctx, holdEnvironmentsSQL, wanted) // CollectRows returns the query's error
	held, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	if len(held) != len(wanted) {
		return registry.Conflict.Errorf("rules_changed", "an environment was deleted meanwhile; repeat the call")
	}
	return nil
}

// Resource returns the resource of that name, or NotFound.
func (s *Store) Resource(ctx context.Context, name string) (registry.Resource, error) {
	return resources.read(ctx, s, name)
}

// Resources returns one page of resources, by name.
func (s *Store) Resources(ctx context.Context, f registry.ResourceFilter) ([]registry.Resource, error) {
	rows, _ := s.pool.Query(ctx, listResourcesSQL, pgx.NamedArgs{
		"after": f.After, "type": string(f.Type), "team": f.Team, "environment": f.Environment, "operation": f.Operation, "q": f.Q, "limit": f.Limit,
	})
	found, err := pgx.CollectRows(rows, scanResource)
	if err != nil {
		return nil, fmt.Errorf("list resources: %w", translate(err))
	}
	return found, nil
}

// PutResource creates or replaces r, as far as j allows, and reports whether it
// created it. It returns PreconditionFailed when pre does not hold, and Conflict
// with code rules_changed when an environment or one of the teams is no longer
// what j was judged by (judge again).
func (s *Store) PutResource(ctx context.Context, r registry.Resource, pre registry.Precondition, j registry.Judgement, by registry.Actor) (registry.Resource, bool, error) {
	return judged(j, r.Team).put(ctx, s, r, pre, by)
}

// DeleteResource removes the resource, as far as j allows. It returns NotFound,
// PreconditionFailed, or Conflict as PutResource does.
func (s *Store) DeleteResource(ctx context.Context, name string, pre registry.Precondition, j registry.Judgement, by registry.Actor) error {
	return judged(j).delete(ctx, s, name, pre, by)
}

// judged is resources for one write, by a judgement in which these teams and
// that of the present owner counted.
func judged(j registry.Judgement, teams ...string) document[registry.Resource] {
	d := resources
	d.judge = func(present registry.Resource, exists bool) error {
		if !exists {
			return nil
		}
		teams = append(teams, present.Team)
		if j.Of == nil {
			return nil
		}
		return j.Of(present)
	}
	d.settle = func(ctx context.Context, tx pgx.Tx) error {
		if j.At == 0 {
			return nil
		}
		var changed bool
		if err := tx.QueryRow(ctx, rulesChangedSQL, j.At, teams).Scan(&changed); err != nil {
			return err
		}
		if changed {
			return registry.Conflict.Errorf("rules_changed", "an admin changed an environment or the team meanwhile; repeat the call")
		}
		return nil
	}
	return d
}
