package e2e_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/registry"
)

// crashAt names the point at which a program with crash points is killed, or
// frozen.
const crashAt = "CREDENCE_CRASH_AT"

// crashPoints are before and after each step, and before the end of a pass.
func crashPoints() (points []string) {
	for _, step := range registry.Steps[:len(registry.Steps)-1] {
		points = append(points, string(step), string(step)+"-done")
	}
	return append(points, "finish")
}

// TestAReleaseHasNoCrashPoints, and the program that is tested here has.
func TestAReleaseHasNoCrashPoints(t *testing.T) {
	t.Parallel()
	realParts(t)
	for path, want := range map[string]bool{must(program())(t): false, must(crashingProgram())(t): true} {
		if got := bytes.Contains(must(os.ReadFile(path))(t), []byte(crashAt)); got != want {
			t.Errorf("%s has %s: %t, want %t", path, crashAt, got, want)
		}
	}
}

// victim is a replica that works on nothing but what it is asked, until it comes to
// the crash point.
func (w *world) victim(point string) *world {
	w.t.Helper()
	return w.replicaOf(must(crashingProgram())(w.t), crashAt, point, "CREDENCE_RECONCILE_INTERVAL", "1h", "CREDENCE_DATABASE_MAX_CONNS", "4")
}

// TestAReplicaThatIsKilledLeavesNoHalfAgent: kill -9 of the replica that works on a
// registration, at every point between two steps. Another one brings the agent
// there in the time that it takes to be sure. The same call with the same key, there,
// gives a secret that works, and no other secret does.
func TestAReplicaThatIsKilledLeavesNoHalfAgent(t *testing.T) {
	t.Parallel()
	w := newQuick(t)
	w.as(w.developer).register(registration("warm", nil))
	w.atEachPoint("", func(t *testing.T, w, victim *world, point string) {
		name := nameOf(point)
		w.victimDies(victim, "POST", "/agents", registration(name, nil), `"`+name+`"`)
		within(t, 2*quickLease+quickSettle+load, func() string { return fmt.Sprintf("%+v", w.agent(name)) }, func() bool { return isReady(w.agent(name)) })

		r := w.repeated(name)
		w.vaultToken(w.agentToken(r))
		if a := w.agent(name); a.CredentialGeneration != r.Agent.CredentialGeneration || *a.Identity.ClientID != r.Credentials.ClientID {
			t.Errorf("the agent has %+v, and its secret is of %+v", a, r.Agent)
		}
		w.createdOnce(name)
	})
	w.checkAgreement()
}

// repeated makes the registration again that has the agent's name as its key, until it
// is given a secret: a provider that is slow just then leaves it at 202.
func (w *world) repeated(name string) (r api.RegisteredAgent) {
	w.t.Helper()
	within(w.t, bound, func() string { return "no secret" }, func() (had bool) {
		again := w.tryWith("POST", "/agents", registration(name, nil), `"`+name+`"`)
		if again.header.Get("Idempotency-Replayed") != "true" && again.status != 409 {
			w.t.Fatalf("repeated: %d %v %s", again.status, again.header, again.body)
		}
		r, had = w.handedOut(again)
		return had
	})
	return r
}

// atEachPoint calls check for each crash point at the same time, with a replica that
// is killed there, or with ":stop" frozen.
func (w *world) atEachPoint(what string, check func(t *testing.T, w, victim *world, point string)) {
	w.t.(*testing.T).Run("points", func(t *testing.T) {
		for _, point := range crashPoints() {
			victim := w.victim(point + what)
			t.Run(point, func(t *testing.T) {
				t.Parallel()
				check(t, w.in(t), victim, point)
			})
		}
	})
}

// TestAReplicaThatIsKilledLeavesNoHalfChange: the same for whatever an agent goes
// through later, at every point between two of its steps.
func TestAReplicaThatIsKilledLeavesNoHalfChange(t *testing.T) {
	t.Parallel()
	w := newQuick(t)
	type change struct{ method, action, document, points string }
	changes := []change{
		{"POST", "/suspend", `{"reason": "leaked"}`, "undo-vault_entity undo-vault_entity-done undo-auth0_grant undo-auth0_grant-done"},
		{"POST", "/transfer", `{"team": "` + team + `", "owner": "ana@example.com", "reason": "anew"}`, "withdraw-disabled withdraw-clients withdraw-done"},
		{"DELETE", "", "", "undo-vault_entity-done undo-auth0_client undo-auth0_client-done"},
		{"POST", "/credentials", "", "rotated"},
	}
	victims := map[string]*world{} // before there is anything that they could find to do when they start
	for _, c := range changes {
		for point := range strings.FieldsSeq(c.points) {
			victims[c.action+point] = w.victim(point)
		}
	}
	for i, c := range changes {
		for point := range strings.FieldsSeq(c.points) {
			name := fmt.Sprintf("change-%d-%s", i, strings.ReplaceAll(point, "_", "-"))
			w.as(w.developer).register(registration(name, nil))
			w.victimDies(victims[c.action+point], c.method, "/agents/"+name+c.action, c.document, "")
		}
	}
	w.settles()
	for _, a := range w.checkAgreement() {
		if a.Suspended != strings.HasPrefix(a.Name, "change-0-") {
			t.Errorf("%s: suspended is %t", a.Name, a.Suspended)
		}
	}
	if n := len(w.agentsThatAre("decommissioned")); n != 3 {
		t.Errorf("%d agents are decommissioned, want 3", n)
	}
}

// TestARotationThatIsKilledEndsTheOldSecret: the new one was in the memory of the
// process that died. Nobody has it, and the next rotation gives one.
func TestARotationThatIsKilledEndsTheOldSecret(t *testing.T) {
	t.Parallel()
	w := newQuick(t)
	r := w.as(w.developer).register(registration("rotated", nil))
	w.victimDies(w.victim("finish"), "POST", "/agents/rotated/credentials", "", "")
	w.settles()
	if w.opens(r) {
		t.Error("the old secret still works")
	}
	w.vaultToken(w.agentToken(w.as(w.developer).collect("rotated")))
	w.checkAgreement()
}

// TestAReplicaThatWasFrozenWritesNothing: SIGSTOP at every point, past the lease, and
// then it goes on. Another replica has brought the agent there meanwhile; the one
// that wakes up hands out no secret, asks no provider and changes no row.
func TestAReplicaThatWasFrozenWritesNothing(t *testing.T) {
	t.Parallel()
	w := newQuick(t, "CREDENCE_INLINE_TIMEOUT", "9s") // the request is not over when it wakes up: the lease alone is
	w.as(w.developer).register(registration("warm", nil))
	w.atEachPoint(":stop", func(t *testing.T, w, frozen *world, point string) {
		t.Cleanup(func() { frozen.signal(syscall.SIGCONT) })
		name := nameOf(point)
		answers := make(chan response, 1)
		go func() { answers <- frozen.postAndForget("/agents", registration(name, nil)) }()
		within(t, bound, func() string { return "it is not there" }, func() bool {
			got := w.try("GET", "/agents/"+name, "")
			return got.status == 200 && strings.Contains(string(got.body), `"reason":"Done","status":"true","type":"Ready"`)
		})
		state := func() string {
			return w.text("SELECT concat_ws(' ', version, revision, lease_epoch, auth0_client_id) FROM agents WHERE name = '" + name + "'")
		}
		clientID := *w.agent(name).Identity.ClientID
		before, calls := state(), len(w.callsAbout(clientID))
		frozen.signal(syscall.SIGCONT)
		var answer response
		select {
		case answer = <-answers:
		case <-time.After(bound):
			t.Fatal("no answer")
		}
		if _, had := w.handedOut(answer); had || answer.status != 202 {
			t.Errorf("the frozen one answers %d %s", answer.status, answer.body)
		}
		if after := state(); after != before {
			t.Errorf("the row was at %s, and is at %s", before, after)
		}
		if n := len(w.callsAbout(clientID)); n != calls {
			t.Errorf("%d calls about the client, want %d", n, calls)
		}
		w.vaultToken(w.agentToken(w.as(w.developer).collect(name)))
		w.createdOnce(name)
	})
	w.checkAgreement()
}

// load is what a machine that runs many tests at once may add to a bound.
const load = 4 * time.Second

// nameOf makes a name of a crash point.
func nameOf(point string) string { return "at-" + strings.ReplaceAll(point, "_", "-") }

// victimDies makes the call, which kills who is asked.
func (w *world) victimDies(victim *world, method, path, document, key string) {
	w.t.Helper()
	if got := victim.tryWith(method, path, document, key); got.status != 0 {
		w.t.Errorf("%d %s from a replica that should be dead", got.status, got.body)
	}
	wait(w.t, victim.ended, "the death of the replica")
}

// createdOnce holds the tenant's log of calls to one creation for the agent.
func (w *world) createdOnce(name string) {
	w.t.Helper()
	id, n := w.agent(name).ID, 0
	for _, c := range w.tenant.Calls() {
		if c.Method == "POST" && c.Path == "/api/v2/clients" && c.Status == 201 && c.AgentID == id {
			n++
		}
	}
	if n != 1 {
		w.t.Errorf("%s: %d clients were made, want 1", name, n)
	}
}

// callsAbout returns the answered calls to the Management API that concern the
// client.
func (w *world) callsAbout(clientID string) (calls []string) {
	for _, c := range w.tenant.Calls() {
		if c.ClientID == clientID && strings.HasPrefix(c.Path, "/api/v2/") {
			calls = append(calls, c.Method+" "+c.Path)
		}
	}
	return calls
}
