package postgres_test

import (
	"sync"
	"testing"

	"github.com/credenceproject/credence/internal/registry"
)

// adopting is a new agent that comes with a client which exists.
func adopting(t *testing.T, name, clientID string, rules registry.Rules) registry.NewAgent {
	t.Helper()
	n := newAgent(t, name, rules)
	n.IntentID, n.Agent.ClientID = "", clientID
	return n
}

// What an agent's client was is shut out of the control plane for ever. A client
// whose adoption did not succeed never was one's, and may be adopted again.
func TestAnAdoptedClientIsOnRecordOncePolicyHasSeenItsAgent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	adopt := func(name string) (registry.Agent, registry.Lease, error) {
		return b.store.CreateAgent(t.Context(), adopting(t, name, "of-yore", rules), alice)
	}
	is := func() [2]bool {
		t.Helper()
		agents, err := b.store.IsAgentClient(t.Context(), "of-yore")
		if err != nil {
			t.Fatal(err)
		}
		adopted, err := b.store.IsAdoptedClient(t.Context(), "of-yore")
		if err != nil {
			t.Fatal(err)
		}
		return [2]bool{agents, adopted}
	}
	refused, lease, err := adopt("refused")
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = adopt("meanwhile")
	wantError(t, err, registry.Conflict, "client_taken")
	wantEqual(t, "an agent's, adopted, while it is being adopted", [2]bool{true, true}, is()) // no sweep takes it for an orphan
	b.update(t, refused.ID, "agent.take_back", remove)
	b.finish(t, lease)
	wantEqual(t, "an agent's, adopted, after a refused adoption", [2]bool{false, true}, is())

	a, lease, err := adopt("triage")
	if err != nil {
		t.Fatalf("adopted again: %v", err)
	}
	if seen := b.finish(t, lease); seen.Published == nil || seen.Published.Subject != "of-yore@clients" {
		t.Fatalf("policy sees %+v", seen.Published)
	}
	wantEqual(t, "an agent's, adopted, once policy sees it", [2]bool{true, true}, is())
	_, _, err = adopt("thief")
	wantError(t, err, registry.Conflict, "client_taken")
	_, removal := b.update(t, a.ID, "agent.decommission", remove)
	b.finish(t, *removal)
	_, _, err = adopt("heir")
	wantError(t, err, registry.Conflict, "client_taken")
}

// However many adopt a client at once, it is one agent's; who comes with the key
// of the first is told so, whatever else could be said.
func TestAClientIsAdoptedOnceWhoeverIsFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	var mu sync.Mutex
	outcomes := map[string]int{}
	adopt := func(name string, k *registry.IdempotencyKey) {
		n := adopting(t, name, "of-yore", rules)
		n.Key = k
		_, _, err := b.store.CreateAgent(t.Context(), n, alice)
		outcome := "recorded"
		if e, ok := registry.AsError(err); ok {
			outcome = e.Code
		} else if err != nil {
			outcome = err.Error()
		}
		mu.Lock()
		defer mu.Unlock()
		outcomes[outcome]++
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { adopt("triage", &key) })
	}
	wg.Wait()
	wantEqual(t, "outcomes with one key", map[string]int{"recorded": 1, "idempotency_key_in_use": 7}, outcomes)
	for _, name := range []string{"a", "b", "c", "d"} {
		wg.Go(func() { adopt(name, nil) })
	}
	wg.Wait()
	wantEqual(t, "outcomes without", map[string]int{"recorded": 1, "idempotency_key_in_use": 7, "client_taken": 4}, outcomes)
}
