package gate

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

func contains(vars []ast.Var, v ast.Var) bool { return slices.Contains(vars, v) }

// mentions reports whether a variable is in one of two terms.
func mentions(x, y *ast.Term, name ast.Var) bool {
	found := false
	for _, t := range []*ast.Term{x, y} {
		ast.WalkTerms(t, func(t *ast.Term) bool {
			if v, ok := t.Value.(ast.Var); ok && v == name {
				found = true
			}
			return found
		})
	}
	return found
}

// term returns what a term can be.
func (a *analyser) term(s *scope, t *ast.Term) value {
	v := a.look(s, t)
	a.typed(t.Location, v.bound)
	return v
}

func (a *analyser) look(s *scope, t *ast.Term) value {
	switch v := t.Value.(type) {
	case ast.Var:
		return plain(s.vars[v].bound)
	case ast.Number:
		return plain(scalar(numberBytes(v)))
	case ast.String:
		return plain(scalar(float64(len(v) + 2)))
	case ast.Ref:
		return a.reference(s, v)
	case ast.Call:
		if op, ok := v[0].Value.(ast.Ref); ok {
			return a.apply(s, t.Location, op, v[1:])
		}
	case *ast.Array:
		return a.composite(s, t, v.Foreach)
	case ast.Set:
		return a.composite(s, t, v.Foreach)
	case ast.Object:
		return a.composite(s, t, func(f func(*ast.Term)) { v.Foreach(func(k, e *ast.Term) { f(k); f(e) }) })
	case *ast.ArrayComprehension:
		return a.comprehension(s, t, v.Body, v.Term)
	case *ast.SetComprehension:
		return a.comprehension(s, t, v.Body, v.Term)
	case *ast.ObjectComprehension:
		return a.comprehension(s, t, v.Body, v.Key, v.Value)
	}
	return plain(scalar(5))
}

// composite is a collection that the text lists. A constant one is made once.
func (a *analyser) composite(s *scope, t *ast.Term, each func(func(*ast.Term))) value {
	v := plain(bound{bytes: 2, elem: &bound{}, types: 1})
	each(func(t *ast.Term) {
		e := a.side(s, t)
		v.then(e)
		elem := join(*v.bound.elem, e.bound)
		v.bound = bound{items: v.bound.items + 1, bytes: v.bound.bytes + e.bound.bytes + 2, elem: &elem, types: 1 + 2*elem.types}
	})
	if !t.IsGround() || !isConstant(t) {
		v.steps += v.branches * v.bound.items
	}
	v.bound = a.checked(t.Location, v.bound)
	return v
}

// comprehension is a collection of what the heads are, once for each time that the
// body is true.
func (a *analyser) comprehension(s *scope, t *ast.Term, body ast.Body, heads ...*ast.Term) value {
	inner := s.inner()
	branches, steps := a.body(inner, body)
	all := plain(bound{})
	elem, bytes := bound{}, 0.0
	for _, h := range heads {
		v := a.term(inner, h)
		all.then(v)
		elem = join(elem, v.bound)
		bytes += v.bound.bytes + 2
	}
	if len(heads) == 2 && inner.varies(heads[1], append(inner.direct(heads[0]), outer(s)...)) {
		a.fail(t.Location, "several_values", "Two elements may give the same key with different values, which stops every decision. "+
			"Use the key that you go through, as in {k: v | some k, v in request.agent.labels}, or gather a set of pairs: {[k, v] | …}.")
	}
	items := branches * all.branches
	if _, isArray := t.Value.(*ast.ArrayComprehension); !isArray { // what is there twice counts once
		items = min(items, all.branches*inner.ways(heads[0], outer(s)))
	}
	b := a.checked(t.Location, bound{items: items, bytes: items*bytes + 2, elem: &elem, types: 1 + 2*elem.types})
	return value{bound: b, branches: 1, steps: steps + branches*(all.steps+1)}
}

// outer are the variables that stay while a comprehension goes on.
func outer(s *scope) (vars []ast.Var) {
	for v := range s.vars {
		vars = append(vars, v)
	}
	return vars
}

// reference is what a path leads to. A variable in it without a value goes through
// all that is there.
func (a *analyser) reference(s *scope, r ast.Ref) value {
	v, rest, set := a.origin(s, r)
	for i, t := range rest {
		k := a.key(s, t, v.bound)
		if set != nil && i == 0 && k.branches == 1 {
			k.steps += set.steps // a set is computed for each key that is asked for
		}
		v.then(k)
		v.bound = v.bound.element()
	}
	return v
}

// key is one step of a path into a collection of that bound.
func (a *analyser) key(s *scope, t *ast.Term, in bound) value {
	loops := false
	ast.WalkTerms(t, func(t *ast.Term) bool {
		if v, ok := t.Value.(ast.Var); ok && !s.knows(v) {
			s.vars[v] = variable{bound: in.element(), iterated: true, ways: in.items}
			loops = true
		}
		return false
	})
	v := a.term(s, t)
	v.steps += 1 + v.bound.bytes/bytesPerStep
	if loops {
		v.branches *= max(1, in.items)
		v.steps += in.items
	}
	return v
}

// origin is where a path begins: a field of the request, a rule of this module or a
// variable; and what of the path remains. The last is set where the rule is a set
// that rules add to.
func (a *analyser) origin(s *scope, r ast.Ref) (v value, rest ast.Ref, set *summary) {
	switch {
	case r.HasPrefix(requestRef):
		sh, i := request, len(requestRef)
		for ; i < len(r) && sh.fields != nil; i++ {
			name, _ := r[i].Value.(ast.String)
			if sh.fields[string(name)] == nil {
				break
			}
			sh = sh.fields[string(name)]
		}
		return plain(sh.bound()), r[i:], nil
	case r.HasPrefix(a.own) && len(r) > len(a.own):
		name, _ := r[len(a.own)].Value.(ast.String)
		rules := a.rules[string(name)]
		if rules == nil || isFunction(rules) {
			return plain(bound{}), nil, nil
		}
		known := a.rule(string(name))
		v := plain(known.value)
		if known.partial {
			set = known
		}
		return v, r[len(a.own)+1:], set
	default:
		return a.side(s, r[0]), r[1:], nil
	}
}
