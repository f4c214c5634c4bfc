package gate

import (
	"github.com/open-policy-agent/opa/v1/ast"
)

// before and after check what rules are made of: their size, and what they call.
func (i *inspector) before(x any) bool {
	switch x := x.(type) {
	case *ast.Comment, *ast.Package, *ast.Import, *ast.Annotations:
		return true
	case *ast.Rule:
		i.operations, i.place = 0, x.Location
		i.branches(x)
	case *ast.Head:
		if x.Key != nil && len(x.Reference) > 0 { // which OPA's visitor leaves out
			i.walker.Walk(x.Key)
		}
	case ast.Body:
		i.depth++
	case *ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension, *ast.Every:
		i.closure()
	case *ast.Expr:
		i.place = x.Location
		i.expression(x)
	case *ast.With:
		i.with(x)
	case *ast.Term:
		if i.depth++; i.depth == maxDepth {
			i.add(x.Location, "nesting_too_deep", "Expressions are nested more than %d deep. Name the inner parts in rules of their own.", maxDepth)
		}
		i.term(x)
	}
	return i.depth >= maxDepth
}

func (i *inspector) after(x any) {
	switch x.(type) {
	case ast.Body, *ast.Term:
		i.depth--
	case *ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension, *ast.Every:
		i.within--
	}
}

func (i *inspector) branches(r *ast.Rule) {
	n := 0
	for e := r.Else; e != nil; e = e.Else {
		if n++; n == maxElse {
			i.add(e.Location, "too_many_rules", "The rule has more than %d else branches. Look the value up in an object instead: {\"a\": 1, \"b\": 2}[key].", maxElse)
		}
	}
}

// closure counts a comprehension or `every`.
func (i *inspector) closure() {
	if i.within++; i.within == maxClosure+1 {
		i.add(i.place, "nesting_too_deep", "Comprehensions and `every` are nested more than %d deep. Name the inner ones in rules of their own.", maxClosure)
	}
	before := i.closures
	if i.closures += 1 << min(i.within-1, maxClosure); before <= maxClosures && i.closures > maxClosures {
		i.add(i.place, "too_many_expressions", "The module has too many comprehensions and `every`. Name what several of them compute in a rule of its own.")
	}
}

// operation counts an expression or a call.
func (i *inspector) operation(l *ast.Location) {
	i.operations++
	i.all++
	if i.operations == maxOperations+1 || i.all == maxAll+1 {
		i.add(l, "too_many_expressions", "At most %d expressions and calls of one rule are read, and %d of all. Move what repeats to rules or functions of their own, or look values up in an object.", maxOperations, maxAll)
	}
}

func (i *inspector) expression(e *ast.Expr) {
	i.operation(e.Location)
	if e.IsCall() {
		i.call(e.Location, e.Operator(), e.Operands())
	}
}

func (i *inspector) term(t *ast.Term) {
	switch v := t.Value.(type) {
	case ast.Call:
		i.operation(t.Location)
		if op, ok := v[0].Value.(ast.Ref); ok {
			i.call(t.Location, op, v[1:])
		}
	case ast.String:
		if len(v) > maxString {
			i.add(t.Location, "literal_too_large", "The string has %d bytes; at most %d are read.", len(v), maxString)
		}
	case ast.Number:
		if numberBytes(v) > maxDigits {
			i.add(t.Location, "literal_too_large", "The number has more than %d digits, or an exponent beyond that.", maxDigits)
		}
	case *ast.Array:
		i.elements(t, v.Len())
	case ast.Set:
		i.elements(t, v.Len())
	case ast.Object:
		i.elements(t, v.Len())
	case *ast.TemplateString:
		i.refused(t.Location, "internal.template_string", "String interpolation")
	}
}

func (i *inspector) elements(t *ast.Term, n int) {
	if n > maxLiteral {
		i.add(t.Location, "literal_too_large", "The collection has %d elements; at most %d are read. Long lists belong to the registry, as labels or permissions of agents and resources.", n, maxLiteral)
	}
}

func (i *inspector) call(l *ast.Location, op ast.Ref, operands []*ast.Term) {
	name := op.String()
	if name == "internal.print" { // as print is parsed
		name = "print"
	}
	if _, ok := allowed[name]; !ok && isBuiltin(name) {
		i.refused(l, name, name)
		return
	}
	i.constants(l, name, operands)
}

func (i *inspector) refused(l *ast.Location, name, shown string) {
	i.add(l, "builtin", "%s is not for layers and their tests. %s", shown, advise(name))
}

// with is for tests, which say what is asked and when.
func (i *inspector) with(w *ast.With) {
	target, _ := w.Target.Value.(ast.Ref)
	if head, ok := w.Target.Value.(ast.Var); ok {
		target = ast.Ref{ast.NewTerm(head)}
	}
	if len(target) > 0 {
		if path, ok := i.names[target[0].Value.String()]; ok {
			target = path.Concat(target[1:])
		}
	}
	switch {
	case !i.tests:
		i.add(w.Location, "with", "Layers see the request as it is: `with` is for tests. Give the value to a function instead: too_late(hour) if hour >= 17.")
	case !target.HasPrefix(requestRef) && !target.Equal(ast.NowNanos.Ref()):
		i.add(w.Location, "with", "Tests replace data.mcp.request, a field of it, or time.now_ns: deny with data.mcp.request as {\"method\": \"GET\"}. They do not replace %s.", w.Target)
	case isBuiltin(w.Value.String()):
		i.add(w.Location, "with", "Tests replace time.now_ns by a number, such as 1767225600000000000.")
	}
}
