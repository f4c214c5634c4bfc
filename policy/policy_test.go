package policy_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"

	"github.com/credenceproject/credence/policy"
)

func TestEveryModuleIsEmbeddedAndNoTest(t *testing.T) {
	t.Parallel()
	want := sources(t, ".", func(name string) bool { return !strings.HasSuffix(name, "_test.rego") })
	if diff := cmp.Diff(want, policy.Platform().Modules); diff != "" {
		t.Errorf("modules of the platform policy (-files +embedded):\n%s", diff)
	}
}

func TestModulesOwnNoPackageOutsideTheBundlesRoots(t *testing.T) {
	t.Parallel()
	for name, m := range parse(t, policy.Platform().Modules) {
		pkg := strings.TrimPrefix(m.Package.Path.String(), "data.")
		if !strings.HasPrefix(pkg, "mcp.") && pkg != "system.log" {
			t.Errorf("%s is of package %s", name, pkg)
		}
	}
}

// A decision is a function of the data, the input and the clock.
func TestModulesReachNothingButTheClock(t *testing.T) {
	t.Parallel()
	capabilities := ast.CapabilitiesForThisVersion()
	capabilities.Builtins = slices.DeleteFunc(capabilities.Builtins, func(b *ast.Builtin) bool {
		return b.Name != ast.NowNanos.Name && (b.IsNondeterministic() || strings.HasPrefix(b.Name, "opa.") || strings.HasPrefix(b.Name, "rego."))
	})
	capabilities.AllowNet = []string{}
	compile(t, policy.Platform().Modules, capabilities)
}

func TestModulesAndTestsPassStrictCheck(t *testing.T) {
	t.Parallel()
	compile(t, sources(t, ".", func(string) bool { return true }), ast.CapabilitiesForThisVersion())
}

// TestRego runs the tests that stand beside the modules, as `opa test` does, and
// also fails where a builtin does: callers can ask OPA to make that an error.
func TestRego(t *testing.T) {
	t.Parallel()
	modules := parse(t, sources(t, ".", func(string) bool { return true }))
	store := inmem.New()
	txn, err := store.NewTransaction(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Abort(t.Context(), txn)
	results, err := tester.NewRunner().SetStore(store).SetModules(modules).RaiseBuiltinErrors(true).SetTimeout(5*time.Minute).RunTests(t.Context(), txn)
	if err != nil {
		t.Fatal(err)
	}
	ran := map[string]bool{}
	for r := range results {
		ran[r.Package] = true
		t.Run(strings.TrimPrefix(r.Package, "data.")+"."+r.Name, func(t *testing.T) {
			t.Parallel()
			report(t, r)
		})
	}
	want := []string{
		"data.mcp.authz_test", "data.mcp.contributions_test", "data.mcp.decision_test", "data.mcp.hours_test", "data.mcp.layers_test",
		"data.mcp.request_test", "data.mcp.rules_test", "data.mcp.transport_test", "data.system.log_test",
	}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(ran))); diff != "" {
		t.Errorf("packages with tests (-want +ran):\n%s", diff)
	}
}

// report fails with the cases of a Rego test that did not hold.
func report(t *testing.T, r *tester.Result) {
	t.Helper()
	if r.Error != nil || r.Skip {
		t.Fatalf("%s: error %v, skipped %t", r.Location, r.Error, r.Skip)
	}
	for path, sub := range r.SubResults.Iter {
		if sub.Fail {
			t.Errorf("%s: %s", r.Location, strings.Join(path, "/"))
		}
	}
	if r.Fail && !t.Failed() {
		t.Errorf("%s failed", r.Location)
	}
}

func TestHashTellsModulesApart(t *testing.T) {
	t.Parallel()
	p := policy.Platform()
	if len(p.Hash) != 64 || p.Hash != policy.Platform().Hash {
		t.Errorf("hash is %q and then %q, want the same 64 digits", p.Hash, policy.Platform().Hash)
	}
	sets := []map[string]string{
		{},
		{"a": ""},
		{"a": "b"},
		{"ab": ""},
		{"a": "", "b": ""},
		{"a": "b\x000\x00"},
		{"a": "b", "b": ""},
	}
	seen := map[string]int{}
	for i, s := range sets {
		h := policy.Hash(s)
		if j, ok := seen[h]; ok {
			t.Errorf("%q and %q have the same hash", sets[j], s)
		}
		seen[h] = i
	}
}

// Registries have the version before ours active until they are migrated, and this
// binary decides by it too.
func TestPreviousHashIsThatOfTheVersionBefore(t *testing.T) {
	t.Parallel()
	previous := sources(t, "testdata/v2", func(string) bool { return true })
	compile(t, previous, ast.CapabilitiesForThisVersion())
	if got := policy.Hash(previous); got != policy.PreviousHash {
		t.Errorf("the hash of version %d is %s, and PreviousHash %s", policy.Version-1, got, policy.PreviousHash)
	}
	if policy.Platform().Hash == policy.PreviousHash {
		t.Error("the version before ours is ours")
	}
}

// Policy finds a record only in the shard that Go put it in.
func TestShardIsThatOfTheModules(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"hello", "x", "Qm4aB@clients", "größe", "東京", "e\u0301", "\u00e9", "🦊", "a/b~c", "line\nbreak", "\x7f", strings.Repeat("long", 64)} {
		data := fixture()
		data["agents"] = sharded(object{key: record(data["agents"], "alice@clients")})
		data["resources"] = sharded(object{key: record(data["resources"], "hello")})
		e := newEngine(t, "[data.mcp.facts.agent.name, data.mcp.facts.resource.type]", data)
		got, err := e.eval(t.Context(), input(key, "POST", key))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(any([]any{"alice", "skill"}), got); diff != "" {
			t.Errorf("what is found of %q (-want +got):\n%s", key, diff)
		}
	}
}

// sources returns the Rego files of that directory that are wanted, by name.
func sources(tb testing.TB, directory string, wanted func(name string) bool) map[string]string {
	tb.Helper()
	paths, err := filepath.Glob(filepath.Join(directory, "*.rego"))
	if err != nil {
		tb.Fatal(err)
	}
	texts := map[string]string{}
	for _, path := range paths {
		name := filepath.Base(path)
		if !wanted(name) {
			continue
		}
		b, err := os.ReadFile(path)
		if err != nil {
			tb.Fatal(err)
		}
		texts[name] = string(b)
	}
	return texts
}
