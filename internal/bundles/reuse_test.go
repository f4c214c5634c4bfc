package bundles

import (
	"bytes"
	"testing"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

// What did not change is not packed again: the next bundle has the very same
// members.
func TestAChangePacksItsShardAlone(t *testing.T) {
	t.Parallel()
	m := registrytest.NewModel("e1")
	draw := func(n int) int { return int(m.Head().Revision*7919) % n }
	m.PutPolicy(registrytest.Policy(1))
	m.PutEnvironment(registry.EnvironmentFacts{Name: "production"})
	for range 300 {
		m.Change(draw)
	}
	agent := registry.AgentFacts{ID: "0197c000-0000-7000-8000-900000000001", Name: "triage", Environment: "production", Subject: "client-9@clients"}
	m.PutAgent(agent)
	m.PutResource(registry.ResourceFacts{Name: "refunds"})
	agent.Suspended = true
	tests := []struct {
		name      string
		change    func() registry.Change
		agents    int // shard that is packed; -1 for none
		resources int
		modules   bool
	}{
		{"an agent", func() registry.Change { return m.PutAgent(agent) }, snapshot.ShardOf(agent.Subject), -1, false},
		{"a resource", func() registry.Change { return m.PutResource(registry.ResourceFacts{Name: "refunds", Team: "sales"}) }, -1, snapshot.ShardOf("refunds"), false},
		{"the environment", func() registry.Change { return m.PutEnvironment(registry.EnvironmentFacts{Name: "production"}) }, -1, -1, false},
		{"the policy", func() registry.Change { return m.PutPolicy(registrytest.Policy(2)) }, -1, -1, true},
	}
	b := &builder{scope: "production"}
	v := snapshot.New(m.Facts())
	build(t, b, v)
	for _, tt := range tests {
		agents, resources, modules := b.agents, b.resources, b.modules
		next, err := v.Apply([]registry.Change{tt.change()})
		if err != nil {
			t.Fatal(err)
		}
		v = next
		build(t, b, v)
		for i := range snapshot.Shards {
			if was, is := agents[i].member, b.agents[i].member; same(was, is) == (i == tt.agents) {
				t.Errorf("%s: agents of shard %d packed again = %t", tt.name, i, !same(was, is))
			}
			if was, is := resources[i].member, b.resources[i].member; same(was, is) == (i == tt.resources) {
				t.Errorf("%s: resources of shard %d packed again = %t", tt.name, i, !same(was, is))
			}
		}
		if same(modules[0], b.modules[0]) == tt.modules {
			t.Errorf("%s: modules packed again = %t, want %t", tt.name, !tt.modules, tt.modules)
		}
	}
}

func build(t *testing.T, b *builder, v *snapshot.View) {
	t.Helper()
	if _, err := b.build(v); err != nil {
		t.Fatal(err)
	}
}

// same reports whether two members are one in memory.
func same(a, b member) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	return &a[0] == &b[0] && bytes.Equal(a, b)
}
