package postgres

import (
	"context"

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
		return registry.Conflict.Errorf("rules_changed", "an admin changed the environment, the agent type or the team meanwhile; repeat the call")
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
