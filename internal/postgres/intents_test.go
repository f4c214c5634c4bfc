package postgres_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/credenceproject/credence/internal/registry"
)

// age makes an intent older.
func (b *bundle) age(t *testing.T, intentID string, by time.Duration) {
	t.Helper()
	if _, err := b.pool.Exec(t.Context(), `UPDATE client_intents SET created_at = created_at - $2::interval WHERE id = $1`, intentID, by); err != nil {
		t.Fatal(err)
	}
}

func TestAnIntentIsOpenUntilItsOutcomeIsKnown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	n := newAgent(t, "triage", rules)
	a, lease, err := b.store.CreateAgent(t.Context(), n, alice)
	if err != nil {
		t.Fatal(err)
	}
	open := func() []string {
		ids, _, err := b.store.OpenIntents(t.Context(), a.ID, 0)
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	first, second, third := n.IntentID, uuid.Must(uuid.NewV7()).String(), uuid.Must(uuid.NewV7()).String()
	for _, id := range []string{third, second} {
		if err := b.store.BeginClient(t.Context(), lease, id); err != nil {
			t.Fatal(err)
		}
	}
	b.age(t, first, time.Minute)
	wantEqual(t, "open, the oldest first", []string{first, third, second}, open())

	b.progress(t, lease, registry.Progress{ClientID: "client-1", IntentID: third})
	wantEqual(t, "open after one made a client", []string{first, second}, open())
	others := b.create(t, "other", rules)
	if err := b.store.EndIntents(t.Context(), others.Lease, []string{first}); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "open after another agent ended them", []string{first, second}, open())
	if err := b.store.EndIntents(t.Context(), lease, []string{first, third}); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "open after one was given up", []string{second}, open())
	if got := one[string](t, b, `SELECT outcome || ' ' || client_id FROM client_intents WHERE id = $1`, third); got != "created client-1" {
		t.Errorf("the intent that made a client is %s", got)
	}
}

func TestIntentsSettleByTheirAge(t *testing.T) {
	t.Parallel()
	b := setup(t)
	n := newAgent(t, "triage", b.rules(t))
	a, lease, err := b.store.CreateAgent(t.Context(), n, alice)
	if err != nil {
		t.Fatal(err)
	}
	b.age(t, n.IntentID, 30*time.Second)
	settled := func(id string, after time.Duration) bool {
		_, is, err := b.store.OpenIntents(t.Context(), id, after)
		if err != nil {
			t.Fatal(err)
		}
		return is
	}
	got := []bool{settled(a.ID, 29*time.Second), settled(a.ID, time.Minute), settled(uuid.NewString(), time.Hour)}
	wantEqual(t, "settled", []bool{true, false, true}, got)
	if err := b.store.BeginClient(t.Context(), lease, uuid.NewString()); err != nil {
		t.Fatal(err)
	}
	if settled(a.ID, 29*time.Second) {
		t.Error("one that is young does not keep the old from being settled")
	}
}

// A sweep may remove only what this database itself names (invariant C4).
func TestInvariant_C4_OnlyWhatThisDatabaseGaveUpIsAbandoned(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	intents := map[string]string{"unknown": uuid.NewString(), "no uuid": "'; --"}
	want := map[string]bool{}
	record := func(name string, abandoned bool) (registry.Claim, string) {
		n := newAgent(t, name, rules)
		a, lease, err := b.store.CreateAgent(t.Context(), n, alice)
		if err != nil {
			t.Fatal(err)
		}
		b.age(t, n.IntentID, time.Hour)
		intents[name] = n.IntentID
		if abandoned {
			want[n.IntentID] = true
		}
		return registry.Claim{Agent: a, Lease: lease}, n.IntentID
	}
	record("open", false)
	c, id := record("created", false)
	b.progress(t, c.Lease, registry.Progress{ClientID: "client-created", IntentID: id})
	c, id = record("given-up", true)
	if err := b.store.EndIntents(t.Context(), c.Lease, []string{id}); err != nil {
		t.Fatal(err)
	}
	c, _ = record("decommissioned", true)
	b.update(t, c.Agent.ID, "agent.decommission", remove)
	c, id = record("replaced", true)
	b.progress(t, c.Lease, registry.Progress{ClientID: "client-before", IntentID: id})
	b.progress(t, c.Lease, registry.Progress{ClientID: "client-after"})
	c, _ = record("lost-answer", true)
	b.progress(t, c.Lease, registry.Progress{ClientID: "client-of-another-attempt"})
	c, id = record("young", false)
	b.age(t, id, -time.Hour)
	b.update(t, c.Agent.ID, "agent.decommission", remove)

	var ask []string
	for _, id := range intents {
		ask = append(ask, id)
	}
	got, err := b.store.AbandonedIntents(t.Context(), ask, 15*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("abandoned (-want +got):\n%s\nof %v", diff, intents)
	}
	if got, err := b.store.AbandonedIntents(t.Context(), nil, 0); err != nil || len(got) != 0 {
		t.Errorf("AbandonedIntents() of none = %v, %v", got, err)
	}
}
