package postgres

import (
	"context"
	"fmt"
	"slices"

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
	boundsSQL = `
	SELECT w.tier, w.id, p.ceiling, COALESCE(p.revision, 0)
	FROM (VALUES ('team', $1), ('agent_type', $2)) AS w (tier, id) LEFT JOIN policies p USING (tier, id)`
	countTeamSQL = `SELECT count(*) FROM agents WHERE team = $1 AND lifecycle = 'active'`
)

// holdRules checks within tx that the rules are still those that an agent was
// judged by. For one that is new to its team it also checks that the team has
// room; it serialises the newcomers of one team, for the count.
func holdRules(ctx context.Context, tx pgx.Tx, r registry.Rules, newcomer bool) error {
	if newcomer {
		if _, err := tx.Exec(ctx, lockNameSQL, "team-agents", r.Team.Name); err != nil {
			return err
		}
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
		return rulesChanged()
	}
	if err := holdBounds(ctx, tx, r); err != nil {
		return err
	}
	if !newcomer {
		return nil
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

// holdBounds checks within tx that the ceilings are still those that the agent's
// scopes were judged by, and keeps them so. A layer that is not there has no row to
// lock: its name is, which whoever writes it locks too.
func holdBounds(ctx context.Context, tx pgx.Tx, r registry.Rules) error {
	if len(r.Bounds) == 0 {
		return nil
	}
	batch := &pgx.Batch{}
	for _, key := range boundaries(r.Team.Name, r.AgentType.Name) {
		batch.Queue(holdNameSQL, string(registry.LayerChange), key.String())
	}
	var now []registry.Bound
	batch.Queue(boundsSQL, r.Team.Name, r.AgentType.Name).Query(func(rows pgx.Rows) (err error) {
		now, err = pgx.CollectRows(rows, scanBound)
		return err
	})
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	for _, b := range now {
		if !slices.ContainsFunc(r.Bounds, func(judged registry.Bound) bool {
			return judged.LayerKey == b.LayerKey && judged.Revision == b.Revision
		}) {
			return rulesChanged()
		}
	}
	return nil
}

// boundaries are the layers whose ceilings bound agents of the team and type.
func boundaries(team, agentType string) []registry.LayerKey {
	return []registry.LayerKey{{Tier: registry.TierTeam, ID: team}, {Tier: registry.TierAgentType, ID: agentType}}
}

func scanBound(row pgx.CollectableRow) (registry.Bound, error) {
	var b registry.Bound
	var ceiling *ceilingColumn
	err := row.Scan(&b.Tier, &b.ID, &ceiling, &b.Revision)
	b.Ceiling = (*registry.Ceiling)(ceiling)
	return b, err
}

// Bounds returns the ceilings of the team and of the agent type, for Rules: always
// two, also where there is no layer.
func (s *Store) Bounds(ctx context.Context, team, agentType string) ([]registry.Bound, error) {
	rows, _ := s.pool.Query(ctx, boundsSQL, team, agentType) // CollectRows returns the query's error
	bounds, err := pgx.CollectRows(rows, scanBound)
	if err != nil {
		return nil, fmt.Errorf("read the ceilings: %w", translate(err))
	}
	return bounds, nil
}

func rulesChanged() error {
	return registry.Conflict.Errorf("rules_changed", "the environment, the agent type, the team or a ceiling was changed meanwhile; repeat the call")
}
