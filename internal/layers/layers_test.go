package layers_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/credenceproject/credence/internal/layers"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

const (
	agentID = "0197c000-0000-7000-8000-000000000001"
	broken  = "# broken"
)

// registryOf is a view of these layers, with two environments.
func registryOf(all ...registry.LayerFacts) *snapshot.View {
	return snapshot.New(registry.Facts{
		Head: registry.Head{Epoch: "e1", Revision: 1}, Scopes: map[registry.ScopePart]registry.Touch{},
		Environments: []registry.EnvironmentFacts{{Name: "production"}, {Name: "staging"}}, Layers: all,
	})
}

func layer(tier registry.Tier, id, rego, previous string) registry.LayerFacts {
	l := registry.LayerFacts{LayerKey: registry.LayerKey{Tier: tier, ID: id}, Rego: rego, Previous: previous}
	if tier == registry.TierAgent {
		l.Environment = "production"
	}
	return l
}

// compiler accepts modules that are not broken, and counts how often it is asked.
type compiler struct {
	mu    sync.Mutex
	asked map[string]int
	log   strings.Builder
}

func (c *compiler) cache() *layers.Cache {
	c.asked = map[string]int{}
	return layers.NewCache(func(key registry.LayerKey, source string) (*ast.Module, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.asked[key.String()+" "+source]++
		if strings.HasPrefix(source, broken) {
			return nil, errors.New("it is broken")
		}
		return &ast.Module{}, nil
	}, slog.New(slog.NewTextHandler(&c.log, nil)))
}

func sources(s *layers.Set) map[string]string {
	all := map[string]string{}
	for _, m := range s.Modules {
		all[m.Path] = m.Source
	}
	return all
}

// Invariant B6: a layer that fails keeps its previous version, or has none in force.
func TestInvariant_B6_AModuleThatIsRefusedLeavesTheOneBeforeIt(t *testing.T) {
	t.Parallel()
	var c compiler
	cache := c.cache()
	v := registryOf(
		layer(registry.TierGlobal, "fine", "new", "old"),
		layer(registry.TierGlobal, "none", "", ""),
		layer(registry.TierTeam, "kept", broken, "old"),
		layer(registry.TierAgentType, "lost", broken, broken+" too"),
		layer(registry.TierAgentType, "fresh", broken, ""),
		layer(registry.TierAgent, agentID, "own", ""),
	)
	for scope, want := range map[string]map[string]string{
		"production": {"layers/agent/" + agentID + ".rego": "own", "layers/global/fine.rego": "new", "layers/team/kept.rego": "old"},
		"staging":    {"layers/global/fine.rego": "new", "layers/team/kept.rego": "old"},
	} {
		if diff := cmp.Diff(want, sources(cache.InForce(v, scope))); diff != "" {
			t.Errorf("modules in force in %s (-want +got):\n%s", scope, diff)
		}
	}
	if told := strings.Count(c.log.String(), "layer="); told != 4 {
		t.Errorf("%d refusals were logged, want one for each of 4 modules:\n%s", told, c.log.String())
	}
	for module, n := range c.asked {
		if n != 1 {
			t.Errorf("%q was compiled %d times", module, n)
		}
	}
	if n := c.asked["global/fine old"]; n != 0 {
		t.Error("a module that is not needed was compiled")
	}
}

func TestAModuleIsFoundByItsLayer(t *testing.T) {
	t.Parallel()
	var c compiler
	set := c.cache().InForce(registryOf(layer(registry.TierTeam, "red", "red", ""), layer(registry.TierTeam, "blue", broken, "")), "production")
	if m, ok := set.Module(registry.LayerKey{Tier: registry.TierTeam, ID: "red"}); !ok || m.Source != "red" || m.Parsed == nil {
		t.Errorf("the module of red is %+v, %t", m, ok)
	}
	if m, ok := set.Module(registry.LayerKey{Tier: registry.TierTeam, ID: "blue"}); ok {
		t.Errorf("blue has %+v", m)
	}
}

func TestASetIsTheSameUntilALayerWithAModuleChanges(t *testing.T) {
	t.Parallel()
	var c compiler
	cache := c.cache()
	red := layer(registry.TierTeam, "red", "red", "")
	before := registryOf(red)
	set := cache.InForce(before, "production")

	change := func(l registry.LayerFacts) *snapshot.View {
		after, err := before.Apply([]registry.Change{{
			Head: registry.Head{Epoch: "e1", Revision: 2}, Kind: registry.LayerChange, ObjectID: l.String(), NewScope: l.Scope(), Layer: &l,
		}})
		if err != nil {
			t.Fatal(err)
		}
		return after
	}
	if cache.InForce(change(layer(registry.TierTeam, "green", "", "")), "production") != set {
		t.Error("a layer without a module made another set")
	}
	other := cache.InForce(change(layer(registry.TierTeam, "blue", "blue", "")), "production")
	if other == set || other.Hash == set.Hash || len(other.Modules) != 2 {
		t.Errorf("after a layer with a module came: %+v", other)
	}
	if cache.InForce(before, "production") != set {
		t.Error("who holds the older view got another set")
	}
	if c.asked["team/red red"] != 1 {
		t.Errorf("red was compiled %d times", c.asked["team/red red"])
	}
	if a, b := set.Modules[0].Parsed, other.Modules[1].Parsed; a != b {
		t.Error("the same source has two parsed modules")
	}
}

func TestHashIsOfPathsAndSources(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	for i, v := range []*snapshot.View{
		registryOf(),
		registryOf(layer(registry.TierTeam, "red", "x", "")),
		registryOf(layer(registry.TierTeam, "red", "y", "")),
		registryOf(layer(registry.TierTeam, "blue", "x", "")),
		registryOf(layer(registry.TierAgentType, "red", "x", "")),
		registryOf(layer(registry.TierTeam, "red", "x", ""), layer(registry.TierTeam, "blue", "x", "")),
	} {
		var c, again compiler
		hash := c.cache().InForce(v, "production").Hash
		if other := again.cache().InForce(v, "production").Hash; other != hash {
			t.Errorf("registry %d has the hashes %s and %s", i, hash, other)
		}
		if j, ok := seen[hash]; ok {
			t.Errorf("registries %d and %d have the same hash", i, j)
		}
		seen[hash] = i
	}
	var c compiler
	cache := c.cache()
	v := registryOf(layer(registry.TierTeam, "red", broken, "x"))
	if seen[cache.InForce(v, "production").Hash] != 1 {
		t.Error("a set hangs on more than what is in force")
	}
}

// What no layer has any more is forgotten: a registry changes for years.
func TestModulesThatAreGoneAreForgotten(t *testing.T) {
	t.Parallel()
	var c compiler
	cache := c.cache()
	for i := range 3 {
		for range 2 {
			cache.InForce(registryOf(layer(registry.TierTeam, "red", fmt.Sprintf("version %d", i%2), "")), "production")
		}
	}
	if n := c.asked["team/red version 0"]; n != 2 {
		t.Errorf("a module that came back was compiled %d times, want 2: it was kept or compiled each time", n)
	}
}

func TestSetsAreMadeByManyAtOnce(t *testing.T) {
	t.Parallel()
	var c compiler
	cache := c.cache()
	views := []*snapshot.View{registryOf(layer(registry.TierTeam, "red", "a", "")), registryOf(layer(registry.TierTeam, "red", broken, "b"))}
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 50 {
				n := (worker + i) % 2
				if got := sources(cache.InForce(views[n], "staging"))["layers/team/red.rego"]; got != []string{"a", "b"}[n] {
					t.Errorf("module %q of view %d", got, n)
					return
				}
			}
		})
	}
	wg.Wait()
}
