package bundles_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/credenceproject/credence/internal/bundles"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

// One replica follows and makes bundle after bundle, now of this name and then of
// that, reusing what did not change; another has just been started. They must agree,
// whatever changes: the registry, layers and their modules, the data's layout, the
// key (invariant B1).
func TestInvariant_B1_ABundleBuiltOnTheLastOneEqualsOneFromScratch(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "choice") }
		dir := t.TempDir()
		keys, _ := open(t, dir)
		m := registrytest.NewModel("e1")
		m.PutPolicy(registrytest.Policy(1))
		v := snapshot.New(m.Facts())
		maker := bundles.NewMaker(bundles.MakerOptions{Layers: accepting(), Keys: keys})
		var seen ledger
		for range 1 + draw(8) {
			var changes []registry.Change
			for range 1 + draw(3) {
				changes = append(changes, changeAny(m, draw))
			}
			next, err := v.Apply(changes)
			if err != nil {
				rt.Fatal(err)
			}
			v = next
			if draw(6) == 0 {
				name := []string{"default.pem", "production.pem"}[draw(2)]
				write(rt, dir, name, [][]byte{rsaKey(), edKey(), otherEdKey()}[draw(3)])
				keys.Reload(t.Context())
			}
			scopes := v.EnvironmentNames()
			if len(scopes) == 0 {
				continue
			}
			for range draw(4) {
				names := possible(v, scopes[draw(len(scopes))])
				expectFromScratch(rt, m, maker, v, keys, names[draw(len(names))], &seen)
			}
		}
		for _, scope := range v.EnvironmentNames() {
			for _, name := range possible(v, scope) {
				expectFromScratch(rt, m, maker, v, keys, name, &seen)
			}
		}
	})
}

// possible are the names of the bundles that there can be in the layout of v.
func possible(v *snapshot.View, scope string) []registry.ScopePart {
	if v.Policy().Layout == 2 {
		return []registry.ScopePart{of(scope, ""), of(scope, bundles.Discovery)}
	}
	return namesOf(scope)
}

// expectFromScratch says that the maker's bundle is, byte for byte, what one that has
// made nothing before makes of the registry loaded anew.
func expectFromScratch(t *rapid.T, m *registrytest.Model, maker *bundles.Maker, v *snapshot.View, keys *bundles.Keys, name registry.ScopePart, seen *ledger) {
	t.Helper()
	b := made(t, maker, v, name)
	scratch := made(t, bundles.NewMaker(bundles.MakerOptions{Layers: accepting(), Keys: keys}), snapshot.New(m.Facts()), name)
	if scratch.Tag != b.Tag {
		t.Fatalf("tag %s, from scratch %s", b.Tag, scratch.Tag)
	}
	content := bytesOf(t, b)
	if bytesOf(t, scratch) != content {
		t.Fatalf("%s: other bytes than from scratch", b.Tag)
	}
	if err := seen.enter(b.Tag.String(), content); err != nil {
		t.Fatal(err)
	}
}

// changeAny changes something at random, now and then what the layouts differ in.
func changeAny(m *registrytest.Model, draw registrytest.Draw) registry.Change {
	agents := registrytest.Sorted(m.Facts()).Agents
	switch kind := draw(8); {
	case kind == 0:
		return m.PutPolicy(inLayout(registrytest.Policy(int64(1+draw(3))), int64(2+draw(2))))
	case kind <= 2 && len(agents) > 0:
		a, moments := agents[draw(len(agents))], []time.Time{{}, time.Unix(1700000000, 1000), time.Unix(4102444800, 0)}
		a.ExpiresAt, a.ValidAfter = moments[draw(3)], moments[draw(3)]
		return m.PutAgent(a)
	}
	return m.Change(draw)
}

// inLayout is the policy as one that reads data of the layout.
func inLayout(p registry.PlatformPolicy, layout int64) registry.PlatformPolicy {
	p.Layout = layout
	return p
}

// small is a registry with one of everything in an environment, and something
// elsewhere.
func small() *registrytest.Model {
	m := registrytest.NewModel("e1")
	m.PutPolicy(registrytest.Policy(1))
	m.PutEnvironment(registry.EnvironmentFacts{Name: "production", Grants: "permissions", MaxStaleness: "15m", ReservedNames: []string{"billing"}})
	m.PutEnvironment(registry.EnvironmentFacts{Name: "staging", Grants: "explicit", MaxStaleness: "0"})
	quota := int64(10)
	m.PutAgent(registry.AgentFacts{
		ID: "0197c000-0000-7000-8000-000000000001", Name: "triage", Team: "support", AgentType: "assistant", Environment: "production",
		Subject: "client-1@clients", Scopes: []string{"skills:invoke"}, Labels: map[string]string{"tier": "gold"}, Quota: registry.Quota{RequestsPerSecond: &quota},
	})
	m.PutAgent(registry.AgentFacts{ // of a JSON that needs escapes, and with nothing in it that need not be
		ID: "0197c000-0000-7000-8000-000000000002", Name: "suspended", Team: "sales", Environment: "production",
		Subject: "client<2>@clients", Suspended: true,
	})
	m.PutAgent(registry.AgentFacts{ID: "0197c000-0000-7000-8000-000000000003", Name: "elsewhere", Environment: "staging", Subject: "client-3@clients"})
	m.PutResource(registry.ResourceFacts{
		Name: "refunds", Type: registry.Skill, Team: "support", DataClassification: "high", RequiredPermissions: []string{"skills:invoke"},
		Access:       registry.Access{Visibility: registry.VisibleToTeam, Teams: []string{"sales"}, AgentTypes: []string{"assistant"}},
		Environments: []string{"production"}, Labels: map[string]string{"tier": "gold"},
	})
	m.PutResource(registry.ResourceFacts{Name: "bare", Type: registry.Tool, Team: "sales"})
	m.PutTeam("support")
	return m
}

// layered is small with a layer of each tier, one with a module of its own.
func layered() *registrytest.Model {
	m := small()
	team := registry.LayerKey{Tier: registry.TierTeam, ID: "support"}
	deny := []registry.Rule{{Code: "no_writes", Effect: registry.Deny, Message: "text for people", When: registry.Conditions{Methods: []string{"POST"}}}}
	m.PutLayer(registry.LayerFacts{LayerKey: registry.LayerKey{Tier: registry.TierGlobal, ID: "baseline"}, Rules: deny})
	m.PutLayer(registry.LayerFacts{LayerKey: registry.LayerKey{Tier: registry.TierGlobal, ID: "hours"}, Rules: deny})
	m.PutLayer(registry.LayerFacts{LayerKey: team, Rules: deny, Rego: registrytest.LayerModule(team, "too_late"), Required: true})
	m.PutLayer(registry.LayerFacts{LayerKey: registry.LayerKey{Tier: registry.TierAgentType, ID: "assistant"}, Ceiling: &registry.Ceiling{Permissions: []string{"skills:invoke"}}})
	for _, agent := range [][2]string{{"0197c000-0000-7000-8000-000000000001", "production"}, {"0197c000-0000-7000-8000-000000000003", "staging"}} {
		key := registry.LayerKey{Tier: registry.TierAgent, ID: agent[0]}
		m.PutLayer(registry.LayerFacts{LayerKey: key, Environment: agent[1], Rules: deny, Rego: registrytest.LayerModule(key, "too_early")})
	}
	return m
}

// decode is v as JSON has it.
func decode(t *testing.T, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var decoded any
	if err := json.Unmarshal(text, &decoded); err != nil {
		t.Fatal(err)
	}
	return decoded
}

// Policy and others' tests are written against these documents. An absent list
// is an empty one: a denial that meets null does not hold.
func TestDocumentsAreAsPolicyReadsThem(t *testing.T) {
	t.Parallel()
	file := func(kind, key string) string {
		return fmt.Sprintf("registry/%s/%02x/data.json", kind, snapshot.ShardOf(key))
	}
	want := map[string]string{
		"registry/environment/data.json": `{"grants":"permissions","max_staleness":900000000000,"name":"production"}`,
		file("agents", "client-1@clients"): `{"client-1@clients":{"agent_type":"assistant","expires_at":null,"id":"0197c000-0000-7000-8000-000000000001",` +
			`"labels":{"tier":"gold"},"name":"triage","scopes":["skills:invoke"],"suspended":false,"team":"support","valid_after":null}}`,
		file("agents", "client<2>@clients"): `{"client<2>@clients":{"agent_type":"","expires_at":null,"id":"0197c000-0000-7000-8000-000000000002",` +
			`"labels":{},"name":"suspended","scopes":[],"suspended":true,"team":"sales","valid_after":null}}`,
		file("resources", "refunds"): `{"refunds":{"access":{"agent_types":["assistant"],"teams":["sales"],"visibility":"team"},"data_classification":"high",` +
			`"environments":["production"],"labels":{"tier":"gold"},"required_permissions":["skills:invoke"],"team":"support","type":"skill"}}`,
		file("resources", "bare"): `{"bare":{"access":{"agent_types":[],"teams":[],"visibility":""},"data_classification":"",` +
			`"environments":[],"labels":{},"required_permissions":[],"team":"sales","type":"tool"}}`,
	}
	maps.Copy(want, registrytest.Policy(1).Modules)
	b := made(t, bundles.NewMaker(bundles.MakerOptions{}), snapshot.New(small().Facts()), of("production", ""))
	want["registry/meta/data.json"] = `{"as_of":1700000008000000000,"epoch":"e1","layout":3,"revision":8,"scope":"production"}`
	want[".manifest"] = `{"rego_version":1,"revision":"` + b.Tag.String() + `","roots":["mcp","registry","system/log"]}`
	if diff := cmp.Diff(want, files(t, b)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// Maps have no order; files and their keys must.
func TestABundleIsDeterministic(t *testing.T) {
	t.Parallel()
	for algorithm, keys := range signers(t) {
		for _, name := range namesOf("production") {
			var seen ledger
			for range 5 {
				b := made(t, bundles.NewMaker(bundles.MakerOptions{Layers: accepting(), Keys: keys}), snapshot.New(layered().Facts()), name)
				if err := seen.enter(b.Tag.String(), bytesOf(t, b)); err != nil {
					t.Errorf("%s: %v", algorithm, err)
				}
			}
		}
	}
}
