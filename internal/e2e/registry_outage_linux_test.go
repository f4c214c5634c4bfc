package e2e_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/local"
)

// ageOf is how stale an answer says it is, in seconds.
func ageOf(t testing.TB, r response) int {
	t.Helper()
	return must(strconv.Atoi(r.header.Get("Age")))(t)
}

// TestAnOutageOfTheDatabaseLeavesTheHotPathsUp: PostgreSQL hangs for seconds.
// What answers from memory does, and says how stale it is, for callers who were
// never seen before too; OPA hears of nothing.
func TestAnOutageOfTheDatabaseLeavesTheHotPathsUp(t *testing.T) {
	t.Parallel()
	w := newLand(t)
	db := must(local.StartPostgres(t.Context(), local.PostgresOptions{Tools: must(local.FindTools(""))(t)}))(t)
	t.Cleanup(func() { _ = db.Stop() })
	if err := db.Exec(t.Context(), "CREATE DATABASE credence"); err != nil {
		t.Fatal(err)
	}
	w.dsn = db.DSN("credence")
	w.prepare()
	w.start()
	w.seed()
	w.seedResources()
	r := newRecorder(t, w.api)
	opa := w.startOPA(r.URL)
	triage := w.as(w.developer).register(registration("support-triage", nil))
	claims := w.claimsOf(w.agentToken(triage))
	opa.becomes(claims, "hello-skill", "allow")
	tag := w.bundleReader().get("/bundles/production").want(t, 200).header.Get("ETag")

	thaw := freeze(t, w.dsn)
	polled := len(r.polls())
	age := 0
	for i := 0; age < 4; i++ { // each time somebody else, whom no cache knows
		reader := w.as(w.forge(map[string]any{"azp": fmt.Sprintf("gateway-%d", i), "permissions": []string{"agents:read", "resources:read", "bundles:read"}}))
		metadata := reader.get("/resources/hello-skill/metadata?environment=production").want(t, 200)
		if age = ageOf(t, metadata); age == 0 {
			continue // it was looked at just before
		}
		for what, bundle := range map[string]response{
			"the bundle": reader.get("/bundles/production").want(t, 200),
			"its 304":    reader.with("If-None-Match", tag).get("/bundles/production").want(t, 304),
		} {
			if ageOf(t, bundle) == 0 {
				t.Errorf("%s does not say how stale it is", what)
			}
		}
		for resource, want := range map[string]string{"hello-skill": "allow", "billing-system": "platform/access_denied"} {
			answer := reader.get("/agents/support-triage/access?resource="+resource).want(t, 200)
			if got := decisionIn(t, answer); codesOf(got) != want || ageOf(t, answer) == 0 {
				t.Errorf("of %s the server says %s at age %s", resource, codesOf(got), answer.header.Get("Age"))
			}
		}
		if callers := reader.get("/resources/hello-skill/access").want(t, 200); ageOf(t, callers) == 0 {
			t.Error("the list of callers does not say how stale it is")
		}
	}
	w.as(w.forge(map[string]any{"azp": triage.Credentials.ClientID})).get("/resources/hello-skill/metadata").wantRefused(t, 403, "agent_client")
	if ready := readiness(w.as("")); !ready.Ready || databaseCheck(ready) {
		t.Errorf("readiness %+v, want ready and the database amiss", ready)
	}
	for args, want := range map[string]int{"hello-skill": 0, "billing-system": 1} {
		if p := w.command("check", "support-triage", "POST", args); p.cmd.ProcessState.ExitCode() != want {
			t.Errorf("credence check %s: exit %d, want %d\n%s%s", args, p.cmd.ProcessState.ExitCode(), want, p.stdout, p.stderr)
		}
	}
	for _, p := range r.polls()[polled:] {
		if p.status != 304 || p.etag != tag {
			t.Errorf("during the outage OPA got %+v", p)
		}
	}

	thaw()
	within(t, 2*time.Second, func() string { return "it is still stale" }, func() bool {
		return ageOf(t, w.as(w.admin).get("/resources/hello-skill/metadata").want(t, 200)) == 0
	})
	w.setVisibility("team")
	opa.becomes(claims, "hello-skill", "platform/access_denied")
}

// TestAReplicaThatWasCutOffCatchesUp: changes that it could not hear of are in its
// memory within two seconds of the database's return, however it was away.
func TestAReplicaThatWasCutOffCatchesUp(t *testing.T) {
	t.Parallel()
	w := newRegistry(t)
	way := newLink(t, w.dsn)
	other := w.replica("CREDENCE_DATABASE_URL_FILE", w.file("database-link", way.dsn))
	for _, tt := range []struct {
		name string
		away func()
		age  int // in seconds
	}{{"stopped", way.cut, 2}, {"hung", way.freeze, 6}} { // longer than one question may take
		before := w.metadataRevision()
		other.wantRevision(tt.name+": before", before)
		tt.away()
		age := func() int { return ageOf(t, other.as(w.admin).get("/resources/hello-skill/metadata").want(t, 200)) }
		eventually(t, "a replica that says how stale it is", func() bool { return age() >= tt.age })
		w.setVisibility("team")
		w.setVisibility("organization")
		if got := other.metadataRevision(); got != before {
			t.Errorf("%s: a replica without a database knows of revision %d", tt.name, got)
		}
		way.mend()
		other.wantRevision(tt.name+": after", w.metadataRevision())
	}
	wantEqual(t, w, other)
}

// TestALostListenSessionCostsNoFreshness: nobody is told that it is gone.
func TestALostListenSessionCostsNoFreshness(t *testing.T) {
	t.Parallel()
	w := newRegistry(t)
	other := w.replica()
	for _, which := range []string{"query LIKE 'LISTEN%'", "application_name = 'credence-feed'", "query LIKE 'LISTEN%'"} {
		if n := w.count("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND " + which); n < 2 {
			t.Errorf("%s: %d sessions were killed, want those of two replicas", which, n)
		}
		w.setVisibility("team")
		w.setVisibility("organization")
		other.wantRevision(which, w.metadataRevision())
		eventually(t, "that both listen again", func() bool {
			return w.count("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'") == 2
		})
	}
}

// metadataRevision is the revision of hello-skill that the server has in memory.
func (w *world) metadataRevision() int64 {
	w.t.Helper()
	answer := w.as(w.admin).get("/resources/hello-skill/metadata").want(w.t, 200)
	return must(strconv.ParseInt(answer.header.Get("X-Resource-Revision"), 10, 64))(w.t)
}

// wantRevision waits two seconds until the server knows of that revision.
func (w *world) wantRevision(what string, want int64) {
	w.t.Helper()
	got := int64(0)
	within(w.t, 2*time.Second, func() string { return fmt.Sprintf("%s: the replica is at revision %d, want %d", what, got, want) }, func() bool {
		got = w.metadataRevision()
		return got == want
	})
}
