package gate

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/credenceproject/credence/internal/registry"
)

// refused are modules that a team may write, in bad faith or in error. Each is
// refused for one reason, at its place, with a sentence on what to write instead.
var refused = map[string]struct {
	whole string // the module, or
	body  string // what follows its beginning
	want  said
}{
	// Text.
	"too much text":                          {body: denyWrites + "# " + strings.Repeat("x", maxText), want: said{rule: "text_too_large", message: "larger than 64 KiB"}},
	"not UTF-8":                              {body: denyWrites + "# \xff", want: said{rule: "text_invalid", line: 8, message: "UTF-8"}},
	"a NUL":                                  {body: denyWrites + "# \x00", want: said{rule: "text_invalid", line: 8, message: "NUL"}},
	"text that readers see in another order": {body: denyWrites + "# \u202e", want: said{rule: "text_invalid", line: 8, message: "direction"}},
	"brackets without end":                   {body: "x := " + strings.Repeat("[", 20_000), want: said{rule: "nesting_too_deep", line: 7, message: "32 deep"}},
	"no module":                              {whole: "# nothing", want: said{rule: "syntax", message: "package"}},
	"Rego of OPA before 1.0":                 {body: `deny["read_only"] { request.method == "POST" }`, want: said{rule: "syntax", line: 7, message: `write deny contains "code" if`}},
	"a METADATA block that asks for a schema": {
		whole: "# METADATA\n# schemas:\n# - input: schema.x\n" + begin + denyWrites,
		want:  said{rule: "annotation", line: 1, message: "plain comment"},
	},
	"string interpolation":   {body: `deny contains $"no_{request.method}"`, want: said{rule: "syntax", line: 7, message: "constant codes"}},
	"too long an expression": {body: "deny contains \"x\" if 1" + strings.Repeat(" + 1", 45) + " == 3", want: said{rule: "too_many_expressions", line: 7, message: "40 expressions"}},
	"comprehensions that OPA compiles for minutes": {
		body: "x := " + strings.Repeat("[1 | y := ", 25) + "1" + strings.Repeat("]", 25) + "\n" + denyWrites,
		want: said{rule: "nesting_too_deep", line: 7, message: "rules of their own"},
	},

	// Shape.
	"another team's package": {
		whole: strings.Replace(begin, "customer-success", "finance", 1) + denyWrites,
		want:  said{rule: "package", line: 1, message: `package mcp.layers.team["customer-success"]`},
	},
	"the platform's package":        {whole: "package mcp.authz\n\nmeta := {}\n\nallow contains \"x\"\n", want: said{rule: "package", line: 1, message: "package mcp.layers"}},
	"an import of data":             {body: "import data.registry\n" + denyWrites, want: said{rule: "import", line: 7, message: "request.agent"}},
	"an import of input":            {body: "import input.attributes\n" + denyWrites, want: said{rule: "import", line: 7, message: "import data.mcp.request"}},
	"an import of rego.v1":          {body: "import rego.v1\n" + denyWrites, want: said{rule: "import", line: 7, message: "remove the import"}},
	"no meta":                       {whole: strings.Replace(begin, "meta", "owner", 1) + denyWrites, want: said{rule: "meta", line: 1, message: "meta := {"}},
	"meta that depends":             {whole: strings.Replace(begin, `"owner": "customer-success"`, `"m": request.method`, 1) + denyWrites, want: said{rule: "meta", line: 5, message: "constant object"}},
	"meta under a condition":        {whole: strings.Replace(begin, "}\n", "} if request.method == \"GET\"\n", 1) + denyWrites, want: said{rule: "meta", line: 5, message: "constant object"}},
	"meta with another branch":      {whole: strings.Replace(begin, "}\n", "} if true else := {}\n", 1) + denyWrites, want: said{rule: "meta", line: 5, message: "constant object"}},
	"meta twice":                    {body: denyWrites + "meta := {\"owner\": \"customer-success\"}", want: said{rule: "meta", line: 8, message: "twice"}},
	"meta that is a string":         {whole: strings.Replace(begin, `{"owner": "customer-success"}`, `"me"`, 1) + denyWrites, want: said{rule: "meta", line: 5, message: "constant object"}},
	"no effect":                     {body: "denied contains \"x\"", want: said{rule: "no_effect", line: 1, message: "deny contains"}},
	"deny as a boolean":             {body: "deny if request.method == \"POST\"", want: said{rule: "rule_head", line: 7, message: `deny contains "a_code" if`}},
	"allow by default":              {body: denyWrites + "default allow := true", want: said{rule: "rule_head", line: 8, message: "allow contains"}},
	"deny as a function":            {body: "deny(x) if x == 1", want: said{rule: "rule_head", line: 7, message: "deny contains"}},
	"deny with a path":              {body: `deny.x contains "code"`, want: said{rule: "rule_head", line: 7, message: "deny.x"}},
	"an object in pieces":           {body: denyWrites + "limits[k] := v if some k, v in request.agent.labels", want: said{rule: "rule_head", line: 8, message: "limits := {"}},
	"a code in capitals":            {body: `deny contains "Read only"`, want: said{rule: "code", line: 7, message: "outside_office_hours"}},
	"a code that is a number":       {body: `deny contains 7`, want: said{rule: "code", line: 7, message: "is a string"}},
	"a code of the caller's":        {body: `deny contains lower(request.method)`, want: said{rule: "code", line: 1, message: "constant ones"}},
	"a test in the layer":           {body: denyWrites + "test_x if true", want: said{rule: "rule_name", line: 8, message: "the layer's tests"}},
	"a rule that hides a builtin":   {body: denyWrites + "count(x) := 0 if x", want: said{rule: "rule_name", line: 8, message: "is_count"}},
	"a rule that hides a namespace": {body: denyWrites + "time := {\"now_ns\": 1}", want: said{rule: "rule_name", line: 8, message: "taken"}},
	"a rule named like the import":  {body: denyWrites + "request := {}", want: said{rule: "rule_name", line: 8, message: "taken"}},
	"a rule in capitals":            {body: denyWrites + "Late := true", want: said{rule: "rule_name", line: 8, message: "small letters"}},
	"too many rules":                {body: repeated(300, func(i int) string { return fmt.Sprintf("deny contains \"x\" if request.method == \"%d\"", i) }), want: said{rule: "too_many_rules", line: 262, message: "one object"}},
	"too many branches": {
		body: denyWrites + "level := 0 if request.method == \"0\"" + strings.Repeat(" else := 1 if request.method == \"1\"", 60),
		want: said{rule: "too_many_rules", line: 8, message: "else branches"},
	},
	"too long a body": {body: "deny contains \"x\" if {\n" + strings.Repeat("request.method == \"x\"\n", 300) + "}", want: said{rule: "too_many_expressions", line: 48, message: "of their own"}},
	"too many calls": {
		body: denyWrites + repeated(200, func(i int) string { return fmt.Sprintf("r%d := 1%s", i, strings.Repeat(" + 1", 20)) }),
		want: said{rule: "too_many_expressions", line: 46, message: "800 of all"},
	},
	"a body in an order that OPA takes long to find": {
		body: denyWrites + "slow if {\n" + strings.Repeat("request.method == \"x\"\n", 41) + "}",
		want: said{rule: "too_many_expressions", line: 49, message: "40 expressions"},
	},
	"too many comprehensions": {
		body: denyWrites + repeated(100, func(i int) string { return fmt.Sprintf("r%d := [a | a := [b | b := [c | c := %d]]]", i, i) }),
		want: said{rule: "too_many_expressions", line: 65, message: "a rule of its own"},
	},
	"too long a list":       {body: denyWrites + "x := [" + strings.Repeat("1,", 2000) + "1]", want: said{rule: "literal_too_large", line: 8, message: "2001 elements"}},
	"too long a string":     {body: denyWrites + "x := \"" + strings.Repeat("a", 5000) + "\"", want: said{rule: "literal_too_large", line: 8, message: "5000 bytes"}},
	"too large a number":    {body: denyWrites + "x := 1e500", want: said{rule: "literal_too_large", line: 8, message: "exponent"}},
	"a value from nowhere":  {body: `deny contains "x" if metod == "POST"`, want: said{rule: "compile", line: 7, message: "check its spelling"}},
	"a function of nowhere": {body: `deny contains "x" if is_write(request.method)`, want: said{rule: "compile", line: 7, message: "functions come from"}},
	"a rule of itself":      {body: "deny contains \"x\" if late\nlate if late", want: said{rule: "compile", line: 8, message: "depend on themselves"}},

	// What it reads.
	"input":                         {body: `deny contains "x" if input.attributes.request.http.headers["x-admin"]`, want: said{rule: "input", line: 7, message: "request.method"}},
	"all of input":                  {body: `deny contains "x" if count(input) > 1`, want: said{rule: "input", line: 7, message: "differs from caller to caller"}},
	"all data":                      {body: `deny contains "x" if count(data) > 1`, want: said{rule: "data", line: 7, message: "their own rules, by name"}},
	"data by a variable":            {body: `deny contains "x" if data[request.method]`, want: said{rule: "data", line: 7, message: "by name"}},
	"a package by a variable":       {body: `deny contains "x" if { some k; data.mcp.layers.team[k].deny }`, want: said{rule: "data", line: 7, message: "by name"}},
	"another team's layer (A4)":     {body: `allow contains "x" if data.mcp.layers.team.finance.allow["x"]`, want: said{rule: "data", line: 7, message: "finance"}},
	"the decision":                  {body: `allow contains "x" if not data.mcp.authz.allow`, want: said{rule: "data", line: 7, message: "data.mcp.authz.allow"}},
	"the registry":                  {body: `deny contains "x" if data.registry.agents`, want: said{rule: "data", line: 7, message: "data.registry.agents"}},
	"its own package as a whole":    {body: `deny contains "x" if { some k; data.mcp.layers.team["customer-success"][k] }`, want: said{rule: "data", line: 7, message: "by name"}},
	"the request as a whole":        {body: `deny contains "x" if { r := request; r.metod == "POST" }`, want: said{rule: "data", line: 7, message: "Name the field"}},
	"the request by a variable":     {body: `deny contains "x" if request[request.method]`, want: said{rule: "data", line: 7, message: "Name the field"}},
	"a field that is not there":     {body: `deny contains "x" if request.agent.type == "batch"`, want: said{rule: "unknown_field", line: 7, message: "agent_type"}},
	"headers (E3)":                  {body: `deny contains "x" if request.headers["x-admin"]`, want: said{rule: "unknown_field", line: 7, message: `no field "headers"`}},
	"a field of a string":           {body: `deny contains "x" if request.method.name`, want: said{rule: "unknown_field", line: 7, message: "is a string"}},
	"a list asked for a string":     {body: `deny contains "x" if request.permissions["data:read"]`, want: said{rule: "unknown_field", line: 7, message: `"data:read" in request.permissions`}},
	"with":                          {body: `deny contains "x" if late with time.now_ns as 1` + "\nlate if time.now_ns() > 0", want: said{rule: "with", line: 7, message: "for tests"}},
	"another request by with":       {body: "allow contains \"x\" if ok with data.mcp.request.method as \"GET\"\nok if request.method == \"GET\"", want: said{rule: "with", line: 7, message: "Give the value to a function"}},
	"a reference in a rule's head":  {body: `deny contains data.registry.meta.scope`, want: said{rule: "data", line: 7, message: "data.registry.meta.scope"}},
	"data within an else branch":    {body: denyWrites + `x := 1 if request.method == "a" else := data.registry`, want: said{rule: "data", line: 8, message: "data.registry"}},
	"data in a reference's key":     {body: `deny contains "x" if request.agent.labels[data.registry.meta.scope]`, want: said{rule: "data", line: 7, message: "data.registry.meta.scope"}},
	"data in a comprehension's key": {body: denyWrites + `x := {data.registry: 1 | true}`, want: said{rule: "data", line: 8, message: "data.registry"}},

	// What it calls.
	"the shift that kills a process (E2)": {body: `deny contains "x" if bits.lsh(1, 20000000000) > 0`, want: said{rule: "builtin", line: 7, message: "bits.lsh"}},
	"a template of twelve seconds (E2)":   {body: `deny contains "x" if ` + slowTemplate + ` == ""`, want: said{rule: "builtin", line: 7, message: "constant codes"}},
	"a call in a rule's key":              {body: `deny contains bits.lsh(1, 20000000000)`, want: said{rule: "builtin", line: 7, message: "bits.lsh"}},
	"a call in an else branch":            {body: denyWrites + `x := 1 if false else := opa.runtime()`, want: said{rule: "builtin", line: 8, message: "opa.runtime"}},
	"the network":                         {body: `deny contains "x" if http.send({"method": "GET", "url": "http://127.0.0.1"})`, want: said{rule: "builtin", line: 7, message: "nothing is fetched"}},
	"names looked up":                     {body: `deny contains "x" if net.lookup_ip_addr("example.com")`, want: said{rule: "builtin", line: 7, message: "addresses"}},
	"numbers of a range":                  {body: `deny contains "x" if count(numbers.range(1, 2000000000)) > 0`, want: said{rule: "builtin", line: 7, message: "hour >= 9"}},
	"sprintf":                             {body: `deny contains sprintf("no_%s", [request.method])`, want: said{rule: "builtin", line: 7, message: "concat"}},
	"print":                               {body: `deny contains "x" if { print(request.method) }`, want: said{rule: "builtin", line: 7, message: "in a test"}},
	"walk":                                {body: `deny contains "x" if { walk(request.agent, [_, "x"]) }`, want: said{rule: "builtin", line: 7, message: "Name the field"}},
	"a pattern of the caller's":           {body: `deny contains "x" if regex.match(request.method, "x")`, want: said{rule: "pattern", line: 7, message: "constant string"}},
	"a pattern that is none":              {body: `deny contains "x" if regex.match("(", request.method)`, want: said{rule: "pattern", line: 7, message: "never fire"}},
	"a pattern that repeats":              {body: `deny contains "x" if regex.match("(a{100}){9}", request.method)`, want: said{rule: "pattern", line: 7, message: "instructions"}},
	"a pattern in a rule's key":           {body: `deny contains {"x" | regex.match("(", request.method)}`, want: said{rule: "pattern", line: 7, message: "never fire"}},
	"a glob with alternatives":            {body: `deny contains "x" if glob.match("*{a,b}*", [], request.method)`, want: said{rule: "pattern", line: 7, message: "regex.match"}},
	"a glob that takes minutes":           {body: `deny contains "x" if glob.match("*[ab]*[ab]*[ac]*[bc]", [], request.method)`, want: said{rule: "pattern", line: 7, message: "regex.match"}},
	"a zone that is none":                 {body: `deny contains "x" if time.clock([time.now_ns(), "Europe/Berln"])[0] > 17`, want: said{rule: "timezone", line: 7, message: "Europe/Berlin"}},
	"a zone of the caller's":              {body: `deny contains "x" if time.weekday([time.now_ns(), request.agent.labels.tz]) == "Sunday"`, want: said{rule: "timezone", line: 7, message: "constant"}},
	"a moment that is none":               {body: `deny contains "x" if time.now_ns() > time.parse_rfc3339_ns("tomorrow")`, want: said{rule: "moment", line: 7, message: "2026-01-31"}},

	// What it costs, for the worst request and behind any condition.
	"loops in loops behind a condition": {
		body: "deny contains \"x\" if {\n  request.method == \"NEVER\"\n  some a in request.path\n  some b in request.path\n  some c in request.path\n  a == b\n  b == c\n}",
		want: said{rule: "too_expensive", line: 11, message: "Loops in each other multiply"},
	},
	"loops through functions": {
		body: "deny contains \"x\" if f(request.path)\nf(xs) if { some x in xs; g(xs, x) }\ng(xs, x) if { some y in xs; h(xs, x, y) }\nh(xs, x, y) if { some z in xs; z != x; z != y }",
		want: said{rule: "too_expensive", line: 8, message: "steps"},
	},
	"loops through every": {
		body: "deny contains \"x\" if { every a in request.path { every b in request.path { every c in request.path { a != b; b != c } } } }",
		want: said{rule: "too_expensive", line: 7, message: "steps"},
	},
	"loops over a table": {
		body: "deny contains \"x\" if { some a, b in t; some c, d in t; a != c; b == d }\nt := {" + repeated(900, func(i int) string { return fmt.Sprintf("\"k%d\": %d,", i, i) }) + "}",
		want: said{rule: "too_expensive", line: 7, message: "steps"},
	},
	"functions that call two each": {
		body: "deny contains \"x\" if f20(1) == 1\nf0(x) := x\n" + repeated(20, func(i int) string { return fmt.Sprintf("f%d(x) := f%d(x) + f%d(x)", i+1, i, i) }),
		want: said{rule: "too_expensive", line: 23, message: "steps"},
	},
	"many rules with loops": {
		body: repeated(60, func(i int) string {
			return fmt.Sprintf("deny contains \"x%d\" if { some a in request.path; some b in request.permissions; a == b }", i)
		}),
		want: said{rule: "too_expensive", line: 1, message: "steps"},
	},
	"a set asked for each key": {
		body: "deny contains \"x\" if { some p in request.path; s[p] }\ns contains x if { some x in request.path; some y in request.path; x != y }",
		want: said{rule: "too_expensive", line: 7, message: "steps"},
	},
	"strings that double": {
		body: denyWrites + "s0 := request.method\n" + repeated(30, func(i int) string { return fmt.Sprintf("s%d := concat(\"\", [s%d, s%d])", i+1, i, i) }),
		want: said{rule: "value_too_large", line: 18, message: "multiply sizes"},
	},
	"strings that replace": {
		body: denyWrites + "s := replace(request.subject, \"\", replace(request.subject, \"\", request.subject))",
		want: said{rule: "value_too_large", line: 8, message: "multiply sizes"},
	},
	"numbers that square": {
		body: denyWrites + "n0 := 7\n" + repeated(30, func(i int) string { return fmt.Sprintf("n%d := n%d * n%d", i+1, i, i) }),
		want: said{rule: "value_too_large", line: 22, message: "multiply sizes"},
	},
	"a type that doubles": {
		body: denyWrites + "v0 := request.method\n" + repeated(60, func(i int) string { return fmt.Sprintf("v%d := {\"a\": v%d, \"b\": v%d}", i+1, i, i) }),
		want: said{rule: "too_expensive", line: 16, message: "Keep them flat"},
	},
	"types that OPA compares for minutes": {
		body: denyWrites + "v0 := 1\n" + repeated(13, func(i int) string { return fmt.Sprintf("v%d := {\"a\": v%d, \"b\": v%d}", i+1, i, i) }) + "w if v13 == v13",
		want: said{rule: "too_expensive", line: 16, message: "compare the types"},
	},
	"a type that doubles in a function nobody calls": {
		body: denyWrites + "f(x) := y if { v0 := [x, x]; " + strings.ReplaceAll(repeated(30, func(i int) string { return fmt.Sprintf("v%d := [v%d, v%d];", i+1, i, i) }), "\n", " ") + "y := v30 }",
		want: said{rule: "too_expensive", line: 8, message: "Keep them flat"},
	},
	"pairs of pairs": {
		body: denyWrites + "p := {[a, b] | some a in request.path; some b in request.permissions}",
		want: said{rule: "value_too_large", line: 8, message: "pairing"},
	},

	// What would stop a decision, or silently do nothing.
	"a helper of two values":      {body: denyWrites + "level := 1 if request.method == \"GET\"\nlevel := 2 if request.path[0] == \"a\"", want: said{rule: "several_values", line: 9, message: "else"}},
	"a function of two values":    {body: denyWrites + "f(x) := 1 if x > 1\nf(x) := 2 if x > 2", want: said{rule: "several_values", line: 9, message: "else"}},
	"a helper of many values":     {body: denyWrites + "one := p if some p in request.path", want: said{rule: "several_values", line: 8, message: "Gather them"}},
	"a function of many values":   {body: denyWrites + "f(xs) := y if { some x in xs; y := lower(x) }", want: said{rule: "several_values", line: 8, message: "Gather them"}},
	"an object of many values":    {body: denyWrites + "o := {lower(k): v | some k, v in request.agent.labels}", want: said{rule: "several_values", line: 8, message: "some k, v in"}},
	"an operand that may be none": {body: `deny contains "x" if request.agent.expires_at - time.now_ns() < 1000`, want: said{rule: "builtin_error", line: 7, message: "would not fire"}},
	"a moment of a label's":       {body: `deny contains "x" if { some v in request.agent.labels; time.parse_rfc3339_ns(v) > 1 }`, want: said{rule: "builtin_error", line: 7, message: "check first"}},
}

const slowTemplate = `strings.render_template("{{range .a}}{{range $.a}}{{range $.a}}{{range $.a}}{{range $.a}}{{range $.a}}{{end}}{{end}}{{end}}{{end}}{{end}}{{end}}", {"a": ["","","","","","","","","","","","","","","","","","","","","","","","","","","","","","","","","","",""]})`

func TestInvariant_E2_AModuleIsRefusedWithItsPlaceAndWhatToWriteInstead(t *testing.T) {
	t.Parallel()
	for name, tc := range refused {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rego := tc.whole
			if rego == "" {
				rego = begin + tc.body
			}
			v := Check(t.Context(), asked(rego, ""))
			if len(v.Faults) == 0 {
				t.Fatal("it was accepted")
			}
			if !tc.want.isOf(v.Faults[0]) {
				t.Errorf("the first fault is %+v; want %+v", v.Faults[0], tc.want)
			}
			for _, f := range v.Faults[1:] {
				if f.Rule != tc.want.rule {
					t.Errorf("beside it is %+v", f)
				}
			}
		})
	}
}

// What only a trial shows is for the PUT: whether a stored module is in force is told
// by its text.
func TestAModuleIsNotInForceWhenItsTextIsRefused(t *testing.T) {
	t.Parallel()
	onTrial := []string{"builtin_error"}
	for name, tc := range refused {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rego := tc.whole
			if rego == "" {
				rego = begin + tc.body
			}
			l, err := CompileLayer(team, rego)
			if tc.want.rule == onTrial[0] || name == "a code of the caller's" {
				if err != nil {
					t.Errorf("CompileLayer() = %v; only a trial shows it", err)
				}
				return
			}
			e, ok := registry.AsError(err)
			if l != nil || !ok || !errors.Is(err, registry.Invalid) || e.Fields[0].Code != tc.want.rule || e.Fields[0].Pointer != "/rego" {
				t.Errorf("CompileLayer() = %v, %v; want Invalid with a field %s", l, err, tc.want.rule)
			}
		})
	}
}
