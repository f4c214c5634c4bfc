package agents_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/registry"
)

// The holder of the lease is frozen between any two steps, of whatever it does,
// until somebody else has had the lease and has finished. Awake again it writes
// nothing and hands out no secret, and what the other made stands.
func TestInvariant_C2_WhoLostTheLeaseWritesNothingAndHandsOutNothing(t *testing.T) {
	t.Parallel()
	for _, o := range theOperations {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.putType("sales")
			course := w.course(o)
			for i, op := range course {
				for when, frozen := range map[string]func(func()) around{"before": frozenBefore, "after": frozenAfter} {
					if (i == 0 && when == "before") || (i == len(course)-1 && when == "after") {
						continue // nobody has the lease yet, or any more
					}
					w.run(fmt.Sprintf("%s %d %s", when, i, op), func(t *testing.T) {
						o.from(w)
						var left registry.Agent
						w.atNth(i, frozen(func() {
							w.script.all = nil
							w.converge()
							left = w.agent(w.idOf("support-triage"))
						}))
						got, err := o.run(asHolder(w.request()), w, w.service)
						if err != nil && o.name != "register" { // which may find that it is refused, or gone
							t.Errorf("%s = %v", o.name, err)
						}
						if got.Credentials != nil {
							t.Error("a secret is handed out")
						}
						wantEqual(t, "the agent in the end", left, w.agent(left.ID))
						w.converge()
						if n := w.tenant.madeFor(left.ID); o.name == "register" && n != 1 {
							t.Errorf("%d clients were made, want 1", n)
						}
						w.sweepAway()
					})
				}
			}
		})
	}
}

// frozenBefore and frozenAfter freeze the holder before and after an operation,
// and do something else meanwhile.
func frozenBefore(f func()) around {
	return func(ctx context.Context, call func() error) error {
		freeze(ctx)
		f()
		return call()
	}
}

func frozenAfter(f func()) around {
	return func(ctx context.Context, call func() error) error {
		err := call()
		freeze(ctx)
		f()
		return err
	}
}

// A call that took all of its time is followed by no other, even if it went well.
func TestInvariant_C2_NoCallIsMadeOnceTheLeaseHasRunOut(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, agents.Options{Lease: 200 * time.Millisecond, Inline: time.Minute})
	w.mustRegister()
	w.script.operations()
	w.script.on(disableEntity, func(ctx context.Context, call func() error) error {
		<-ctx.Done()
		return call()
	})
	if _, err := w.service.Transfer(w.request(), admin, "support-triage", some, agents.Transfer{Team: "platform"}); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "operations", []string{change, disableEntity}, w.script.operations())
	w.script.forget()
	w.converge()
}

// A step ends because its time is over. That it is done must not be lost, or what
// it made.
func TestTheNoteOfAStepHasTimeOfItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, agents.Options{Lease: time.Minute, Inline: 200 * time.Millisecond, Settle: patient.Settle})
	w.script.once(createClient, func(ctx context.Context, call func() error) error {
		<-ctx.Done()
		return call()
	})
	id := w.mustBegin()
	if a := w.agent(id); w.tenant.all()[a.ClientID].AgentID != id {
		t.Errorf("the client that was made is not noted: %q", a.ClientID)
	}
	w.converge()
	w.wantOneOfEach(id)
}

// The lease is taken between the answer of the provider and the moment at which
// the secret would be handed out, under every way to get one.
func TestInvariant_C2_ASecretIsCountedBeforeItIsHandedOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustRegister()
	w.script.operations()
	got, err := w.service.Rotate(w.request(), ana, "support-triage", some, agents.Rotation{})
	if err != nil || got.Credentials == nil {
		t.Fatalf("Rotate() = %+v, %v", got, err)
	}
	wantEqual(t, "operations", []string{change, rotateSecret, issue, finish}, w.script.operations())
	wantEqual(t, "credential generation", 2, got.Agent.CredentialGeneration)
	if !w.tenant.works(*got.Credentials) {
		t.Error("the secret does not work")
	}
	events := strings.Join(w.audited(3), "\n")
	for _, event := range []string{"agent.rotate intent", "agent.issue_credentials success", "agent.rotate success"} {
		if !strings.Contains(events, event) {
			t.Errorf("the audit log lacks %s:\n%s", event, events)
		}
	}
	for _, op := range []string{rotateSecret, issue, finish} {
		for name, fault := range map[string]func(error) around{"nothing is done": failBefore, "the answer is lost": failAfter} {
			w.script.once(op, fault(reset))
			got, err := w.service.Rotate(w.request(), ana, "support-triage", some, agents.Rotation{})
			if err != nil || got.Credentials != nil {
				t.Errorf("%s: %s: Rotate() = %+v, %v; want no secret", op, name, got, err)
			}
			w.converge()
		}
	}
}
