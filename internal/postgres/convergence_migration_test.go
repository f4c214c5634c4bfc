package postgres_test

import (
	"database/sql"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/migrations"
)

// The statements by which version 7 of the schema was written.
const (
	oldAgentSQL = `
	INSERT INTO agents (id, name, team, agent_type, environment, owner, description, scopes, capabilities, capability_names, labels, config, quota, created_by)
	VALUES ($1, $2, 'red', 'support', 'production', 'ana@example.com', '', '{skills:invoke}', '[]', '{}', '{"tier": "gold"}', '{}', '{"requests_per_day": 5}', 'ana')`
	oldStepsSQL   = `INSERT INTO agent_steps (agent_id, step, state) SELECT $1, unnest('{auth0_client,auth0_grant,vault_entity,vault_alias,policy}'::text[]), $2`
	oldIntentSQL  = `INSERT INTO client_intents (id, agent_id) VALUES ($1, $1)`
	oldPublishSQL = `
	WITH head AS (UPDATE registry_head SET revision = revision + 1 RETURNING epoch, revision), agent AS (
	    UPDATE agents SET auth0_client_id = 'client-' || name, revision = (SELECT revision FROM head), version = version + 1 WHERE id = $1 RETURNING *)
	INSERT INTO changes (epoch, revision, kind, object_id, new_scope, after)
	SELECT head.epoch, head.revision, 'agent', agent.id::text, 'production', jsonb_build_object(
	    'id', id, 'name', name, 'team', team, 'agent_type', agent_type, 'environment', environment, 'subject', auth0_client_id || '@clients',
	    'suspended', suspended, 'scopes', scopes, 'labels', labels, 'quota', quota)
	FROM head, agent`
	oldRemoveSQL = `UPDATE agents SET lifecycle = 'decommissioned', decommissioned_at = now() WHERE id = $1`
	oldUndoneSQL = `UPDATE agent_steps SET state = 'undone' WHERE agent_id = $1`
)

// oldAgent is one as version 7 left it.
type oldAgent struct {
	id, name, steps            string
	published, removed, undone bool
}

func (a oldAgent) write(t *testing.T, db *sql.DB) {
	t.Helper()
	for _, s := range []struct {
		needed bool
		sql    string
		args   []any
	}{
		{true, oldAgentSQL, []any{a.id, a.name}}, {true, oldStepsSQL, []any{a.id, a.steps}}, {true, oldIntentSQL, []any{a.id}},
		{a.published, oldPublishSQL, []any{a.id}}, {a.removed, oldRemoveSQL, []any{a.id}}, {a.undone, oldUndoneSQL, []any{a.id}},
	} {
		if !s.needed {
			continue
		}
		if _, err := db.ExecContext(t.Context(), s.sql, s.args...); err != nil {
			t.Fatalf("%s: %v", s.sql, err)
		}
	}
}

func agentID(n string) string { return "0197c000-0000-7000-8000-00000000000" + n }

// Agents of the schema before it stay what they were: those that work go on, and
// those that a failure left half made are due. Back and forth, nothing is lost
// that the schema before it held.
func TestConvergenceMigratesWhatIsThere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	db := stdlib.OpenDBFromPool(b.pool)
	defer db.Close()
	p, err := goose.NewProvider(goose.DialectPostgres, db, migrations.FS)
	if err != nil {
		t.Fatal(err)
	}
	to := func(version int64, move func() error) {
		t.Helper()
		if err := move(); err != nil {
			t.Fatalf("to version %d: %v", version, err)
		}
	}
	down := func() error { _, err := p.DownTo(t.Context(), 7); return err }
	up := func() error { _, err := p.UpTo(t.Context(), 8); return err }
	to(7, down)
	for _, a := range []oldAgent{
		{id: agentID("1"), name: "working", steps: "done", published: true},
		{id: agentID("2"), name: "half-made", steps: "failed"},
		{id: agentID("3"), name: "removed", steps: "done", published: true, removed: true, undone: true},
		{id: agentID("4"), name: "half-removed", steps: "failed", published: true, removed: true},
	} {
		a.write(t, db)
	}
	before := b.rows(t)
	to(8, up)
	got := map[string][]any{}
	for _, id := range []string{"1", "2", "3", "4"} {
		a := b.agent(t, agentID(id))
		c := a.Convergence
		got[a.Name] = []any{a.Published != nil, c.Converged(), !c.DueAt.IsZero(), c.Passes, a.Authentication,
			one[string](t, b, `SELECT outcome || ' ' || client_id FROM client_intents WHERE agent_id = $1`, a.ID)}
	}
	secret := registry.ClientSecretPost
	wantEqual(t, "published, converged, due, passes, authentication and intent", map[string][]any{
		"working":      {true, true, false, int64(0), secret, "created client-working"},
		"half-made":    {false, false, true, int64(0), secret, "open "},
		"removed":      {false, true, true, int64(2), secret, "created client-removed"},
		"half-removed": {false, false, true, int64(0), secret, "created client-half-removed"},
	}, got)
	claims, err := b.store.ClaimAgents(t.Context(), long, 9)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "due at once", []string{"half-made", "half-removed"}, namesOf(claims))
	working := b.agent(t, agentID("1"))
	if diff := cmp.Diff(working.Facts(), *working.Published); diff != "" {
		t.Errorf("policy sees another agent than before (-agent +published):\n%s", diff)
	}
	to(7, down)
	if diff := cmp.Diff(before, b.rows(t)); diff != "" {
		t.Errorf("down and up again (-before +after):\n%s", diff)
	}
	to(8, up)
}

// Replicas are replaced one by one: what the code before it writes into this
// schema is seen to as well, and nothing of it is shown to policy that is gone.
func TestConvergenceRunsBesideTheCodeBeforeIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.rules(t)
	db := stdlib.OpenDBFromPool(b.pool)
	defer db.Close()
	oldAgent{id: agentID("1"), name: "recorded", steps: "done", published: true}.write(t, db)
	if claims, err := b.store.ClaimAgents(t.Context(), long, 9); err != nil || len(claims) != 0 {
		t.Errorf("%d agents are claimed while the code before is at it, error %v", len(claims), err)
	}
	if _, err := b.pool.Exec(t.Context(), `UPDATE agents SET due_at = due_at - interval '1 minute'`); err != nil {
		t.Fatal(err)
	}
	claims, err := b.store.ClaimAgents(t.Context(), long, 9)
	if err != nil || len(claims) != 1 {
		t.Fatalf("%d agents are due after a minute, error %v; want 1", len(claims), err)
	}
	a := b.finish(t, claims[0].Lease)
	if a.Published == nil || !a.IsReady() {
		t.Errorf("it is not published: %+v", a)
	}
	if _, err := db.ExecContext(t.Context(), oldRemoveSQL, a.ID); err != nil {
		t.Fatal(err)
	}
	if f := loaded(t, b.session(t)); len(f.Agents) != 0 {
		t.Errorf("policy sees an agent that the code before removed: %+v", f.Agents)
	}
}
