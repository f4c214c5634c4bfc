package agents_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/registry"
)

// A DELETE runs through at each point of a registration, before and after the
// call: whoever is last removes the rest.
func TestADeleteDuringARegistrationLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, op := range []string{
		createClient, progressOf(registry.StepClient), ensureGrant, progressOf(registry.StepGrant),
		ensureEntity, progressOf(registry.StepEntity), ensureAlias, progressOf(registry.StepAlias), publish,
	} {
		for when, around := range map[string]func(func()) around{"before": before, "after": after} {
			w.run(when+" "+op, func(t *testing.T) {
				w.script.once(op, around(func() {
					err := w.service.Decommission(w.request(), ana, "support-triage", some)
					if op == createClient && when == "before" {
						wantError(t, err, registry.Unavailable, "decommission_incomplete") // the client may come yet
					} else if err != nil {
						t.Errorf("Decommission() = %v", err)
					}
				}))
				_, err := w.service.Register(w.request(), ana, w.triage())
				switch {
				case op == publish && when == "after":
					if err != nil { // it was there before it was deleted
						t.Errorf("Register() = %v", err)
					}
				default: // also where a provider noticed first: it is not to blame
					wantError(t, err, registry.Conflict, "deleted_meanwhile")
				}
				w.wantNothingLeft()
				id := w.idOf("support-triage")
				wantEqual(t, "steps", "undone undone undone undone undone", states(w.agent(id)))

				w.script.operations()
				if err := w.service.Decommission(w.request(), ana, id, some); err != nil {
					t.Errorf("Decommission() again = %v", err)
				}
				wantEqual(t, "operations of a second DELETE", nil, w.script.operations())
			})
		}
	}
}

// The DELETE begins when the client is being created and ends before: it cannot
// know of the client, says so, and the registration takes it back.
func TestAClientThatIsCreatedBehindADeleteIsTakenBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.script.once(createClient, before(func() {
		wantError(t, w.service.Decommission(w.request(), ana, "support-triage", some), registry.Unavailable, "decommission_incomplete")
		wantEqual(t, "clients that the DELETE found", map[string]oauthClient{}, w.tenant.all())
	}))
	_, err := w.service.Register(w.request(), ana, w.triage())
	wantError(t, err, registry.Conflict, "deleted_meanwhile")
	if n := len(w.tenant.issuedSecrets()); n != 1 {
		t.Fatalf("%d clients were created, want 1", n)
	}
	w.wantNothingLeft()
}

// Registration and DELETE run freely side by side.
func TestRegistrationsAndDeletesSideBySideLeaveNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.script.concurrent.Store(true)
	const rounds = 20
	r := w.triage()
	var wg sync.WaitGroup
	wg.Go(func() {
		for range rounds {
			_, err := w.service.Register(w.request(), ana, r)
			if _, ok := registry.AsError(err); err != nil && !ok {
				t.Errorf("Register() = %v", err)
			}
		}
	})
	ended := make(chan struct{})
	go func() { wg.Wait(); close(ended) }()
	for running := true; running; {
		select {
		case <-ended:
			running = false
		default:
		}
		if err := w.service.Decommission(w.request(), ana, "support-triage", some); err != nil && !errors.Is(err, registry.NotFound) {
			wantError(t, err, registry.Unavailable, "decommission_incomplete") // the client may come yet
		}
	}
	w.wantNothingLeft()
}

func TestOfManyIdenticalRegistrationsOneWins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.script.concurrent.Store(true)
	const callers = 20
	r := w.triage()
	results := make([]agents.Registered, callers)
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() { results[i], errs[i] = w.service.Register(w.request(), ana, r) })
	}
	wg.Wait()
	var winners []string
	for i, err := range errs {
		if err == nil {
			winners = append(winners, results[i].Agent.ClientID)
			continue
		}
		wantError(t, err, registry.Conflict, "name_taken")
	}
	if len(winners) != 1 || len(w.tenant.all()) != 1 || len(w.secrets.all()) != 1 {
		t.Errorf("%d winners, %d clients, %d entities; want one of each", len(winners), len(w.tenant.all()), len(w.secrets.all()))
	}
	if n := len(w.tenant.issuedSecrets()); n != 1 {
		t.Errorf("%d clients were created, want 1", n)
	}
}
