package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/registry"
)

const (
	teamColumns = `name, max_agents, blocked, revision, version, created_at, updated_at`

	getTeamSQL    = `SELECT ` + teamColumns + ` FROM teams WHERE name = $1`
	lockTeamSQL   = getTeamSQL + ` FOR UPDATE`
	listTeamsSQL  = `SELECT ` + teamColumns + ` FROM teams WHERE name > $1 ORDER BY name LIMIT $2`
	deleteTeamSQL = `DELETE FROM teams WHERE name = $1`
	teamInUseSQL  = `SELECT EXISTS (SELECT FROM agents WHERE team = $1 AND lifecycle = 'active')`
	upsertTeamSQL = `
	INSERT INTO teams (name, max_agents, blocked, revision)
	VALUES (@name, @max_agents, @blocked, @revision)
	ON CONFLICT (name) DO UPDATE
	SET max_agents = excluded.max_agents, blocked = excluded.blocked, revision = excluded.revision,
	    version = teams.version + 1, updated_at = now()
	RETURNING ` + teamColumns
)

// teamImage is what policy may see of a team.
type teamImage struct {
	Name    string `json:"name"`
	Blocked bool   `json:"blocked"`
}

var teams = document[registry.Team]{
	kind: registry.TeamChange,
	get:  getTeamSQL, lock: lockTeamSQL, list: listTeamsSQL,
	upsert: upsertTeamSQL, remove: deleteTeamSQL, inUse: teamInUseSQL,
	scan: func(row pgx.CollectableRow) (registry.Team, error) {
		var t registry.Team
		err := row.Scan(&t.Name, &t.MaxAgents, &t.Blocked, &t.Revision, &t.Version, &t.CreatedAt, &t.UpdatedAt)
		return t, err
	},
	args: func(t registry.Team) pgx.NamedArgs {
		return pgx.NamedArgs{"name": t.Name, "max_agents": t.MaxAgents, "blocked": t.Blocked}
	},
	name: func(t registry.Team) string { return t.Name },
	tag:  registry.Team.Tag,
	bare: func(t registry.Team) registry.Team {
		t.Meta = registry.Meta{}
		return t
	},
	scope: func(registry.Team) string { return registry.AllScopes },
	image: func(t registry.Team) any { return teamImage{Name: t.Name, Blocked: t.Blocked} },
}

// Team returns what was said about the team of that name, or NotFound.
func (s *Store) Team(ctx context.Context, name string) (registry.Team, error) {
	return teams.read(ctx, s, name)
}

// Teams returns up to limit teams after the named one, by name.
func (s *Store) Teams(ctx context.Context, after string, limit int) ([]registry.Team, error) {
	return teams.page(ctx, s, after, limit)
}

// PutTeam creates or replaces t and reports whether it created it. It returns
// PreconditionFailed when pre does not hold.
func (s *Store) PutTeam(ctx context.Context, t registry.Team, pre registry.Precondition, by registry.Actor) (registry.Team, bool, error) {
	return teams.put(ctx, s, t, pre, by)
}

// DeleteTeam removes what was said about the team. It returns NotFound, Conflict
// while the team has living agents, or PreconditionFailed.
func (s *Store) DeleteTeam(ctx context.Context, name string, pre registry.Precondition, by registry.Actor) error {
	return teams.delete(ctx, s, name, pre, by)
}
