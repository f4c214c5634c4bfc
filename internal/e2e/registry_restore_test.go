package e2e_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// backup keeps what a dump of the registry would hold, and restore brings it
// back in one transaction, past all servers.
const (
	backupSQL = `
		CREATE SCHEMA backup;
		CREATE TABLE backup.registry_head AS TABLE registry_head;
		CREATE TABLE backup.resources AS TABLE resources;
		CREATE TABLE backup.scopes AS TABLE scopes;
		CREATE TABLE backup.changes AS TABLE changes`
	restoreSQL = `
		DELETE FROM registry_head; INSERT INTO registry_head TABLE backup.registry_head;
		DELETE FROM resources; INSERT INTO resources TABLE backup.resources;
		DELETE FROM scopes; INSERT INTO scopes TABLE backup.scopes;
		DELETE FROM changes; INSERT INTO changes TABLE backup.changes`
)

// TestInvariant_B1_ARestoredDatabaseReachesOPA: the database goes back in time
// under two running replicas. They renew the epoch once, and OPA, which has seen
// what came after, takes what is true now.
func TestInvariant_B1_ARestoredDatabaseReachesOPA(t *testing.T) {
	t.Parallel()
	w := newRegistry(t)
	other := w.replica()
	r := newRecorder(t, w.api, other.api)
	opa := w.startOPA(r.URL)
	claims := w.claimsOf(w.agentToken(w.as(w.developer).register(registration("support-triage", nil))))
	opa.becomes(claims, "hello-skill", "allow")
	w.execute(backupSQL)
	w.setVisibility("team")
	opa.becomes(claims, "hello-skill", "platform/access_denied")
	future := r.state()

	w.execute(restoreSQL)
	opa.becomesWithin(4*time.Second, claims, "hello-skill", "allow") // one second to see it, one to poll, and a loaded machine
	if now := r.state(); tagPart(now, 1) == tagPart(future, 1) || tagPart(now, 2) >= tagPart(future, 2) {
		t.Errorf("OPA was taken from %s to %s, want another epoch at an earlier revision", future, now)
	}
	if n := w.count("SELECT count(*) FROM audit_events WHERE action = 'registry.renew_epoch'"); n != 1 {
		t.Errorf("two replicas renewed the epoch %d times", n)
	}
	if !strings.Contains(w.stderr.String()+other.stderr.String(), "the registry went back in time") {
		t.Error("no log tells the operator")
	}
	wantEqual(t, w, other)

	// Writes go on, and the same revision again is another state.
	w.setVisibility("team")
	opa.becomes(claims, "hello-skill", "platform/access_denied")
	if again := r.state(); tagPart(again, 2) != tagPart(future, 2) || again == future {
		t.Errorf("the revision of %s came again as %s", future, again)
	}
}

// TestInvariant_B1_CredenceRestoreTellsOPA: no server runs while the database is
// restored, and it has come to the revision that OPA knows before OPA asks again.
// OPA would keep what it has if `credence restore` had not been run.
func TestInvariant_B1_CredenceRestoreTellsOPA(t *testing.T) {
	t.Parallel()
	w := newRegistry(t)
	r := newRecorder(t, w.api)
	opa := w.startOPA(r.URL)
	claims := w.claimsOf(w.agentToken(w.as(w.developer).register(registration("support-triage", nil))))
	opa.becomes(claims, "hello-skill", "allow")
	w.execute(backupSQL)
	w.setVisibility("team")
	opa.becomes(claims, "hello-skill", "platform/access_denied")
	future := r.state()

	r.leadTo("127.0.0.1:1") // nobody
	w.stop(t)
	w.execute(restoreSQL)
	said := mustCredence(t, w.env, "restore")
	w.start()
	w.as(w.admin).put("/resources/another", resourceDocument("skill", "platform", "team", "production")).want(t, 201)
	r.leadTo(w.api)
	opa.becomesWithin(4*time.Second, claims, "hello-skill", "allow")
	now := r.state()
	if tagPart(now, 2) != tagPart(future, 2) {
		t.Errorf("the test proves nothing: %s is of another revision than %s", now, future)
	}
	if !strings.Contains(said, "epoch "+tagPart(now, 1)) {
		t.Errorf("credence restore says %q, and the epoch is that of %s", said, now)
	}
}

// count asks the database, past the server, for a number.
func (w *world) count(sql string) (n int) {
	w.t.Helper()
	conn := must(pgx.Connect(w.t.Context(), w.dsn))(w.t)
	defer func() { _ = conn.Close(w.t.Context()) }()
	if err := conn.QueryRow(w.t.Context(), sql).Scan(&n); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// text asks the database, past the server, for a text.
func (w *world) text(sql string) (text string) {
	w.t.Helper()
	conn := must(pgx.Connect(w.t.Context(), w.dsn))(w.t)
	defer func() { _ = conn.Close(w.t.Context()) }()
	if err := conn.QueryRow(w.t.Context(), sql).Scan(&text); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	return text
}

// execute runs statements in the database, past the server.
func (w *world) execute(sql string) {
	w.t.Helper()
	conn := must(pgx.Connect(w.t.Context(), w.dsn))(w.t)
	defer func() { _ = conn.Close(w.t.Context()) }()
	if _, err := conn.Exec(w.t.Context(), sql); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}
