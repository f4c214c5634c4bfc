package gate

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

const (
	// maxSteps bounds what a layer may do for one request. A step takes about half a
	// microsecond, in which bytesPerStep bytes are compared or copied.
	maxSteps     = 250_000
	bytesPerStep = 256
	// maxBytes bounds every value on the way.
	maxBytes = 256 << 10
	// maxTypes bounds what OPA's compiler looks at to compare types, in all: where an
	// object holds two like it, and each of them two, it takes minutes.
	maxTypes = 500_000
	// maxLooks bounds how long the gate itself thinks about a module.
	maxLooks = 200_000
)

// analyser computes the most that a module can do for any request: what trials
// with some requests would miss where the slow way has a condition that only the
// author knows. It goes through the rules as the compiler rewrote them, in which
// every iteration is a variable in a reference that nothing bound before. Loops
// multiply; rules without arguments count once, as OPA keeps what they gave.
type analyser struct {
	own    ast.Ref // package
	rules  map[string][]*ast.Rule
	known  map[string]*summary // rules without arguments, by name
	called map[string]*summary // functions, by name and bounds of the arguments
	looks  int
	types  float64
	fault  *Fault // the first that was found
}

// summary is what a rule or a function can give, and the steps that it takes.
type summary struct {
	value   bound
	steps   float64
	partial bool // a set that rules add to
}

// measure returns the most steps that a module may take for a request, or what is
// wrong with its use of time and memory. The module is one that OPA compiled up to
// the check for recursion.
func measure(own ast.Ref, m *ast.Module) (steps float64, _ []Fault) {
	a := &analyser{own: own, rules: map[string][]*ast.Rule{}, known: map[string]*summary{}, called: map[string]*summary{}}
	for _, r := range m.Rules {
		a.rules[ruleName(r)] = append(a.rules[ruleName(r)], r)
	}
	names := slices.Sorted(maps.Keys(a.rules))
	total := 0.0
	for _, name := range names {
		if !isFunction(a.rules[name]) {
			total += a.rule(name).steps
		}
	}
	if total > maxSteps {
		a.expensive(m.Package.Location, total)
	}
	for _, name := range names {
		if rules := a.rules[name]; isFunction(rules) && !a.wasCalled(name) { // OPA compiles it all the same
			a.call(name, make([]bound, len(rules[0].Head.Args)))
		}
	}
	if a.fault != nil {
		return total, []Fault{*a.fault}
	}
	return total, nil
}

func isFunction(rules []*ast.Rule) bool { return len(rules[0].Head.Args) > 0 }

func (a *analyser) wasCalled(name string) bool {
	for key := range a.called {
		if strings.HasPrefix(key, name+"(") {
			return true
		}
	}
	return false
}

func (a *analyser) fail(l *ast.Location, rule, format string, args ...any) {
	if a.fault == nil {
		f := at(l, rule, format, args...)
		a.fault = &f
	}
}

func (a *analyser) expensive(l *ast.Location, steps float64) {
	a.fail(l, "too_expensive", "For some requests this takes %s steps; at most %d are allowed. "+
		"Loops in each other multiply, and lists of a request count for %d elements each. Ask `x in xs` instead of going through xs, or look values up in an object.", amount(steps), maxSteps, most)
}

// checked returns b, or reports that it may be too large.
func (a *analyser) checked(l *ast.Location, b bound) bound {
	if b.bytes > maxBytes {
		a.fail(l, "value_too_large", "For some requests this value takes %s bytes; at most %d are allowed. "+
			"Joining, replacing and pairing multiply sizes: keep what is compared as it is.", amount(b.bytes), maxBytes)
	}
	return b
}

// typed counts the type of a value that is looked at.
func (a *analyser) typed(l *ast.Location, b bound) {
	if a.types += b.types; a.types > maxTypes {
		a.fail(l, "too_expensive", "OPA would take long to compare the types of such values: objects and arrays hold each other too deep, or too many are written out. "+
			"Keep them flat, and compare their fields.")
	}
}

// amount is a number for people.
func amount(n float64) string {
	switch {
	case n >= 1e12:
		return "more than a trillion"
	case n >= 1e9:
		return fmt.Sprintf("about %.0f billion", n/1e9)
	case n >= 1e6:
		return fmt.Sprintf("about %.1f million", n/1e6)
	default:
		return fmt.Sprintf("about %.0f", n)
	}
}

// rule returns the summary of the rules of that name, which take no arguments.
func (a *analyser) rule(name string) *summary {
	if s, ok := a.known[name]; ok {
		return s
	}
	s := &summary{partial: a.rules[name][0].Head.RuleKind() == ast.MultiValue}
	a.known[name] = s
	for _, r := range a.rules[name] {
		a.add(s, r, nil)
	}
	return s
}

// call returns the summary of a function for arguments of those bounds.
func (a *analyser) call(name string, args []bound) *summary {
	var key strings.Builder
	key.WriteString(name + "(")
	for _, b := range args {
		b.key(&key)
		key.WriteByte(',')
	}
	if s, ok := a.called[key.String()]; ok {
		return s
	}
	s := &summary{}
	a.called[key.String()] = s
	for _, r := range a.rules[name] {
		a.add(s, r, args)
	}
	return s
}

// add adds a rule, and its else branches, to what s is of.
func (a *analyser) add(s *summary, r *ast.Rule, args []bound) {
	for ; r != nil && a.fault == nil; r = r.Else {
		scope := newScope()
		for i, arg := range r.Head.Args {
			if i < len(args) {
				a.assign(scope, arg, args[i].untyped(), nil)
			}
		}
		branches, steps := a.body(scope, r.Body)
		s.steps += steps + 1
		if s.partial {
			key, more := a.head(scope, r.Head.Key)
			s.steps += branches * more
			distinct := min(branches, scope.ways(r.Head.Key, nil))
			s.value = a.checked(r.Location, together(s.value, collection(distinct, key)))
			continue
		}
		value, more := a.head(scope, r.Head.Value)
		s.steps += branches * more
		s.value = join(s.value, a.checked(r.Location, value))
		if r.Head.Value != nil && scope.varies(r.Head.Value, nil) {
			a.fail(r.Location, "several_values", "%s may have several values for one request, one for each element that it goes through, which stops every decision. "+
				"Gather them: %s := {x | some x in …}, or take one: %s := max({x | …}).", ruleName(r), ruleName(r), ruleName(r))
		}
	}
}

func (a *analyser) head(scope *scope, t *ast.Term) (bound, float64) {
	if t == nil {
		return scalar(5), 0
	}
	v := a.term(scope, t)
	return v.bound, v.steps
}
