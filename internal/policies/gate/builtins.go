package gate

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// builtin is what the gate knows of a builtin that layers may call.
type builtin struct {
	result func(args []bound) bound // the most that it can give
	effort effort
}

// effort is what the work of a builtin grows with.
type effort int

const (
	bySize    effort = iota // all that its operands and its result hold
	constant                // nothing
	byKey                   // the second operand
	byProduct               // the first operand times the second
)

// allowed are the builtins for layers and their tests (invariant E2), and no others.
// Each is a function of its operands and the clock, and its work and its result are
// bounded by the size of its operands.
//
// Why the others are not among them:
//   - bits.*, numbers.range, product, strings.render_template, strings.replace_n,
//     sprintf, walk, graph.*, json.patch, object.union_n: a small text makes a large
//     value or a long computation of them.
//   - to_number, units.*, format_int: they make numbers of what callers write, of
//     any size.
//   - regex.* but regex.match, and glob.quote_meta: patterns are to be known here.
//   - yaml.*, json.*, graphql.*, base64*.*, hex.*, urlquery.*, uri.*, io.jwt.*,
//     crypto.*, uuid.*: the request holds nothing to decode or to verify.
//   - http.send, net.*, opa.runtime, rego.*, rand.*, trace, print: a decision reaches
//     out to nobody, tells nobody, and is the same every time.
//   - time.parse_ns, time.format: layouts are Go's, which people get wrong.
//   - what is named nowhere here: no rule about a request has needed it.
var allowed = map[string]builtin{
	// Comparison and unification.
	"eq": {result: truth}, "assign": {result: truth}, "equal": {result: truth}, "neq": {result: truth},
	"lt": {result: truth}, "lte": {result: truth}, "gt": {result: truth}, "gte": {result: truth},
	"internal.member_2": {result: truth}, "internal.member_3": {result: truth}, // x in xs

	// Numbers. Products of products double their digits each time.
	"plus": {result: sumOf}, "minus": {result: sumOf}, "mul": {result: productOf}, "div": {result: productOf}, "rem": {result: sumOf},
	"abs": {result: first}, "ceil": {result: first}, "floor": {result: first}, "round": {result: first},

	// Collections.
	"count": {result: number}, "sum": {result: total}, "max": {result: element}, "min": {result: element}, "sort": {result: first},
	"and": {result: first}, "or": {result: both}, "intersection": {result: element}, "union": {result: flat}, // sets: & |
	"array.concat": {result: both}, "array.flatten": {result: flat}, "array.reverse": {result: first}, "array.slice": {result: first},
	"object.get": {within, byKey}, "object.keys": {result: first}, "object.union": {result: merged},
	"object.filter": {result: first}, "object.remove": {result: first},

	// Strings.
	"concat": {result: concatenated}, "contains": {result: truth}, "startswith": {result: truth}, "endswith": {result: truth},
	"strings.any_prefix_match": {result: truth}, "strings.any_suffix_match": {result: truth},
	"lower": {result: cased}, "upper": {result: cased}, "substring": {result: first}, "indexof": {result: number},
	"split": {result: pieces}, "replace": {result: replaced},
	"trim": {first, byProduct}, "trim_left": {first, byProduct}, "trim_right": {first, byProduct}, "trim_space": {result: first},
	"trim_prefix": {result: first}, "trim_suffix": {result: first},
	"regex.match": {result: truth}, "glob.match": {result: truth}, // with constant patterns, see patterns.go

	// Time.
	"time.now_ns": {number, constant}, "time.clock": {numbers, constant}, "time.date": {numbers, constant}, "time.weekday": {word, constant},
	"time.parse_rfc3339_ns": {result: number}, "time.parse_duration_ns": {result: number},
	"time.add_date": {number, constant}, "time.diff": {numbers, constant},

	// Types.
	"is_array": {truth, constant}, "is_boolean": {truth, constant}, "is_null": {truth, constant}, "is_number": {truth, constant},
	"is_object": {truth, constant}, "is_set": {truth, constant}, "is_string": {truth, constant}, "type_name": {word, constant},
}

func truth([]bound) bound          { return scalar(5) }
func number([]bound) bound         { return scalar(20) }
func word([]bound) bound           { return scalar(16) }
func numbers([]bound) bound        { return collection(6, scalar(20)) }
func first(args []bound) bound     { return args[0] }
func element(args []bound) bound   { return args[0].element() }
func total(args []bound) bound     { return scalar(args[0].element().bytes + 20) }
func merged(args []bound) bound    { return merge(args[0], args[1]) }
func both(args []bound) bound      { return together(args[0], args[1]) }
func productOf(args []bound) bound { return scalar(args[0].bytes + args[1].bytes + 20) }
func within(args []bound) bound    { return join(args[0].deep(), args[2]) }
func cased(args []bound) bound     { return scalar(3 * args[0].bytes) }
func replaced(args []bound) bound  { return scalar((args[0].bytes + 1) * (args[2].bytes + 1)) }
func concatenated(a []bound) bound { return scalar(a[1].bytes + a[1].items*a[0].bytes) }

// pieces are together as long as what they were cut from.
func pieces(args []bound) bound {
	whole := scalar(args[0].bytes)
	return bound{items: args[0].bytes + 1, bytes: 4*args[0].bytes + 4, elem: &whole}
}

// sumOf also bounds the difference of two sets.
func sumOf(args []bound) bound {
	b := join(args[0], scalar(args[1].bytes))
	b.bytes++
	return b
}

// flat bounds what all elements together hold.
func flat(args []bound) bound {
	inner := args[0].element()
	elem := join(inner, inner.element())
	return bound{items: args[0].items * max(1, inner.items), bytes: args[0].bytes, elem: &elem}
}

// work is how many steps a call takes. A step is about a microsecond, in which
// some hundred bytes can be looked at.
func (b builtin) work(args []bound) float64 {
	touched := 0.0
	switch b.effort {
	case constant:
	case byKey:
		touched = args[1].bytes
	case byProduct:
		touched = args[0].bytes * (1 + args[1].bytes)
	case bySize:
		for _, arg := range args {
			touched += arg.bytes
		}
		touched += b.result(args).bytes
	}
	return 1 + touched/bytesPerStep
}

// isBuiltin knows every builtin of this OPA, those for layers or not.
func isBuiltin(name string) bool { return ast.BuiltinMap[name] != nil }

// instead says what to write where a builtin is refused, by the beginning of its
// name.
var instead = []struct{ prefix, text string }{
	{"http.", "A layer decides by data.mcp.request alone; nothing is fetched while a call waits."},
	{"net.", "The request holds no addresses."},
	{"time.format", "Compare what time.clock, time.date and time.weekday give."},
	{"time.parse", "Write moments as time.parse_rfc3339_ns(\"2026-01-31T00:00:00Z\")."},
	{"sprintf", "Reasons are constant codes such as \"read_only\"; for a few of them, join words with concat."},
	{"strings.render_template", "Reasons are constant codes such as \"read_only\"; for a few of them, join words with concat."},
	{"internal.template_string", "Reasons are constant codes such as \"read_only\"; for a few of them, join words with concat."},
	{"strings.replace_n", "Use replace once for each pair."},
	{"numbers.range", "Compare instead: hour >= 9; hour < 17."},
	{"walk", "Name the field, or go through one collection: some permission in request.permissions."},
	{"to_number", "Compare strings, or look the value up: {\"low\": 1, \"high\": 2}[request.agent.labels.risk]."},
	{"regex.", "regex.match with a constant pattern is there."},
	{"re_match", "Write regex.match."},
	{"print", "Say what you expect in a test instead."},
	{"trace", "Say what you expect in a test instead."},
	{"crypto.", "The request was verified before; nothing is left to hash or to sign."},
	{"io.jwt.", "The token was verified before; read request.permissions and request.agent."},
	{"json.", "The fields of data.mcp.request are values already; read them by name."},
	{"product", "Multiply with *."},
	{"any", "Write: true in xs."},
	{"all", "Write: every x in xs { x }."},
	{"set_diff", "Write: a - b."},
	{"opa.runtime", "A layer decides by data.mcp.request alone."},
	{"rand.", "The same call gets the same answer."},
}

func advise(name string) string {
	for _, i := range instead {
		if strings.HasPrefix(name, i.prefix) {
			return i.text
		}
	}
	return "The documentation of policies lists those that they may."
}

// allowList are OPA's capabilities for a layer: rules of Rego v1 and the builtins
// above. String interpolation is left out, which is sprintf by another name.
func allowList() *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion()
	c.Builtins = slices.DeleteFunc(c.Builtins, func(b *ast.Builtin) bool {
		_, ok := allowed[b.Name]
		return !ok && b.Name != ast.InternalTestCase.Name // which OPA's tester adds to tests
	})
	c.Features = []string{ast.FeatureRegoV1, ast.FeatureKeywordsInRefs}
	c.FutureKeywords = nil
	c.AllowNet = []string{} // nil would allow all
	return c
}

// capabilities are those that a module is parsed and compiled with.
func (c checker) capabilities() *ast.Capabilities {
	if c.open {
		return ast.CapabilitiesForThisVersion()
	}
	return allowList()
}
