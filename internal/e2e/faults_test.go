package e2e_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/credenceproject/credence/api"
)

// raw is what a provider says when it fails. Callers must never see it.
const raw = "raw-text-of-a-provider"

// The providers' dialects.
const (
	auth0Says = `{"statusCode":400,"error":"` + raw + `","message":"` + raw + `","errorCode":"` + raw + `"}`
	vaultSays = `{"errors":["` + raw + `"]}`
)

// mishaps are the ways in which a provider fails for a time, in the dialect of says.
func mishaps(says string) []*fault {
	return []*fault{
		{do: dropBefore},
		{do: dropAfter},
		{do: hang},
		{do: late},
		{do: truncate},
		{do: tooMany(says)},
		{do: answerWith(500, says)},
		{do: answerWith(503, "<html>"+raw)},
	}
}

// tooMany refuses for a second.
func tooMany(says string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		reset := strconv.FormatInt(time.Now().Add(time.Second).Unix(), 10)
		answerWith(429, says, "X-Ratelimit-Limit", "2", "X-Ratelimit-Remaining", "0", "X-Ratelimit-Reset", reset)(w, r, next)
	}
}

// stage is a step at a provider, within what a caller asks for.
type stage struct {
	name, method, path, says string
	at                       func(*world) *proxy
	times                    int // that each mishap strikes: an adapter repeats what may be repeated
	do                       func(*world, string) response
	done                     []int // the statuses that may come of it
	fresh                    bool  // it is for agents that are not there yet
	after                    func(*world, map[string]response)
}

func atAuth0(w *world) *proxy { return w.auth0 }
func atVault(w *world) *proxy { return w.vault }

func register(w *world, name string) response {
	return w.try("POST", "/agents", registration(name, nil))
}

func act(action, document string) func(*world, string) response {
	return func(w *world, name string) response { return w.try("POST", "/agents/"+name+"/"+action, document) }
}

func remove(w *world, name string) response { return w.try("DELETE", "/agents/"+name, "") }

var stages = []stage{
	{"create the client", "POST", "/api/v2/clients", auth0Says, atAuth0, 1, register, []int{201, 202}, true, afterRegistration},
	{"create the grant", "POST", "/api/v2/client-grants", auth0Says, atAuth0, 1, register, []int{201, 202}, true, afterRegistration},
	{"write the entity", "PUT", "/v1/identity/entity/name/", vaultSays, atVault, 2, register, []int{201, 202}, true, afterRegistration},
	{"write the alias", "PUT", "/v1/identity/entity-alias", vaultSays, atVault, 2, register, []int{201, 202}, true, afterRegistration},
	{"rotate the secret", "POST", "/api/v2/clients/", auth0Says, atAuth0, 1, act("credentials", ""), []int{200, 202}, false, afterRotation},
	{"delete the client", "DELETE", "/api/v2/clients/", auth0Says, atAuth0, 1, remove, []int{202, 204}, false, afterRemoval},
	{"delete the grant", "DELETE", "/api/v2/client-grants/", auth0Says, atAuth0, 1, act("suspend", `{"reason": "a test"}`), []int{200, 202}, false, afterSuspension},
	{"disable the entity", "PUT", "/v1/identity/entity/name/", vaultSays, atVault, 2, act("suspend", `{"reason": "a test"}`), []int{200, 202}, false, afterSuspension},
}

// TestAFaultAtAnyStepIsHealed: whatever a provider does for a time at whichever
// step, nobody is answered that it failed, and once it is well again the systems
// agree, with nobody having asked again.
func TestAFaultAtAnyStepIsHealed(t *testing.T) {
	t.Parallel()
	for _, s := range stages {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			w := newQuick(t)
			faults := mishaps(s.says)
			names := numbered(len(faults))
			for _, f := range faults {
				f.method, f.path, f.times = s.method, s.path, s.times
			}
			before := map[string]api.RegisteredAgent{}
			if s.fresh {
				w.as(w.developer).register(registration("warm", nil)) // the first one fetches tokens and keys
			} else {
				for name, answer := range together(names, func(name string) response { return register(w, name) }) {
					answer.want(t, 201)
					before[name], _ = w.handedOut(answer)
				}
			}
			s.at(w).set(faults...)
			answers := together(names, func(name string) response { return s.do(w, name) })
			wantOnly(t, answers, s.done...)
			for name, r := range answers {
				if strings.Contains(string(r.body), raw) {
					t.Errorf("%s: the provider's raw text is in the answer: %s", name, r.body)
				}
			}
			w.settles()
			if n := s.at(w).hits(); n != len(faults)*s.times {
				t.Errorf("%d faults struck, want %d", n, len(faults)*s.times)
			}
			w.checkAgreement()
			s.after(w, answers)
			for name, r := range before {
				if s.name == "rotate the secret" && w.opens(r) {
					t.Errorf("%s: the old secret still works", name)
				}
			}
		})
	}
}

// afterRegistration sees that each secret that was handed out works, and that the
// others are to be had.
func afterRegistration(w *world, answers map[string]response) {
	w.t.Helper()
	for name, answer := range answers {
		r, had := w.handedOut(answer)
		if !had {
			checkPending(w, name, answer)
			r = w.as(w.developer).collect(name)
		}
		w.vaultToken(w.agentToken(r))
	}
}

// checkPending holds a 202 to the contract.
func checkPending(w *world, name string, answer response) {
	w.t.Helper()
	var p api.PendingAgent
	answer.decode(w.t, &p)
	if answer.header.Get("Location") != "/agents/"+name || answer.header.Get("Retry-After") == "" || isReady(p.Agent) || len(p.Next) != 2 {
		w.t.Errorf("202 with %v and %s", answer.header, answer.body)
	}
}

func afterRotation(w *world, answers map[string]response) {
	w.t.Helper()
	for name, answer := range answers {
		r, had := w.handedOut(answer)
		if !had {
			r = w.as(w.developer).collect(name)
		}
		w.vaultToken(w.agentToken(r))
	}
}

func afterRemoval(w *world, answers map[string]response) {
	w.t.Helper()
	if n := len(w.living()); n > 0 {
		w.t.Errorf("%d agents are left", n)
	}
	for name := range answers {
		w.as(w.developer).register(registration(name, nil))
	}
	w.checkAgreement()
}

func afterSuspension(w *world, answers map[string]response) {
	w.t.Helper()
	resume := act("resume", `{"reason": "the test is over"}`)
	wantOnly(w.t, together(slices.Collect(maps.Keys(answers)), func(name string) response { return resume(w, name) }), 200)
	w.settles()
	for _, a := range w.checkAgreement() {
		if a.Suspended {
			w.t.Errorf("%s is still suspended", a.Name)
		}
	}
}

// TestARefusedRegistrationLeavesNothing: what a provider refuses for good is told,
// nothing is left at either, and the name is free.
func TestARefusedRegistrationLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newQuick(t)
	for i, s := range stages[:4] {
		for _, status := range []int{400, 403} {
			name := fmt.Sprintf("refused-%d", i)
			s.at(w).set(&fault{method: s.method, path: s.path, do: answerWith(status, s.says)})
			answer := w.as(w.developer).post("/agents", registration(name, nil))
			s.at(w).set(nil)
			if got := answer.refused(t); got.Status != 502 || strings.Contains(string(answer.body), raw) {
				t.Errorf("%s, %d: %s, want 502", s.name, status, answer.body)
			}
			w.as(w.developer).get("/agents/"+name).wantRefused(t, 404, "not_found")
			w.settles()
			w.checkAgreement()
			again := w.as(w.developer).register(registration(name, nil))
			w.vaultToken(w.agentToken(again))
			w.as(w.developer).delete("/agents/"+name).want(t, 204)
		}
	}
}

// TestAClientThatAppearsLateIsRemoved: Auth0 works on a request that we gave up,
// and makes the client when it was certain that there is none. The agent has
// another by then, and a sweep removes the late one.
func TestAClientThatAppearsLateIsRemoved(t *testing.T) {
	t.Parallel()
	w := newQuick(t, "CREDENCE_SWEEP_INTERVAL", "1s")
	given := make(chan func(), 1)
	w.auth0.set(&fault{method: "POST", path: "/api/v2/clients", times: 1, do: func(_ http.ResponseWriter, r *http.Request, next http.Handler) {
		request := r.Clone(context.WithoutCancel(r.Context()))
		given <- func() { next.ServeHTTP(httptest.NewRecorder(), request) }
		<-r.Context().Done()
	}})
	w.as(w.developer).post("/agents", registration("late", nil)).want(t, 202)
	w.settles()
	w.checkAgreement()
	(<-given)()
	if n := len(w.tenant.Clients()); n != 2 {
		t.Fatalf("%d clients, want the late one too", n)
	}
	eventually(t, "the late client is removed", func() bool { return len(w.tenant.Clients()) == 1 })
	w.checkAgreement()
	if n := w.count("SELECT count(*) FROM audit_events WHERE action = 'client.remove' AND outcome = 'success'"); n != 1 {
		t.Errorf("%d removals were audited, want 1", n)
	}
}

// TestAHiccupIsNoFailure: what may be repeated is, within the one call.
func TestAHiccupIsNoFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i, f := range []fault{
		{method: "GET", path: "/v1/identity/entity/name/", do: answerWith(500, `{"errors":[]}`)},
		{method: "PUT", path: "/v1/identity/entity/name/", do: dropAfter},
		{method: "PUT", path: "/v1/identity/entity/name/", do: truncate},
		{method: "PUT", path: "/v1/identity/lookup/entity", do: dropBefore},
	} {
		f.times = 1
		w.vault.set(&f)
		r := w.as(w.developer).register(registration(fmt.Sprintf("agent-%d", i), nil))
		if w.vault.hits() != 1 || !isReady(r.Agent) {
			t.Errorf("%s %s: %d faults, %+v", f.method, f.path, w.vault.hits(), r.Agent.Conditions)
		}
	}
}

// TestADeletionIsFinishedInTheBackground: authority leaves at once; what a provider
// missed is made up for when it is back.
func TestADeletionIsFinishedInTheBackground(t *testing.T) {
	t.Parallel()
	w := newQuick(t)
	dev := w.as(w.developer)
	r := dev.register(registration("leaving", nil))
	jwt := w.agentToken(r)
	token, _ := w.vaultToken(jwt)

	w.vault.set(&fault{path: "/v1/identity/", do: answerWith(503, vaultSays)})
	w.auth0.set(&fault{method: "DELETE", path: "/api/v2/clients/", do: dropBefore})
	pending := dev.delete("/agents/leaving").want(t, 202)
	if pending.header.Get("Location") != "/agents/"+r.Agent.ID+"?include=decommissioned" || pending.header.Get("Retry-After") == "" {
		t.Errorf("202 with %v", pending.header)
	}
	dev.get("/agents/leaving").wantRefused(t, 404, "not_found")
	dev.delete("/agents/"+r.Agent.ID).want(t, 202)
	w.vault.set(nil)
	within(t, 5*time.Second, func() string { return "the Vault token still works" }, func() bool {
		_, status := w.read(r.Vault.SecretPaths.Own, token)
		return status == 403
	})
	dev.delete("/agents/"+r.Agent.ID).want(t, 202)
	w.auth0.set(nil)
	w.settles()
	dev.delete("/agents/"+r.Agent.ID).want(t, 204)
	w.logIn(jwt).want(t, 403)
	w.ask(r.Credentials.ClientID, secretOf(r), agentAudience).want(t, 401)
}

// TestAnAgentThatNeverCameIsRemoved: the registration never got through, and its
// deletion needs no more than patience.
func TestAnAgentThatNeverCameIsRemoved(t *testing.T) {
	t.Parallel()
	w := newQuick(t)
	dev := w.as(w.developer)
	w.auth0.set(&fault{path: "/api/v2/", do: dropAfter})
	dev.post("/agents", registration("half", nil)).want(t, 202)
	if n := len(w.tenant.Clients()); n != 1 {
		t.Fatalf("%d clients, want the one that nobody heard of", n)
	}
	dev.delete("/agents/half").want(t, 202)
	dev.get("/agents/half").wantRefused(t, 404, "not_found")
	dev.register2xx("half")
	w.auth0.set(nil)
	w.settles()
	w.checkAgreement()
}

// register2xx registers an agent that need not be there yet.
func (c caller) register2xx(name string) {
	c.w.t.Helper()
	if got := c.post("/agents", registration(name, nil)); got.status != 201 && got.status != 202 {
		c.w.t.Errorf("%s: %d %s", name, got.status, got.body)
	}
}
