package snapshot_test

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

const agentID = "0197c000-0000-7000-8000-000000000001"

// layer is a layer of that name; one with a module says which.
func layer(tier registry.Tier, id, environment, rego string) registry.LayerFacts {
	return registry.LayerFacts{LayerKey: registry.LayerKey{Tier: tier, ID: id}, Environment: environment, Rego: rego}
}

// viewOf applies the changes to an empty registry of m's epoch.
func viewOf(t testing.TB, m *registrytest.Model, changes ...registry.Change) *snapshot.View {
	t.Helper()
	empty := registrytest.NewModel(m.Head().Epoch)
	v, err := snapshot.New(empty.Facts()).Apply(changes)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestALayerIsFoundInItsTierAlone(t *testing.T) {
	t.Parallel()
	m := registrytest.NewModel("e1")
	all := []registry.LayerFacts{
		layer(registry.TierGlobal, "support", "", ""), layer(registry.TierGlobal, "audit", "", ""), layer(registry.TierTeam, "support", "", "package a"),
		layer(registry.TierAgentType, "support", "", ""), layer(registry.TierAgent, agentID, "production", ""),
	}
	var changes []registry.Change
	for i, l := range all {
		c := m.PutLayer(l)
		all[i].Revision = c.Revision
		changes = append(changes, c)
	}
	for name, v := range map[string]*snapshot.View{"followed": viewOf(t, m, changes...), "loaded": snapshot.New(m.Facts())} {
		for _, want := range all {
			if got, ok := v.Layer(want.LayerKey); !ok || cmp.Diff(want, got) != "" {
				t.Errorf("%s: Layer(%s) = %+v, %t", name, want.LayerKey, got, ok)
			}
		}
		for _, key := range []registry.LayerKey{
			{Tier: registry.TierGlobal, ID: "nobody"}, {Tier: registry.TierTeam, ID: "audit"}, {Tier: registry.TierAgent, ID: "support"},
			{Tier: registry.TierPlatform, ID: "support"}, {},
		} {
			if got, ok := v.Layer(key); ok {
				t.Errorf("%s: Layer(%s) = %+v, want none", name, key, got)
			}
		}
		if diff := cmp.Diff([]registry.LayerFacts{all[1], all[0]}, v.GlobalLayers()); diff != "" {
			t.Errorf("%s: GlobalLayers() (-want +got):\n%s", name, diff)
		}
		if n, other, none := v.AgentLayers("production").Len(), v.AgentLayers("staging").Len(), v.Layers(registry.TierGlobal).Len(); n != 1 || other != 0 || none != 0 {
			t.Errorf("%s: %d layers of agents in production, %d in staging, %d of a tier that has no map; want 1, 0 and 0", name, n, other, none)
		}
		if diff := cmp.Diff([]registry.LayerKey{all[2].LayerKey}, slices.Collect(maps.Keys(v.CustomLayers()))); diff != "" {
			t.Errorf("%s: CustomLayers() (-want +got):\n%s", name, diff)
		}
	}
}

func TestALayerIsReplacedAndRemoved(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]registry.LayerFacts{
		"global": layer(registry.TierGlobal, "audit", "", "package a"), "team": layer(registry.TierTeam, "support", "", "package a"),
		"agent type": layer(registry.TierAgentType, "support", "", "package a"), "agent": layer(registry.TierAgent, agentID, "production", "package a"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := registrytest.NewModel("e1")
			put := m.PutLayer(l)
			l.Rego, l.Required = "", true
			again := m.PutLayer(l)
			gone := m.DeleteLayer(l.LayerKey)
			first := viewOf(t, m, put)
			second, err := first.Apply([]registry.Change{again})
			if err != nil {
				t.Fatal(err)
			}
			third, err := second.Apply([]registry.Change{gone})
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := first.Layer(l.LayerKey); !ok || got.Rego == "" || len(first.CustomLayers()) != 1 {
				t.Errorf("as it was put: %+v, %t, custom: %v", got, ok, first.CustomLayers())
			}
			if got, ok := second.Layer(l.LayerKey); !ok || got.Rego != "" || !got.Required || len(second.CustomLayers()) != 0 {
				t.Errorf("as it was replaced: %+v, %t, custom: %v", got, ok, second.CustomLayers())
			}
			count := len(third.GlobalLayers()) + third.Layers(l.Tier).Len() + third.AgentLayers("production").Len()
			if got, ok := third.Layer(l.LayerKey); ok || count != 0 {
				t.Errorf("after its removal: %+v, and %d layers", got, count)
			}
			if unchanged, err := third.Apply([]registry.Change{change(gone, 4)}); err != nil || unchanged.Head().Revision != 4 {
				t.Errorf("the removal of what is not there: %v", err)
			}
		})
	}
}

// Who compiles modules does so only when one of them changed.
func TestCustomLayersAreTheSameMapWhileNoneOfThemChanges(t *testing.T) {
	t.Parallel()
	m := registrytest.NewModel("e1")
	environment := m.PutEnvironment(registry.EnvironmentFacts{Name: "production"})
	put := m.PutLayer(layer(registry.TierTeam, "support", "", "package a"))
	v := viewOf(t, m, environment, put)
	before := maps.Clone(v.CustomLayers())
	for name, tc := range map[string]struct {
		change registry.Change
		same   bool
	}{
		"a layer without a module":        {registry.Change{Kind: registry.LayerChange, ObjectID: "team/sales", NewScope: registry.AllScopes, Layer: ptr(layer(registry.TierTeam, "sales", "", ""))}, true},
		"a heartbeat":                     {registry.Change{Kind: registry.HeartbeatChange, ObjectID: "production", NewScope: "production"}, true},
		"another layer with a module":     {registry.Change{Kind: registry.LayerChange, ObjectID: "global/a", NewScope: registry.AllScopes, Layer: ptr(layer(registry.TierGlobal, "a", "", "package b"))}, false},
		"the layer with another module":   {registry.Change{Kind: registry.LayerChange, ObjectID: "team/support", NewScope: registry.AllScopes, Layer: ptr(layer(registry.TierTeam, "support", "", "package b"))}, false},
		"the layer without its module":    {registry.Change{Kind: registry.LayerChange, ObjectID: "team/support", NewScope: registry.AllScopes, Layer: ptr(layer(registry.TierTeam, "support", "", ""))}, false},
		"the layer is gone":               {registry.Change{Kind: registry.LayerChange, ObjectID: "team/support", OldScope: registry.AllScopes}, false},
		"a layer of a name that is wrong": {registry.Change{Kind: registry.LayerChange, ObjectID: "support", OldScope: registry.AllScopes}, true},
	} {
		tc.change.Head = registry.Head{Epoch: "e1", Revision: 3}
		next, err := v.Apply([]registry.Change{tc.change})
		if err != nil {
			t.Fatal(err)
		}
		if same := reflect.ValueOf(v.CustomLayers()).Pointer() == reflect.ValueOf(next.CustomLayers()).Pointer(); same != tc.same {
			t.Errorf("%s: the same map = %t, want %t", name, same, tc.same)
		}
		if diff := cmp.Diff(before, v.CustomLayers()); diff != "" {
			t.Errorf("%s: the view before shows it (-before +after):\n%s", name, diff)
		}
	}
}

func TestMapsOfLayersKeepWhatTheyWere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := registrytest.NewModel("e1")
		draw := drawing(t)
		m.PutEnvironment(registry.EnvironmentFacts{Name: "production"})
		var views []*snapshot.View
		var facts []registry.Facts
		v := snapshot.New(m.Facts())
		for range 1 + draw(15) {
			key := registry.LayerKey{Tier: registry.Tiers[draw(3)], ID: []string{"a", "b", "c"}[draw(3)]}
			c := m.PutLayer(layer(key.Tier, key.ID, "", []string{"", "package x"}[draw(2)]))
			if draw(3) == 0 {
				next, err := v.Apply([]registry.Change{c})
				if err != nil {
					t.Fatal(err)
				}
				v, c = next, m.DeleteLayer(key)
			}
			next, err := v.Apply([]registry.Change{c})
			if err != nil {
				t.Fatal(err)
			}
			v = next
			views, facts = append(views, v), append(facts, registrytest.Sorted(m.Facts()))
		}
		for i, v := range views {
			if diff := cmp.Diff(facts[i], registrytest.FactsOf(v)); diff != "" {
				t.Fatalf("view %d of %d (-facts +view):\n%s", i, len(views), diff)
			}
		}
	})
}

func ptr[T any](v T) *T { return &v }
