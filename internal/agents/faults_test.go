package agents_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/testdb"
)

var (
	databaseAway = registry.Unavailable.Errorf("database_unavailable", "the database is away")
	reset        = unavailable(errors.New("connection reset"))
)

// atProviders are the steps of a registration that call a provider.
var atProviders = []string{createClient, ensureGrant, ensureEntity, ensureAlias}

// faultOf is how a step fails that another system did not answer.
func faultOf(op string) error {
	if slices.Contains(atProviders, op) {
		return reset
	}
	return databaseAway
}

// Every step of a registration fails without a word, or does its work and loses
// the answer. The caller is told that there is an agent which is not ready, has no
// secret, and the next pass finishes it: with one client, whatever happened.
func TestInvariant_C1_AStepWithoutAnAnswerIsFinishedByTheNextPass(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, op := range registration[1:] {
		for name, fault := range map[string]func(error) around{"nothing is done": failBefore, "the answer is lost": failAfter} {
			w.run(op+": "+name, func(t *testing.T) {
				w.script.once(op, fault(faultOf(op)))
				got, err := w.service.Register(w.request(), ana, w.triage())
				if err != nil || got.Credentials != nil {
					t.Fatalf("Register() = %+v, %v; want an agent without a secret", got, err)
				}
				if wrong := w.wrong(got.Agent); wrong != "" {
					t.Errorf("the agent is not as the caller is told: %s", wrong)
				}
				w.converge()
				w.wantOneOfEach(got.Agent.ID)
				w.mustDecommission(got.Agent.ID)
				w.converge()
			})
		}
	}
}

// The pass that failed cannot even be postponed: the lease runs out, and that is
// enough.
func TestARegistrationThatCouldNotEvenBePostponedIsFinished(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.script.on(ensureEntity, failBefore(reset))
	w.script.on(postpone, failBefore(databaseAway))
	got, err := w.service.Register(w.request(), ana, w.triage())
	if err != nil || got.Agent.IsReady() {
		t.Fatalf("Register() = %+v, %v", got, err)
	}
	if !strings.Contains(w.logs.String(), got.Agent.ID) {
		t.Errorf("the log does not name the agent: %s", w.logs)
	}
	w.script.forget()
	_ = w.reconcile()
	wantEqual(t, "operations while the lease lasts", []string{claim}, w.script.operations())
	w.converge()
	w.wantOneOfEach(got.Agent.ID)
}

// The row commits and the connection breaks before the answer, or it does not.
func TestInvariant_C1_ARowWhoseCommitWasNotConfirmedIsWhollyThereOrNotAtAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.script.once(record, failBefore(databaseAway))
	_, err := w.service.Register(w.request(), ana, w.triage())
	wantError(t, err, registry.Unavailable, "database_unavailable")
	wantEqual(t, "operations", []string{record}, w.script.operations())
	w.wantNothingLeft()

	w.script.once(record, failAfter(databaseAway))
	_, err = w.service.Register(w.request(), ana, w.triage())
	wantError(t, err, registry.Unavailable, "database_unavailable")
	wantEqual(t, "operations", []string{record}, w.script.operations())
	w.converge()
	w.wantOneOfEach(w.idOf("support-triage"))
}

// A provider says no for good: nothing of the agent stays, and authority leaves
// first. What a provider says of its own state is no conflict of the caller's.
func TestInvariant_C1_ARefusedRegistrationIsTakenBackWholly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	undoing := []string{change, deleteEntity, progressOf(registry.StepEntity), deleteClient, progressOf(registry.StepClient), finish}
	withoutClient := slices.DeleteFunc(slices.Clone(undoing), func(op string) bool { return op == deleteClient })
	for _, op := range atProviders {
		for name, refusal := range map[string]*registry.Error{
			"a refusal":  registry.Refused.Errorf("provider_refused", "the provider said no"),
			"a conflict": registry.Conflict.Errorf("vault_alias_taken", "the subject is another's"),
		} {
			if op == createClient && refusal.Kind == registry.Conflict {
				continue // leaves it unknown whether there is a client
			}
			w.run(op+": "+name, func(t *testing.T) {
				w.script.once(op, failBefore(refusal))
				_, err := w.service.Register(w.request(), ana, w.triage())
				if e := asError(t, err, registry.Refused, refusal.Code); e.Message != refusal.Message || errors.Is(err, registry.Conflict) {
					t.Errorf("the caller is told %v", err)
				}
				done := w.script.operations()
				want := undoing
				if op == createClient {
					want = withoutClient
				}
				wantEqual(t, "operations after the refusal", want, done[slices.Index(done, postpone)+1:])
				w.wantNothingLeft()
				wantEqual(t, "entities", map[string]entity{}, w.secrets.all()) // nobody logged in: not even disabled ones
				a := w.agent(w.idOf("support-triage"))
				wantEqual(t, "steps", "undone undone undone undone undone", states(a))
				if a.Revision != 0 {
					t.Errorf("policy saw the agent at revision %d", a.Revision)
				}
				wantEqual(t, "events", []string{
					"agent.register intent auth0|ana request-1 support-triage",
					"agent.take_back intent auth0|ana request-1 support-triage: " + refusal.Message,
					"agent.register failure auth0|ana request-1 support-triage: the agent was removed first",
					"agent.take_back success auth0|ana request-1 support-triage",
				}, w.audited(4))
				w.converge()
			})
		}
	}
	w.script.forget()
	w.mustRegister() // the name is free
}

// Taking back fails as well: the caller is told of the refusal, and what is left
// goes with the next pass.
func TestARegistrationThatCannotBeTakenBackAtOnceIsTakenBackByTheNextPass(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, op := range []string{
		deleteEntity, deleteClient, progressOf(registry.StepEntity), progressOf(registry.StepClient), finish,
	} {
		for name, fault := range map[string]func(error) around{"nothing is done": failBefore, "the answer is lost": failAfter} {
			w.run(op+": "+name, func(t *testing.T) {
				w.script.once(ensureAlias, func(_ context.Context, _ func() error) error {
					w.script.once(op, fault(reset))
					return refused("no")
				})
				_, err := w.service.Register(w.request(), ana, w.triage())
				wantError(t, err, registry.Refused, "provider_refused")
				w.converge()
				w.wantNothingLeft()
			})
		}
	}
}

// The registry itself is away when the agent is to be taken back: the caller is
// told how to remove the rest, and that works.
func TestWhatCouldNotBeTakenBackIsRemovedByItsID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.script.on(ensureAlias, failBefore(refused("no")))
	w.script.on(change, failBefore(databaseAway))
	_, err := w.service.Register(w.request(), ana, w.triage())
	e := asError(t, err, registry.Unavailable, "registration_incomplete")
	id := w.idOf("support-triage")
	if !strings.Contains(e.Message, "DELETE /agents/"+id) || !errors.Is(err, registry.Refused) {
		t.Errorf("the caller is not told how to remove the rest, or why: %v", err)
	}
	if !strings.Contains(w.logs.String(), id) {
		t.Errorf("the log does not name the agent: %s", w.logs)
	}
	w.script.forget()
	w.mustDecommission(id)
	w.converge()
	w.wantNothingLeft()
}

// TestInvariant_D2_NoIssuedSecretLeavesAFailedRegistration looks for the secret
// in the error, in the log and in all that the database holds.
func TestInvariant_D2_NoIssuedSecretLeavesAFailedRegistration(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var told strings.Builder
	for _, op := range registration[1:] {
		w.script.once(op, failAfter(faultOf(op)))
		got, err := w.service.Register(w.request(), ana, w.triage())
		if got.Credentials != nil {
			t.Errorf("%s: a secret was handed out", op)
		}
		fmt.Fprintf(&told, "%v %+v %#v %+v\n", err, err, err, got)
		w.mustDecommission(w.idOf("support-triage"))
		w.converge()
	}
	if n := len(w.tenant.issuedSecrets()); n < len(registration)-1 {
		t.Fatalf("%d secrets were issued", n)
	}
	w.wantNoSecret("what was told", told.String())
}

// wantNoSecret looks for every secret that was ever made in text, in the log and
// in the database.
func (w *world) wantNoSecret(where, text string) {
	w.t.Helper()
	for where, text := range map[string]string{where: text, "the log": w.logs.String(), "the database": string(testdb.Dump(w.t.(*testing.T), w.dsn))} {
		if slices.ContainsFunc(w.tenant.issuedSecrets(), func(s string) bool { return strings.Contains(text, s) }) {
			w.t.Errorf("%s holds a secret", where)
		}
	}
}

// A blip: what the providers did not answer to is asked of them later and later.
func TestPassesThatFailAreFurtherAndFurtherApart(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, agents.Options{Lease: patient.Lease, Inline: patient.Inline, RetryBase: 1 << 30, RetryMax: 5 << 30}) // about 1 and 5 s
	w.script.on(ensureGrant, failBefore(reset))
	id := w.mustBegin()
	for attempt, most := range []int64{1 << 30, 2 << 30, 4 << 30, 5 << 30, 5 << 30} {
		a := w.agent(id)
		pause := a.Convergence.DueAt.Sub(a.UpdatedAt).Nanoseconds()
		if a.Convergence.Attempts != int64(attempt+1) || pause < most/2-1000 || pause > most+1000 {
			t.Errorf("after attempt %d the pause is %d ns, want half to all of %d", a.Convergence.Attempts, pause, most)
		}
		wantEqual(t, "last error", "the provider did not answer", a.Convergence.LastError)
		w.due()
		_ = w.reconcile()
	}
	w.script.forget()
	w.converge()
	wantEqual(t, "attempts in the end", 0, w.agent(id).Convergence.Attempts)
}
