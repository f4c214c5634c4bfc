package gate

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/credenceproject/credence/internal/registry"
)

// accepted are modules as people write them.
var accepted = map[string]struct {
	body string
	want Verdict
}{
	"a denial":                    {body: denyWrites},
	"a grant alone":               {body: `allow contains "hello" if request.resource.name == "hello-skill"`},
	"a denial without an end":     {body: `deny contains "closed"`, want: Verdict{DeniesEveryone: true}},
	"a denial of all by a helper": {body: "deny contains \"closed\" if not open\ndefault open := false", want: Verdict{DeniesEveryone: true}},
	"a denial of every resource":  {body: `deny contains "closed" if request.resource.name != ""`, want: Verdict{DeniesEveryone: true}},
	"a denial of all but one call": {
		body: "deny contains \"closed\" if not open\nopen if { request.method == \"GET\"; request.resource.name == \"hello\"; request.agent.agent_type == \"curator\" }",
	},
	"the office hours of the issue": {
		body: "deny contains \"after_hours\" if not office\noffice if { h := time.clock([time.now_ns(), \"Europe/Berlin\"])[0]; h >= 9; h < 17; not time.weekday(time.now_ns()) in {\"Saturday\", \"Sunday\"} }",
		want: Verdict{ReadsClock: true},
	},
	"a table":               {body: "limit := {\"support\": 2, \"batch\": 5}[request.agent.agent_type]\ndeny contains \"too_deep\" if count(request.path) > limit"},
	"levels by else":        {body: "level := 3 if request.resource.data_classification in [\"high\", \"restricted\"] else := 1\ndeny contains \"sensitive\" if level > 2"},
	"every":                 {body: "deny contains \"unlabelled\" if not all_labelled\nall_labelled if { every k in [\"cost-center\", \"tier\"] { request.resource.labels[k] != \"\" } }"},
	"a function":            {body: "deny contains \"foreign\" if not ours(request.resource)\nours(r) if r.team == request.agent.team"},
	"two lists":             {body: "deny contains \"unscoped\" if { some p in request.permissions; not p in request.agent.scopes }"},
	"a set of what is met":  {body: "held contains p if { some p in request.permissions; some s in request.agent.scopes; p == s }\ndeny contains \"idle\" if { some p in request.resource.required_permissions; not p in held }"},
	"a set within a rule":   {body: "deny contains \"idle\" if count({p | some p in request.permissions; some s in request.agent.scopes; p == s}) == 0"},
	"an object by its keys": {body: "own := {k: v | some k, v in request.agent.labels; startswith(k, \"own-\")}\ndeny contains \"unowned\" if { count(own) == 0; request.method == \"DELETE\" }"},
	"an object of what follows from its keys": {body: "sizes := {p: n | some p in request.path; n := count(p)}\ndeny contains \"long\" if sizes[request.path[0]] > 200"},
	"codes from a list":                       {body: "deny contains code if some code in codes\ncodes := [\"a\", \"b\"]", want: Verdict{DeniesEveryone: true}},
	"patterns":                                {body: "deny contains \"hidden\" if { some p in request.path; regex.match(`^\\.[a-z0-9._-]{1,64}$`, p) }\ndeny contains \"internal\" if glob.match(\"internal-*\", [], request.resource.name)"},
	"an alias and a full path":                {body: "deny contains \"x\" if { data.mcp.request.method == \"DELETE\"; data.mcp.layers.team[\"customer-success\"].strict }\nstrict if request.environment == \"production\""},
	"a label that may not be":                 {body: `deny contains "untrusted" if object.get(request.agent.labels, "trust", "none") == "none"`},
	"an expiry that may be null":              {body: `deny contains "expiring" if { is_number(request.agent.expires_at); request.agent.expires_at - time.now_ns() < time.parse_duration_ns("24h") }`, want: Verdict{ReadsClock: true}},
	"brackets in strings and comments":        {body: denyWrites + "# " + strings.Repeat("[", 99) + "\nx := \"" + strings.Repeat("(\\\"", 99) + "\"\ny := `" + strings.Repeat("{\n", 99) + "`"},
	"a constant helper twice":                 {body: denyWrites + "w if request.method == \"GET\"\nw if request.method == \"PUT\""},
}

func TestAModuleThatPeopleWriteIsAccepted(t *testing.T) {
	t.Parallel()
	for name, tc := range accepted {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, Check(t.Context(), asked(begin+tc.body, "")), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
			l, err := CompileLayer(team, begin+tc.body)
			if err != nil || l.ReadsClock != tc.want.ReadsClock || l.Module == nil {
				t.Errorf("CompileLayer() = %+v, %v", l, err)
			}
		})
	}
}

func TestALayerOfEachTierHasItsOwnPackage(t *testing.T) {
	t.Parallel()
	for _, key := range []registry.LayerKey{
		{Tier: registry.TierGlobal, ID: "baseline"},
		{Tier: registry.TierAgentType, ID: "support"},
		{Tier: registry.TierAgent, ID: "0197a5b0-0000-7000-8000-000000000001"},
	} {
		module := "package " + key.Package() + "\n\nmeta := {}\n\ndeny contains \"x\" if data.mcp.request.method == \"TRACE\"\n"
		if v := Check(t.Context(), Request{Layer: key, Rego: module}); len(v.Faults) > 0 {
			t.Errorf("%s: %+v", key, v.Faults)
		}
		if v := Check(t.Context(), Request{Layer: team, Rego: module}); len(v.Faults) != 1 || v.Faults[0].Rule != "package" {
			t.Errorf("%s as another layer: %+v", key, v.Faults)
		}
	}
}

// A denial that only those meet whom the layer is of is one of everybody there.
func TestALayerIsTriedWithItsOwnAgents(t *testing.T) {
	t.Parallel()
	for field, key := range map[string]registry.LayerKey{
		"team": team, "agent_type": {Tier: registry.TierAgentType, ID: "curator"}, "id": {Tier: registry.TierAgent, ID: "0197a5b0-0000-7000-8000-0000000000ff"},
	} {
		module := "package " + key.Package() + "\n\nmeta := {}\n\ndeny contains \"x\" if data.mcp.request.agent." + field + " == \"" + key.ID + "\"\n"
		if v := Check(t.Context(), Request{Layer: key, Rego: module}); !v.DeniesEveryone || len(v.Faults) > 0 {
			t.Errorf("%s: %+v", key, v)
		}
	}
}

// evaluated counts the expressions that OPA evaluates.
type evaluated struct{ n int }

func (*evaluated) Enabled() bool               { return true }
func (*evaluated) Config() topdown.TraceConfig { return topdown.TraceConfig{} }
func (c *evaluated) TraceEvent(e topdown.Event) {
	if e.Op == topdown.EvalOp {
		c.n++
	}
}

// The steps that the gate computes are no fewer than those that the largest request
// takes.
func TestStepsAreAtLeastWhatTheLargestRequestTakes(t *testing.T) {
	t.Parallel()
	bodies := map[string]string{
		"two loops":      `deny contains "x" if { some a in request.path; some b in request.permissions; a != b; b == "no" }`,
		"a function":     "deny contains \"x\" if { some a in request.path; f(a) }\nf(a) if { some b in request.path; a == b; b == \"no\" }",
		"every":          `deny contains "x" if { some a in request.path; every b in request.permissions { b != "no"; a != "no" }; a == "no" }`,
		"a set":          "deny contains \"x\" if { some a in request.path; s[a]; a == \"no\" }\ns contains a if { some a in request.path; a != \"\" }",
		"comprehensions": `deny contains "x" if { some a in request.path; count([b | some b in request.permissions; b != a]) == 0 }`,
		"pairs":          "deny contains \"x\" if { some a, b in t; some c in request.path; t[a] == count(c); b == 7 }\nt := {x: y | some x in request.path; y := count(x)}",
		"negation":       "deny contains \"x\" if { some a in request.path; not f(a) }\nf(a) if { some b in request.path; b == a; b == \"no\" }",
	}
	for name, tc := range accepted {
		bodies[name] = tc.body
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var steps float64
			compiler := ast.NewCompiler().WithStageAfterID(ast.StageCheckRecursion, ast.CompilerStageDefinition{Name: "t", MetricName: "t", Stage: func(c *ast.Compiler) *ast.Error {
				var faults []Fault
				if steps, faults = measure(packagePath(team), c.Modules[FileRego]); len(faults) > 0 {
					t.Errorf("it is refused: %+v", faults)
				}
				return nil
			}})
			m := ast.MustParseModule(begin + body)
			if compiler.Compile(map[string]*ast.Module{FileRego: m, "request": requestModule()}); compiler.Failed() {
				t.Fatal(compiler.Errors)
			}
			query, err := rego.New(rego.Query("data."+team.Package()), rego.Compiler(compiler)).PrepareForEval(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			largest := newSampler(team, m).extreme(most)
			input, err := ast.InterfaceToValue(largest.fields)
			if err != nil {
				t.Fatal(err)
			}
			var count evaluated
			begun := time.Now()
			if _, err := query.Eval(t.Context(), rego.EvalParsedInput(input), rego.EvalQueryTracer(&count)); err != nil {
				t.Fatal(err)
			}
			t.Logf("%d expressions in %v, %.0f steps", count.n, time.Since(begun), steps)
			const ofOthers = 20 // expressions of the query, and of the request's own module
			if float64(count.n) > steps+ofOthers {
				t.Errorf("%d expressions were evaluated, and %.0f steps expected", count.n, steps)
			}
		})
	}
}
