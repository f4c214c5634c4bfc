package gate

import (
	"math"

	"github.com/open-policy-agent/opa/v1/ast"
)

// value is what the analyser finds of a term.
type value struct {
	bound    bound
	branches float64 // how often evaluation goes on from here, at most
	steps    float64
}

func plain(b bound) value { return value{bound: b, branches: 1} }

// then is what comes after v, once for each of its branches.
func (v *value) then(next value) {
	v.steps += v.branches * next.steps
	v.branches *= next.branches
}

// body returns how often a body is true at most, and its steps.
func (a *analyser) body(s *scope, body ast.Body) (branches, steps float64) {
	all := plain(bound{})
	for _, e := range body {
		if a.fault != nil {
			break
		}
		if a.looks++; a.looks > maxLooks {
			a.expensive(e.Location, math.Inf(1))
		}
		all.then(a.expression(s, e))
		if all.steps > maxSteps {
			a.expensive(e.Location, all.steps)
		}
	}
	return all.branches, all.steps
}

func (a *analyser) expression(s *scope, e *ast.Expr) value {
	var v value
	switch terms := e.Terms.(type) {
	case *ast.Term:
		v = a.term(s, terms)
	case []*ast.Term:
		v = a.operation(s, e, terms)
	case *ast.Every:
		v = a.every(s, terms)
	case *ast.SomeDecl:
		v = plain(bound{})
	default:
		a.fail(e.Location, "syntax", "Layers do not use this form of Rego yet: write it with rules and plain expressions.")
	}
	if e.Negated {
		v.branches = 1
	}
	v.steps++
	return v
}

func (a *analyser) every(s *scope, e *ast.Every) value {
	v := a.term(s, e.Domain)
	inner := s.inner()
	if e.Key != nil {
		a.assign(inner, e.Key, v.bound.element(), nil)
	}
	a.assign(inner, e.Value, v.bound.element(), nil)
	_, steps := a.body(inner, e.Body)
	v.steps += v.branches * v.bound.items * (steps + 1)
	return v
}

// operation is a call as an expression, the result being its last operand.
func (a *analyser) operation(s *scope, e *ast.Expr, terms []*ast.Term) value {
	op, ok := terms[0].Value.(ast.Ref)
	if !ok {
		return plain(bound{})
	}
	operands := terms[1:]
	if name := op.String(); len(operands) == 2 && (name == ast.Equality.Name || name == ast.Assign.Name) {
		return a.unify(s, operands[0], operands[1])
	}
	arity := a.arity(op, len(operands))
	v := a.apply(s, e.Location, op, operands[:arity])
	if arity < len(operands) {
		a.assign(s, operands[arity], v.bound, s.known(operands[:arity]...))
	}
	return v
}

func (a *analyser) arity(op ast.Ref, operands int) int {
	if rules := a.function(op); rules != nil {
		return min(operands, len(rules[0].Head.Args))
	}
	if b := ast.BuiltinMap[op.String()]; b != nil {
		return min(operands, b.Decl.Arity())
	}
	return operands
}

// function returns the rules of the function of this module that op names.
func (a *analyser) function(op ast.Ref) []*ast.Rule {
	if len(op) != len(a.own)+1 || !op.HasPrefix(a.own) {
		return nil
	}
	name, _ := op[len(a.own)].Value.(ast.String)
	return a.rules[string(name)]
}

func (a *analyser) apply(s *scope, l *ast.Location, op ast.Ref, operands []*ast.Term) value {
	v := plain(bound{})
	args := make([]bound, len(operands))
	for i, t := range operands {
		arg := a.term(s, t)
		v.then(arg)
		args[i] = arg.bound
	}
	if rules := a.function(op); rules != nil {
		called := a.call(string(op[len(a.own)].Value.(ast.String)), args)
		v.then(value{branches: 1, steps: called.steps + 1})
		v.bound = called.value
		return v
	}
	name := op.String()
	b, ok := allowed[name]
	if !ok || len(args) < ast.BuiltinMap[name].Decl.Arity() {
		v.bound = bound{items: math.Inf(1), bytes: math.Inf(1)} // of what is not known, nothing is
		return v
	}
	v.then(value{branches: 1, steps: b.work(args) + matching(name, operands, args)})
	v.bound = a.checked(l, b.result(args)).untyped()
	return v
}

// matching is how many steps a regular expression takes: each byte of the text may
// meet all of its program, which OPA compiles anew where there are many.
func matching(name string, operands []*ast.Term, args []bound) float64 {
	if name != ast.RegexMatch.Name {
		return 0
	}
	pattern, _ := operands[0].Value.(ast.String)
	n, err := instructions(string(pattern))
	if err != nil {
		return 0
	}
	return max(args[1].bytes, most) * float64(n) / bytesPerStep
}

// unify is a = b, which gives a value to what has none on either side.
func (a *analyser) unify(s *scope, x, y *ast.Term) value {
	from := s.known(x, y)
	left, right := a.side(s, x), a.side(s, y)
	v := plain(bound{})
	v.then(left)
	v.then(right)
	v.steps += min(left.bound.bytes, right.bound.bytes) / bytesPerStep
	for name, known := range s.vars { // what x and y go through
		if known.iterated && !contains(from, name) && mentions(x, y, name) {
			from = append(from, name)
		}
	}
	a.assign(s, x, right.bound, from)
	a.assign(s, y, left.bound, from)
	return v
}

// side is a term of which variables may have no value yet.
func (a *analyser) side(s *scope, t *ast.Term) value {
	if v, ok := t.Value.(ast.Var); ok && !s.knows(v) {
		return plain(bound{})
	}
	return a.term(s, t)
}

// assign gives the variables without a value in a pattern a bound.
func (a *analyser) assign(s *scope, pattern *ast.Term, b bound, from []ast.Var) {
	switch p := pattern.Value.(type) {
	case ast.Var:
		if !s.knows(p) {
			s.vars[p] = variable{bound: b, from: from}
		}
	case *ast.Array:
		p.Foreach(func(t *ast.Term) { a.assign(s, t, b.element(), from) })
	case ast.Object:
		p.Foreach(func(_, t *ast.Term) { a.assign(s, t, b.element(), from) })
	}
}
