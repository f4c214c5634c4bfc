package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/registry"
)

const (
	environmentColumns = `name, allowed_endpoints, grants, max_staleness, reserved_names, revision, version, created_at, updated_at`

	getEnvironmentSQL    = `SELECT ` + environmentColumns + ` FROM environments WHERE name = $1`
	lockEnvironmentSQL   = getEnvironmentSQL + ` FOR UPDATE`
	listEnvironmentsSQL  = `SELECT ` + environmentColumns + ` FROM environments WHERE name > $1 ORDER BY name LIMIT $2`
	deleteEnvironmentSQL = `DELETE FROM environments WHERE name = $1`
	environmentInUseSQL  = `
	SELECT EXISTS (SELECT FROM agents WHERE environment = $1 AND lifecycle = 'active')
	    OR EXISTS (SELECT FROM resources WHERE deployments ? $1)`
	upsertEnvironmentSQL = `
	INSERT INTO environments (name, allowed_endpoints, grants, max_staleness, reserved_names, revision)
	VALUES (@name, @allowed_endpoints, @grants, @max_staleness, @reserved_names, @revision)
	ON CONFLICT (name) DO UPDATE
	SET allowed_endpoints = excluded.allowed_endpoints, grants = excluded.grants, max_staleness = excluded.max_staleness,
	    reserved_names = excluded.reserved_names, revision = excluded.revision,
	    version = environments.version + 1, updated_at = now()
	RETURNING ` + environmentColumns
)

// environmentImage is what policy may see of an environment.
type environmentImage struct {
	Name          string   `json:"name"`
	Grants        string   `json:"grants"`
	MaxStaleness  string   `json:"max_staleness"`
	ReservedNames []string `json:"reserved_names"`
}

var environments = document[registry.Environment]{
	kind: registry.EnvironmentChange,
	get:  getEnvironmentSQL, lock: lockEnvironmentSQL, list: listEnvironmentsSQL,
	upsert: upsertEnvironmentSQL, remove: deleteEnvironmentSQL, inUse: environmentInUseSQL,
	scan: func(row pgx.CollectableRow) (registry.Environment, error) {
		var e registry.Environment
		err := row.Scan(&e.Name, &e.AllowedEndpoints, &e.Grants, &e.MaxStaleness, &e.ReservedNames, &e.Revision, &e.Version, &e.CreatedAt, &e.UpdatedAt)
		return e, err
	},
	args: func(e registry.Environment) pgx.NamedArgs {
		return pgx.NamedArgs{
			"name": e.Name, "allowed_endpoints": list(e.AllowedEndpoints), "grants": e.Grants,
			"max_staleness": e.MaxStaleness, "reserved_names": list(e.ReservedNames),
		}
	},
	name: func(e registry.Environment) string { return e.Name },
	tag:  registry.Environment.Tag,
	bare: func(e registry.Environment) registry.Environment {
		e.Meta = registry.Meta{}
		e.AllowedEndpoints, e.ReservedNames = list(e.AllowedEndpoints), list(e.ReservedNames)
		return e
	},
	scope: func(e registry.Environment) string { return e.Name },
	image: func(e registry.Environment) any {
		return environmentImage{Name: e.Name, Grants: e.Grants, MaxStaleness: e.MaxStaleness, ReservedNames: e.ReservedNames}
	},
}

// list makes an absent list an empty one: a column of a list is never null.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

// Environment returns the environment of that name, or NotFound.
func (s *Store) Environment(ctx context.Context, name string) (registry.Environment, error) {
	return environments.read(ctx, s, name)
}

// Environments returns up to limit environments after the named one, by name.
func (s *Store) Environments(ctx context.Context, after string, limit int) ([]registry.Environment, error) {
	return environments.page(ctx, s, after, limit)
}

// PutEnvironment creates or replaces e and reports whether it created it. It
// returns PreconditionFailed when pre does not hold.
func (s *Store) PutEnvironment(ctx context.Context, e registry.Environment, pre registry.Precondition, by registry.Actor) (registry.Environment, bool, error) {
	return environments.put(ctx, s, e, pre, by)
}

// DeleteEnvironment removes the environment. It returns NotFound, Conflict while
// a living agent is in it, or PreconditionFailed.
func (s *Store) DeleteEnvironment(ctx context.Context, name string, pre registry.Precondition, by registry.Actor) error {
	return environments.delete(ctx, s, name, pre, by)
}
