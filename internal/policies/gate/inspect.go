package gate

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/credenceproject/credence/internal/registry"
)

// Bounds of a module's text, each beyond what people write and below what makes OPA's
// compiler slow: it takes the square of a rule's operations, and twice as long for
// each comprehension within another.
const (
	maxRules      = 256
	maxOperations = 40      // expressions and calls of one rule: OPA's compiler takes far longer for a long body than for two of half its length
	maxAll        = 800     // of all rules together
	maxElse       = 32      // branches of a rule
	maxDepth      = 100     // terms and bodies in each other
	maxClosure    = 4       // comprehensions and every in each other
	maxClosures   = 400     // of all rules, one within another counted double
	maxLiteral    = 1000    // elements of one collection
	maxString     = 4 << 10 // bytes of one string
	maxDigits     = 400     // of one number, its exponent counted as that many
)

// inspector goes through a module as it was parsed.
type inspector struct {
	tests      bool               // whether it holds tests, which may replace the request
	names      map[string]ast.Ref // what imports are called
	depth      int                // of terms and bodies
	within     int                // how many comprehensions and every
	place      *ast.Location      // of the rule or expression that is looked at
	operations int                // of this rule
	all        int                // of all rules so far
	closures   int                // likewise
	walker     *ast.BeforeAfterVisitor
	faults     []Fault
}

func newInspector(m *ast.Module, tests bool) *inspector {
	i := &inspector{tests: tests, names: map[string]ast.Ref{}}
	i.walker = ast.NewBeforeAfterVisitor(i.before, i.after)
	for _, imported := range m.Imports {
		if path, ok := imported.Path.Value.(ast.Ref); ok {
			i.names[string(imported.Name())] = path
		}
	}
	return i
}

func (i *inspector) add(l *ast.Location, rule, format string, args ...any) {
	i.faults = append(i.faults, at(l, rule, format, args...))
}

// inspect returns what is wrong with a layer's module, as far as its text tells.
func inspect(key registry.LayerKey, m *ast.Module) []Fault {
	i := newInspector(m, false)
	if !m.Package.Path.Equal(packagePath(key)) {
		i.add(m.Package.Location, "package", "The package of this layer is: package %s", key.Package())
	}
	for _, imported := range m.Imports {
		if path := imported.Path.String(); path != requestPath {
			i.add(imported.Location, "import", "Layers import nothing but data.mcp.request; %s", withoutImport(path))
		}
	}
	i.rules(m)
	i.walker.Walk(m)
	i.meta(m)
	return i.faults
}

func withoutImport(path string) string {
	switch {
	case path == "rego.v1", path == "rego.v2", strings.HasPrefix(path, "future."):
		return fmt.Sprintf("remove the import of %s: every layer is Rego v1 as it is.", path)
	case path == "input" || strings.HasPrefix(path, "input."):
		return "what input says is there in one form for every caller: import data.mcp.request."
	default:
		return fmt.Sprintf("remove the import of %s. What the registry knows of the agent and the resource is in request.agent and request.resource.", path)
	}
}

// packagePath is the package of a layer as a reference.
func packagePath(key registry.LayerKey) ast.Ref {
	return ast.Ref{
		ast.DefaultRootDocument, ast.StringTerm("mcp"), ast.StringTerm("layers"), ast.StringTerm(string(key.Tier)), ast.StringTerm(key.ID),
	}
}

// rules checks the heads of a layer's rules.
func (i *inspector) rules(m *ast.Module) {
	if len(m.Rules) > maxRules {
		i.add(m.Rules[maxRules].Location, "too_many_rules", "The module has %d rules; at most %d are read. Look values up in one object instead of writing a rule for each.", len(m.Rules), maxRules)
		return
	}
	effect := false
	for _, r := range m.Rules {
		name := ruleName(r)
		effect = effect || name == "allow" || name == "deny"
		switch {
		case !i.named(r, name):
		case len(r.Head.Ref()) > 1:
			i.add(r.Location, "rule_head", "Write one value for each name, such as limits := {\"support\": 1}, and read limits[key]; rules such as %s can contradict each other while a call is decided.", r.Head.Ref())
		case name == "allow" || name == "deny":
			i.reason(r, name)
		}
	}
	if !effect {
		i.add(m.Package.Location, "no_effect", "The module has no rule deny or allow, so that it changes nothing. Write: deny contains \"read_only\" if request.method != \"GET\".")
	}
	i.conflicts(m)
}

func ruleName(r *ast.Rule) string {
	switch v := r.Head.Ref()[0].Value.(type) {
	case ast.Var:
		return string(v)
	case ast.String:
		return string(v)
	}
	return ""
}

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// reserved are names that mean something else where a layer stands.
var reserved = []string{"data", "input", "request", "mcp", "layers", "registry", "rego", "future", "system"}

func (i *inspector) named(r *ast.Rule, name string) bool {
	switch {
	case strings.HasPrefix(name, "test_"), strings.HasPrefix(name, "todo_test_"):
		i.add(r.Location, "rule_name", "%s is a test: move it to the layer's tests, in a package of its own whose name ends in _test.", name)
	case !namePattern.MatchString(name):
		i.add(r.Location, "rule_name", "Name rules in small letters, digits and underscores, at most 64 of them; %q is not such a name.", name)
	case slices.Contains(reserved, name), isNamespace(name):
		i.add(r.Location, "rule_name", "The name %s is taken: in the module it would hide what OPA means by it. Choose another one, such as is_%s.", name, name)
	default:
		return true
	}
	return false
}

// isNamespace reports whether a rule of that name would hide a builtin.
func isNamespace(name string) bool {
	for b := range ast.BuiltinMap {
		if first, _, _ := strings.Cut(b, "."); first == name {
			return true
		}
	}
	return false
}

var codePattern = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)

// reason checks a rule deny or allow.
func (i *inspector) reason(r *ast.Rule, name string) {
	if r.Head.RuleKind() != ast.MultiValue || len(r.Head.Args) > 0 || r.Default {
		i.add(r.Location, "rule_head", "Write %s contains \"a_code\" if { … }: each rule adds a reason, and several may hold at once.", name)
		return
	}
	if code, ok := r.Head.Key.Value.(ast.String); ok && !codePattern.MatchString(string(code)) {
		i.add(r.Head.Key.Location, "code", "A reason is a code of small letters, digits and underscores, at most 64 of them, such as \"outside_office_hours\".")
	} else if !ok && r.Head.Key.IsGround() && !isReference(r.Head.Key) {
		i.add(r.Head.Key.Location, "code", "A reason is a string, such as \"outside_office_hours\".")
	}
}

func isReference(t *ast.Term) bool {
	switch t.Value.(type) {
	case ast.Ref, ast.Call, *ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension:
		return true
	}
	return false
}

// meta checks that the module says that it is there, always and whatever is asked.
func (i *inspector) meta(m *ast.Module) {
	const want = `Write it once, as a constant object: meta := {"owner": "customer-success"}.`
	var found []*ast.Rule
	for _, r := range m.Rules {
		if ruleName(r) == "meta" {
			found = append(found, r)
		}
	}
	switch {
	case len(found) == 0:
		i.add(m.Package.Location, "meta", "meta is missing, by which a required layer is known to be in force. %s", want)
	case len(found) > 1:
		i.add(found[1].Location, "meta", "meta is there twice. %s", want)
	case !constantObject(found[0]):
		i.add(found[0].Location, "meta", "meta depends on something. %s", want)
	}
}

func constantObject(r *ast.Rule) bool {
	if r.Default || r.Else != nil || len(r.Head.Args) > 0 || r.Head.Value == nil || !r.Body.Equal(ast.NewBody(ast.NewExpr(ast.BooleanTerm(true)))) {
		return false
	}
	_, ok := r.Head.Value.Value.(ast.Object)
	return ok && isConstant(r.Head.Value)
}

// isConstant reports whether t is the same whatever is asked.
func isConstant(t *ast.Term) bool {
	constant := true
	ast.WalkTerms(t, func(t *ast.Term) bool {
		switch t.Value.(type) {
		case ast.Var, *ast.TemplateString:
			constant = false
		default:
			constant = constant && !isReference(t)
		}
		return !constant
	})
	return constant
}

// conflicts finds helpers that are there several times with different values: where
// two hold at once, OPA gives up on the whole decision.
func (i *inspector) conflicts(m *ast.Module) {
	seen := map[string]*ast.Rule{}
	for _, r := range m.Rules {
		name := ruleName(r)
		if r.Head.RuleKind() == ast.MultiValue || r.Default || name == "meta" {
			continue
		}
		before, ok := seen[name]
		seen[name] = r
		if ok && (before.Else != nil || r.Else != nil || !isConstant(r.Head.Value) || !before.Head.Value.Equal(r.Head.Value)) {
			i.add(r.Location, "several_values", "%s may have two values at once, here and on line %d, which stops every decision. Give one rule with else branches: %s := 1 if { … } else := 2 if { … }.", name, before.Location.Row, name)
		}
	}
}
