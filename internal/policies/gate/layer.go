package gate

import (
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/credenceproject/credence/internal/registry"
)

// Layer is a module that is fit to be in force.
type Layer struct {
	Module     *ast.Module // as it was parsed; not to be changed, compilers copy it
	ReadsClock bool        // what it says may change while nothing else does
}

// CompileLayer returns the layer whose module rego is, when it is fit to be in force:
// its text is within the bounds of the gate and it compiles beside data.mcp.request.
// It takes about two milliseconds, and runs nothing of the module. It returns Invalid,
// with a field for each fault, for any other module. It is safe for concurrent use.
func CompileLayer(key registry.LayerKey, rego string) (*Layer, error) {
	l, faults := checker{}.compile(key, rego)
	if faults = listed(faults); len(faults) > 0 {
		return nil, refusal(faults)
	}
	return &Layer{Module: l.module, ReadsClock: l.readsClock}, nil
}

// layer is a module that passed the checks of its text.
type layer struct {
	checker    checker
	key        registry.LayerKey
	module     *ast.Module   // as parsed
	compiler   *ast.Compiler // of the module beside the request; it compiles nothing else
	readsClock bool
}

func (c checker) compile(key registry.LayerKey, rego string) (*layer, []Fault) {
	m, faults := c.parse(FileRego, rego)
	if len(faults) > 0 {
		return nil, faults
	}
	if !c.open {
		if faults := contain(FileRego, func() []Fault { return inspect(key, m) }); len(faults) > 0 {
			return nil, faults
		}
	}
	l := &layer{checker: c, key: key, module: m, readsClock: readsClock(m)}
	l.compiler, faults = c.compileWith(key, map[string]*ast.Module{FileRego: m}, FileRego)
	return l, faults
}

// compileWith compiles modules beside the request. What the module named file reads
// and costs is checked on the way, before OPA's check of types, which can take
// minutes.
func (c checker) compileWith(key registry.LayerKey, modules map[string]*ast.Module, file string) (compiler *ast.Compiler, faults []Fault) {
	modules["request"] = requestModule()
	own := packagePath(key)
	compiler = ast.NewCompiler().WithCapabilities(c.capabilities()).WithDefaultRegoVersion(ast.RegoV1)
	stage := func(after ast.StageID, check func(m *ast.Module) []Fault) {
		compiler.WithStageAfterID(after, ast.CompilerStageDefinition{Name: "gate", MetricName: "gate", Stage: func(compiler *ast.Compiler) *ast.Error {
			if faults = check(compiler.Modules[file]); len(faults) > 0 {
				return ast.NewError(ast.CompileErr, nil, "refused")
			}
			return nil
		}})
	}
	if !c.open {
		stage(ast.StageRemoveImports, func(m *ast.Module) []Fault { return reach(m, own) })
	}
	if !c.open && file == FileRego {
		stage(ast.StageCheckRecursion, func(m *ast.Module) []Fault {
			_, faults := measure(own, m)
			return faults
		})
	}
	failed := contain(file, func() []Fault {
		if compiler.Compile(modules); compiler.Failed() {
			return astFaults(file, "compile", compiler.Errors)
		}
		return nil
	})
	if len(faults) > 0 {
		return nil, faults
	}
	return compiler, failed
}

func readsClock(m *ast.Module) bool {
	reads := false
	ast.WalkRefs(m, func(r ast.Ref) bool {
		reads = reads || r.Equal(ast.NowNanos.Ref())
		return reads
	})
	return reads
}
