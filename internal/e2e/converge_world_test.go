package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/auth0/emulator"
)

// How long, in a quick world, one may work on an agent without a word, and a client
// may appear whose creation was not answered.
const (
	quickLease  = 1500 * time.Millisecond
	quickSettle = 3 * time.Second
)

// newQuick is a world in which what takes minutes takes seconds, and an old secret
// ends at once.
func newQuick(t testing.TB, settings ...string) *world {
	t.Helper()
	return newQuickOf(t, emulator.Options{}, settings...)
}

func newQuickOf(t testing.TB, tenant emulator.Options, settings ...string) *world {
	t.Helper()
	tenant.SecretOverlap = -1
	return newWorldOf(t, tenant, append([]string{
		"CREDENCE_LEASE", quickLease.String(), "CREDENCE_CLIENT_SETTLE", quickSettle.String(), "CREDENCE_INLINE_TIMEOUT", "3s",
		"CREDENCE_AUTH0_TIMEOUT", "700ms", "CREDENCE_VAULT_TIMEOUT", "700ms",
		"CREDENCE_RETRY_BASE", "50ms", "CREDENCE_RETRY_MAX", "500ms", "CREDENCE_RECONCILE_INTERVAL", "100ms",
		"CREDENCE_REISSUE_GAP", "1ms", "CREDENCE_SWEEP_INTERVAL", "0s",
	}, settings...)...)
}

// living returns the living agents, as they are now.
func (w *world) living() []api.Agent { return w.agentsThatAre("active") }

func (w *world) agentsThatAre(lifecycle string) []api.Agent {
	w.t.Helper()
	var all []api.Agent
	for cursor := ""; ; {
		var page api.AgentPage
		w.as(w.admin).get("/agents?limit=200&lifecycle="+lifecycle+cursor).want(w.t, 200).decode(w.t, &page)
		all = append(all, page.Items...)
		if page.NextCursor == nil {
			return all
		}
		cursor = "&cursor=" + *page.NextCursor
	}
}

// agent returns the living agent of that name or id.
func (w *world) agent(ref string) (a api.Agent) {
	w.t.Helper()
	w.as(w.admin).get("/agents/"+ref).want(w.t, 200).decode(w.t, &a)
	return a
}

func converged(a api.Agent) bool { return a.ObservedGeneration == a.Generation }

// settles waits until the providers have followed every change, of the removed
// agents too.
func (w *world) settles() { w.settlesWithin(bound) }

func (w *world) settlesWithin(d time.Duration) {
	w.t.Helper()
	var behind []string
	within(w.t, d, func() string { return "not as desired: " + strings.Join(behind, "\n") }, func() bool {
		behind = nil
		for _, a := range append(w.living(), w.agentsThatAre("decommissioned")...) {
			if !converged(a) {
				said, _ := json.Marshal(a.Convergence) // numbers and strings
				behind = append(behind, fmt.Sprintf("%s (%s, generation %d, observed %d): %s", a.Name, a.Lifecycle, a.Generation, a.ObservedGeneration, said))
			}
		}
		return len(behind) == 0
	})
}

// holding is what the systems have of one agent.
type holding struct {
	Ready   bool
	Clients []string // ids
	Scopes  []string // of each grant, in order
	Entity  string   // "", "enabled" or "disabled"
	Aliases []string // names
}

// checkAgreement holds every system to the registry: each living agent has one
// client, one grant, one entity and one alias, and nobody else has any. It returns
// the living agents. Everything must have settled.
func (w *world) checkAgreement() []api.Agent {
	w.t.Helper()
	agents := w.living()
	want, got := map[string]holding{}, map[string]holding{}
	clients := map[string][]emulator.ClientInfo{}
	for _, c := range w.tenant.Clients() {
		clients[c.Metadata["agent_id"]] = append(clients[c.Metadata["agent_id"]], c)
	}
	entities := w.agentEntities()
	for _, a := range agents {
		name := a.Name + " " + a.ID
		want[name] = desired(a)
		got[name] = found(a, clients[a.ID], entities[a.ID])
		delete(clients, a.ID)
		delete(entities, a.ID)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("the systems disagree (-want +got):\n%s", diff)
	}
	for _, orphans := range clients {
		w.t.Errorf("clients of nobody: %+v", orphans)
	}
	for id, e := range entities {
		if !e.Disabled {
			w.t.Errorf("entity of nobody: agent_%s %+v", id, e)
		}
	}
	return agents
}

// desired is what the agent should have.
func desired(a api.Agent) holding {
	h := holding{Ready: !a.Suspended, Entity: "enabled"}
	if a.Suspended && a.Identity.ClientID == nil {
		return holding{} // it was suspended before it had anything
	}
	if a.Identity.ClientID == nil {
		return h // no agent that has settled
	}
	h.Clients, h.Aliases = []string{*a.Identity.ClientID}, []string{*a.Identity.Subject}
	h.Scopes = []string{strings.Join(slices.Sorted(slices.Values(a.Scopes)), " ")}
	if a.Suspended {
		h.Entity, h.Scopes = "disabled", nil
	}
	return h
}

func found(a api.Agent, clients []emulator.ClientInfo, e entity) holding {
	h := holding{Ready: isReady(a)}
	for _, c := range clients {
		h.Clients = append(h.Clients, c.ID)
		for _, g := range c.Grants {
			h.Scopes = append(h.Scopes, strings.Join(slices.Sorted(slices.Values(g.Scope)), " "))
		}
	}
	for _, alias := range e.Aliases {
		h.Aliases = append(h.Aliases, alias.Name)
	}
	switch {
	case e.ID == "":
	case e.Disabled:
		h.Entity = "disabled"
	default:
		h.Entity = "enabled"
	}
	return h
}

// agentEntities are OpenBao's entities of agents, by the agent's id.
func (w *world) agentEntities() map[string]entity {
	w.t.Helper()
	var list struct{ Data struct{ Keys []string } }
	_ = json.Unmarshal(w.bao("LIST", "identity/entity/name", asRoot, nil).body, &list) // 404 has none
	entities := map[string]entity{}
	for _, name := range list.Data.Keys {
		if id, ours := strings.CutPrefix(name, "agent_"); ours {
			if e, found := w.entityOf(id); found {
				entities[id] = e
			}
		}
	}
	return entities
}

// collect gives the agent new credentials, which must work.
func (c caller) collect(ref string) api.RegisteredAgent {
	c.w.t.Helper()
	var r api.RegisteredAgent
	c.post("/agents/"+ref+"/credentials", "").want(c.w.t, 200).decode(c.w.t, &r)
	c.w.secrets.add("a new secret of "+r.Agent.Name, secretOf(r))
	return r
}

// opens reports whether the secret gets a token.
func (w *world) opens(r api.RegisteredAgent) bool {
	w.t.Helper()
	return w.ask(r.Credentials.ClientID, secretOf(r), agentAudience).status == 200
}

// handedOut reads an answer that may carry credentials.
func (w *world) handedOut(r response) (api.RegisteredAgent, bool) {
	w.t.Helper()
	var got api.RegisteredAgent
	if json.Unmarshal(r.body, &got) != nil || got.Credentials.ClientSecret == nil {
		return api.RegisteredAgent{}, false
	}
	w.secrets.add("a secret of "+got.Agent.Name, secretOf(got))
	return got, true
}

// together calls f for each name at the same time and returns what it returned.
func together[T any](names []string, f func(name string) T) map[string]T {
	var mu sync.Mutex
	var wg sync.WaitGroup
	results := map[string]T{}
	for _, name := range names {
		wg.Go(func() {
			r := f(name)
			mu.Lock()
			defer mu.Unlock()
			results[name] = r
		})
	}
	wg.Wait()
	return results
}

// wantOnly fails unless every answer has one of the statuses.
func wantOnly(t testing.TB, answers map[string]response, statuses ...int) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(answers)) {
		if r := answers[name]; !slices.Contains(statuses, r.status) {
			t.Errorf("%s: %d %s, want one of %v", name, r.status, r.body, statuses)
		}
	}
}

// numbered are n names.
func numbered(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("agent-%03d", i)
	}
	return names
}
