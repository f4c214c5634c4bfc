package bundles_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/bundle"
	"pgregory.net/rapid"

	"github.com/credenceproject/credence/internal/bundles"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

// One replica follows and builds bundle after bundle, reusing what did not
// change; another has just been started. They must agree (invariant B1).
func TestInvariant_B1_ABundleBuiltOnTheLastOneEqualsOneFromScratch(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		draw := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "choice") }
		m := registrytest.NewModel("e1")
		m.PutPolicy(registrytest.Policy(1))
		current := &fixed{snapshot.New(m.Facts())}
		service := newService(current)
		var seen ledger
		for range 1 + draw(12) {
			var changes []registry.Change
			for range 1 + draw(3) {
				changes = append(changes, changeAny(m, draw))
			}
			next, err := current.view.Apply(changes)
			if err != nil {
				t.Fatal(err)
			}
			current.view = next
			for _, scope := range next.EnvironmentNames() {
				b := get(t, service, scope)
				expectScratch(t, snapshot.New(m.Facts()), scope, b)
				if err := seen.enter(b.Tag.String(), bytesOf(t, b)); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// changeAny changes something at random, now and then what the layouts differ in.
func changeAny(m *registrytest.Model, draw registrytest.Draw) registry.Change {
	agents := registrytest.Sorted(m.Facts()).Agents
	switch kind := draw(8); {
	case kind == 0:
		return m.PutPolicy(inLayout(registrytest.Policy(int64(1+draw(3))), int64(1+draw(2))))
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

// What OPA makes of a bundle, with OPA's own reader.
func TestOPAReadsABundle(t *testing.T) {
	t.Parallel()
	for _, layout := range []int64{1, 2} {
		m := small()
		m.PutPolicy(inLayout(registrytest.Policy(1), layout))
		t.Run(fmt.Sprintf("layout %d", layout), func(t *testing.T) {
			t.Parallel()
			opaReads(t, snapshot.New(m.Facts()))
		})
	}
}

func opaReads(t *testing.T, v *snapshot.View) {
	t.Helper()
	made := get(t, newService(&fixed{v}), "production")
	read, err := bundle.NewReader(made.Reader()).Read()
	if err != nil {
		t.Fatal(err)
	}
	if want := (bundles.Tag{Scope: "production", Epoch: "e1", Revision: 10, Hash: made.Tag.Hash}); made.Tag != want {
		t.Errorf("tag = %s, want %s: the team is in no bundle, and what is elsewhere is not in this one", made.Tag, want)
	}
	version := 1
	want := bundle.Manifest{Revision: made.Tag.String(), Roots: &[]string{"mcp", "registry", "system/log"}, RegoVersion: &version}
	if !want.Equal(read.Manifest) || read.Manifest.Revision != want.Revision {
		t.Errorf("manifest = %v, want %v", read.Manifest, want)
	}
	modules := map[string]string{}
	for _, m := range read.Modules {
		modules[strings.TrimPrefix(m.Path, "/")] = string(m.Raw)
	}
	if diff := cmp.Diff(registrytest.Policy(1).Modules, modules); diff != "" {
		t.Errorf("modules (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{"registry": dataOf(t, v, "production", made.Tag)}, decode(t, read.Data)); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
}

// dataOf is data.registry as it should be: what the documents' functions say,
// where policy looks for it.
func dataOf(t *testing.T, v *snapshot.View, scope string, tag bundles.Tag) any {
	t.Helper()
	environment, _ := v.Environment(scope)
	agents, resources := map[string]map[string]any{}, map[string]map[string]any{}
	put := func(shards map[string]map[string]any, key string, document any) {
		shard := fmt.Sprintf("%02x", snapshot.ShardOf(key))
		if shards[shard] == nil {
			shards[shard] = map[string]any{}
		}
		shards[shard][key] = document
	}
	for subject, a := range v.Agents(scope).All() {
		put(agents, subject, bundles.Agent(v.Policy().Layout, a))
	}
	for name, r := range v.Resources().All() {
		put(resources, name, bundles.Resource(r))
	}
	return decode(t, map[string]any{
		"meta": bundles.Meta(tag, v.Policy().Layout), "environment": bundles.Environment(environment), "agents": agents, "resources": resources,
	})
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
	for layout, more := range map[int64]string{1: "", 2: `"scopes":["skills:invoke"],"expires_at":null,"valid_after":null,`} {
		m := small()
		m.PutPolicy(inLayout(registrytest.Policy(1), layout))
		got := files(t, get(t, newService(&fixed{snapshot.New(m.Facts())}), "production"))
		documents(t, fmt.Sprintf("layout %d", layout), got, more)
	}
}

func documents(t *testing.T, layout string, got map[string]string, more string) {
	t.Helper()
	shard := func(kind, key string) string {
		return fmt.Sprintf("registry/%s/%02x/data.json", kind, snapshot.ShardOf(key))
	}
	want := map[string]string{
		"registry/environment/data.json": `{"name":"production","grants":"permissions","max_staleness":"15m"}`,
		shard("agents", "client-1@clients"): `{"client-1@clients":{"id":"0197c000-0000-7000-8000-000000000001","name":"triage","team":"support",` +
			`"agent_type":"assistant","suspended":false,` + more + `"labels":{"tier":"gold"}}}`,
		shard("agents", "client<2>@clients"): `{"client\u003c2\u003e@clients":{"id":"0197c000-0000-7000-8000-000000000002","name":"suspended","team":"sales",` +
			`"agent_type":"","suspended":true,` + strings.Replace(more, `"skills:invoke"`, "", 1) + `"labels":{}}}`,
		shard("resources", "refunds"): `{"refunds":{"type":"skill","team":"support","data_classification":"high","required_permissions":["skills:invoke"],` +
			`"access":{"visibility":"team","teams":["sales"],"agent_types":["assistant"]},"environments":["production"],"labels":{"tier":"gold"}}}`,
		shard("resources", "bare"): `{"bare":{"type":"tool","team":"sales","data_classification":"","required_permissions":[],` +
			`"access":{"visibility":"","teams":[],"agent_types":[]},"environments":[],"labels":{}}}`,
	}
	for path := range want {
		if got[path] != want[path] {
			t.Errorf("%s: %s:\n%s, want\n%s", layout, path, got[path], want[path])
		}
		delete(got, path)
	}
	delete(got, ".manifest")
	delete(got, "registry/meta/data.json")
	for path := range registrytest.Policy(1).Modules {
		delete(got, path)
	}
	if len(got) != 0 {
		t.Errorf("%s: also in the bundle: %v", layout, got)
	}
}

// Maps have no order; files and their keys must.
func TestABundleIsDeterministic(t *testing.T) {
	t.Parallel()
	v := snapshot.New(small().Facts())
	first := get(t, newService(&fixed{v}), "production")
	for range 10 {
		expectScratch(t, snapshot.New(small().Facts()), "production", first)
	}
}

// The hash tells what the revision does not: other Rego, another layout. The
// revision says where it came.
func TestInvariant_B1_TheHashCoversRegoAndLayout(t *testing.T) {
	t.Parallel()
	m := small()
	tagOf := func() bundles.Tag { return get(t, newService(&fixed{snapshot.New(m.Facts())}), "production").Tag }
	before := tagOf()
	m.PutPolicy(registrytest.Policy(2))
	rego := tagOf()
	if rego.Hash == before.Hash || rego.Revision != m.Head().Revision {
		t.Errorf("other Rego: %s after %s", rego, before)
	}
	m.PutPolicy(registrytest.Policy(1))
	again := tagOf()
	if again.Hash != before.Hash || again == before || again.Revision != m.Head().Revision {
		t.Errorf("the first Rego again: %s after %s and %s; a rollback is a state of its own", again, before, rego)
	}
	m.PutPolicy(inLayout(registrytest.Policy(1), 2))
	if layout := tagOf(); layout.Hash == again.Hash || layout.Revision != m.Head().Revision {
		t.Errorf("another layout: %s after %s", layout, again)
	}
	if len(before.Hash) != 8 {
		t.Errorf("hash = %q", before.Hash)
	}
}

func TestTagsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := bundles.Tag{
			Scope:    rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`).Filter(registry.ValidName).Draw(t, "scope"),
			Epoch:    rapid.StringMatching(`[0-9a-f]{16}`).Draw(t, "epoch"),
			Revision: rapid.Int64Min(0).Draw(t, "revision"),
			Hash:     rapid.StringMatching(`[0-9a-f]{8}`).Draw(t, "hash"),
		}
		if got, ok := bundles.ParseTag(want.String()); !ok || got != want {
			t.Fatalf("ParseTag(%s) = %v, %t", want, got, ok)
		}
	})
}

// What follows the revision is a hash: a caller's own text would come back in the
// ETag and stand in the log.
func TestATagWithoutAHashIsNobodysState(t *testing.T) {
	t.Parallel()
	for _, hash := range []string{"", "abcdef0", "abcdef012", "ABCDEF01", "abcdefg1", "<script>", strings.Repeat("a", 9000)} {
		if tag, ok := bundles.ParseTag("production.e1.7." + hash); ok {
			t.Errorf("ParseTag() = %v", tag)
		}
	}
}

// A tag that we never made is nobody's state. Only the form that we write counts.
func FuzzParseTag(f *testing.F) {
	for _, s := range []string{
		"production.e1.7.abcdef01", "", "...", "production.e1.-1.a", "production.e1.+7.a", "production.e1.07.a", "production.e1.7", "../a.e1.7.a",
		"production.e1.9223372036854775808.a", "production.e1.7.a.b", "Production.e1.7.a", "production.e1.1_0.a", "production..7.a",
		"production.e1.7.ABCDEF01", "production.e1.7.abcdef012", "production.e1.7.\u00e9\u00e9\u00e9\u00e9",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if tag, ok := bundles.ParseTag(s); ok && (tag.String() != s || tag.Revision < 0) {
			t.Errorf("ParseTag(%q) = %+v, which is %q", s, tag, tag)
		}
	})
}
