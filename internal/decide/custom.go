package decide

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/credenceproject/credence/internal/layers"
	"github.com/credenceproject/credence/internal/registry"
)

// own is what a layer's own Rego says of a call: codes, in their order.
type own struct {
	deny  []string
	allow []string // valid ones: no other grants anything
}

// runner runs the layers' own Rego for one call. What they share of it is made once.
type runner struct {
	decider *Decider
	call    *call
	set     *layers.Set
	request *request
}

// run asks the layer's module. inForce is false where it has none that is in force. An
// error says that the module gave no answer, which denies the call.
func (r *runner) run(key registry.LayerKey) (said own, inForce bool, err error) {
	if r.set == nil {
		r.set = r.decider.layers.InForce(r.call.view, r.call.environment.Name)
		r.request = &request{call: r.call}
	}
	module, ok := r.set.Module(key)
	if !ok {
		return own{}, false, nil
	}
	query, err := r.decider.programs.of(module)
	if err != nil {
		return own{}, true, err
	}
	if said, err = evaluate(query, r.request, r.decider.limit); err != nil {
		return own{}, true, fmt.Errorf("evaluate the Rego of layer %s: %w", key, err)
	}
	return said, true, nil
}

func evaluate(query rego.PreparedEvalQuery, request *request, limit time.Duration) (said own, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	err = contain(func() error {
		results, err := query.Eval(ctx, rego.EvalTransaction(request), rego.EvalTime(time.Unix(0, request.call.now)))
		if err != nil {
			return err
		}
		if len(results) != 1 || len(results[0].Expressions) != 1 {
			return errors.New("the answer is undefined")
		}
		answer, _ := results[0].Expressions[0].Value.([]any)
		if len(answer) != 2 {
			return errors.New("the answer is not one of both sets")
		}
		said.deny, said.allow = denials(answer[0]), grants(answer[1])
		return nil
	})
	return said, err
}

// denials are the codes of a set that denies. What is no code still denies.
func denials(set any) []string {
	elements, ok := set.([]any)
	if !ok {
		return []string{invalidCode}
	}
	var codes []string
	for _, element := range elements {
		code, _ := element.(string) // "" is no code
		codes = append(codes, said(code))
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// grants are the codes of a set that allows. What is no code grants nothing.
func grants(set any) []string {
	elements, _ := set.([]any)
	var codes []string
	for _, element := range elements {
		if code, ok := element.(string); ok && isCode(code) {
			codes = append(codes, code)
		}
	}
	slices.Sort(codes)
	return codes
}

// contain makes a panic of f an error: policy is data, and data stops no server.
func contain(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return f()
}

// programs are the prepared queries of modules, each with a compiler of its own that
// nothing changes afterwards: OPA decides wrongly while a compiler that it evaluates
// with compiles again. It is safe for concurrent use.
type programs struct {
	mu    sync.Mutex
	known map[*ast.Module]*program
}

type program struct {
	once  sync.Once
	query rego.PreparedEvalQuery
	err   error
}

// mostPrograms is how many are kept: as many as a registry has custom layers, and as
// many again that older views have.
const mostPrograms = 2000

// of returns the module's query, prepared when it is first asked for.
func (p *programs) of(m layers.Module) (rego.PreparedEvalQuery, error) {
	p.mu.Lock()
	known, ok := p.known[m.Parsed]
	if !ok {
		if len(p.known) >= mostPrograms || p.known == nil {
			p.known = map[*ast.Module]*program{}
		}
		known = &program{}
		p.known[m.Parsed] = known
	}
	p.mu.Unlock()
	known.once.Do(func() {
		known.err = contain(func() (err error) {
			known.query, err = prepare(m)
			return err
		})
	})
	return known.query, known.err
}

// prepare compiles the module for a query of what it denies and what it allows, a
// rule that is not there as a set of none.
func prepare(m layers.Module) (rego.PreparedEvalQuery, error) {
	set := func(name string) string {
		for _, rule := range m.Parsed.Rules {
			if rule.Ref().String() == name || rule.Head.Name.String() == name {
				return fmt.Sprintf("data.%s.%s", m.Key.Package(), name)
			}
		}
		return "set()"
	}
	compiler := ast.NewCompiler().WithDefaultRegoVersion(ast.RegoV1)
	request, err := ast.ParseModuleWithOpts("request.rego", requestModule, ast.ParserOptions{RegoVersion: ast.RegoV1})
	if err != nil {
		return rego.PreparedEvalQuery{}, fmt.Errorf("parse the request's module: %w", err)
	}
	if compiler.Compile(map[string]*ast.Module{m.Path: m.Parsed, "request.rego": request}); compiler.Failed() {
		return rego.PreparedEvalQuery{}, fmt.Errorf("compile the Rego of layer %s: %w", m.Key, compiler.Errors)
	}
	query, err := rego.New(rego.Query("["+set("deny")+", "+set("allow")+"]"), rego.Compiler(compiler), rego.Store(requests{})).PrepareForEval(context.Background())
	if err != nil {
		return rego.PreparedEvalQuery{}, fmt.Errorf("prepare the Rego of layer %s: %w", m.Key, err)
	}
	return query, nil
}
