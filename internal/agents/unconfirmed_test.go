package agents_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/registry"
)

var databaseAway = registry.Unavailable.Errorf("database_unavailable", "the database is away")

// The row commits and the connection breaks before the answer: nobody would
// carry on, so nobody may be left to live.
func TestInvariant_C1_ARowWhoseCommitWasNotConfirmedDoesNotLive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.script.on(record, failAfter(databaseAway))
	_, err := w.service.Register(w.request(), ana, w.triage())
	wantError(t, err, registry.Unavailable, "database_unavailable")
	wantEqual(t, "operations", []string{record, decommission, recordTeardown}, w.script.operations())
	w.wantNothingLeft()
	wantEqual(t, "steps", "undone undone undone undone undone", states(w.agent(w.idOf("support-triage"))))
	wantEqual(t, "events", []string{
		"agent.register intent auth0|ana request-1 support-triage",
		"agent.take_back intent auth0|ana request-1 support-triage",
		"agent.register failure auth0|ana request-1 support-triage: taken back: the database is away",
	}, w.audited(3))
	w.script.forget()
	w.mustRegister() // the name is free
}

func TestARowThatWasNotWrittenNeedsNoTakingBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.script.on(record, failBefore(databaseAway))
	_, err := w.service.Register(w.request(), ana, w.triage())
	wantError(t, err, registry.Unavailable, "database_unavailable")
	wantEqual(t, "operations", []string{record, decommission}, w.script.operations())
	w.wantNothingLeft()
	wantEqual(t, "events", []string{}, w.audited(1))
}

// The registry stays away: the caller is told how to remove the row that may be
// there, and that works.
func TestARowThatMayBeLeftIsRemovedByItsID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.script.on(record, failAfter(databaseAway))
	for _, op := range []string{decommission, recordTeardown} {
		w.run(op, func(t *testing.T) {
			w.script.on(record, failAfter(databaseAway))
			w.script.on(op, failBefore(databaseAway))
			_, err := w.service.Register(w.request(), ana, w.triage())
			e := asError(t, err, registry.Unavailable, "registration_incomplete")
			id := w.idOf("support-triage")
			if !strings.Contains(e.Message, "DELETE /agents/"+id) {
				t.Errorf("the message does not say how to remove the rest: %s", e.Message)
			}
			w.script.forget()
			w.settle()
			w.mustDecommission(id)
			w.wantNothingLeft()
			wantEqual(t, "steps", "undone undone undone undone undone", states(w.agent(id)))
		})
	}
}

// The identity provider works on a request whose caller has given up: that it
// has no client yet does not mean that it will have none.
func TestAClientThatAppearsAfterTheListIsNotForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var appear func() error
	w.script.on(createClient, func(_ context.Context, call func() error) error {
		appear = call
		return unavailable(context.DeadlineExceeded)
	})
	_, err := w.service.Register(w.request(), ana, w.triage())
	e := asError(t, err, registry.Unavailable, "registration_incomplete")
	if e.RetryAfter != agents.DefaultSettle {
		t.Errorf("it may be finished after %s, want %s", e.RetryAfter, agents.DefaultSettle)
	}
	id := w.idOf("support-triage")
	wantEqual(t, "steps", "failed failed undone undone undone", states(w.agent(id)))

	e = asError(t, w.service.Decommission(w.request(), ana, id, some), registry.Unavailable, "decommission_incomplete")
	if e.RetryAfter != agents.DefaultSettle {
		t.Errorf("it may be repeated after %s, want %s", e.RetryAfter, agents.DefaultSettle)
	}
	if err := appear(); err != nil {
		t.Fatal(err)
	}
	w.mustDecommission(id)
	w.wantNothingLeft()
	wantEqual(t, "steps in the end", "undone undone undone undone undone", states(w.agent(id)))
}

// Once no request can be under way any more, nothing is an answer.
func TestAClientThatNeverAppearsIsGivenUpOnceItsIntentIsOld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.script.on(createClient, failBefore(unavailable(errors.New("connection reset"))))
	_, err := w.service.Register(w.request(), ana, w.triage())
	wantError(t, err, registry.Unavailable, "registration_incomplete")
	id := w.idOf("support-triage")
	wantError(t, w.service.Decommission(w.request(), ana, id, some), registry.Unavailable, "decommission_incomplete")
	w.settle()
	w.mustDecommission(id)
	wantEqual(t, "steps", "undone undone undone undone undone", states(w.agent(id)))
}

// What a provider says of its own state is no conflict of the caller's.
func TestAProvidersConflictIsItsRefusal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, op := range []string{ensureGrant, ensureEntity, ensureAlias} {
		w.run(op, func(t *testing.T) {
			w.script.on(op, failBefore(registry.Conflict.Errorf("vault_alias_taken", "the subject is another's")))
			_, err := w.service.Register(w.request(), ana, w.triage())
			e := asError(t, err, registry.Refused, "vault_alias_taken")
			if e.Message != "the subject is another's" || errors.Is(err, registry.Conflict) {
				t.Errorf("the caller is told %q, a conflict: %t", e.Message, errors.Is(err, registry.Conflict))
			}
			w.wantNothingLeft()
		})
	}
}

// Time runs out while a step is done: that it is done must not be lost, or what
// it made.
func TestTheNoteOfAStepHasTimeOfItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, agents.Options{Provisioning: 50 * time.Millisecond, Teardown: time.Minute})
	w.script.on(createClient, func(ctx context.Context, call func() error) error {
		<-ctx.Done()
		return call()
	})
	w.script.on(deleteClient, failBefore(unavailable(errors.New("connection reset"))))
	_, err := w.service.Register(w.request(), ana, w.triage())
	wantError(t, err, registry.Unavailable, "registration_incomplete")
	if a := w.agent(w.idOf("support-triage")); w.tenant.all()[a.ClientID].agentID != a.ID {
		t.Errorf("the client that was made is not noted: %q", a.ClientID)
	}
}
