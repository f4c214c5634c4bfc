package gate

import (
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
)

// reach finds what a module reads beyond data.mcp.request and the packages that it
// may, in its references as OPA resolved them: no alias or local name hides any
// (invariants E3 and A4). Tests may read the layer beside their own package, and
// replace the request as a whole.
func reach(m *ast.Module, layer ast.Ref) (faults []Fault) {
	own := []ast.Ref{layer, m.Package.Path}
	tests := !layer.Equal(m.Package.Path)
	for _, rule := range m.Rules {
		ast.WalkRefs(rule, func(r ast.Ref) bool {
			replaced := tests && r.Equal(requestRef)
			if f, ok := outside(r, own); ok && !replaced {
				faults = append(faults, f)
			}
			return false
		})
	}
	return faults
}

func outside(r ast.Ref, own []ast.Ref) (Fault, bool) {
	l := r[0].Location
	switch {
	case r[0].Equal(ast.InputRootDocument):
		return at(l, "input", "Layers do not read input, which differs from caller to caller. Import data.mcp.request and read request.method, request.agent and so on."), true
	case !r[0].Equal(ast.DefaultRootDocument):
		return Fault{}, false
	case r.HasPrefix(requestRef):
		return field(l, r)
	}
	for _, path := range own {
		if r.HasPrefix(path) && len(r) > len(path) && isName(r[len(path)]) {
			return Fault{}, false
		}
	}
	return at(l, "data", "Layers read data.mcp.request and their own rules, by name; %s is neither. Import data.mcp.request and read request.agent, request.resource and so on.", r), true
}

func isName(t *ast.Term) bool {
	_, ok := t.Value.(ast.String)
	return ok
}

// field checks that what is read of the request is there: a rule that reads a
// misspelt field never fires, without a word.
func field(l *ast.Location, r ast.Ref) (Fault, bool) {
	s, name := request, "request"
	if len(r) == len(requestRef) {
		return at(l, "data", "Name the field of the request that you mean: request has %s.", s.names()), true
	}
	for _, t := range r[len(requestRef):] {
		key, isString := t.Value.(ast.String)
		switch {
		case s.fields != nil && !isString:
			return at(l, "data", "Name the field of %s that you mean: it has %s.", name, s.names()), true
		case s.fields != nil:
			next, ok := s.fields[string(key)]
			if !ok {
				return at(l, "unknown_field", "%s has no field %q, so that the rule would never fire. It has %s.", name, string(key), s.names()), true
			}
			s, name = next, name+"."+string(key)
		case s.elem == nil:
			return at(l, "unknown_field", "%s is %s; there is nothing in it to read.", name, s.kind), true
		case isString && !s.open:
			return at(l, "unknown_field", "%s is a list: go through it with `some x in %s`, or ask `%q in %s`.", name, name, string(key), name), true
		default:
			s, name = s.elem, fmt.Sprintf("%s[%v]", name, t)
		}
	}
	return Fault{}, false
}
