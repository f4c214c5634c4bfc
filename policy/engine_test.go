package policy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	"github.com/credenceproject/credence/policy"
)

func parse(tb testing.TB, modules map[string]string) map[string]*ast.Module {
	tb.Helper()
	parsed := make(map[string]*ast.Module, len(modules))
	for name, text := range modules {
		m, err := ast.ParseModuleWithOpts(name, text, ast.ParserOptions{RegoVersion: ast.RegoV1, ProcessAnnotation: true})
		if err != nil {
			tb.Fatalf("parse %s: %v", name, err)
		}
		parsed[name] = m
	}
	return parsed
}

// compile compiles the modules as `opa check --strict` does.
func compile(tb testing.TB, modules map[string]string, capabilities *ast.Capabilities) *ast.Compiler {
	tb.Helper()
	c := ast.NewCompiler().WithStrict(true).WithDefaultRegoVersion(ast.RegoV1).WithCapabilities(capabilities)
	if c.Compile(parse(tb, modules)); c.Failed() {
		tb.Fatalf("compile: %v", c.Errors)
	}
	return c
}

// engine answers one query on one set of data. Where a builtin fails it fails, as
// callers can ask of OPA.
type engine struct{ query rego.PreparedEvalQuery }

func newEngine(tb testing.TB, query string, registry any, options ...func(*rego.Rego)) engine {
	tb.Helper()
	return newEngineWith(tb, nil, query, registry, options...)
}

// newEngineWith is newEngine with the layers' own modules beside the platform's, by
// path.
func newEngineWith(tb testing.TB, layers map[string]string, query string, registry any, options ...func(*rego.Rego)) engine {
	tb.Helper()
	modules := policy.Platform().Modules
	maps.Copy(modules, layers)
	c := compile(tb, modules, ast.CapabilitiesForThisVersion())
	store := inmem.NewFromObject(object{"registry": plain(tb, registry)})
	options = append([]func(*rego.Rego){rego.Query(query), rego.Compiler(c), rego.Store(store), rego.StrictBuiltinErrors(true)}, options...)
	q, err := rego.New(options...).PrepareForEval(tb.Context())
	if err != nil {
		tb.Fatalf("prepare %s: %v", query, err)
	}
	return engine{q}
}

// eval returns what the query is for the input, nil when it is undefined.
func (e engine) eval(ctx context.Context, input any) (any, error) {
	v, err := ast.InterfaceToValue(input)
	if err != nil {
		return nil, fmt.Errorf("encode the input: %w", err)
	}
	results, err := e.query.Eval(ctx, rego.EvalParsedInput(v))
	if err != nil || len(results) == 0 {
		return nil, err
	}
	return results[0].Expressions[0].Value, nil
}

// plain returns v as it is after a way through JSON, numbers as json.Number.
func plain(tb testing.TB, v any) any {
	tb.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return decode(tb, string(b))
}

func decode(tb testing.TB, text string) any {
	tb.Helper()
	d := json.NewDecoder(bytes.NewBufferString(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		tb.Fatalf("decode %s: %v", text, err)
	}
	return v
}
