package postgres_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/postgres"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

// wantSame loads the registry, which must be what its changes lead to.
func wantSame(t *testing.T, s *postgres.Session) registry.Facts {
	t.Helper()
	f := loaded(t, s)
	if diff := cmp.Diff(replay(t, s, f.Head), f); diff != "" {
		t.Errorf("the load at revision %d is not what the changes lead to (-changes +load):\n%s", f.Revision, diff)
	}
	return f
}

func TestPolicySeesALayerAsItWasWritten(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.provided(t, "triage", b.rules(t))
	s := b.session(t)
	p := fullPolicy()
	b.putPolicy(t, p)
	own := b.putPolicy(t, custom(ofAgent(a), "mine"))
	want := []registry.LayerFacts{
		{LayerKey: own.LayerKey, Environment: "production", Rego: own.Rego, Revision: own.Revision},
		{LayerKey: ofTeam, Rules: p.Rules, Rego: p.Rego, Required: true, Ceiling: p.Ceiling, Revision: own.Revision - 1},
	}
	f := wantSame(t, s)
	wantEqual(t, "layers", want, f.Layers)
	wantEqual(t, "scopes of the changes", "agent/"+a.ID+" production, team/customer-success *", one[string](t, b, `
		SELECT string_agg(object_id || ' ' || new_scope, ', ' ORDER BY object_id) FROM changes WHERE kind = 'layer' AND old_scope IS NULL`))
	whole := f.Scopes[registry.ScopePart{Scope: "production", Part: registry.PolicyPart}]
	if whole.Revision != own.Revision || f.Scopes[registry.ScopePart{Scope: "production", Part: registry.ResourcesPart}].Revision == own.Revision {
		t.Errorf("touched: %+v, want the policy's part alone at revision %d", f.Scopes, own.Revision)
	}
	b.putPolicy(t, registry.Policy{LayerKey: ofTeam})
	b.deletePolicy(t, ofTeam)
	b.deletePolicy(t, ofAgent(a))
	if f := wantSame(t, s); len(f.Layers) != 0 {
		t.Errorf("layers that were removed: %+v", f.Layers)
	}
}

// The module before the present one stays in force where that does not compile. One
// that was taken away on purpose does not come back so.
func TestInvariant_B6_ALayerKeepsItsPreviousModule(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.session(t)
	for _, step := range []struct{ name, rego, tests, want string }{
		{"the first", "one", "", ""},
		{"other tests", "one", "t", ""},
		{"another", "two", "t", "one"},
		{"the same with other tests", "two", "", "one"},
		{"a third", "three", "", "two"},
		{"the first again", "one", "", "three"},
		{"none", "", "", ""},
		{"one after none", "two", "", ""},
		{"another after that", "three", "", "two"},
	} {
		b.putPolicy(t, registry.Policy{LayerKey: ofTeam, Rego: step.rego, Tests: step.tests})
		if f := wantSame(t, s); len(f.Layers) != 1 || f.Layers[0].Rego != step.rego || f.Layers[0].Previous != step.want {
			t.Errorf("%s: layers %+v, want %q after %q", step.name, f.Layers, step.rego, step.want)
		}
	}
	b.deletePolicy(t, ofTeam)
	b.putPolicy(t, registry.Policy{LayerKey: ofTeam, Rego: "one"})
	if f := wantSame(t, s); f.Layers[0].Previous != "" {
		t.Errorf("what was removed comes back: %+v", f.Layers)
	}
}

// An agent that goes takes its policy with it, in one transaction: no follower sees
// one without the other, and its versions stay.
func TestADecommissionedAgentsPolicyGoesWithIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	s := b.session(t)
	for name, a := range map[string]registry.Agent{
		"that policy sees":         b.provided(t, "triage", rules),
		"that policy does not see": b.create(t, "half-made", rules).Agent,
	} {
		key := ofAgent(a)
		b.putPolicy(t, custom(key, "mine"))
		b.wantNothingWritten(t, "a dry run", func() {
			u := change("agent.decommission", remove)
			u.DryRun = true
			if _, _, err := b.store.UpdateAgent(t.Context(), a.ID, u); err != nil {
				t.Fatal(err)
			}
		})
		before := b.revision(t)
		gone, _ := b.update(t, a.ID, "agent.decommission", remove)
		want := []string{"layer " + key.String()}
		if a.Published != nil {
			want = []string{"agent " + a.ID, "layer " + key.String()}
		}
		wantEqual(t, name+": changes", want, one[[]string](t, b,
			`SELECT array_agg(kind || ' ' || object_id ORDER BY revision) FROM changes WHERE revision > $1 AND after IS NULL AND old_scope = 'production'`, before))
		if gone.Published != nil || b.revision(t) != before+int64(len(want)) {
			t.Errorf("%s: %d revisions, want %d", name, b.revision(t)-before, len(want))
		}
		_, err := b.store.Policy(t.Context(), key)
		wantError(t, err, registry.NotFound, "not_found")
		page, _, err := b.store.PolicyVersions(t.Context(), key, 0, 9)
		if err != nil || len(page) != 2 || !page[0].Deleted || page[0].By != alice.Subject || page[0].Policy.Version != 2 || page[0].Policy.Revision != b.revision(t) ||
			page[0].Policy.Rego != page[1].Policy.Rego {
			t.Errorf("%s: versions %+v, error %v", name, page, err)
		}
		wantEqual(t, name+": event", "policy.delete success customer-success its agent was decommissioned", one[string](t, b,
			`SELECT concat_ws(' ', action, outcome, team, detail) FROM audit_events WHERE object_kind = 'policy' AND object_id = $1 ORDER BY id DESC LIMIT 1`, key.String()))
		wantSame(t, s)
	}
	if err := b.store.DeleteEnvironment(t.Context(), "production", some, alice); err != nil {
		t.Errorf("nothing is left in the environment: %v", err)
	}
	wantSame(t, s)
}

// Whoever comes first, an agent that is gone has no policy.
func TestNoPolicyIsLeftOfAnAgentThatIsGone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	s := b.session(t)
	for range 15 {
		a := b.provided(t, "triage", rules)
		b.putPolicy(t, registry.Policy{LayerKey: ofAgent(a)})
		var put, deleted, removed error
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _, put = b.store.PutPolicy(t.Context(), custom(ofAgent(a), "mine"), "put", some, nil, alice)
		})
		wg.Go(func() { deleted = b.store.DeletePolicy(t.Context(), ofAgent(a), some, nil, alice) })
		wg.Go(func() {
			_, _, removed = b.store.UpdateAgent(t.Context(), a.ID, change("agent.decommission", remove))
		})
		wg.Wait()
		if removed != nil || (put != nil && !errors.Is(put, registry.NotFound)) || (deleted != nil && !errors.Is(deleted, registry.NotFound)) {
			t.Errorf("put: %v, deleted: %v, decommissioned: %v", put, deleted, removed)
		}
	}
	if n := one[int](t, b, `SELECT count(*) FROM policies`); n != 0 {
		t.Errorf("%d policies of agents that are gone", n)
	}
	wantSame(t, s)
}

// Random writes of everything, layers and heartbeats among them: a follower ends
// where a fresh load begins.
func TestInvariant_B4_FollowersOfLayersAndHeartbeatsEndWhereALoadBegins(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w, draw := registrytest.NewWriter(b.store, "a"), rand.New(rand.NewPCG(4, 4)).IntN
	if err := w.Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := b.session(t)
	facts, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	follower := snapshot.New(facts)
	for range 30 {
		for range 10 {
			if err := w.Write(t.Context(), draw); err != nil {
				t.Fatal(err)
			}
		}
		changes, err := s.Changes(t.Context(), follower.Head(), 1000)
		if err != nil {
			t.Fatal(err)
		}
		if follower, err = follower.Apply(changes); err != nil {
			t.Fatal(err)
		}
		want := wantSame(t, s)
		if diff := cmp.Diff(want, registrytest.FactsOf(follower)); diff != "" {
			t.Fatalf("the follower at revision %d (-load +follower):\n%s", want.Revision, diff)
		}
	}
	for kind, least := range map[registry.ChangeKind]int{registry.LayerChange: 20, registry.HeartbeatChange: 5} {
		if n := one[int](t, b, `SELECT count(*) FROM changes WHERE kind = $1`, string(kind)); n < least {
			t.Errorf("%d changes of the kind %s, want %d at least for the test to say something", n, kind, least)
		}
	}
}
