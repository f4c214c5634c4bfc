package gate

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/policy"
)

// empty is what data.mcp.request is where nothing is known, in some modules.
func empty(t *testing.T, modules map[string]*ast.Module) map[string]any {
	t.Helper()
	compiler := ast.NewCompiler()
	if compiler.Compile(modules); compiler.Failed() {
		t.Fatal(compiler.Errors)
	}
	results, err := rego.New(rego.Query(requestPath), rego.Compiler(compiler)).Eval(t.Context())
	if err != nil || len(results) != 1 {
		t.Fatal(results, err)
	}
	return results[0].Expressions[0].Value.(map[string]any)
}

func platform(t *testing.T) map[string]*ast.Module {
	t.Helper()
	modules := map[string]*ast.Module{}
	for path, source := range policy.Platform().Modules {
		modules[path] = ast.MustParseModule(source)
	}
	return modules
}

// Layers are tried and tested with the request that they read in OPA.
func TestTheRequestIsThePlatforms(t *testing.T) {
	t.Parallel()
	ours := empty(t, map[string]*ast.Module{"request": RequestModule()})
	if diff := cmp.Diff(empty(t, platform(t)), ours); diff != "" {
		t.Errorf("data.mcp.request without an input (-the platform's +ours):\n%s", diff)
	}
}

// fieldsOf are the names in a shape, by path, and those in a document.
func fieldsOf(s *shape, document any, path string) (declared, present []string) {
	object, _ := document.(map[string]any)
	if s.fields == nil {
		return nil, nil
	}
	declared, present = slices.Sorted(maps.Keys(s.fields)), slices.Sorted(maps.Keys(object))
	for i, name := range declared {
		d, p := fieldsOf(s.fields[name], object[name], path+"."+name)
		declared[i] = path + "." + name
		declared, present = append(declared, d...), append(present, p...)
	}
	for i, name := range present {
		if name[0] != '.' {
			present[i] = path + "." + name
		}
	}
	return declared, present
}

func TestEveryFieldOfTheRequestIsKnownAndSampled(t *testing.T) {
	t.Parallel()
	declared, present := fieldsOf(request, empty(t, platform(t)), "")
	slices.Sort(declared)
	slices.Sort(present)
	if diff := cmp.Diff(present, declared); diff != "" {
		t.Errorf("fields (-the platform's +known here):\n%s", diff)
	}
	for _, s := range newSampler(team, ast.MustParseModule("package x")).samples() {
		if s.fields["resource"] == nil {
			continue
		}
		_, sampled := fieldsOf(request, s.fields, "")
		slices.Sort(sampled)
		if diff := cmp.Diff(declared, sampled); diff != "" {
			t.Fatalf("fields of a sample (-known +sampled):\n%s", diff)
		}
	}
}

// The layers of an unknown agent do not apply, but those of the whole registry do.
func TestOnlyGlobalLayersAreTriedWithNothing(t *testing.T) {
	t.Parallel()
	module := ast.MustParseModule("package x")
	for key, want := range map[registry.LayerKey]int{team: 0, {Tier: registry.TierGlobal, ID: "baseline"}: 1} {
		got := 0
		for _, s := range newSampler(key, module).samples() {
			if len(s.fields) == 0 {
				got++
			}
		}
		if got != want {
			t.Errorf("%s: %d empty requests, want %d", key, got, want)
		}
	}
}
