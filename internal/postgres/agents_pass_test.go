package postgres_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/credenceproject/credence/internal/registry"
)

// fenced are all writes of a pass.
func fenced(t *testing.T, b *bundle, generation int64, key *registry.IdempotencyKey, intentID string) map[string]func(registry.Lease) error {
	ctx := t.Context()
	facts := registry.AgentFacts{Environment: "production", Subject: "stale@clients"}
	return map[string]func(registry.Lease) error{
		"RecordProgress": func(l registry.Lease) error {
			_, err := b.store.RecordProgress(ctx, l, registry.Progress{
				Steps: registry.Steps, State: registry.StepDone, ClientID: "stale", GrantID: "stale", EntityID: "stale", AliasID: "stale",
				IntentID: intentID, Renewed: true,
			}, long)
			return err
		},
		"BeginClient":      func(l registry.Lease) error { return b.store.BeginClient(ctx, l, uuid.NewString()) },
		"EndIntents":       func(l registry.Lease) error { return b.store.EndIntents(ctx, l, []string{intentID}) },
		"IssueCredentials": func(l registry.Lease) error { return b.store.IssueCredentials(ctx, l, key) },
		"PostponePass":     func(l registry.Lease) error { return b.store.PostponePass(ctx, l, "stale", 0) },
		"FinishPass": func(l registry.Lease) error {
			_, err := b.store.FinishPass(ctx, l, registry.Finish{
				Generation: generation, Published: &facts, Steps: registry.Steps, StepState: registry.StepDone,
			})
			return err
		},
	}
}

// Whoever lost the lease writes nothing, whatever they found out (invariant C2).
func TestInvariant_C2_AStaleLeaseWritesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	n := newAgent(t, "triage", b.rules(t))
	n.Lease = 0
	n.Key = &registry.IdempotencyKey{Principal: "p", Key: "k", Fingerprint: "f"}
	a, stale, err := b.store.CreateAgent(t.Context(), n, alice)
	if err != nil {
		t.Fatal(err)
	}
	successor, held, err := b.store.ClaimAgent(t.Context(), a.ID, long)
	if err != nil || held {
		t.Fatalf("a lease that has run out: held %t, error %v", held, err)
	}
	writes := fenced(t, b, a.Convergence.Generation, n.Key, n.IntentID)
	for name, write := range writes {
		b.wantNothingWritten(t, name, func() {
			if err := write(stale); !errors.Is(err, registry.ErrLeaseLost) {
				t.Errorf("%s() with a stale lease: error = %v, want ErrLeaseLost", name, err)
			}
		})
	}
	// Nor does whoever has ended it, or had it of nobody.
	if err := b.store.PostponePass(t.Context(), successor.Lease, "no", long); err != nil {
		t.Fatal(err)
	}
	for name, write := range writes {
		for _, l := range []registry.Lease{successor.Lease, {AgentID: uuid.NewString(), Epoch: 1}} {
			b.wantNothingWritten(t, name, func() {
				if err := write(l); !errors.Is(err, registry.ErrLeaseLost) {
					t.Errorf("%s() with a lease that has ended: error = %v, want ErrLeaseLost", name, err)
				}
			})
		}
	}
}

func TestProgressIsKeptAndMakesTheLeaseLast(t *testing.T) {
	t.Parallel()
	b := setup(t)
	n := newAgent(t, "triage", b.rules(t))
	n.Lease = time.Second
	a, lease, err := b.store.CreateAgent(t.Context(), n, alice)
	if err != nil {
		t.Fatal(err)
	}
	failed := registry.Progress{Steps: []registry.StepName{registry.StepClient}, State: registry.StepFailed, Error: "it does not answer"}
	lease = b.progress(t, lease, failed)
	if got := time.Until(lease.Expires); got < long-time.Minute || got > long {
		t.Errorf("the lease ends in %s, want %s", got, long)
	}
	got := b.agent(t, a.ID)
	if until := got.Convergence.HeldUntil; until.Before(lease.Expires.Add(-time.Second)) {
		t.Errorf("the database ends the lease at %s, its holder at %s", until, lease.Expires)
	}
	if s := got.Steps[0]; s.State != registry.StepFailed || s.LastError != "it does not answer" || got.Version != a.Version+1 {
		t.Errorf("the step is %+v at version %d", s, got.Version)
	}
	done := registry.Progress{
		Steps: registry.Steps[:4], State: registry.StepDone, ClientID: "c", GrantID: "g", EntityID: "e", AliasID: "a", IntentID: n.IntentID,
	}
	lease = b.progress(t, lease, done)
	b.progress(t, lease, registry.Progress{}) // says nothing, so nothing is lost
	ids := func() [4]string { a = b.agent(t, a.ID); return [4]string{a.ClientID, a.GrantID, a.EntityID, a.AliasID} }
	wantEqual(t, "ids", [4]string{"c", "g", "e", "a"}, ids())
	if s := a.Steps[0]; s.State != registry.StepDone || s.LastError != "" || !s.At.After(got.Steps[0].At) {
		t.Errorf("the step is %+v after %+v", s, got.Steps[0])
	}
	since := a.Steps[0].At
	b.progress(t, lease, done)
	if ids(); !a.Steps[0].At.Equal(since) {
		t.Error("a step that was done is done since the second time")
	}
	b.progress(t, lease, registry.Progress{Forget: []registry.StepName{registry.StepEntity, registry.StepAlias}})
	wantEqual(t, "ids", [4]string{"c", "g", "", ""}, ids())
	b.progress(t, lease, registry.Progress{Forget: registry.Steps, EntityID: "e2"})
	wantEqual(t, "ids", [4]string{"", "", "e2", ""}, ids())
	if is, err := b.store.IsAgentClient(t.Context(), "c"); err != nil || !is {
		t.Errorf("a client that was forgotten is an agent's no more: %v", err)
	}
}

// Each client that the agent did not have before comes with credentials that
// nobody had before.
func TestEachClientIsAnotherCredentialGeneration(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	a := b.provided(t, "triage", rules)
	c, _, err := b.store.ClaimAgent(t.Context(), a.ID, long)
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	for _, p := range []registry.Progress{{}, {ClientID: a.ClientID}, {Forget: registry.Steps}, {ClientID: "client-2"}, {ClientID: "client-2"}} {
		b.progress(t, c.Lease, p)
		got = append(got, b.agent(t, a.ID).CredentialGeneration)
	}
	if err := b.store.IssueCredentials(t.Context(), c.Lease, nil); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "credential generations", []int64{1, 1, 1, 2, 2, 3}, append(got, b.agent(t, a.ID).CredentialGeneration))

	n := newAgent(t, "adopted", rules)
	n.IntentID, n.Agent.ClientID = "", "its-own"
	n.Key = &registry.IdempotencyKey{Principal: "p", Key: "k", Fingerprint: "f"}
	adopted, lease, err := b.store.CreateAgent(t.Context(), n, alice)
	if err != nil || adopted.ClientID != "its-own" || adopted.CredentialGeneration != 1 {
		t.Fatalf("the adopted: client %q, credential generation %d, error %v", adopted.ClientID, adopted.CredentialGeneration, err)
	}
	b.progress(t, lease, registry.Progress{ClientID: "its-own"})
	if c, err := b.store.IdempotentCreation(t.Context(), "p", "k", registry.ReissueWindow{}); err != nil || c.CredentialGeneration != 0 {
		t.Errorf("the key has issued generation %d of credentials that were there, error %v", c.CredentialGeneration, err)
	}
	if ids, settled, err := b.store.OpenIntents(t.Context(), adopted.ID, 0); err != nil || len(ids) != 0 || !settled {
		t.Errorf("intents to make a client that is there: %v, settled %t, error %v", ids, settled, err)
	}
	for client, want := range map[string]bool{"its-own": true, "client-triage": false} {
		if is, err := b.store.IsAdoptedClient(t.Context(), client); err != nil || is != want {
			t.Errorf("IsAdoptedClient(%s) = %t, %v; want %t", client, is, err, want)
		}
	}
	n = newAgent(t, "thief", rules)
	n.IntentID, n.Agent.ClientID = "", a.ClientID
	_, _, err = b.store.CreateAgent(t.Context(), n, alice)
	wantError(t, err, registry.Conflict, "client_taken")
}

func TestAPassThatFailedIsDueAgainLater(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.create(t, "triage", b.rules(t))
	for attempt := int64(1); attempt <= 2; attempt++ {
		if err := b.store.PostponePass(t.Context(), c.Lease, "it does not answer", time.Hour); err != nil {
			t.Fatal(err)
		}
		a := b.agent(t, c.Agent.ID)
		want := registry.Convergence{Generation: 1, Attempts: attempt, LastError: "it does not answer", DueAt: a.UpdatedAt.Add(time.Hour)}
		wantEqual(t, "convergence", want, a.Convergence)
		if claims, err := b.store.ClaimAgents(t.Context(), long, 9); err != nil || len(claims) != 0 {
			t.Errorf("%d agents are due, error %v; want none before it is time", len(claims), err)
		}
		var err error
		if c, _, err = b.store.ClaimAgent(t.Context(), a.ID, long); err != nil {
			t.Fatal(err)
		}
	}
}
