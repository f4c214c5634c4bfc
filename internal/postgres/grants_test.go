package postgres_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/credenceproject/credence/internal/postgres"
	"github.com/credenceproject/credence/internal/registry"
)

// role makes a database role of the server's own and returns its name, which needs
// quoting, and the address that it connects to.
func (b *bundle) role(t *testing.T) (name, dsn string) {
	t.Helper()
	name, password := `server"; -- `+strings.ToLower(rand.Text()[:12]), rand.Text()
	quoted := pgx.Identifier{name}.Sanitize()
	if _, err := b.pool.Exec(t.Context(), `CREATE ROLE `+quoted+` LOGIN PASSWORD '`+password+`'`); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // roles are the server's, not the database's
		if _, err := b.pool.Exec(context.Background(), `DROP OWNED BY `+quoted+`; DROP ROLE `+quoted); err != nil {
			t.Errorf("drop the role: %v", err)
		}
	})
	u, err := url.Parse(b.dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(name, password)
	return name, u.String()
}

// asServer is b as the server's own role has it.
func (b *bundle) asServer(t *testing.T) *bundle {
	t.Helper()
	role, dsn := b.role(t)
	for range 2 { // after each migration
		if err := postgres.GrantServer(t.Context(), b.dsn, role); err != nil {
			t.Fatal(err)
		}
	}
	pool, err := postgres.Open(t.Context(), func() (string, error) { return dsn, nil }, 4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return &bundle{store: postgres.NewStore(pool), pool: pool, dsn: dsn}
}

// Whatever the server does, its own role may do it.
func TestTheServersRoleSufficesForTheWholeLifeOfAnAgent(t *testing.T) {
	t.Parallel()
	owner := setup(t)
	b := owner.asServer(t)
	ctx := t.Context()
	rules := b.rules(t)
	n := newAgent(t, "triage", rules)
	n.Key = &key
	a, lease, err := b.store.CreateAgent(ctx, n, alice)
	if err != nil {
		t.Fatal(err)
	}
	done := registry.Progress{Steps: registry.Steps[:4], State: registry.StepDone, ClientID: "c", EntityID: "e", IntentID: n.IntentID}
	intent := uuid.Must(uuid.NewV7()).String()
	for what, do := range map[string]func() error{
		"check the schema": func() error { return b.store.CheckSchema(ctx) },
		"a whole life": func() error {
			b.finish(t, b.progress(t, lease, done))
			_, suspension := b.update(t, a.ID, "agent.suspend", suspend)
			if err := errors.Join(
				b.store.BeginClient(ctx, *suspension, intent), b.store.EndIntents(ctx, *suspension, []string{intent}),
				b.store.IssueCredentials(ctx, *suspension, &key), b.store.PostponePass(ctx, *suspension, "no", 0),
			); err != nil {
				return err
			}
			claims, err := b.store.ClaimAgents(ctx, long, 1)
			if err != nil || len(claims) != 1 {
				t.Fatalf("ClaimAgents() = %+v, %v", claims, err)
			}
			b.update(t, a.ID, "agent.take_back", remove) // frees the key
			b.finish(t, claims[0].Lease)
			_, err = b.store.PurgeIdempotencyKeys(ctx, time.Hour)
			return err
		},
		"documents": func() error {
			_, _, err := b.store.PutTeam(ctx, registry.Team{Name: "other", MaxAgents: 1}, some, alice)
			return errors.Join(err, b.store.DeleteTeam(ctx, "other", some, alice))
		},
		"policies": func() error {
			agent := b.provided(t, "ruled", b.judged(t, rules))
			for _, key := range []registry.LayerKey{ofGlobal, ofTeam, ofType, ofAgent(agent)} {
				b.putPolicy(t, custom(key, "too_late"))
			}
			b.deletePolicy(t, ofTeam)
			b.update(t, agent.ID, "agent.decommission", remove)
			_, _, err := b.store.PolicyVersions(ctx, ofTeam, 0, 9)
			_, beat := b.store.Heartbeat(ctx, 0)
			return errors.Join(err, beat)
		},
		"drift": func() error {
			seen := []registry.Drift{{Provider: "auth0", ObjectKind: "client", ObjectID: "c", Field: "name", Action: registry.DriftReported}}
			_, err := b.store.ClearDrift(ctx, time.Now())
			return errors.Join(err, b.store.RecordDrift(ctx, seen), b.store.RecordDrift(ctx, seen))
		},
		"the budget": func() error {
			_, err := b.store.BudgetTake(ctx, "auth0", 1, 0, slow)
			return errors.Join(err, b.store.BudgetReport(ctx, "auth0", 1, 1, time.Now()))
		},
		"the log": func() error {
			_, _, err := b.store.Audit(ctx, registry.AuditFilter{Limit: 9})
			return errors.Join(err, b.store.RecordAudit(ctx, registry.AuditEvent{Action: "a", Outcome: registry.Denied, ObjectKind: "agent"}))
		},
		"the feed":  func() error { _, err := b.session(t).Load(ctx); return err },
		"the epoch": func() error { _, err := b.store.RenewEpoch(ctx, "", "00112233445566ff", alice); return err },
	} {
		if err := do(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// What is a record of what was done the server can add to and not rewrite, even
// where somebody has taken it over.
func TestTheServersRoleCannotRewriteRecords(t *testing.T) {
	t.Parallel()
	owner := setup(t)
	owner.provided(t, "triage", owner.rules(t))
	owner.putPolicy(t, fullPolicy())
	b := owner.asServer(t)
	for _, sql := range []string{
		`UPDATE audit_events SET actor = 'somebody else'`, `DELETE FROM audit_events`, `TRUNCATE audit_events`,
		`ALTER TABLE audit_events DISABLE TRIGGER ALL`, `DROP TABLE audit_events`, `SET session_replication_role = replica`,
		`UPDATE changes SET after = NULL`, `DELETE FROM changes`,
		`UPDATE client_intents SET created_at = now() - interval '1 year'`, `UPDATE client_intents SET agent_id = gen_random_uuid()`, `DELETE FROM client_intents`,
		`UPDATE policy_versions SET rego = ''`, `DELETE FROM policy_versions`, `TRUNCATE policy_versions`,
		`UPDATE agent_clients SET client_id = 'x'`, `DELETE FROM agent_clients`, `DELETE FROM agents`, `DELETE FROM registry_head`,
		`INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, true)`, `CREATE TABLE mine (a text)`,
	} {
		_, err := b.pool.Exec(t.Context(), sql)
		if pgErr, ok := errors.AsType[*pgconn.PgError](err); !ok || pgErr.Code != "42501" || contains(err, "only ever added") {
			t.Errorf("%s: error = %v, want insufficient privilege", sql, err)
		}
	}
}

func TestNoRoleIsGrantedWhatItCouldTakeAnyway(t *testing.T) {
	t.Parallel()
	b := setup(t)
	role, _ := b.role(t)
	quoted := pgx.Identifier{role}.Sanitize()
	wantError(t, postgres.GrantServer(t.Context(), b.dsn, "nobody-"+uuid.NewString()), registry.NotFound, "role_missing")
	wantError(t, postgres.GrantServer(t.Context(), b.dsn, one[string](t, b, `SELECT current_user`)), registry.Conflict, "role_too_strong")
	if _, err := b.pool.Exec(t.Context(), `ALTER TABLE drift OWNER TO `+quoted); err != nil {
		t.Fatal(err)
	}
	wantError(t, postgres.GrantServer(t.Context(), b.dsn, role), registry.Conflict, "role_too_strong")
	if _, err := b.pool.Exec(t.Context(), `ALTER TABLE drift OWNER TO CURRENT_USER`); err != nil {
		t.Fatal(err)
	}
	if err := postgres.GrantServer(t.Context(), "postgres://u:hunter2@[bad", role); err == nil || contains(err, "hunter2") {
		t.Errorf("GrantServer() of a bad URL: error = %v", err)
	}
}
