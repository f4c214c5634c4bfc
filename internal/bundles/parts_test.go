package bundles_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/bundle"

	"github.com/credenceproject/credence/internal/bundles"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

// What OPA makes of a bundle, with OPA's own reader.
func TestOPAReadsABundle(t *testing.T) {
	t.Parallel()
	for _, layout := range []int64{2, 3} {
		t.Run(fmt.Sprintf("layout %d", layout), func(t *testing.T) {
			t.Parallel()
			m := layered()
			m.PutPolicy(inLayout(registrytest.Policy(1), layout))
			v := snapshot.New(m.Facts())
			b := made(t, bundles.NewMaker(bundles.MakerOptions{Layers: accepting()}), v, of("production", ""))
			read := readByOPA(t, b)
			expectManifest(t, read, b.Tag, "mcp", "registry", "system/log")
			if diff := cmp.Diff(modulesOf(layout), sources(read)); diff != "" {
				t.Errorf("modules (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[string]any{"registry": dataOf(t, v, b.Tag)}, decode(t, read.Data)); diff != "" {
				t.Errorf("data (-want +got):\n%s", diff)
			}
		})
	}
}

// The parts together are the whole: the same modules, the same data, no place of it
// twice. Each says of itself how current it is.
func TestThePartsAreTheWhole(t *testing.T) {
	t.Parallel()
	m := layered()
	v := snapshot.New(m.Facts())
	maker := bundles.NewMaker(bundles.MakerOptions{Layers: accepting()})
	modules, data, parts := map[string]string{}, map[string]any{}, map[string]any{}
	var roots []string
	for _, part := range registry.Parts {
		b := made(t, maker, v, of("production", part))
		read := readByOPA(t, b)
		maps.Copy(modules, sources(read))
		if err := merge(data, decode(t, read.Data).(map[string]any)); err != nil { //nolint:forcetypeassert // OPA's type
			t.Errorf("%s: %v", part, err)
		}
		roots = append(roots, *read.Manifest.Roots...)
		if part != registry.PolicyPart {
			parts[part] = decode(t, bundles.PartMeta(b.Tag, v.Touched(b.Tag.Name()).At))
		}
	}
	if n := len(slices.Compact(slices.Sorted(slices.Values(roots)))); n != len(roots) || n != 5+2+16*17 {
		t.Errorf("%d roots, %d of them different: %v", len(roots), n, roots)
	}
	if diff := cmp.Diff(modulesOf(3), modules); diff != "" {
		t.Errorf("modules (-want +got):\n%s", diff)
	}
	policy, err := maker.Tag(v, of("production", registry.PolicyPart))
	if err != nil {
		t.Fatal(err)
	}
	want := dataOf(t, v, policy)
	want["parts"] = parts
	if diff := cmp.Diff(map[string]any{"registry": any(want)}, data); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
}

// merge puts the documents of more into those of to. No two may say the same thing.
func merge(to, more map[string]any) error {
	for key, value := range more {
		was, twice := to[key]
		object, isObject := value.(map[string]any)
		wasObject, wasToo := was.(map[string]any)
		switch {
		case !twice:
			to[key] = value
		case !isObject || !wasToo:
			return fmt.Errorf("%s is there twice", key)
		default:
			if err := merge(wasObject, object); err != nil {
				return fmt.Errorf("%s/%w", key, err)
			}
		}
	}
	return nil
}

// A change moves the bundles that it is in, and no other: the tags of the parts that
// it is not in stay what they were.
func TestAChangeMovesItsPartAlone(t *testing.T) {
	t.Parallel()
	m := layered()
	maker := bundles.NewMaker(bundles.MakerOptions{Layers: accepting()})
	v := snapshot.New(m.Facts())
	agent := registrytest.Sorted(m.Facts()).Agents[0]
	global := registry.LayerKey{Tier: registry.TierGlobal, ID: "baseline"}
	for _, tt := range []struct {
		name   string
		change func() registry.Change
		moved  []string
	}{
		{"an agent", func() registry.Change { return m.PutAgent(agent) }, []string{registry.AgentsPart(agent.Subject)}},
		{"a resource", func() registry.Change { return m.PutResource(registry.ResourceFacts{Name: "refunds"}) }, []string{registry.ResourcesPart}},
		{"a layer", func() registry.Change { return m.PutLayer(registry.LayerFacts{LayerKey: global}) }, []string{registry.PolicyPart}},
		{"a module", func() registry.Change {
			return m.PutLayer(registry.LayerFacts{LayerKey: global, Rego: registrytest.LayerModule(global, "x")})
		}, []string{registry.PolicyPart}},
		{"a team", func() registry.Change { return m.PutTeam("sales") }, nil},
		{"a heartbeat", func() registry.Change { return m.Beat("production") }, registry.Parts},
		{"another's heartbeat", func() registry.Change { return m.Beat("staging") }, nil},
	} {
		next, err := v.Apply([]registry.Change{tt.change()})
		if err != nil {
			t.Fatal(err)
		}
		var moved []string
		for _, part := range registry.Parts {
			if made(t, maker, v, of("production", part)).Tag != made(t, maker, next, of("production", part)).Tag {
				moved = append(moved, part)
			}
		}
		if diff := cmp.Diff(tt.moved, moved); diff != "" {
			t.Errorf("%s: moved (-want +got):\n%s", tt.name, diff)
		}
		for _, discovery := range []string{bundles.Discovery, bundles.DiscoveryOfParts} {
			if before, after := made(t, maker, v, of("production", discovery)), made(t, maker, next, of("production", discovery)); before != after {
				t.Errorf("%s: %s is another than before", tt.name, discovery)
			}
		}
		v = next
	}
}

func readByOPA(t *testing.T, b *bundles.Bundle) bundle.Bundle {
	t.Helper()
	read, err := bundle.NewReader(b.Reader()).WithSkipBundleVerification(true).Read()
	if err != nil {
		t.Fatalf("%s: %v", b.Tag, err)
	}
	return read
}

func expectManifest(t *testing.T, read bundle.Bundle, tag bundles.Tag, roots ...string) {
	t.Helper()
	version := 1
	want := bundle.Manifest{Revision: tag.String(), Roots: &roots, RegoVersion: &version}
	if !want.Equal(read.Manifest) || read.Manifest.Revision != want.Revision {
		t.Errorf("manifest = %v, want %v", read.Manifest, want)
	}
}

func sources(read bundle.Bundle) map[string]string {
	modules := map[string]string{}
	for _, m := range read.Modules {
		modules[strings.TrimPrefix(m.Path, "/")] = string(m.Raw)
	}
	return modules
}

// modulesOf are the modules of production in layered.
func modulesOf(layout int64) map[string]string {
	modules := maps.Clone(registrytest.Policy(1).Modules)
	if layout > 2 {
		for key, code := range map[registry.LayerKey]string{
			{Tier: registry.TierTeam, ID: "support"}:                               "too_late",
			{Tier: registry.TierAgent, ID: "0197c000-0000-7000-8000-000000000001"}: "too_early",
		} {
			modules[key.Module()] = registrytest.LayerModule(key, code)
		}
	}
	return modules
}

// dataOf is data.registry as it should be: what the documents' functions say,
// where policy looks for it.
func dataOf(t *testing.T, v *snapshot.View, tag bundles.Tag) map[string]any {
	t.Helper()
	layout := v.Policy().Layout
	environment, _ := v.Environment(tag.Scope)
	agents, resources := map[string]map[string]any{}, map[string]map[string]any{}
	for subject, a := range v.Agents(tag.Scope).All() {
		shard(agents, subject)[subject] = bundles.Agent(a)
	}
	for name, r := range v.Resources().All() {
		shard(resources, name)[name] = bundles.Resource(r)
	}
	all := map[string]any{
		"meta": bundles.Meta(tag, layout, v.Touched(tag.Name()).At), "environment": bundles.Environment(layout, environment),
		"agents": agents, "resources": resources,
	}
	if layout > 2 {
		all["layers"] = layersOf(v, tag.Scope)
	}
	return decode(t, all).(map[string]any) //nolint:forcetypeassert // it was one
}

func layersOf(v *snapshot.View, scope string) map[string]any {
	global, ofTier := map[string]any{}, map[registry.Tier]map[string]map[string]any{}
	for _, l := range v.GlobalLayers() {
		global[l.ID] = bundles.Layer(l)
	}
	for tier, of := range map[registry.Tier]*snapshot.Map[registry.LayerFacts]{
		registry.TierTeam: v.Layers(registry.TierTeam), registry.TierAgentType: v.Layers(registry.TierAgentType), registry.TierAgent: v.AgentLayers(scope),
	} {
		ofTier[tier] = map[string]map[string]any{}
		for id, l := range of.All() {
			shard(ofTier[tier], id)[id] = bundles.Layer(l)
		}
	}
	return map[string]any{"global": global, "team": ofTier[registry.TierTeam], "agent_type": ofTier[registry.TierAgentType], "agent": ofTier[registry.TierAgent]}
}

// shard is the shard of the key, in which nothing may be yet.
func shard(shards map[string]map[string]any, key string) map[string]any {
	name := fmt.Sprintf("%02x", snapshot.ShardOf(key))
	if shards[name] == nil {
		shards[name] = map[string]any{}
	}
	return shards[name]
}
