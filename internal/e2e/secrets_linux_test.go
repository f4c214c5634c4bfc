package e2e_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"

	"github.com/credenceproject/credence/internal/testdb"
)

// TestInvariant_D2_NoSecretIsWritten searches for the bytes of every secret that
// was issued, after traffic of every kind, in all that the server leaves behind.
func TestInvariant_D2_NoSecretIsWritten(t *testing.T) {
	t.Parallel()
	w := newQuick(t, "CREDENCE_SWEEP_INTERVAL", "1s")
	trafficOfEveryKind(w)
	places := visible(t, w.cmd.Process.Pid)
	places["the metrics"] = w.metricsPage()
	w.stop(t)
	places["the log"] = w.stderr.bytes()
	places["the standard output"] = w.stdout.bytes()
	places["the database"] = testdb.Dump(t, w.dsn)
	places["the database's jobs"] = w.jobRows()

	issued := w.secrets.all()
	if len(issued) < 20 {
		t.Fatalf("only %d secrets were issued", len(issued))
	}
	for place, content := range places {
		for secret, what := range issued {
			if bytes.Contains(content, []byte(secret)) {
				t.Errorf("%s is in %s", what, place)
			}
		}
	}
	// The search finds what is there.
	for place, needle := range map[string]string{"the database": "test|developer", "the database's jobs": "river_job", "the log": `"route":"/agents"`, "the metrics": "credence_"} {
		if !bytes.Contains(places[place], []byte(needle)) {
			t.Errorf("%s lacks %q: was it searched at all?", place, needle)
		}
	}
}

// jobRows are the lines of the dump that hold rows of River.
func (w *world) jobRows() []byte {
	w.t.Helper()
	var rows [][]byte
	for line := range bytes.Lines(testdb.Dump(w.t, w.dsn)) {
		if bytes.Contains(line, []byte("INSERT INTO river.river_job ")) {
			rows = append(rows, line)
		}
	}
	return bytes.Join(rows, nil)
}

// trafficOfEveryKind registers, repeats, rotates, fails, refuses, logs in, suspends,
// transfers and deletes.
func trafficOfEveryKind(w *world) {
	w.t.Helper()
	dev := w.as(w.developer)
	for i := range 3 {
		r := dev.register(registration(fmt.Sprintf("agent-%d", i), nil))
		token, _ := w.vaultToken(w.agentToken(r))
		w.read(r.Vault.SecretPaths.Own, token)
		w.as(w.agentToken(r)).get("/agents").want(w.t, 401)
		// Secrets where none belong.
		dev.with("X-Request-Id", secretOf(r)+"!").get("/agents/"+secretOf(r)).want(w.t, 404)
		dev.get("/agents?cursor="+secretOf(r)).want(w.t, 422)
	}
	faults := []func() (*proxy, *fault){
		func() (*proxy, *fault) { return w.auth0, &fault{method: "POST", path: "/api/v2/clients", do: truncate} },
		func() (*proxy, *fault) {
			return w.auth0, &fault{method: "POST", path: "/api/v2/client-grants", do: answerWith(400, "{}")}
		},
		func() (*proxy, *fault) {
			return w.vault, &fault{method: "PUT", path: "/v1/identity/entity-alias", do: answerWith(403, "{}")}
		},
	}
	for _, f := range faults {
		at, fault := f()
		at.set(fault)
		if got := dev.post("/agents", registration("failing", nil)).status; got != 202 && got != 502 {
			w.t.Errorf("a registration with a fault: %d", got)
		}
		at.set(nil)
		w.settles()
		w.try("DELETE", "/agents/failing", "")
	}
	changesOfEveryKind(w)
	dev.post("/agents", registration("refused", map[string]any{"team": otherTeam})).want(w.t, 403)
	w.revokeAll()
	dev.delete("/agents/agent-0").want(w.t, 204)
}

// changesOfEveryKind hands out secrets in every way but the first, some of which are
// lost.
func changesOfEveryKind(w *world) {
	w.t.Helper()
	dev := w.as(w.developer)
	keyed := dev.with("Idempotency-Key", `"a-key"`)
	keyed.register(registration("repeated", nil))
	for range 2 {
		w.handedOut(keyed.post("/agents", registration("repeated", nil)).want(w.t, 201))
	}
	for _, name := range []string{"repeated", "agent-1"} {
		w.vaultToken(w.agentToken(dev.collect(name)))
	}
	for _, do := range []func(http.ResponseWriter, *http.Request, http.Handler){dropAfter, truncate, answerWith(500, auth0Says)} {
		w.auth0.set(&fault{method: "POST", path: "/api/v2/clients/", do: do})
		dev.post("/agents/agent-1/credentials", "").want(w.t, 202)
		w.auth0.set(nil)
		w.settles()
	}
	w.as(w.admin).post("/agents/agent-1/transfer", `{"team": "`+otherTeam+`", "owner": "bo@example.com", "reason": "a test"}`).want(w.t, 200)
	w.as(w.admin).collect("agent-1")
	dev.post("/agents/agent-2/suspend", `{"reason": "a test"}`).want(w.t, 200)
	dev.post("/agents/agent-2/resume", `{"reason": "a test", "revoke_tokens": true}`).want(w.t, 200)
	eventually(w.t, "a sweep", func() bool { return strings.Contains(w.stderr.String(), `"msg":"swept"`) })
}

// TestInvariant_D2_TheServerDumpsNoCore: a crash must not write its memory, with
// the secrets in it, to a disk, even where the limit that it was given allows it.
func TestInvariant_D2_TheServerDumpsNoCore(t *testing.T) {
	t.Parallel()
	var ours unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &ours); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: ours.Max, Max: ours.Max}); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	var limit unix.Rlimit
	if err := unix.Prlimit(w.cmd.Process.Pid, unix.RLIMIT_CORE, nil, &limit); err != nil {
		t.Fatal(err)
	}
	if limit != (unix.Rlimit{}) {
		t.Errorf("the server's core limit is %+v, want 0", limit)
	}
}

// TestInvariant_C6_WhatWasBegunIsAudited: the intent before the providers are
// called, the outcome after it, and refused writes, each with who and in which
// request.
func TestInvariant_C6_WhatWasBegunIsAudited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dev := w.as(w.developer)
	id := func(request string) caller { return dev.with("X-Request-Id", request) }
	var r struct{ Agent struct{ ID string } }
	answer := id("r1").post("/agents", registration("audited", nil)).want(t, 201)
	r.Agent.ID = strings.TrimPrefix(string(answer.body[bytes.Index(answer.body, []byte(`"id":"`)):][:42]), `"id":"`)
	w.vault.set(&fault{method: "PUT", path: "/v1/identity/entity-alias", do: answerWith(403, `{"errors":["`+raw+`"]}`)})
	id("r2").post("/agents", registration("failing", nil)).want(t, 502)
	w.vault.set(nil)
	id("r3").delete("/agents/audited").want(t, 204)
	id("r4").post("/agents", registration("elsewhere", map[string]any{"team": otherTeam})).want(t, 403)
	w.as(w.token("test|reader", []string{"agents:read"}, team)).with("X-Request-Id", "r5").post("/agents", registration("unseen", nil)).want(t, 403)
	w.as(w.outsider).with("X-Request-Id", "r6").delete("/agents/audited").want(t, 404)
	id("r7").put("/teams/"+team, `{}`).want(t, 403)

	want := []string{
		"r1 test|developer agent.register intent audited customer-success",
		"r1 test|developer agent.register success audited customer-success",
		"r2 test|developer agent.register intent failing customer-success",
		"r2 test|developer agent.take_back intent failing customer-success",
		"r2 test|developer agent.register failure failing customer-success",
		"r2 test|developer agent.take_back success failing customer-success",
		"r3 test|developer agent.decommission intent audited customer-success",
		"r3 test|developer agent.decommission success audited customer-success",
		"r4 test|developer agent.register denied elsewhere platform",
		// Permission is asked before the body is read, which is not known then.
		"r5 test|reader agent.register denied  ",
		"r7 test|developer team.put denied customer-success ",
	}
	if diff := cmp.Diff(want, auditLog(w)); diff != "" {
		t.Errorf("audit_events (-want +got):\n%s", diff)
	}
	if bytes.Contains(testdb.Dump(t, w.dsn), []byte(raw)) {
		t.Error("a provider's raw text is in the database")
	}
}

// auditLog is the log of the requests r1, r2 and so on, in order.
func auditLog(w *world) []string {
	w.t.Helper()
	conn := must(pgx.Connect(w.t.Context(), w.dsn))(w.t)
	defer func() { _ = conn.Close(w.t.Context()) }()
	rows, _ := conn.Query(w.t.Context(), `
		SELECT concat_ws(' ', request_id, actor, action, outcome, object_name, team)
		FROM audit_events WHERE request_id LIKE 'r_' ORDER BY id`) // CollectRows returns the query's error
	lines := must(pgx.CollectRows(rows, pgx.RowTo[string]))(w.t)
	return slices.Clip(lines)
}
