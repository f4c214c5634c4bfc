package postgres

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/testdb"
)

// populate fills the registry with agents, of which few are due or expire, and the
// log with events.
func populate(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	for _, sql := range []string{
		`INSERT INTO agents (id, name, team, agent_type, environment, owner, description, scopes, capabilities, capability_names, labels, config, quota,
		                     created_by, due_at, expires_at, suspended)
		 SELECT gen_random_uuid(), 'agent-' || i, 'team-' || i % 100, 'support', 'production', 'o', repeat('d', 200), '{}', '[]', '{}', '{}', '{}', '{}', 'c',
		        CASE WHEN i % 1000 = 0 THEN now() - interval '1 minute' END,
		        CASE i % 500 WHEN 0 THEN now() - interval '1 hour' WHEN 1 THEN now() + interval '1 year' END, i % 1500 = 0
		 FROM generate_series(1, 20000) i`,
		`INSERT INTO audit_events (actor, action, outcome, object_kind, object_id, object_name, team, generation)
		 SELECT 'actor-' || i % 1000, 'action-' || i % 500, CASE i % 2 WHEN 0 THEN 'intent' ELSE 'success' END, 'agent', 'id-' || i % 5000, 'name-' || i % 5000,
		        'team-' || i % 1000, i / 5000
		 FROM generate_series(1, 50000) i`,
		`INSERT INTO policies (tier, id, rules, rego, tests, required, revision, version)
		 SELECT 'team', 'team-' || i, '[]', CASE WHEN i % 100 = 0 THEN repeat('package a ', 100) ELSE '' END, '', false, i, 1 FROM generate_series(1, 5000) i`,
		`INSERT INTO policy_versions (tier, id, version, rules, rego, tests, required, revision, created_at, action, actor)
		 SELECT 'team', 'team-' || i % 500, i / 500, '[]', '', '', false, i, now(), 'put', 'a' FROM generate_series(1, 20000) i`,
		`ANALYZE agents`, `ANALYZE audit_events`, `ANALYZE policies`, `ANALYZE policy_versions`,
	} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
}

// plan is how the statement would be carried out.
func plan(t *testing.T, pool *pgxpool.Pool, sql string, args ...any) string {
	t.Helper()
	rows, _ := pool.Query(context.WithoutCancel(t.Context()), "EXPLAIN (COSTS OFF) "+sql, args...) // CollectRows returns the query's error
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// frequent is a statement that an index is for.
type frequent struct {
	index, sql string
	args       []any
}

// What runs again and again, and what anybody may ask of a long log, reads no more
// than it needs: an idle registry of any size costs next to nothing.
func TestFrequentStatementsUseTheirIndexes(t *testing.T) {
	t.Parallel()
	pool := testdb.New(t)
	populate(t, pool)
	audit := func(index string, f registry.AuditFilter) frequent {
		f.Limit = 50
		sql, args := auditQuery(f)
		return frequent{index, sql, []any{args}}
	}
	for _, f := range []frequent{
		{"agents_due_idx", anyDueSQL, nil},
		{"agents_due_idx", claimAgentsSQL, []any{pgx.NamedArgs{"lease": time.Minute, "limit": 8}}},
		{"agents_due_idx", countFailingSQL, nil},
		{"agents_expiry_idx", expiredAgentsSQL, []any{100}},
		{"audit_events_intents_idx", auditOutcomesSQL, []any{pgx.NamedArgs{"gone": false, "generation": 3, "observed": 2, "id": "id-7"}}},
		{"policies_pkey", getPolicySQL, []any{"team/team-7"}},
		{"policies_pkey", takePolicySQL, []any{"agent/0197c000-0000-7000-8000-000000000001"}},
		{"policies_pkey", listPoliciesSQL, []any{pgx.NamedArgs{"tier": "team", "id": "team-7", "limit": 51}}},
		{"policies_pkey", listTierSQL, []any{pgx.NamedArgs{"tier": "team", "id": "team-7", "limit": 51}}},
		{"policies_pkey", boundsSQL, []any{"team-7", "support"}},
		{"policies_modules_idx", countLayersSQL, []any{"team-7", "team", "team-7"}},
		{"policy_versions_pkey", versionsSQL, []any{pgx.NamedArgs{"tier": "team", "id": "team-7", "before": 0, "limit": 51}}},
		audit("audit_events_object_idx", registry.AuditFilter{Agent: "0197c000-0000-7000-8000-000000000001"}),
		audit("audit_events_object_name_idx", registry.AuditFilter{Agent: "name-7"}),
		audit("audit_events_team_idx", registry.AuditFilter{Teams: []string{"team-7"}}),
		audit("audit_events_actor_idx", registry.AuditFilter{Actor: "actor-7"}),
		audit("audit_events_action_idx", registry.AuditFilter{Action: "action-7"}),
		audit("audit_events_at_idx", registry.AuditFilter{Until: time.Now().Add(-time.Hour)}),
		audit("audit_events_pkey", registry.AuditFilter{Before: 20_000}),
	} {
		got := plan(t, pool, f.sql, f.args...)
		if !regexp.MustCompile(`\b`+f.index+`\b`).MatchString(got) || regexp.MustCompile(`Seq Scan on (agents|audit_events|policies|policy_versions)`).MatchString(got) {
			t.Errorf("%s alone does not do:\n%s", f.index, got)
		}
	}
}
