package agents_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/registry"
)

// Another replica changes the agent at each point of whatever is done to it: the
// change is never lost, nothing stale is published, and all ends as the last of
// them wants it.
func TestInvariant_F5_AChangeAtAnyPointOfAnyOtherIsFollowed(t *testing.T) {
	t.Parallel()
	for _, o := range theOperations {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.putType("sales")
			for i, op := range w.course(o) {
				for _, second := range rivals {
					w.run(fmt.Sprintf("%d before %s: %s", i, op, second.name), func(t *testing.T) {
						o.from(w)
						var told []error
						w.atNth(i, before(func() {
							w.script.all = nil
							got, err := second.run(w.request(), w, w.other)
							told = append(told, err, w.asTold(got))
						}))
						got, err := o.run(w.request(), w, w.service)
						for _, err := range append(told, err, w.asTold(got)) {
							if _, ok := registry.AsError(err); err != nil && !ok {
								t.Errorf("somebody is told %v", err)
							}
						}
						w.wantPassDue()
						w.converge()
						w.sweepAway()
					})
				}
			}
		})
	}
}

// rivals are the operations that may come between another: one that does each of
// the things that can be done.
var rivals = slices.DeleteFunc(slices.Clone(theOperations), func(o operation) bool {
	return o.name == "register" || o.name == "resume, revoking tokens" || o.name == "turn to keys"
})

// asTold returns what is wrong with an answer: an agent that is ready is so
// everywhere by then, unless it was changed since.
func (w *world) asTold(got agents.Registered) error {
	if got.Agent.ID == "" || w.agent(got.Agent.ID).Version != got.Agent.Version {
		return nil
	}
	if wrong := w.wrong(got.Agent); wrong != "" {
		return errors.New("what is not so: " + wrong)
	}
	return nil
}

// wantPassDue checks that nobody forgets an agent that is not as desired, and that
// none which is claims to be what it is not.
func (w *world) wantPassDue() {
	w.t.Helper()
	for _, a := range w.everyAgent() {
		if !a.Convergence.Converged() && a.Convergence.DueAt.IsZero() {
			w.t.Errorf("the agent is at generation %d of %d, and no pass is due", a.Convergence.Observed, a.Convergence.Generation)
		}
		if wrong := w.wrong(a); wrong != "" {
			w.t.Errorf("the agent %s, suspended %t, is not so everywhere: %s", a.Lifecycle, a.Suspended, wrong)
		}
	}
}

// What a pass has worked by is not what the agent is by now: it publishes nothing,
// and a change at its last moment is followed by another pass at once.
func TestInvariant_F5_NothingStaleIsPublished(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wide := w.triage()
	wide.Scopes = &[]string{"skills:invoke", "data:read"}
	narrow := w.triage()
	narrow.Scopes = &[]string{"data:read"}
	w.script.once(finish, before(func() {
		if _, err := w.other.Change(w.request(), ana, wide.Name, some, narrow); err != nil {
			t.Error(err)
		}
	}))
	got, err := w.service.Register(w.request(), ana, wide)
	if err != nil || got.Credentials != nil {
		t.Fatalf("Register() = %+v, %v", got, err)
	}
	if a := got.Agent; a.Published != nil || a.Convergence.DueAt.After(a.UpdatedAt) || !a.Convergence.HeldUntil.IsZero() {
		t.Errorf("policy sees %v, the next pass is due at %s, the lease is held until %s", a.Published, a.Convergence.DueAt, a.Convergence.HeldUntil)
	}
	if err := w.reconcile(); err != nil {
		t.Fatal(err)
	}
	w.wantOneOfEach(got.Agent.ID)
	wantEqual(t, "scopes", *narrow.Scopes, w.agent(got.Agent.ID).Published.Scopes)
}

// A DELETE outruns a registration at each of its points: the caller is told so,
// also where a provider noticed first.
func TestARegistrationThatADeleteOutranSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, op := range registration[1:] {
		for name, fault := range map[string]around{"": nil, " and fails": failBefore(reset), " and is refused": failBefore(refused("no"))} {
			w.run("before "+op+name, func(t *testing.T) {
				w.script.once(op, func(ctx context.Context, call func() error) error {
					if _, err := w.other.Decommission(w.request(), ana, "support-triage", some, false); err != nil {
						t.Errorf("Decommission() = %v", err)
					}
					if fault != nil {
						return fault(ctx, call)
					}
					return call()
				})
				_, err := w.service.Register(w.request(), ana, w.triage())
				wantError(t, err, registry.Conflict, "deleted_meanwhile")
				w.converge()
				w.wantNothingLeft()
			})
		}
	}
}

// Registration and DELETE run freely side by side, on two replicas.
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
		if _, err := w.other.Decommission(w.request(), ana, "support-triage", some, false); err != nil && !errors.Is(err, registry.NotFound) {
			t.Errorf("Decommission() = %v", err)
		}
	}
	w.sweepAway()
}

func TestOfManyRegistrationsOfANameOneWins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.script.concurrent.Store(true)
	const callers = 20
	r := w.triage()
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() { _, errs[i] = w.service.Register(w.request(), ana, r) })
	}
	wg.Wait()
	winners := 0
	for _, err := range errs {
		if err == nil {
			winners++
			continue
		}
		wantError(t, err, registry.Conflict, "name_taken")
	}
	if winners != 1 || len(w.tenant.issuedSecrets()) != 1 {
		t.Errorf("%d winners, %d secrets; want one", winners, len(w.tenant.issuedSecrets()))
	}
	w.wantOneOfEach(w.idOf(r.Name))
}
