package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/registry"
)

const agentsSQL = `
	SELECT ` + agentColumns + `
	FROM agents a
	WHERE a.lifecycle = @lifecycle
	  AND (@team = '' OR a.team = @team)
	  AND (@agent_type = '' OR a.agent_type = @agent_type)
	  AND (@environment = '' OR a.environment = @environment)
	  AND (@capability = '' OR a.capability_names @> ARRAY[@capability::text])
	  AND (@expires_before::timestamptz IS NULL OR LEAST(a.expires_at, a.credentials_expire_at) < @expires_before)
	  AND (a.name, a.id) > (@after_name, @after_id::uuid)
	ORDER BY a.name, a.id
	LIMIT @limit`

const nilUUID = "00000000-0000-0000-0000-000000000000"

// maxPage is about how many bytes of documents one page has: an agent may bring a
// hundred kilobytes, and many callers list at once.
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
		"capability": f.Capability, "expires_before": orNull(f.ExpiresBefore),
		"after_name": f.After.Name, "after_id": after, "limit": f.Limit + 1, // one more tells of more
	})
	if err == nil {
		page, more, err = readPage(rows, f.Limit, scanAgent)
	}
	if err != nil {
		return nil, false, fmt.Errorf("list agents: %w", translate(err))
	}
	return page, more, nil
}

// readPage reads up to limit rows, fewer where they are large, and reports
// whether there are more. It closes rows: what is not read is not kept.
func readPage[T any](rows pgx.Rows, limit int, scan pgx.RowToFunc[T]) (page []T, more bool, err error) {
	defer rows.Close()
	for size := 0; rows.Next(); {
		if len(page) == limit || size > maxPage {
			return page, true, nil
		}
		for _, column := range rows.RawValues() {
			size += len(column)
		}
		v, err := scan(rows)
		if err != nil {
			return nil, false, err
		}
		page = append(page, v)
	}
	return page, false, rows.Err()
}

const (
	// The condition on LEAST is the one that the partial index has.
	expiredAgentsSQL = `
	SELECT ` + agentColumns + `
	FROM agents a
	WHERE a.lifecycle = 'active' AND NOT a.suspended AND LEAST(a.expires_at, a.credentials_expire_at) <= now()
	ORDER BY LEAST(a.expires_at, a.credentials_expire_at)
	LIMIT $1`
	// What agents_due_idx holds is all that is read: few, however many agents there are.
	countFailingSQL = `SELECT count(*) FROM agents WHERE due_at IS NOT NULL AND attempts > 0`
)

// ExpiredAgents returns up to limit living agents that have expired, or whose
// credentials have, by the database's clock, and that are not suspended: the
// longest expired first.
func (s *Store) ExpiredAgents(ctx context.Context, limit int) ([]registry.Agent, error) {
	rows, _ := s.pool.Query(ctx, expiredAgentsSQL, limit) // CollectRows returns the query's error
	expired, err := pgx.CollectRows(rows, scanAgent)
	if err != nil {
		return nil, fmt.Errorf("list expired agents: %w", translate(err))
	}
	return expired, nil
}

// CountFailing counts the agents whose last pass failed and that wait for the
// next one.
func (s *Store) CountFailing(ctx context.Context) (n int64, err error) {
	if err := s.pool.QueryRow(ctx, countFailingSQL).Scan(&n); err != nil {
		return 0, fmt.Errorf("count failing agents: %w", translate(err))
	}
	return n, nil
}
