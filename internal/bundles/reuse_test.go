package bundles

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/credenceproject/credence/internal/layers"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

// inForce takes every module that parses.
func inForce(t *testing.T) *layers.Cache {
	t.Helper()
	return layers.NewCache(func(key registry.LayerKey, source string) (*ast.Module, error) {
		return ast.ParseModule(key.Module(), source)
	}, slog.New(slog.DiscardHandler))
}

// What did not change is not packed again, in no bundle of no scope: the next
// bundles have the very same members, and what changed is packed once for all that
// have it.
func TestAChangePacksItsFileOnceForAllBundles(t *testing.T) {
	t.Parallel()
	m := registrytest.NewModel("e1")
	m.PutPolicy(registrytest.Policy(1))
	m.PutEnvironment(registry.EnvironmentFacts{Name: "production"})
	m.PutEnvironment(registry.EnvironmentFacts{Name: "staging"})
	draw := func(n int) int { return int(m.Head().Revision*7919) % n }
	for range 300 {
		m.Change(draw)
	}
	m.PutPolicy(registrytest.Policy(1))
	agent := registry.AgentFacts{ID: "0197c000-0000-7000-8000-900000000001", Name: "triage", Environment: "production", Subject: "client-9@clients"}
	m.PutAgent(agent)
	m.PutResource(registry.ResourceFacts{Name: "refunds"})
	agent.Suspended = true
	team := registry.LayerKey{Tier: registry.TierTeam, ID: "support"}
	layer := func(tier registry.Tier, id, environment, rego string) registry.LayerFacts {
		return registry.LayerFacts{LayerKey: registry.LayerKey{Tier: tier, ID: id}, Environment: environment, Rego: rego}
	}

	tests := []struct {
		name   string
		change func() registry.Change
		packed []string // beside what is different in every bundle
	}{
		{"an agent", func() registry.Change { return m.PutAgent(agent) }, []string{shardFile("agents", agent.Subject)}},
		{"a resource", func() registry.Change { return m.PutResource(registry.ResourceFacts{Name: "refunds", Team: "sales"}) }, []string{shardFile("resources", "refunds")}},
		{"the environment", func() registry.Change { return m.PutEnvironment(registry.EnvironmentFacts{Name: "production"}) }, nil},
		{"a heartbeat", func() registry.Change { return m.Beat("production") }, nil},
		{"the policy", func() registry.Change { return m.PutPolicy(registrytest.Policy(2)) }, []string{"mcp/authz/decision.rego", "system/log/mask.rego"}},
		{"a global layer", func() registry.Change { return m.PutLayer(layer(registry.TierGlobal, "baseline", "", "")) }, []string{"registry/layers/global/data.json"}},
		{"a global layer, changed", func() registry.Change { return m.PutLayer(layer(registry.TierGlobal, "baseline", "", "")) }, []string{"registry/layers/global/data.json"}},
		{"a team's layer", func() registry.Change { return m.PutLayer(layer(registry.TierTeam, "support", "", "")) }, []string{shardFile("layers/team", "support")}},
		{
			"a team's module", func() registry.Change {
				return m.PutLayer(layer(registry.TierTeam, "support", "", registrytest.LayerModule(team, "x")))
			},
			[]string{"layers/team/support.rego", shardFile("layers/team", "support")},
		},
		{
			"a team's module, changed", func() registry.Change {
				return m.PutLayer(layer(registry.TierTeam, "support", "", registrytest.LayerModule(team, "y")))
			},
			[]string{"layers/team/support.rego", shardFile("layers/team", "support")},
		},
		{"a type's layer", func() registry.Change { return m.PutLayer(layer(registry.TierAgentType, "assistant", "", "")) }, []string{shardFile("layers/agent_type", "assistant")}},
		{"an agent's layer", func() registry.Change { return m.PutLayer(layer(registry.TierAgent, agent.ID, "production", "")) }, []string{shardFile("layers/agent", agent.ID)}},
	}
	maker := NewMaker(MakerOptions{Layers: inForce(t)})
	v := snapshot.New(m.Facts())
	before := filesOf(t, maker, v)
	for _, tt := range tests {
		next, err := v.Apply([]registry.Change{tt.change()})
		if err != nil {
			t.Fatal(err)
		}
		v = next
		after := filesOf(t, maker, v)
		if diff := cmp.Diff(tt.packed, packedAgain(before, after)); diff != "" {
			t.Errorf("%s: packed again (-want +got):\n%s", tt.name, diff)
		}
		before = after
	}
}

// shardFile is where the shard of a key is.
func shardFile(kind, key string) string {
	return "registry/" + kind + "/" + hexByte(snapshot.ShardOf(key)) + "/data.json"
}

func hexByte(i int) string { return hexDigits[i/16:i/16+1] + hexDigits[i%16:i%16+1] }

// filesOf makes all bundles of all scopes. It is their members.
func filesOf(t *testing.T, maker *Maker, v *snapshot.View) map[*member]bool {
	t.Helper()
	files := map[*member]bool{}
	for _, scope := range v.EnvironmentNames() {
		for _, part := range append(slices.Clone(registry.Parts), "") {
			b, err := maker.Bundle(v, registry.ScopePart{Scope: scope, Part: part})
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range b.members {
				files[m] = true
			}
		}
	}
	return files
}

// packedAgain are the paths of the members that were not there before, but for those
// that are different in every bundle.
func packedAgain(before, after map[*member]bool) (paths []string) {
	for m := range after {
		if before[m] || m.path == ".manifest" || strings.HasPrefix(m.path, "registry/parts/") ||
			slices.Contains([]string{"registry/environment/data.json", "registry/meta/data.json"}, m.path) {
			continue
		}
		paths = append(paths, m.path)
	}
	slices.Sort(paths)
	return paths
}

// Records of one layout are none of another.
func TestAnotherLayoutPacksEveryShardAgain(t *testing.T) {
	t.Parallel()
	var shelf shelf[registry.ResourceFacts]
	var p packer
	resources := snapshot.New(registry.Facts{Resources: []registry.ResourceFacts{{Name: "refunds"}, {Name: "billing"}}}).Resources()
	take := func(layout int64) []*member {
		t.Helper()
		members, err := shelf.take(&p, nil, resources, allShards, layout, "resources", func(registry.ResourceFacts) any { return layout })
		if err != nil {
			t.Fatal(err)
		}
		return members
	}
	two, three := take(2), take(3)
	for i := range two {
		if two[i] == three[i] || two[i].hash == three[i].hash {
			t.Errorf("%s is the same in another layout", two[i].path)
		}
	}
	if again := take(3); len(again) != 2 || !slices.Equal(three, again) {
		t.Error("packed again in the same layout")
	}
}
