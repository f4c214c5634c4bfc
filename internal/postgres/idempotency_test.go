package postgres_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
)

var key = registry.IdempotencyKey{Principal: "auth0|alice", Key: "k-1", Fingerprint: "f00d"}

// window allows a secret to be issued anew at any time.
var window = registry.ReissueWindow{Within: time.Hour}

func (b *bundle) creation(t *testing.T, w registry.ReissueWindow) registry.IdempotentCreation {
	t.Helper()
	c, err := b.store.IdempotentCreation(t.Context(), key.Principal, key.Key, w)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// However many creations with the same key run at once, and whatever else could be
// said against the later ones, one is recorded and the others learn of the key.
func TestOneKeyLeadsToOneAgentWhoeverIsFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	var err error
	if rules.Team, _, err = b.store.PutTeam(t.Context(), registry.Team{Name: rules.Team.Name, MaxAgents: 1}, some, alice); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	outcomes := map[string]int{}
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			n := newAgent(t, "triage", rules)
			n.Key = &key
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
		})
	}
	wg.Wait()
	if diff := cmp.Diff(map[string]int{"recorded": 1, "idempotency_key_in_use": 11}, outcomes); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

func TestAKeyIsItsPrincipalsAndLeadsToItsAgent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	n := newAgent(t, "triage", rules)
	n.Key = &key
	a, _, err := b.store.CreateAgent(t.Context(), n, alice)
	if err != nil {
		t.Fatal(err)
	}
	want := registry.IdempotentCreation{IdempotencyKey: key, AgentID: a.ID, Reissuable: true, CreatedAt: a.CreatedAt}
	wantEqual(t, "what the key led to", want, b.creation(t, window))

	other := newAgent(t, "other", rules)
	other.Key = &registry.IdempotencyKey{Principal: "auth0|bo", Key: key.Key, Fingerprint: "other"}
	if _, _, err := b.store.CreateAgent(t.Context(), other, alice); err != nil {
		t.Errorf("the same key of somebody else: error = %v", err)
	}
	if _, err := b.store.IdempotentCreation(t.Context(), "auth0|bo", "k-2", window); !errors.Is(err, registry.NotFound) {
		t.Errorf("a key that nobody used: error = %v, want NotFound", err)
	}
	// A creation that was refused uses up no key.
	taken := newAgent(t, "triage", rules)
	taken.Key = &registry.IdempotencyKey{Principal: "auth0|bo", Key: "k-2", Fingerprint: "other"}
	_, _, err = b.store.CreateAgent(t.Context(), taken, alice)
	wantError(t, err, registry.Conflict, "name_taken")
	if _, err := b.store.IdempotentCreation(t.Context(), "auth0|bo", "k-2", window); !errors.Is(err, registry.NotFound) {
		t.Errorf("the key of a creation that was refused: error = %v, want NotFound", err)
	}
}

// A key knows which credentials it has issued, and since when (invariant C3).
func TestInvariant_C3_AKeyKnowsWhatItHasIssued(t *testing.T) {
	t.Parallel()
	b := setup(t)
	n := newAgent(t, "triage", b.rules(t))
	n.Key = &key
	a, lease, err := b.store.CreateAgent(t.Context(), n, alice)
	if err != nil {
		t.Fatal(err)
	}
	generations := func() [2]int64 {
		return [2]int64{b.agent(t, a.ID).CredentialGeneration, b.creation(t, window).CredentialGeneration}
	}
	wantEqual(t, "before the client", [2]int64{0, 0}, generations())
	b.progress(t, lease, registry.Progress{ClientID: "client-1", IntentID: n.IntentID})
	wantEqual(t, "with the client", [2]int64{1, 1}, generations())
	b.progress(t, lease, registry.Progress{ClientID: "client-1", IntentID: n.IntentID})

	gap := registry.ReissueWindow{Within: time.Hour, Gap: time.Minute}
	if c := b.creation(t, gap); !c.Reissuable {
		t.Error("a secret whose answer was lost may not be issued anew at once")
	}
	if c := b.creation(t, registry.ReissueWindow{}); c.Reissuable {
		t.Error("the secret may be issued anew after the window")
	}
	if err := b.store.IssueCredentials(t.Context(), lease, &key); err != nil {
		t.Fatal(err)
	}
	if c := b.creation(t, gap); c.Reissuable {
		t.Error("the secret that was issued anew may be so again within the gap")
	}
	if c := b.creation(t, registry.ReissueWindow{Within: time.Hour, Gap: time.Microsecond}); !c.Reissuable {
		t.Error("the secret may not be issued anew after the gap")
	}
	wantEqual(t, "issued anew under the key", [2]int64{2, 2}, generations())
	if err := b.store.IssueCredentials(t.Context(), lease, nil); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "issued by somebody else", [2]int64{3, 2}, generations())
	b.progress(t, lease, registry.Progress{Forget: registry.Steps})
	b.progress(t, lease, registry.Progress{ClientID: "client-2", IntentID: n.IntentID})
	wantEqual(t, "with another client", [2]int64{4, 2}, generations())
}

// What a provider refused led to nothing: the same key may try again. What was
// deleted was there.
func TestAKeyIsFreeAgainOnlyWhenItsRegistrationWasTakenBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	for action, free := range map[string]bool{"agent.take_back": true, "agent.decommission": false} {
		n := newAgent(t, "triage", rules)
		n.Key = &registry.IdempotencyKey{Principal: "p", Key: action, Fingerprint: "f"}
		a, _, err := b.store.CreateAgent(t.Context(), n, alice)
		if err != nil {
			t.Fatal(err)
		}
		b.update(t, a.ID, action, remove)
		again := newAgent(t, "triage", rules)
		again.Key = n.Key
		if _, _, err = b.store.CreateAgent(t.Context(), again, alice); free != (err == nil) {
			t.Errorf("the key after %s: error = %v", action, err)
		}
		if free {
			b.update(t, again.Agent.ID, "agent.decommission", remove)
		}
	}
}

func TestKeysArePurgedByTheirAge(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	for _, name := range []string{"old", "young"} {
		n := newAgent(t, name, rules)
		n.Key = &registry.IdempotencyKey{Principal: "p", Key: name, Fingerprint: "f"}
		if _, _, err := b.store.CreateAgent(t.Context(), n, alice); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.pool.Exec(t.Context(), `UPDATE idempotency_keys SET created_at = now() - interval '25 hours' WHERE key = 'old'`); err != nil {
		t.Fatal(err)
	}
	if n, err := b.store.PurgeIdempotencyKeys(t.Context(), 24*time.Hour); err != nil || n != 1 {
		t.Errorf("PurgeIdempotencyKeys() = %d, %v; want 1", n, err)
	}
	if left := one[string](t, b, `SELECT string_agg(key, ' ') FROM idempotency_keys`); left != "young" {
		t.Errorf("keys that are left: %s", left)
	}
}
