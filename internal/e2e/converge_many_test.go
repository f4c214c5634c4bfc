package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/auth0/emulator"
)

// TestOneKeyMakesOneAgent: fifty equal calls at once, at two replicas, each repeated
// while it is told that another is still running. One client comes of it, and of all
// the secrets that were handed out the last works, and no other.
func TestOneKeyMakesOneAgent(t *testing.T) {
	t.Parallel()
	w := newQuick(t)
	replicas := []*world{w, w.replica()}
	callers := numbered(50)
	answers := together(callers, func(caller string) response {
		return replicas[slices.Index(callers, caller)%2].insist("POST", "/agents", registration("same", nil), `"one-key"`)
	})
	wantOnly(t, answers, 200, 201, 202)
	w.settles()
	w.checkAgreement()
	w.createdOnce("same")

	var handed []api.RegisteredAgent
	for _, answer := range answers {
		if r, had := w.handedOut(answer); had {
			handed = append(handed, r)
		}
	}
	slices.SortFunc(handed, func(a, b api.RegisteredAgent) int {
		return int(a.Agent.CredentialGeneration - b.Agent.CredentialGeneration)
	})
	if len(handed) == 0 {
		t.Fatal("nobody was given a secret")
	}
	last := len(handed) - 1
	for i, r := range handed {
		if got := w.opens(r); got != (i == last) {
			t.Errorf("secret %d of %d, of generation %d, works: %t", i+1, len(handed), r.Agent.CredentialGeneration, got)
		}
	}
	if now := w.agent("same").CredentialGeneration; now != handed[last].Agent.CredentialGeneration {
		t.Errorf("the agent has credential generation %d, and the last that was handed out is %d", now, handed[last].Agent.CredentialGeneration)
	}
	t.Logf("%d of %d callers were given a secret", len(handed), len(answers))
}

// insist makes a call again while the one with the same key is still running.
func (w *world) insist(method, path, document, key string) response {
	again := time.NewTicker(50 * time.Millisecond) // Retry-After says a second, which is long in a quick world
	defer again.Stop()
	for began := time.Now(); ; <-again.C {
		got := w.tryWith(method, path, document, key)
		if got.status != 409 || !strings.Contains(string(got.body), "idempotency_key_in_progress") || time.Since(began) > bound {
			return got
		}
	}
}

// TestEveryRegistrationGetsThere: while three calls of ten fail at both providers,
// in every way there is.
func TestEveryRegistrationGetsThere(t *testing.T) {
	t.Parallel()
	const seed = 5
	w := newQuick(t, "CREDENCE_RECONCILE_WORKERS", "16")
	w.as(w.admin).put("/teams/"+team, `{"max_agents": 1000}`).want(t, 201)
	replicas := []*world{w, w.replica()}
	w.auth0.set(&fault{path: "/api/v2/", do: sometimes(seed, 30, mishaps(auth0Says))})
	w.vault.set(&fault{path: "/v1/identity/", do: sometimes(seed+1, 30, mishaps(vaultSays))})

	names := numbered(200)
	places := make(chan struct{}, 24)
	answers := together(names, func(name string) response {
		places <- struct{}{}
		defer func() { <-places }()
		return register(replicas[slices.Index(names, name)%2], name)
	})
	wantOnly(t, answers, 201, 202)
	w.settlesWithin(2 * bound)
	w.auth0.set(nil)
	w.vault.set(nil)

	if n := len(w.checkAgreement()); n != len(names) {
		t.Errorf("%d agents, want %d", n, len(names))
	}
	made := map[string]int{}
	for _, c := range w.tenant.Calls() {
		if c.Method == "POST" && c.Path == "/api/v2/clients" && c.Status == 201 {
			made[c.AgentID]++
		}
	}
	for id, n := range made {
		if n != 1 {
			t.Errorf("seed %d: %d clients were made for agent %s", seed, n, id)
		}
	}
	ready := 0
	for _, answer := range answers {
		if r, had := w.handedOut(answer); had {
			ready++
			if !w.opens(r) {
				t.Errorf("the secret that %s was given does not work", r.Agent.Name)
			}
		}
	}
	t.Logf("%d of %d were there at once", ready, len(names))
}

// sometimes has percent of the calls go wrong, in one of the ways.
func sometimes(seed uint64, percent int, ways []*fault) func(http.ResponseWriter, *http.Request, http.Handler) {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 0))
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		mu.Lock()
		fails, way := random.IntN(100) < percent, ways[random.IntN(len(ways))]
		mu.Unlock()
		if fails {
			way.do(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	}
}

// TestAFreePlanIsEnough: at the limits of Auth0's free plan, a dozen registrations at
// two replicas queue up. Nobody is answered that anything failed, and what the
// replicas are told of the limit keeps them within it.
func TestAFreePlanIsEnough(t *testing.T) {
	t.Parallel()
	limit := emulator.Rate{PerSecond: 2, Burst: 2}
	w := newQuickOf(t, emulator.Options{ManagementRate: limit}, "CREDENCE_AUTH0_RATE", "2", "CREDENCE_AUTH0_BURST", "2")
	replicas := []*world{w, w.replica()}
	before := len(w.auth0.passed("/api/v2/"))
	names := numbered(12)
	answers := together(names, func(name string) response { return register(replicas[slices.Index(names, name)%2], name) })
	wantOnly(t, answers, 201, 202)
	w.settles()
	w.checkAgreement()
	byStatus := map[int]int{}
	for _, call := range w.auth0.passed("/api/v2/")[before:] {
		byStatus[call.Status]++
	}
	if byStatus[429] > 0 {
		t.Errorf("Auth0 refused calls for their rate: %v", byStatus)
	}
	t.Logf("answers of Auth0: %v", byStatus)
}

// TestAFullTenantIsTold: at the tenant's limit a registration is refused with what
// to do, and leaves nothing; when there is room again it goes through.
func TestAFullTenantIsTold(t *testing.T) {
	t.Parallel()
	for name, limits := range map[string]emulator.Options{"clients": {MaxClients: 1}, "grants": {MaxGrants: 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newQuickOf(t, limits)
			dev := w.as(w.developer)
			dev.register(registration("first", nil))
			dev.post("/agents", registration("second", nil)).wantRefused(t, 502, "identity_provider_limit")
			dev.get("/agents/second").wantRefused(t, 404, "not_found")
			w.settles()
			w.checkAgreement()
			dev.delete("/agents/first").want(t, 204)
			dev.register(registration("second", nil))
			w.checkAgreement()
		})
	}
}

// TestWhateverRacesEndsInAgreement: registration, suspension, resumption, transfer,
// change, rotation and deletion of the same agents at once, over two replicas, again
// and again. Nobody is answered that the server failed, and in the end the systems
// agree on every agent that is left.
func TestWhateverRacesEndsInAgreement(t *testing.T) {
	t.Parallel()
	const seed, rounds, agents = 7, 8, 6
	w := newQuick(t)
	w.developer = w.token("test|developer", developerPermissions, team, otherTeam)
	replicas := []*world{w, w.replica()}
	random := rand.New(rand.NewPCG(seed, 0))
	operations := map[string]func(*world, string) response{
		"register": register, "register again": register, "delete": remove,
		"suspend":  act("suspend", `{"reason": "a race"}`),
		"resume":   act("resume", `{"reason": "a race", "revoke_tokens": true}`),
		"transfer": act("transfer", `{"team": "`+otherTeam+`", "owner": "bo@example.com", "reason": "a race"}`),
		"rotate":   act("credentials", ""),
		"patch":    patchAnything,
	}
	kinds := []string{"register", "register again", "delete", "suspend", "resume", "transfer", "rotate", "patch"}
	names := numbered(agents)
	succeeded := map[string]int{}
	for range rounds {
		var calls []string
		for range 3 * agents {
			calls = append(calls, fmt.Sprintf("%s/%s/%d/%d", kinds[random.IntN(len(kinds))], names[random.IntN(agents)], random.IntN(2), len(calls)))
		}
		answers := together(calls, func(call string) response {
			part := strings.Split(call, "/")
			return operations[part[0]](replicas[part[2][0]-'0'], part[1])
		})
		wantOnly(t, answers, 200, 201, 202, 204, 404, 409, 412)
		for call, answer := range answers {
			if kind, _, _ := strings.Cut(call, "/"); answer.status < 300 {
				succeeded[kind]++
			}
		}
	}
	if len(succeeded) < len(kinds)-2 { // which of them do depends on who is faster
		t.Errorf("hardly anything was done: %v", succeeded)
	}
	w.settles()
	for _, a := range w.checkAgreement() {
		if !a.Suspended {
			w.vaultToken(w.agentToken(w.as(w.developer).collect(a.Name)))
		}
	}
	t.Logf("seed %d: %v", seed, succeeded)
}

// patchAnything changes what may be changed, of the state that it finds.
func patchAnything(w *world, name string) response {
	found := w.try("GET", "/agents/"+name, "")
	if found.status != 200 {
		return found
	}
	return w.tryAs(w.developer, "PATCH", "/agents/"+name, `{"scopes": ["data:read"], "labels": {"race": "yes"}}`, "If-Match", found.header.Get("ETag"))
}
