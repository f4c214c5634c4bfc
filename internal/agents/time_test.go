package agents_test

import (
	"errors"

	"github.com/credenceproject/credence/internal/registry"
)

// Time passes in the rows, so that no test waits for it.

// settle makes every intent so old that no request to the identity provider can
// be under way any more.
func (w *world) settle() {
	w.t.Helper()
	w.exec(`UPDATE client_intents SET created_at = created_at - interval '1 hour' WHERE outcome = 'open' AND agent_id > $1`, w.swept)
}

// lapse ends the lease that somebody has, as if the holder had been frozen.
func (w *world) lapse() {
	w.t.Helper()
	w.exec(`UPDATE agents SET lease_until = '-infinity' WHERE lease_until > now() AND id > $1`, w.swept)
}

// due makes every pass due that is to come sometime.
func (w *world) due() {
	w.t.Helper()
	w.exec(`UPDATE agents SET due_at = now() WHERE due_at IS NOT NULL`)
}

// afterTheGap makes it so long since a secret was issued under a key that a repeated
// registration is given one again.
func (w *world) afterTheGap() {
	w.t.Helper()
	w.exec(`UPDATE idempotency_keys SET issued_at = issued_at - interval '31 seconds'`)
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.pool.Exec(w.t.Context(), sql, args...); err != nil {
		w.t.Fatal(err)
	}
}

// reconcile has the other replica make one pass over each agent that is due, and
// returns what became of them.
func (w *world) reconcile() error {
	w.t.Helper()
	_, err := w.claimDue()
	return err
}

func (w *world) claimDue() (claimed int, err error) {
	w.t.Helper()
	claims, err := scriptedStore{w.store, w.script}.ClaimAgents(w.t.Context(), patient.Lease, 100)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range claims {
		err = errors.Join(err, w.other.Reconcile(w.t.Context(), c))
	}
	return len(claims), err
}

// maxPasses is how many passes an agent may need: one that finds out what became
// of a client, one that follows, two that look again, and one to spare.
const maxPasses = 5

// converge lets time pass until no pass is due any more, and then checks every
// agent against the providers.
func (w *world) converge() {
	w.t.Helper()
	for range maxPasses {
		w.lapse()
		w.settle()
		w.due()
		if claimed, _ := w.claimDue(); claimed == 0 { // what fails is tried again
			break
		}
	}
	w.wantConverged()
}

// wantConverged checks that every agent there ever was is as the registry says.
func (w *world) wantConverged() {
	w.t.Helper()
	for _, a := range w.everyAgent() {
		if !a.Convergence.Converged() || !a.Convergence.DueAt.IsZero() {
			w.t.Errorf("the agent %s is at generation %d of %d, its steps are %s, the next pass is due at %v: %s",
				a.Name, a.Convergence.Observed, a.Convergence.Generation, states(a), a.Convergence.DueAt, a.Convergence.LastError)
		}
		if wrong := w.wrong(a); wrong != "" {
			w.t.Errorf("the agent %s, %s, suspended %t, is not so everywhere: %s", a.Name, a.Lifecycle, a.Suspended, wrong)
		}
		if a.Lifecycle == registry.Active && !a.Suspended && !a.IsReady() {
			w.t.Errorf("the agent %s is not ready: %s", a.Name, states(a))
		}
		if e, ok := w.secrets.all()[a.ID]; ok && a.Lifecycle == registry.Decommissioned {
			w.t.Errorf("the agent %s is gone and has the entity %+v", a.Name, e)
		}
	}
}
