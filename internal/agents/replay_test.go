package agents_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/registry"
)

// keyed is a registration with the Idempotency-Key that is repeated.
func (w *world) keyed() agents.Registration {
	w.t.Helper()
	r := w.triage()
	r.Key, r.Fingerprint = "key-1", "f1"
	return r
}

// replayed repeats the registration with the key, on the other replica.
func (w *world) replayed(by registry.Principal) (agents.Registered, error) {
	w.t.Helper()
	return w.other.Register(w.request(), by, w.keyed())
}

// mustReplay repeats the registration and checks that it leads to the agent, and
// whether it brings a secret; that works then, and no other does.
func (w *world) mustReplay(id string, secret bool) agents.Registered {
	w.t.Helper()
	got, err := w.replayed(ana)
	if err != nil || got.Agent.ID != id || !got.Replayed {
		w.t.Fatalf("Register() again = %s, replayed %t, %v; want the agent %s", got.Agent.ID, got.Replayed, err, id)
	}
	switch {
	case (got.Credentials != nil) != secret:
		w.t.Errorf("there is a secret: %t, want %t", got.Credentials != nil, secret)
	case secret && !w.tenant.works(*got.Credentials):
		w.t.Error("the secret does not work")
	}
	return got
}

// The answer was lost, and the caller repeats the request: the secret was never
// kept, so there is a new one, in place of the old, for a while, and not again
// within the gap.
func TestInvariant_C3_ARepeatedRegistrationGetsAnotherSecretForAWhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, err := w.service.Register(w.request(), ana, w.keyed())
	if err != nil || first.Credentials == nil || first.Replayed {
		t.Fatalf("Register() = %+v, %v", first, err)
	}
	id := first.Agent.ID
	for generation := range int64(3) {
		if generation > 0 { // what was lost first is given at once, since nothing was given twice yet
			w.afterTheGap()
		}
		again := w.mustReplay(id, true)
		wantEqual(t, "credential generation", generation+2, again.Agent.CredentialGeneration)
		w.mustReplay(id, false)
	}
	if w.tenant.works(*first.Credentials) {
		t.Error("the first secret works still")
	}
	w.exec(`UPDATE idempotency_keys SET created_at = created_at - interval '11 minutes', issued_at = issued_at - interval '11 minutes'`)
	w.mustReplay(id, false)
	w.wantOneOfEach(id)
	w.wantNoSecret("the answer", "")
}

// What became of the agent since decides whether the key still counts.
func TestInvariant_C3_ARepeatedRegistrationIsAuthorisedAndJudgedAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, tc := range map[string]struct {
		meanwhile func(id string) error
		kind      registry.Kind // "": the agent, without a secret
		code      string
	}{
		"somebody rotated": {meanwhile: func(id string) error {
			_, err := w.service.Rotate(w.request(), ana, id, some, agents.Rotation{})
			return err
		}},
		"it signs with keys": {meanwhile: func(id string) error {
			_, err := w.service.Rotate(w.request(), ana, id, some, agents.Rotation{Keys: []byte(`{"keys": []}`)})
			return err
		}},
		"it is suspended": {meanwhile: func(id string) error {
			_, err := w.service.Suspend(w.request(), ana, id, some, agents.Switch{})
			return err
		}},
		"its identity was renewed": {meanwhile: func(id string) error {
			_, err := w.service.Transfer(w.request(), ana, id, some, agents.Transfer{Team: "customer-success"})
			return err
		}},
		"it went to another team": {func(id string) error {
			_, err := w.service.Transfer(w.request(), cleo, id, some, toBensOwn)
			return err
		}, registry.Forbidden, "team_not_allowed"},
		"it was deleted": {func(id string) error {
			_, err := w.service.Decommission(w.request(), ana, id, some, false)
			return err
		}, registry.Conflict, "idempotency_key_spent"},
	} {
		for when, run := range map[string]func(do func()){
			"":                         func(do func()) { do() },
			", just before the change": func(do func()) { w.script.once(change, before(do)) },
		} {
			w.run(name+when, func(t *testing.T) {
				first, err := w.service.Register(w.request(), ana, w.keyed())
				if err != nil {
					t.Fatal(err)
				}
				id := first.Agent.ID
				w.afterTheGap()
				rotations := 0
				run(func() {
					if err := tc.meanwhile(id); err != nil {
						t.Error(err)
					}
					w.script.on(rotateSecret, before(func() { rotations++ }))
				})
				got, err := w.replayed(ana)
				switch {
				case tc.kind == "" || (when != "" && tc.kind == registry.Forbidden): // what was read in time may be told
					if err != nil || got.Agent.ID != id {
						t.Errorf("Register() again = %+v, %v", got, err)
					}
				default:
					wantError(t, err, tc.kind, tc.code)
				}
				if got.Credentials != nil || rotations > 0 {
					t.Errorf("there is a secret: %t, after %d rotations", got.Credentials != nil, rotations)
				}
				w.sweepAway()
				w.exec(`DELETE FROM idempotency_keys`)
			})
		}
	}
}

func TestInvariant_C3_AKeyIsForOneRequestOfOneCaller(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.service.Register(w.request(), ana, w.keyed()); err != nil {
		t.Fatal(err)
	}
	w.afterTheGap()
	another := w.keyed()
	another.Name, another.Fingerprint = "another", "f2"
	_, err := w.service.Register(w.request(), ana, another)
	wantError(t, err, registry.Invalid, "idempotency_key_reused")
	another.Team = "platform"
	if got, err := w.service.Register(w.request(), ben, another); err != nil || got.Replayed {
		t.Errorf("another caller's Register() = %+v, %v", got, err)
	}
	_, err = w.service.Replay(w.request(), ana, "key-2", "f1")
	wantError(t, err, registry.NotFound, "not_found")
}

// The first call is under way, at each of its points.
func TestInvariant_C3_ARegistrationThatRunsIsNotRunAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, op := range registration[1:] {
		w.run(op, func(t *testing.T) {
			w.script.once(op, before(func() {
				_, err := w.replayed(ana)
				if e := asError(t, err, registry.Conflict, "idempotency_key_in_progress"); e.RetryAfter <= 0 {
					t.Error("it is not said when to repeat it")
				}
			}))
			got, err := w.service.Register(w.request(), ana, w.keyed())
			if err != nil || got.Credentials == nil {
				t.Errorf("the first Register() = %+v, %v", got, err)
			}
			w.wantOneOfEach(got.Agent.ID)
			w.sweepAway()
			w.exec(`DELETE FROM idempotency_keys`)
		})
	}
}

// Whatever step of the first call failed, repeating it in the end gets a secret
// that works, of the one client.
func TestInvariant_C3_WhateverWasLostTheKeyLeadsToASecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, op := range registration {
		for name, fault := range map[string]func(error) around{"nothing is done": failBefore, "the answer is lost": failAfter} {
			w.run(op+": "+name, func(t *testing.T) {
				w.script.once(op, fault(faultOf(op)))
				first, err := w.service.Register(w.request(), ana, w.keyed())
				if op == record {
					wantError(t, err, registry.Unavailable, "database_unavailable")
				} else if err != nil || first.Credentials != nil {
					t.Fatalf("Register() = %+v, %v", first, err)
				}
				w.converge()
				w.afterTheGap()
				got, err := w.replayed(ana)
				if err != nil || got.Credentials == nil || !w.tenant.works(*got.Credentials) {
					t.Fatalf("Register() again = %+v, %v; want a secret that works", got, err)
				}
				w.wantOneOfEach(got.Agent.ID)
				w.sweepAway()
				w.exec(`DELETE FROM idempotency_keys`)
			})
		}
	}
}

// The registration is refused and taken back: its key led to nothing, and is free.
func TestTheKeyOfARegistrationThatWasTakenBackIsFree(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.script.once(ensureGrant, failBefore(refused("no")))
	_, err := w.service.Register(w.request(), ana, w.keyed())
	wantError(t, err, registry.Refused, "provider_refused")
	if got, err := w.service.Register(w.request(), ana, w.keyed()); err != nil || got.Replayed || got.Credentials == nil {
		t.Errorf("Register() again = %+v, %v", got, err)
	}
}

// Fifty times the same request at once, on two replicas: there is one client, and
// of the answers that bring a secret the one of the highest generation brings one
// that works. With a gap so short that each may get one, and with the usual one.
func TestInvariant_C3_OfParallelRegistrationsTheLastSecretWorks(t *testing.T) {
	t.Parallel()
	for name, gap := range map[string]time.Duration{"any": time.Nanosecond, "usual": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := patient
			o.Reissue.Gap = gap
			w := newWorldWith(t, o)
			w.script.concurrent.Store(true)
			const callers = 50
			r := w.keyed()
			answers := make([]agents.Registered, callers)
			errs := make([]error, callers)
			var wg sync.WaitGroup
			for i := range callers {
				s := []*agents.Service{w.service, w.other}[i%2]
				wg.Go(func() { answers[i], errs[i] = s.Register(w.request(), ana, r) })
			}
			wg.Wait()
			for _, err := range errs {
				if err != nil {
					wantError(t, err, registry.Conflict, "idempotency_key_in_progress")
				}
			}
			answers = slices.DeleteFunc(answers, func(a agents.Registered) bool { return a.Credentials == nil })
			slices.SortFunc(answers, func(a, b agents.Registered) int {
				return int(a.Agent.CredentialGeneration - b.Agent.CredentialGeneration)
			})
			if len(answers) == 0 || (gap == 0 && len(answers) > 2) { // the registration, and what was given once more
				t.Fatalf("%d answers bring a secret", len(answers))
			}
			for i, a := range answers {
				if last := i == len(answers)-1; w.tenant.works(*a.Credentials) != last {
					t.Errorf("the secret of generation %d works: %t", a.Agent.CredentialGeneration, !last)
				}
			}
			w.wantOneOfEach(answers[0].Agent.ID)
		})
	}
}
