package agents_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/testdb"
)

// providerSteps are the steps that call a provider, and what must be taken back
// when one of them fails for good or without an answer.
var providerSteps = []struct {
	op             string
	step           registry.StepName
	afterRefusal   []string
	afterAnyAnswer []string
}{
	{createClient, registry.StepClient, nil, []string{findClients}},
	{ensureGrant, registry.StepGrant, []string{deleteClient}, []string{deleteClient}},
	{ensureEntity, registry.StepEntity, []string{deleteEntity, deleteClient}, []string{deleteEntity, deleteClient}},
	{ensureAlias, registry.StepAlias, []string{deleteEntity, deleteClient}, []string{deleteEntity, deleteClient}},
}

// A provider fails a step in each way. What was made is taken back, and
// authority leaves first: the row is decommissioned before a provider is told.
func TestInvariant_C1_AFailedRegistrationIsTakenBack(t *testing.T) {
	t.Parallel()
	deadline := unavailable(context.DeadlineExceeded)
	for _, p := range providerSteps {
		w := newWorld(t)
		for name, tc := range map[string]struct {
			fail  around
			kind  registry.Kind
			code  string
			undo  []string
			cause string
		}{
			"refused":     {failBefore(refused("no")), registry.Refused, "provider_refused", p.afterRefusal, "the provider said no: no"},
			"unavailable": {failBefore(unavailable(errors.New("connection reset"))), registry.Unavailable, "provider_unavailable", p.afterAnyAnswer, "the provider did not answer"},
			"too slow":    {failBefore(deadline), registry.Unavailable, "provider_unavailable", p.afterAnyAnswer, "the provider did not answer"},
			"answer lost": {failAfter(deadline), registry.Unavailable, "provider_unavailable", p.afterAnyAnswer, "the provider did not answer"},
		} {
			w.run(p.op+" "+name, func(t *testing.T) {
				w.script.on(p.op, tc.fail)
				_, err := w.service.Register(w.request(), ana, w.triage())
				if p.op == createClient && (name == "unavailable" || name == "too slow") {
					// The client may come yet: see TestAClientThatAppearsAfterTheListIsNotForgotten.
					wantError(t, err, registry.Unavailable, "registration_incomplete")
					wantEqual(t, "the last event", "agent.register failure auth0|ana request-1 support-triage: not wholly taken back: "+tc.cause, w.audited(1)[0])
					w.wantNothingLeft()
					return
				}
				wantError(t, err, tc.kind, tc.code)

				undo := tc.undo
				if p.op == createClient && name == "answer lost" {
					undo = append(slices.Clone(undo), deleteClient) // it was found by what it carries
				}
				want := slices.Concat([]string{progressOf(p.step), decommission}, undo, []string{recordTeardown})
				done := w.script.operations()
				wantEqual(t, "operations after the failure", want, done[slices.Index(done, p.op)+1:])
				w.wantNothingLeft()
				wantEqual(t, "entities", map[string]entity{}, w.secrets.all()) // nobody logged in: not even disabled ones

				a := w.agent(w.idOf("support-triage"))
				wantEqual(t, "steps", "undone undone undone undone undone", states(a))
				for _, c := range registry.ConditionsOf(a.Steps) {
					if c.Status != registry.False || c.Reason != "TakenBack" {
						t.Errorf("condition %s is %s because of %s", c.Type, c.Status, c.Reason)
					}
				}
				if a.Revision != 0 {
					t.Errorf("policy saw the agent at revision %d", a.Revision)
				}
				wantEqual(t, "events", []string{
					"agent.register intent auth0|ana request-1 support-triage",
					"agent.take_back intent auth0|ana request-1 support-triage",
					"agent.register failure auth0|ana request-1 support-triage: taken back: " + tc.cause,
				}, w.audited(3))
			})
		}
		w.script.forget()
		w.mustRegister() // the name is free
	}
}

// The registry itself fails: a step cannot be noted, or policy not published.
func TestInvariant_C1_ARegistrationThatCannotBeNotedIsTakenBack(t *testing.T) {
	t.Parallel()
	away := registry.Unavailable.Errorf("database_unavailable", "the database is away")
	w := newWorld(t)
	for _, op := range []string{
		progressOf(registry.StepClient), progressOf(registry.StepGrant), progressOf(registry.StepEntity), progressOf(registry.StepAlias), publish,
	} {
		for name, fail := range map[string]around{"before": failBefore(away), "after": failAfter(away)} {
			w.run(op+" "+name, func(t *testing.T) {
				w.script.on(op, fail)
				_, err := w.service.Register(w.request(), ana, w.triage())
				wantError(t, err, registry.Unavailable, "database_unavailable")
				w.wantNothingLeft()
				wantEqual(t, "steps", "undone undone undone undone undone", states(w.agent(w.idOf("support-triage"))))
			})
		}
	}
}

// A provider that never answers is given up when the time for providers is over.
func TestARegistrationGivesUpAtItsDeadline(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, agents.Options{Provisioning: time.Millisecond, Teardown: time.Minute})
	w.script.on(createClient, func(ctx context.Context, _ func() error) error {
		<-ctx.Done()
		return unavailable(ctx.Err())
	})
	_, err := w.service.Register(w.request(), ana, w.triage())
	wantError(t, err, registry.Unavailable, "registration_incomplete")
	w.wantNothingLeft()
	w.settle()
	w.mustDecommission(w.idOf("support-triage"))
	wantEqual(t, "steps", "undone undone undone undone undone", states(w.agent(w.idOf("support-triage"))))
}

// When taking back fails too, the caller is told how to remove the rest, and
// that works.
func TestWhatCouldNotBeTakenBackIsRemovedByItsID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	away := unavailable(errors.New("connection reset"))
	for name, tc := range map[string]struct {
		failing []string // beside the alias
		states  string
		told    bool // whether the row says that it failed
	}{
		"the entity stays":      {[]string{deleteEntity}, "undone undone failed failed undone", true},
		"the client stays":      {[]string{deleteClient}, "failed failed undone undone undone", true},
		"both stay":             {[]string{deleteEntity, deleteClient}, "failed failed failed failed undone", true},
		"the row stays":         {[]string{decommission}, "done done done failed pending", false},
		"the outcome is unsaid": {[]string{recordTeardown}, "done done done failed undone", false},
	} {
		w.run(name, func(t *testing.T) {
			w.script.on(ensureAlias, failBefore(refused("no")))
			for _, op := range tc.failing {
				w.script.on(op, failBefore(away))
			}
			_, err := w.service.Register(w.request(), ana, w.triage())
			e := asError(t, err, registry.Unavailable, "registration_incomplete")
			id := w.idOf("support-triage")
			if !strings.Contains(e.Message, "DELETE /agents/"+id) {
				t.Errorf("the message does not say how to remove the rest: %s", e.Message)
			}
			if e.RetryAfter <= 0 {
				t.Error("there is no hint when to do it")
			}
			if !errors.Is(err, registry.Refused) {
				t.Errorf("the cause is lost: %v", err)
			}
			if !strings.Contains(w.logs.String(), id) {
				t.Errorf("the log does not name the agent: %s", w.logs)
			}
			wantEqual(t, "steps", tc.states, states(w.agent(id)))
			if tc.told {
				wantEqual(t, "the last event", "agent.register failure auth0|ana request-1 support-triage: not wholly taken back: the provider said no: no", w.audited(1)[0])
			}

			for _, op := range tc.failing {
				w.script.on(op, nil)
			}
			if err := w.service.Decommission(w.request(), ana, id, some); err != nil {
				t.Fatalf("Decommission() = %v", err)
			}
			w.wantNothingLeft()
			wantEqual(t, "steps in the end", "undone undone undone undone undone", states(w.agent(id)))
		})
	}
}

// A provider that hangs uses up the time for providers, not that of the note
// which says how far it got (invariant C6: the outcome is audited).
func TestTheNoteOfATeardownHasTimeOfItsOwn(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		provider string
		run      func(w *world) error
	}{
		"taking back": {deleteEntity, func(w *world) error {
			w.script.on(ensureAlias, failBefore(refused("no")))
			_, err := w.service.Register(w.request(), ana, w.triage())
			return err
		}},
		"decommission": {disableEntity, func(w *world) error {
			w.mustRegister()
			return w.service.Decommission(w.request(), ana, "support-triage", some)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			var atProvider, atNote time.Time
			deadlineInto := func(at *time.Time) around {
				return func(ctx context.Context, call func() error) error {
					*at, _ = ctx.Deadline()
					return call()
				}
			}
			w.script.on(tc.provider, deadlineInto(&atProvider))
			w.script.on(recordTeardown, deadlineInto(&atNote))
			_ = tc.run(w) // the registration fails on purpose
			if atProvider.IsZero() || !atNote.After(atProvider) {
				t.Errorf("the note must be done by %s, the provider by %s", atNote, atProvider)
			}
		})
	}
}

// TestInvariant_D2_NoIssuedSecretLeavesAFailedRegistration looks for the secret
// in the error, in the log and in all that the database holds.
func TestInvariant_D2_NoIssuedSecretLeavesAFailedRegistration(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	reset := unavailable(errors.New("connection reset"))
	var told strings.Builder
	for _, op := range []string{createClient, ensureGrant, ensureEntity, ensureAlias, publish} {
		w.script.forget()
		w.script.on(op, failAfter(reset))
		w.script.once(deleteClient, failBefore(reset)) // so that it is logged
		got, err := w.service.Register(w.request(), ana, w.triage())
		wantEqual(t, "what is returned beside the error", agents.Registered{}, got)
		fmt.Fprintf(&told, "%v %+v %#v\n", err, err, err)
		w.mustDecommission(w.idOf("support-triage"))
	}
	secrets := w.tenant.issuedSecrets()
	if len(secrets) != 5 {
		t.Fatalf("%d secrets were issued, want 5", len(secrets))
	}
	for where, text := range map[string]string{
		"an error": told.String(), "the log": w.logs.String(), "the database": string(testdb.Dump(t, w.dsn)),
	} {
		if slices.ContainsFunc(secrets, func(s string) bool { return strings.Contains(text, s) }) {
			t.Errorf("%s holds a secret", where)
		}
	}
}

// A creation that never reached the provider has made nothing: the caller is not
// told of remains because the provider, which is away, cannot be asked for them.
func TestACreationThatWasNeverSentLeavesNothingToLookFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.script.on(createClient, failBefore(unavailable(registry.ErrNotDone)))
	w.script.on(findClients, failBefore(unavailable(errors.New("still away"))))
	_, err := w.service.Register(w.request(), ana, w.triage())
	wantError(t, err, registry.Unavailable, "provider_unavailable")
	if done := w.script.operations(); slices.Contains(done, findClients) {
		t.Errorf("clients were looked for: %v", done)
	}
	w.wantNothingLeft()
}
