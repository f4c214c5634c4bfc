package gate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"

	"github.com/credenceproject/credence/internal/registry"
)

// testTime bounds one test of an author.
const testTime = 5 * time.Second

// parseTests returns the module with the author's tests, or nil for none.
func (c checker) parseTests(r Request) (*ast.Module, []Fault) {
	if r.Tests == "" {
		return nil, nil
	}
	m, faults := c.parse(FileTests, r.Tests)
	if len(faults) > 0 || c.open {
		return m, faults
	}
	return m, contain(FileTests, func() []Fault { return inspectTests(r.Layer, m) })
}

// inspectTests returns what is wrong with tests, as far as their text tells.
func inspectTests(key registry.LayerKey, m *ast.Module) []Fault {
	i := newInspector(m, true)
	if !strings.HasSuffix(lastName(m.Package.Path), "_test") {
		i.add(m.Package.Location, "package", "The tests stand in a package of their own whose name ends in _test, such as: package mcp.layers.%s[%q]", key.Tier, key.ID+"_test")
	}
	for _, imported := range m.Imports {
		path, _ := imported.Path.Value.(ast.Ref)
		if !path.Equal(requestRef) && !path.HasPrefix(packagePath(key)) {
			i.add(imported.Location, "import", "Tests import data.mcp.request and the layer, which is data.%s; remove the import of %s.", key.Package(), imported.Path)
		}
	}
	if len(m.Rules) > maxRules {
		i.add(m.Rules[maxRules].Location, "too_many_rules", "The tests have %d rules; at most %d are read.", len(m.Rules), maxRules)
	}
	for _, rule := range m.Rules {
		if name := ruleName(rule); isNamespace(name) || slices.Contains(reserved, name) {
			i.add(rule.Location, "rule_name", "The name %s is taken: it would hide what OPA means by it. Choose another one.", name)
		}
	}
	i.walker.Walk(m)
	return i.faults
}

func lastName(path ast.Ref) string {
	s, _ := path[len(path)-1].Value.(ast.String)
	return string(s)
}

// test runs the author's tests as `opa test` does, with builtin errors raised. The
// request is empty but for what a test replaces.
func (l *layer) test(ctx context.Context, tests *ast.Module) (results []TestResult, faults []Fault) {
	if tests == nil {
		return nil, nil
	}
	faults = contain(FileTests, func() []Fault {
		if _, faults := l.checker.compileWith(l.key, map[string]*ast.Module{FileRego: l.module, FileTests: tests}, FileTests); len(faults) > 0 {
			return faults
		}
		var err error
		if results, err = l.run(ctx, tests); ctx.Err() != nil {
			return []Fault{at(tests.Package.Location, "too_expensive", "The tests did not come to an end in time.")}
		} else if err != nil {
			return astFaults(FileTests, "compile", err)
		}
		return failed(tests, results)
	})
	return results, faults
}

func (l *layer) run(ctx context.Context, tests *ast.Module) (results []TestResult, err error) {
	// The tester adds stages of its own: it needs a compiler that nobody else has.
	compiler := ast.NewCompiler().WithCapabilities(l.checker.capabilities()).WithDefaultRegoVersion(ast.RegoV1)
	channel, err := tester.NewRunner().
		SetCompiler(compiler).
		SetStore(inmem.New()).
		SetDefaultRegoVersion(ast.RegoV1).
		SetParallel(1).
		SetTimeout(testTime).
		RaiseBuiltinErrors(true).
		SetModules(map[string]*ast.Module{FileRego: l.module, FileTests: tests, "request": requestModule()}).
		RunTests(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("compile the tests: %w", err)
	}
	for r := range channel {
		if !r.Skip {
			results = append(results, result(r))
		}
	}
	slices.SortFunc(results, func(a, b TestResult) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), strings.Compare(a.Name, b.Name))
	})
	return results, nil
}

func result(r *tester.Result) TestResult {
	t := TestResult{Name: r.Name, Passed: r.Pass()}
	if r.Location != nil {
		t.Line = r.Location.Row
	}
	switch {
	case r.Error != nil && errors.Is(r.Error, context.DeadlineExceeded):
		t.Message = fmt.Sprintf("it took more than %v", testTime)
	case r.Error != nil:
		t.Message = fmt.Sprintf("%.300s", strings.TrimSuffix(spoken(r.Error), "."))
	case r.Fail:
		t.Message = "not every expression of it holds"
		var cases []string
		for names, sub := range r.SubResults.Iter {
			if sub.Fail {
				cases = append(cases, strings.Join(names, "/"))
			}
		}
		if len(cases) > 0 {
			t.Message = fmt.Sprintf("it fails for %.200s", strings.Join(cases, ", "))
		}
	}
	return t
}

// failed are the faults of tests that did not pass, or that were not run.
func failed(tests *ast.Module, results []TestResult) (faults []Fault) {
	if len(results) == 0 {
		return []Fault{at(tests.Package.Location, "no_tests", "There is no test that runs. Tests are rules whose names begin with test_: test_writes_are_denied if { \"read_only\" in layer.deny with data.mcp.request.method as \"POST\" }.")}
	}
	for _, r := range results {
		if !r.Passed {
			faults = append(faults, Fault{File: FileTests, Line: r.Line, Column: 1, Rule: "test_failed", Message: fmt.Sprintf("%s failed: %s. Mend the module or the test.", r.Name, r.Message)})
		}
	}
	return faults
}
