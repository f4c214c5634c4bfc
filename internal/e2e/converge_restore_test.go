package e2e_test

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/api"
)

// TestInvariant_C4_ARestoredDatabaseRemovesNothing: a server on a backup of the
// database, beside providers that went on without it. It knows nothing of the agents
// that came since; its sweeps report their clients and remove none. Nor do they
// revive what was shut out since.
func TestInvariant_C4_ARestoredDatabaseRemovesNothing(t *testing.T) {
	t.Parallel()
	w := newQuick(t)
	dev := w.as(w.developer)
	shutOut := dev.register(registration("shut-out", nil))
	dev.register(registration("staying", nil))
	w.stop(t)
	backup := w.copyDatabase()
	w.start()
	since := []api.RegisteredAgent{dev.in(w).register(registration("since-1", nil)), dev.in(w).register(registration("since-2", nil))}
	dev.in(w).post("/agents/shut-out/suspend", `{"reason": "a leak"}`).want(t, 200)
	w.stop(t)

	calls := len(w.auth0.passed("/api/v2/"))
	w.env["CREDENCE_DATABASE_URL_FILE"] = w.file("database-url", backup)
	w.start("CREDENCE_SWEEP_INTERVAL", "1s")
	eventually(t, "three sweeps", func() bool { return strings.Count(w.stderr.String(), `"msg":"swept"`) >= 3 })
	for _, call := range w.auth0.passed("/api/v2/")[calls:] {
		if call.Method == "DELETE" {
			t.Errorf("a sweep of the restored database asked for %+v", call)
		}
	}
	var drift api.DriftPage
	w.as(w.admin).get("/drift?limit=200").want(t, 200).decode(t, &drift)
	reported := map[string]api.DriftRecord{}
	for _, d := range drift.Items {
		reported[strings.Trim(d.ObjectID, `"`)] = d
	}
	for _, r := range since {
		w.vaultToken(w.agentToken(r))
		if d, found := reported[r.Credentials.ClientID]; !found || d.Action != "reported" {
			t.Errorf("the client of %s is reported as %+v", r.Agent.Name, d)
		}
	}
	if e, found := w.entityOf(shutOut.Agent.ID); !found || !e.Disabled {
		t.Errorf("the entity of the agent that was shut out is %+v (%t)", e, found)
	}
}

// in is the same caller at a world that was started anew.
func (c caller) in(w *world) caller {
	c.w = w
	return c
}

// copyDatabase makes a copy of the world's database, to which nobody may be
// connected, and returns where it is.
func (w *world) copyDatabase() (dsn string) {
	w.t.Helper()
	name := "copy_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	config := must(pgx.ParseConfig(w.dsn))(w.t)
	w.execute("CREATE DATABASE " + name + " TEMPLATE " + config.Database)
	w.t.Cleanup(func() {
		conn, err := pgx.Connect(context.WithoutCancel(w.t.Context()), w.dsn)
		if err != nil {
			w.t.Error(err)
			return
		}
		defer func() { _ = conn.Close(context.Background()) }()
		if _, err := conn.Exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			w.t.Error(err)
		}
	})
	u := must(url.Parse(w.dsn))(w.t)
	u.Path = "/" + name
	return u.String()
}
