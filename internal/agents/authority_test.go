package agents_test

import (
	"context"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// watch notes before each call of a provider what policy sees of the agent.
func (w *world) watch(id string, see func(*registry.AgentFacts) string) *[]string {
	var seen []string
	w.script.mu.Lock()
	defer w.script.mu.Unlock()
	w.script.all = func(ctx context.Context, op string, call func() error) error {
		if ctx.Value(providerKey{}) != nil {
			seen = append(seen, op+": "+see(w.agent(id).Published))
		}
		return call()
	}
	return &seen
}

// What an agent is no longer to have leaves policy before a provider hears of it,
// what it is to have beside appears when all providers have followed.
func TestInvariant_C1_AChangeNarrowsFirstAndWidensLast(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.mustRegister().Agent.ID
	scopes := func(f *registry.AgentFacts) string { return joined(f.Scopes) }
	for _, tc := range []struct{ name, to, seen string }{
		{"wider", "data:read skills:invoke", "skills:invoke"},
		{"narrower", "data:read", "data:read"},
		{"another", "skills:invoke", ""},
		{"none", "", ""},
	} {
		w.run(tc.name, func(t *testing.T) {
			r := w.triage()
			to := split(tc.to)
			r.Scopes = &to
			seen := w.watch(id, scopes)
			got, err := w.service.Change(w.request(), ana, id, some, r)
			if err != nil {
				t.Fatal(err)
			}
			wantEqual(t, "what policy sees meanwhile", []string{ensureGrant + ": " + tc.seen}, *seen)
			wantEqual(t, "what policy sees in the end", tc.to, joined(got.Published.Scopes))
			w.wantOneOfEach(id)
		})
	}
}

// Whoever changes type may neither what the old one allows nor yet what the new
// one does.
func TestInvariant_C1_AnAgentThatChangesItsTypeIsSuspendedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.putType("sales")
	id := w.mustRegister().Agent.ID
	seen := w.watch(id, typeAndSuspended)
	r := w.triage()
	r.AgentType, r.TypeRevision = "sales", w.typeRevision("sales")
	got, err := w.service.Change(w.request(), ana, id, some, r)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "what policy sees meanwhile", []string{ensureClient + ": support, suspended", ensureEntity + ": support, suspended"}, *seen)
	wantEqual(t, "what policy sees in the end", "sales", typeAndSuspended(got.Published))
	w.wantOneOfEach(id)
}

func typeAndSuspended(f *registry.AgentFacts) string {
	if f.Suspended {
		return f.AgentType + ", suspended"
	}
	return f.AgentType
}

// The earlier expiry holds at once, the later one when the change is done.
func TestInvariant_C1_AnEarlierExpiryHoldsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.mustRegister().Agent.ID
	early, late := time.Now().Add(time.Hour).UTC().Truncate(time.Second), farOff
	for _, tc := range []struct {
		name     string
		to, seen time.Time
	}{{"one", late, late}, {"earlier", early, early}, {"later", late, early}, {"never", time.Time{}, late}} {
		w.run(tc.name, func(t *testing.T) {
			var seen time.Time
			w.script.on(finish, before(func() { seen = w.agent(id).Published.ExpiresAt }))
			r := w.triage()
			r.ExpiresAt = tc.to
			got, err := w.service.Change(w.request(), ana, id, some, r)
			if err != nil {
				t.Fatal(err)
			}
			wantEqual(t, "what policy sees meanwhile", tc.seen, seen)
			wantEqual(t, "what policy sees in the end", tc.to, got.Published.ExpiresAt)
		})
	}
}

func TestAChangeThatChangesNothingDoesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.mustRegister().Agent
	w.script.operations()
	got, err := w.service.Change(w.request(), ana, a.ID, some, w.triage())
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "the agent", a, got)
	wantEqual(t, "operations", []string{change}, w.script.operations())
	wantEqual(t, "the agent afterwards", a, w.agent(a.ID))
}
