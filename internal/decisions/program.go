package decisions

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/credenceproject/credence/internal/layers"
	"github.com/credenceproject/credence/internal/registry"
)

// entrypoint is the one document of the platform policy that is asked for.
const entrypoint = "data.mcp.authz.decision"

// program is one platform policy with a set of custom layers, compiled once by a compiler that serves
// nothing else and that nothing changes afterwards: OPA decides wrongly while a
// compiler that it evaluates with compiles again.
type program struct {
	key   string // names both
	once  sync.Once
	query rego.PreparedEvalQuery
	err   error
}

// prepared compiles p on the first call; callers that come meanwhile wait.
func (p *program) prepared(policy registry.PlatformPolicy, custom []layers.Module) (rego.PreparedEvalQuery, error) {
	p.once.Do(func() {
		p.err = contain(func() (err error) {
			p.query, err = compile(policy.Modules, custom)
			return err
		})
	})
	return p.query, p.err
}

func compile(sources map[string]string, custom []layers.Module) (rego.PreparedEvalQuery, error) {
	capabilities := capabilities()
	options := ast.ParserOptions{Capabilities: capabilities, RegoVersion: ast.RegoV1}
	modules := make(map[string]*ast.Module, len(sources))
	for path, source := range sources {
		m, err := ast.ParseModuleWithOpts(path, source, options)
		if err != nil {
			return rego.PreparedEvalQuery{}, fmt.Errorf("parse %s: %w", path, err)
		}
		if m != nil { // an empty file is no module
			modules[path] = m
		}
	}
	for _, m := range custom {
		modules[m.Path] = m.Parsed
	}
	compiler := ast.NewCompiler().WithCapabilities(capabilities).WithDefaultRegoVersion(ast.RegoV1)
	if compiler.Compile(modules); compiler.Failed() {
		return rego.PreparedEvalQuery{}, fmt.Errorf("compile: %w", compiler.Errors)
	}
	// Preparing reads nothing but an empty store: no caller's context bounds it.
	query, err := rego.New(rego.Query(entrypoint), rego.Compiler(compiler), rego.Store(store{})).PrepareForEval(context.Background())
	if err != nil {
		return rego.PreparedEvalQuery{}, fmt.Errorf("prepare: %w", err)
	}
	return query, nil
}

// capabilities are what policy may use here. A decision is a function of the
// data, the input and the clock: nothing that reaches out of the process, tells
// of it, or leaves anything to chance.
func capabilities() *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion()
	c.Builtins = slices.DeleteFunc(c.Builtins, func(b *ast.Builtin) bool {
		reachesOut := slices.ContainsFunc([]string{"http.", "net.", "opa.", "rego."}, func(prefix string) bool {
			return strings.HasPrefix(b.Name, prefix)
		})
		return reachesOut || b.Nondeterministic && b.Name != ast.NowNanos.Name
	})
	c.AllowNet = []string{} // nor may a schema be fetched; nil would allow all
	return c
}
