package agents_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/credenceproject/credence/internal/registry"
)

// The identity provider works on a request whose caller has given up: that it
// has no client yet does not mean that it will have none. Until the intent is old
// enough nobody even looks.
func TestInvariant_C2_NothingIsConcludedOfACreationBeforeItHasSettled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var appear func() error
	w.script.once(createClient, func(_ context.Context, call func() error) error {
		appear = call
		return unavailable(context.DeadlineExceeded)
	})
	id := w.mustBegin()
	w.script.operations()
	for range 3 {
		w.due()
		wantError(t, w.reconcile(), registry.Unavailable, "client_unsettled")
		wantEqual(t, "operations", []string{claim, postpone}, w.script.operations())
	}
	a := w.agent(id)
	if pause := a.Convergence.DueAt.Sub(a.UpdatedAt); pause < patient.Settle {
		t.Errorf("the next pass is due in %s, before the creation has settled", pause)
	}
	if err := appear(); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.due()
	if err := w.reconcile(); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "operations in the end", slices.Concat(
		[]string{claim, findClients, ensureClient, progressOf(registry.StepClient), end}, registration[3:],
	), w.script.operations())
	w.wantOneOfEach(id)
}

// What attempts left behind whose answers were lost, and what becomes of it.
func TestInvariant_C2_ACreationThatHasSettledIsAdoptedOrMadeAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, tc := range map[string]struct {
		attempts []around // at creating the client, each when the one before has settled
		made     int      // clients, in all
	}{
		"none came":                    {[]around{failBefore(reset)}, 1},
		"one came":                     {[]around{failAfter(reset)}, 1},
		"none came twice":              {[]around{failBefore(reset), failBefore(reset)}, 1},
		"one came at the second":       {[]around{failBefore(reset), failAfter(reset)}, 1},
		"it was never sent":            {[]around{failBefore(unavailable(registry.ErrNotDone))}, 1},
		"two came of one":              {[]around{twice}, 2},
		"it came too late to be found": {[]around{failBefore(reset), twice}, 2},
	} {
		w.run(name, func(t *testing.T) {
			attempt := 0
			w.script.on(createClient, func(ctx context.Context, call func() error) error {
				if attempt++; attempt <= len(tc.attempts) {
					return tc.attempts[attempt-1](ctx, call)
				}
				return call()
			})
			id := w.mustBegin()
			w.converge()
			if a := w.agent(id); !a.IsReady() {
				t.Errorf("the agent is not ready: %s", states(a))
			}
			if n := w.tenant.madeFor(id); n != tc.made {
				t.Errorf("%d clients were made, want %d", n, tc.made)
			}
			w.mustDecommission(id)
			w.converge()
			w.wantNothingLeft()
		})
	}
}

// twice is a request that the network delivered twice, and whose answer it lost.
func twice(_ context.Context, call func() error) error {
	return errors.Join(call(), call(), reset)
}

// Nothing is known of the outcome, and the agent is to go: its client is waited
// for just as long.
func TestADecommissionWaitsForAClientThatMayAppear(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var appear func() error
	w.script.once(createClient, func(_ context.Context, call func() error) error {
		appear = call
		return unavailable(context.DeadlineExceeded)
	})
	id := w.mustBegin()
	if gone := w.mustDecommission(id); gone.Convergence.Converged() {
		t.Error("the DELETE says that all is done")
	}
	if err := appear(); err != nil {
		t.Fatal(err)
	}
	w.due()
	wantError(t, w.reconcile(), registry.Unavailable, "client_unsettled")
	w.converge()
	w.wantNothingLeft()
	wantEqual(t, "steps", "undone undone undone undone undone", states(w.agent(id)))
}

// A creation that never reached the provider has made nothing: there is nothing to
// wait for.
func TestACreationThatWasNeverSentIsRepeatedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.script.once(createClient, failBefore(unavailable(registry.ErrNotDone)))
	id := w.mustBegin()
	w.script.operations()
	w.due()
	if err := w.reconcile(); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "operations", slices.Concat([]string{claim, begin}, registration[1:]), w.script.operations())
	w.wantOneOfEach(id)
}

// The agent changes while it is not known whether it has a client: the one that is
// adopted is brought to what it is now.
func TestAnAdoptedClientIsWhatTheAgentIsNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.putType("sales")
	w.script.once(createClient, failAfter(reset))
	id := w.mustBegin()
	r := w.triage()
	r.AgentType, r.TypeRevision = "sales", w.typeRevision("sales")
	if _, err := w.service.Change(w.request(), ana, id, some, r); err != nil {
		t.Fatal(err)
	}
	w.converge()
	w.wantOneOfEach(id)
}

// Adopting a client that exists makes no other, and keeps its secret.
func TestAClientThatExistsIsAdoptedWithItsSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.triage()
	r.AdoptClientID = "client-legacy"
	_, err := w.service.Register(w.request(), ana, r)
	wantError(t, err, registry.Forbidden, "permission_denied")

	for id, code := range map[string]string{"client-legacy": "unknown_client", "client-of-people": "client_not_adoptable"} {
		w.tenant.adopt("client-of-people", oauthClient{OtherGrantTypes: []string{"authorization_code"}})
		r.AdoptClientID = id
		_, err := w.service.Register(w.request(), admin, r)
		e, ok := registry.AsError(err)
		if !ok || len(e.Fields) != 1 || e.Fields[0].Pointer != "/adopt/client_id" || e.Fields[0].Code != code {
			t.Errorf("%s: error = %+v, want %s", id, err, code)
		}
	}
	if left, _, err := w.store.Agents(t.Context(), registry.AgentFilter{Lifecycle: registry.Decommissioned, Limit: 9}); err != nil || len(left) > 0 {
		t.Errorf("refused adoptions left %v, %v", left, err)
	}

	r.AdoptClientID = "client-of-yore"
	legacy := registry.Credentials{ClientID: r.AdoptClientID, ClientSecret: "known"}
	w.tenant.adopt(legacy.ClientID, oauthClient{Secret: legacy.ClientSecret, Authentication: registry.ClientSecretPost})
	got, err := w.service.Register(w.request(), admin, r)
	if err != nil || got.Credentials == nil || *got.Credentials != (registry.Credentials{ClientID: r.AdoptClientID}) {
		t.Fatalf("Register() = %+v, %v; want its client and no secret", got, err)
	}
	if !w.tenant.works(legacy) {
		t.Error("its secret does not work any more")
	}
	wantEqual(t, "clients made", 0, w.tenant.madeFor(got.Agent.ID))
	w.wantConverged()
}
