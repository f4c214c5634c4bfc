package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// raw is what a provider says when it fails. Callers must never see it.
const raw = "raw-text-of-a-provider"

// breakage is one way in which a provider fails, and what becomes of the call.
type breakage struct {
	name   string
	do     func(http.ResponseWriter, *http.Request, http.Handler)
	status int
	silent bool // nothing was done, and nobody can know it
}

// breakages are the ways of one dialect, whose refusal is body.
func breakages(body string) []breakage {
	return []breakage{
		{"the connection breaks before", dropBefore, 503, true},
		{"the connection breaks after", dropAfter, 503, false},
		{"it does not answer", hang, 503, true},
		{"it does and nobody hears of it", late, 503, false},
		{"its answer is cut short", truncate, 503, false},
		{"429", answerWith(429, body, "X-Ratelimit-Remaining", "0", "X-Ratelimit-Reset", "99999999999"), 503, false},
		{"500", answerWith(500, body), 503, true},
		{"503 and no JSON", answerWith(503, "<html>"+raw), 503, true},
		{"403", answerWith(403, body), 502, false},
		{"400", answerWith(400, body), 502, false},
	}
}

// TestAFailedStepLeavesNothing: whatever a provider does at whichever step, the
// answer is a problem, nothing is left at either provider, and the name is free.
// Where a client may still appear, the answer says so, and finishing works once
// none can.
func TestAFailedStepLeavesNothing(t *testing.T) {
	t.Parallel()
	auth0Says := `{"statusCode":400,"error":"` + raw + `","message":"` + raw + `","errorCode":"` + raw + `"}`
	vaultSays := `{"errors":["` + raw + `"]}`
	steps := []struct {
		name, method, path, says string
		at                       func(*world) *proxy
	}{
		{"client", "POST", "/api/v2/clients", auth0Says, func(w *world) *proxy { return w.auth0 }},
		{"grant", "POST", "/api/v2/client-grants", auth0Says, func(w *world) *proxy { return w.auth0 }},
		{"entity", "PUT", "/v1/identity/entity/name/", vaultSays, func(w *world) *proxy { return w.vault }},
		{"alias", "PUT", "/v1/identity/entity-alias", vaultSays, func(w *world) *proxy { return w.vault }},
	}
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "CREDENCE_AUTH0_TIMEOUT", "1s", "CREDENCE_VAULT_TIMEOUT", "1s", "CREDENCE_CLIENT_SETTLE", "10s")
			w.as(w.developer).register(registration("warm", nil)) // the first one fetches tokens and keys
			var unfinished []string
			for i, b := range breakages(step.says) {
				if step.name == "entity" && b.name == "its answer is cut short" {
					continue // no failure: the repetition's answer is empty
				}
				b.silent = b.silent && step.name == "client" // everything else is found by its name, or not at all
				f := &fault{method: step.method, path: step.path, do: b.do}
				t.Run(b.name, func(t *testing.T) {
					answer := checkFailure(t, w, step.at(w), f, fmt.Sprintf("agent-%d", i), b)
					if b.silent {
						unfinished = append(unfinished, finishingPath(t, answer))
					}
				})
			}
			for _, path := range unfinished {
				eventually(t, "the failed registration is settled", func() bool { return w.as(w.developer).delete(path).status == 204 })
			}
		})
	}
}

// finishingPath is what a problem says is to be deleted.
func finishingPath(t testing.TB, answer response) string {
	t.Helper()
	_, path, found := strings.Cut(*answer.problem(t).Detail, "DELETE ")
	if path, _, _ = strings.Cut(path, " "); !found || !strings.HasPrefix(path, "/agents/") {
		t.Fatalf("the problem does not say how to finish: %s", answer.body)
	}
	return path
}

func checkFailure(t *testing.T, w *world, at *proxy, f *fault, name string, b breakage) response {
	t.Helper()
	dev := w.as(w.developer)
	clients, entities, aliases := len(w.tenant.Clients()), w.entities(), w.aliases()
	at.set(f)
	answer := dev.post("/agents", registration(name, nil))
	struck := at.hits()
	at.set(nil)

	if got := answer.refused(t); got.Status != b.status || struck == 0 || (got.Code == "registration_incomplete") != b.silent {
		t.Errorf("%d %s after %d faults, want %d, and incomplete: %t: %s", got.Status, got.Code, struck, b.status, b.silent, answer.body)
	}
	if f.path == "/api/v2/clients" && struck != 1 {
		t.Errorf("the client was asked for %d times", struck)
	}
	if strings.Contains(string(answer.body), raw) {
		t.Errorf("the provider's raw text is in the answer: %s", answer.body)
	}
	dev.get("/agents/"+name).wantRefused(t, 404, "not_found")
	if c, e, a := len(w.tenant.Clients()), w.entities(), w.aliases(); c != clients || e != entities || a != aliases {
		t.Errorf("left behind: %d clients, %d entities, %d aliases", c-clients, e-entities, a-aliases)
	}
	if t.Failed() {
		return answer
	}
	again := dev.register(registration(name, nil))
	if !isReady(again.Agent) {
		t.Errorf("the retry is not ready: %+v", again.Agent.Conditions)
	}
	w.vaultToken(w.agentToken(again))
	return answer
}

// TestAClientThatAppearsLateIsRemoved: Auth0 works on a request that we gave up,
// and makes the client when we have looked for it and found none.
func TestAClientThatAppearsLateIsRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "CREDENCE_AUTH0_TIMEOUT", "1s")
	dev := w.as(w.developer)
	dev.register(registration("warm", nil))
	given := make(chan func(), 1)
	w.auth0.set(&fault{method: "POST", path: "/api/v2/clients", do: func(_ http.ResponseWriter, r *http.Request, next http.Handler) {
		request := r.Clone(context.WithoutCancel(r.Context()))
		given <- func() { next.ServeHTTP(httptest.NewRecorder(), request) }
		<-r.Context().Done()
	}})
	answer := dev.post("/agents", registration("late", nil))
	answer.wantRefused(t, 503, "registration_incomplete")
	path := finishingPath(t, answer)
	w.auth0.set(nil)
	dev.get("/agents/late").wantRefused(t, 404, "not_found")
	unsettled := dev.delete(path)
	unsettled.wantRefused(t, 503, "decommission_incomplete")
	if wait := unsettled.header.Get("Retry-After"); wait != "60" {
		t.Errorf("Retry-After: %s, want the minute until a client can no longer appear", wait)
	}
	(<-given)()
	if n := len(w.tenant.Clients()); n != 2 {
		t.Fatalf("%d clients, want the late one too", n)
	}
	dev.delete(path).want(t, 204)
	if clients := w.tenant.Clients(); len(clients) != 1 {
		t.Errorf("left behind: %+v", clients)
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

// TestWhatCannotBeTakenBackIsSaid: when a provider stays away, the caller gets
// the way to finish, the agent has no authority, and finishing works.
func TestWhatCannotBeTakenBackIsSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "CREDENCE_AUTH0_TIMEOUT", "1s", "CREDENCE_TEARDOWN_TIMEOUT", "3s")
	dev := w.as(w.developer)
	w.auth0.set(&fault{path: "/api/v2/", do: dropAfter})
	answer := dev.post("/agents", registration("half", nil))
	if got := answer.refused(t); got.Status != 503 || got.Code != "registration_incomplete" {
		t.Fatalf("%d %s", got.Status, answer.body)
	}
	path := finishingPath(t, answer)
	dev.get("/agents/half").wantRefused(t, 404, "not_found")
	dev.delete(path).wantRefused(t, 503, "decommission_incomplete")
	w.auth0.set(nil)
	dev.delete(path).want(t, 204)
	if clients := w.tenant.Clients(); len(clients) > 0 {
		t.Errorf("left behind: %+v", clients)
	}
	dev.register(registration("half", nil))
}

// TestADeletionIsFinishedLater: authority leaves at once; what a provider missed
// is done by the same call by id.
func TestADeletionIsFinishedLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "CREDENCE_AUTH0_TIMEOUT", "1s", "CREDENCE_VAULT_TIMEOUT", "1s")
	dev := w.as(w.developer)
	r := dev.register(registration("leaving", nil))
	jwt := w.agentToken(r)
	token, _ := w.vaultToken(jwt)

	w.vault.set(&fault{path: "/v1/identity/", do: answerWith(503, `{"errors":["`+raw+`"]}`)})
	w.auth0.set(&fault{method: "DELETE", path: "/api/v2/clients/", do: dropBefore})
	dev.delete("/agents/leaving").wantRefused(t, 503, "decommission_incomplete")
	dev.get("/agents/leaving").wantRefused(t, 404, "not_found")
	w.vault.set(nil)
	dev.delete("/agents/"+r.Agent.ID).wantRefused(t, 503, "decommission_incomplete")
	if _, status := w.read(r.Vault.SecretPaths.Own, token); status != 403 {
		t.Errorf("the Vault token still works: %d", status)
	}
	w.auth0.set(nil)
	dev.delete("/agents/"+r.Agent.ID).want(t, 204)
	w.logIn(jwt).want(t, 403)
	w.ask(r.Credentials.ClientID, r.Credentials.ClientSecret, agentAudience).want(t, 401)
}
