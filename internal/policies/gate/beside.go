package gate

import (
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// beside compiles the whole candidate: the platform's modules, those of the other
// layers, and this one. Only what this one adds to the errors is its fault.
func (l *layer) beside(platform, others map[string]string) []Fault {
	modules := map[string]*ast.Module{}
	for _, sources := range []map[string]string{platform, others} {
		for path, source := range sources {
			m, err := ast.ParseModuleWithOpts(path, source, ast.ParserOptions{RegoVersion: ast.RegoV1})
			if err == nil && m != nil && path != l.key.Module() {
				modules[path] = m
			}
		}
	}
	return contain(FileRego, func() []Fault {
		before := maps.Clone(modules)
		modules[l.key.Module()] = l.module
		after := compileCandidate(modules)
		if len(after) == 0 {
			return nil
		}
		return added(compileCandidate(before), after)
	})
}

// added are the errors that were not there before. What OPA says of other modules is
// for their authors.
func added(before, after ast.Errors) (faults []Fault) {
	known := map[string]bool{}
	for _, e := range before {
		known[e.Error()] = true
	}
	for _, e := range after {
		switch {
		case known[e.Error()]:
		case e.Location != nil && e.Location.File == FileRego:
			faults = append(faults, at(e.Location, "conflict", "With the rest of the policy the module does not compile. %s", explained(e)))
		default:
			faults = append(faults, Fault{
				File: FileRego, Line: 1, Column: 1, Rule: "conflict",
				Message: "With this module another module of the policy does not compile any more. Rename the rules that it may mean, or ask an admin.",
			})
		}
	}
	return faults
}

func compileCandidate(modules map[string]*ast.Module) ast.Errors {
	c := ast.NewCompiler().WithCapabilities(candidateCapabilities()).WithDefaultRegoVersion(ast.RegoV1).SetErrorLimit(0)
	c.Compile(modules)
	return c.Errors
}

// candidateCapabilities are those of the platform policy, which the layers' own are
// among: a decision is a function of the data, the input and the clock.
func candidateCapabilities() *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion()
	c.Builtins = slices.DeleteFunc(c.Builtins, func(b *ast.Builtin) bool {
		reachesOut := slices.ContainsFunc([]string{"http.", "net.", "opa.", "rego."}, func(prefix string) bool {
			return strings.HasPrefix(b.Name, prefix)
		})
		return reachesOut || b.Nondeterministic && b.Name != ast.NowNanos.Name
	})
	c.AllowNet = []string{} // nil would allow all
	return c
}
