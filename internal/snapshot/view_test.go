package snapshot_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

// drawing lets rapid choose.
func drawing(t *rapid.T) registrytest.Draw {
	return func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "choice") }
}

func TestApplyEqualsLoadingAnew(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := registrytest.NewModel("e1")
		draw := drawing(t)
		for range draw(20) {
			m.Change(draw)
		}
		followed := snapshot.New(m.Facts())
		for range 1 + draw(4) {
			before, was := followed, registrytest.FactsOf(followed)
			var changes []registry.Change
			for range draw(12) {
				changes = append(changes, m.Change(draw))
			}
			var err error
			if followed, err = followed.Apply(changes); err != nil {
				t.Fatal(err)
			}
			checkView(t, m.Facts(), followed)
			if diff := cmp.Diff(was, registrytest.FactsOf(before)); diff != "" {
				t.Fatalf("the view that was changed from shows the change (-before +after):\n%s", diff)
			}
		}
	})
}

// checkView holds the view against the facts and against one made of them.
func checkView(t *rapid.T, facts registry.Facts, v *snapshot.View) {
	t.Helper()
	want := registrytest.Sorted(facts)
	if diff := cmp.Diff(want, registrytest.FactsOf(v, facts.AgentClients...)); diff != "" {
		t.Fatalf("followed view (-facts +view):\n%s", diff)
	}
	if diff := cmp.Diff(want, registrytest.FactsOf(snapshot.New(facts), facts.AgentClients...)); diff != "" {
		t.Fatalf("loaded view (-facts +view):\n%s", diff)
	}
	for _, scope := range []string{"production", "staging", "test"} {
		want := facts.Scopes[registry.ScopePart{Scope: scope}].Revision // 0 for one that was deleted
		if got := v.ScopeRevision(scope); got != want {
			t.Fatalf("ScopeRevision(%s) = %d, want %d", scope, got, want)
		}
	}
	found := map[string]bool{}
	for _, a := range facts.Agents {
		found[a.Name], found[a.ID] = true, true
		for _, ref := range []string{a.ID, a.Name} {
			got, ok := v.Agent(ref)
			if diff := cmp.Diff(a, got); diff != "" || !ok {
				t.Fatalf("Agent(%q) found %t (-want +got):\n%s", ref, ok, diff)
			}
		}
	}
	for _, name := range []string{"agent-0", "agent-1", "agent-2", "agent-3"} {
		if _, ok := v.Agent(name); ok != found[name] {
			t.Fatalf("Agent(%q) found = %t, want %t", name, ok, found[name])
		}
	}
}

func TestApplyRefusesWhatDoesNotFollow(t *testing.T) {
	t.Parallel()
	m := registrytest.NewModel("e1")
	m.PutEnvironment(registry.EnvironmentFacts{Name: "production"})
	v := snapshot.New(m.Facts())
	two, three := m.PutPolicy(registrytest.Policy(1)), m.PutTeam("support")
	other := two
	other.Epoch = "e2"
	tests := map[string][]registry.Change{
		"a gap at the start":         {three},
		"a gap in the middle":        {two, change(three, 4)},
		"the same again":             {two, two},
		"what the view has already":  {change(two, 1)},
		"out of order":               {three, two},
		"another epoch":              {other},
		"another epoch in the midst": {two, {Head: registry.Head{Epoch: "e2", Revision: 3}, Kind: registry.TeamChange}},
	}
	was := registrytest.FactsOf(v)
	for name, changes := range tests {
		if next, err := v.Apply(changes); err == nil {
			t.Errorf("%s: Apply() = a view at %v, want an error", name, next.Head())
		}
	}
	if diff := cmp.Diff(was, registrytest.FactsOf(v)); diff != "" {
		t.Errorf("a refused change left its mark (-before +after):\n%s", diff)
	}
	next, err := v.Apply([]registry.Change{two, three})
	if err != nil || next.Head() != m.Head() {
		t.Errorf("Apply() in order = %v, %v; want %v", next.Head(), err, m.Head())
	}
}

func change(c registry.Change, revision int64) registry.Change {
	c.Revision = revision
	return c
}

// What is not in bundles moves the head and nothing else.
func TestChangesOutsideOfBundlesLeaveScopesAlone(t *testing.T) {
	t.Parallel()
	m := registrytest.NewModel("e1")
	m.PutEnvironment(registry.EnvironmentFacts{Name: "production"})
	v := snapshot.New(m.Facts())
	for i, kind := range []registry.ChangeKind{registry.TeamChange, registry.AgentTypeChange} {
		next, err := v.Apply([]registry.Change{{
			Head: registry.Head{Epoch: "e1", Revision: 2}, Kind: kind, ObjectID: "a", OldScope: registry.AllScopes, NewScope: registry.AllScopes,
		}})
		if err != nil {
			t.Fatal(err)
		}
		if next.Head().Revision != 2 || next.ScopeRevision("production") != 1 {
			t.Errorf("%d: head %d, scope %d; want 2 and 1", i, next.Head().Revision, next.ScopeRevision("production"))
		}
	}
}
