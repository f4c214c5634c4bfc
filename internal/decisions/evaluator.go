package decisions

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/credenceproject/credence/internal/bundles"
	"github.com/credenceproject/credence/internal/decide"
	"github.com/credenceproject/credence/internal/layers"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

const (
	// limit bounds one evaluation. It takes well under a millisecond.
	limit = time.Second
	// kept is how many policies stay compiled: the active one with the custom
	// layers of a few scopes, and those before it for who still holds an older
	// view.
	kept = 8
	// firstWithLayers is the first data layout whose policies know of layers.
	firstWithLayers = 3
)

// Evaluator runs the platform policy that a view says is active: the registry's,
// whatever policy this binary carries. It is safe for concurrent use.
type Evaluator struct {
	limit  time.Duration
	layers *layers.Cache

	mu       sync.Mutex
	programs []*program // the last used first
}

// NewEvaluator returns an Evaluator that compiles each policy when it is first
// needed, with the custom layers which the cache says are in force.
func NewEvaluator(layers *layers.Cache) *Evaluator { return &Evaluator{limit: limit, layers: layers} }

// Decide returns what the policy that is active at v says of q at that time, asked
// with the data of the environment's bundle.
//
// A policy that gives no usable answer denies; Decision.Fault tells how it
// failed. Decide returns Invalid for claims that are no JSON, NotFound when
// there is no such environment, and Unavailable when no policy is active, when
// this binary cannot run the active one, or when it takes longer than a second.
func (e *Evaluator) Decide(ctx context.Context, v *snapshot.View, environment string, q Query, now time.Time) (Decision, error) {
	query, err := e.query(v, environment)
	if err != nil {
		return Decision{}, err
	}
	if _, ok := v.Environment(environment); !ok {
		return Decision{}, registry.NotFound.Errorf("not_found", "there is no environment of that name")
	}
	input, err := inputOf(q)
	if err != nil {
		return Decision{}, registry.Invalid.Wrap(err, "claims_invalid", "the token's claims are not a JSON object")
	}

	bounded, cancel := context.WithTimeout(ctx, e.limit)
	defer cancel()
	value, err := evaluate(bounded, query, newTransaction(v, environment), input, now)
	if err != nil && bounded.Err() != nil {
		if ctx.Err() != nil {
			return Decision{}, fmt.Errorf("evaluate the platform policy: %w", ctx.Err())
		}
		return Decision{}, registry.Unavailable.Wrap(err, "decision_timeout", "the platform policy took too long to decide")
	}
	if err == nil {
		var d Decision
		if d, err = decode(value); err == nil {
			return d, nil
		}
	}
	return decide.Undefined(v.ScopeRevision(environment), err), nil
}

// query returns the prepared query of the policy that is active at v, with the custom
// layers of the environment. Whether it compiles is found out once.
func (e *Evaluator) query(v *snapshot.View, environment string) (rego.PreparedEvalQuery, error) {
	p := v.Policy()
	if p.Hash == "" {
		return rego.PreparedEvalQuery{}, registry.Unavailable.Errorf("policy_missing", "no platform policy is active; run credence migrate")
	}
	if !bundles.CanBuild(p) { // it is shown the data of bundles
		return rego.PreparedEvalQuery{}, registry.Unavailable.Errorf("policy_unknown", "the active platform policy needs a newer version of this server")
	}
	var custom layers.Set
	if p.Layout >= firstWithLayers {
		custom = *e.layers.InForce(v, environment)
	}
	query, err := e.program(p.Hash+custom.Hash).prepared(p, custom.Modules)
	if err != nil {
		return rego.PreparedEvalQuery{}, registry.Unavailable.Wrap(err, "policy_invalid", "the active platform policy does not compile")
	}
	return query, nil
}

// program returns the program of that key, and forgets the one that was not
// used for the longest time when there are too many.
func (e *Evaluator) program(key string) *program {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := slices.IndexFunc(e.programs, func(p *program) bool { return p.key == key })
	if i == 0 {
		return e.programs[0]
	}
	p := &program{key: key}
	if i > 0 {
		p = e.programs[i]
		e.programs = slices.Delete(e.programs, i, i+1)
	}
	e.programs = slices.Insert(e.programs, 0, p)
	e.programs = e.programs[:min(len(e.programs), kept)]
	return p
}

// inputOf is the question as an OPA without Envoy is asked it.
func inputOf(q Query) (ast.Value, error) {
	claims, path := q.Claims, q.Path
	if claims == nil {
		claims = map[string]any{}
	}
	if path == nil {
		path = []string{}
	}
	document, err := toJSON(map[string]any{
		"jwt":      map[string]any{"valid": q.TokenValid, "payload": claims},
		"request":  map[string]any{"method": q.Method, "path": path},
		"resource": map[string]any{"id": q.Resource},
	})
	if err != nil {
		return nil, err
	}
	return ast.InterfaceToValue(document)
}

// evaluate returns what the query says. An error is one of the policy, or of ctx.
func evaluate(ctx context.Context, query rego.PreparedEvalQuery, t *transaction, input ast.Value, now time.Time) (value any, err error) {
	err = contain(func() error {
		results, err := query.Eval(ctx, rego.EvalParsedInput(input), rego.EvalTransaction(t), rego.EvalTime(now), rego.EvalSortSets(true))
		if err != nil {
			return err
		}
		if len(results) != 1 || len(results[0].Expressions) != 1 {
			return errors.New("the decision is undefined")
		}
		value = results[0].Expressions[0].Value
		return nil
	})
	return value, err
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
