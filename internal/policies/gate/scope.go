package gate

import (
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// scope is what the analyser knows of the variables of a body.
type scope struct {
	vars map[ast.Var]variable
}

type variable struct {
	bound    bound
	iterated bool      // it goes through a collection
	ways     float64   // of that many elements, at most
	from     []ast.Var // what its value follows from
}

func newScope() *scope { return &scope{vars: map[ast.Var]variable{}} }

// inner is the scope of a comprehension or of `every`.
func (s *scope) inner() *scope { return &scope{vars: maps.Clone(s.vars)} }

func (s *scope) knows(v ast.Var) bool {
	_, ok := s.vars[v]
	return ok
}

// known are the variables in terms that s knows.
func (s *scope) known(terms ...*ast.Term) (vars []ast.Var) {
	for _, t := range terms {
		ast.WalkTerms(t, func(t *ast.Term) bool {
			if v, ok := t.Value.(ast.Var); ok && s.knows(v) {
				vars = append(vars, v)
			}
			return false
		})
	}
	return vars
}

// ways is how many values t may have within one evaluation of the body, at most,
// while the fixed variables stay: as many as there are in all that it follows from.
func (s *scope) ways(t *ast.Term, fixed []ast.Var) float64 {
	seen, ways := slices.Clone(fixed), 1.0
	var follow func(vars []ast.Var)
	follow = func(vars []ast.Var) {
		for _, v := range vars {
			if slices.Contains(seen, v) {
				continue
			}
			seen = append(seen, v)
			known := s.vars[v]
			if known.iterated {
				ways *= max(2, known.ways)
			}
			follow(known.from)
		}
	}
	follow(s.known(t))
	return ways
}

// varies reports whether t may have several.
func (s *scope) varies(t *ast.Term, fixed []ast.Var) bool { return s.ways(t, fixed) > 1 }

// direct are the variables that a key tells apart: itself, or the elements of the
// array that it is.
func (s *scope) direct(key *ast.Term) []ast.Var {
	switch v := key.Value.(type) {
	case ast.Var:
		return []ast.Var{v}
	case *ast.Array:
		var vars []ast.Var
		v.Foreach(func(t *ast.Term) { vars = append(vars, s.direct(t)...) })
		return vars
	}
	return nil
}
