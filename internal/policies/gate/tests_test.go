package gate

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const goodTests = beginTests + `test_writes_are_denied if "read_only" in layer.deny with request.method as "POST"

test_reads_are_not if count(layer.deny) == 0 with request as {"method": "GET"}

test_methods[m] if {
	some m in ["POST", "PUT"]
	"read_only" in layer.deny with data.mcp.request.method as m
}
`

func TestTheAuthorsTestsRun(t *testing.T) {
	t.Parallel()
	want := Verdict{Tests: []TestResult{
		{Name: "test_writes_are_denied", Line: 6, Passed: true},
		{Name: "test_reads_are_not", Line: 8, Passed: true},
		{Name: "test_methods", Line: 10, Passed: true},
	}}
	if diff := cmp.Diff(want, Check(t.Context(), asked(begin+denyWrites, goodTests))); diff != "" {
		t.Errorf("verdict (-want +got):\n%s", diff)
	}
}

func TestTheClockIsTheTests(t *testing.T) {
	t.Parallel()
	rego := begin + `deny contains "late" if time.clock(time.now_ns())[0] >= 17` + "\n"
	tests := beginTests + `test_late if "late" in layer.deny with time.now_ns as 1767286800000000000

test_early if count(layer.deny) == 0 with time.now_ns as 1767261600000000000
`
	v := Check(t.Context(), asked(rego, tests))
	if len(v.Faults) > 0 || len(v.Tests) != 2 {
		t.Errorf("verdict = %+v", v)
	}
}

// wrongTests are tests beside a module that is fit.
var wrongTests = map[string]struct {
	rego, tests string // denyWrites and its tests where empty
	want        said
}{
	"one that fails": {
		tests: beginTests + "test_a if \"read_only\" in layer.deny with request.method as \"POST\"\n\ntest_b if \"read_only\" in layer.deny with request.method as \"GET\"\n",
		want:  said{file: FileTests, rule: "test_failed", line: 8, message: "test_b failed: not every expression of it holds"},
	},
	"one that is false": {
		tests: beginTests + "test_a := false\n",
		want:  said{file: FileTests, rule: "test_failed", line: 6, message: "test_a"},
	},
	"a case that fails": {
		tests: beginTests + "test_a[m] if {\n\tsome m in [\"POST\", \"GET\"]\n\t\"read_only\" in layer.deny with request.method as m\n}\n",
		want:  said{file: FileTests, rule: "test_failed", line: 6, message: "it fails for GET"},
	},
	"one whose function fails": {
		tests: beginTests + "test_a if time.parse_rfc3339_ns(concat(\"\", [\"x\"])) > 1\n",
		want:  said{file: FileTests, rule: "test_failed", line: 6, message: "parsing time"},
	},
	"one with two values": {
		tests: beginTests + "x := 1 if layer.meta\n\nx := 2 if layer.meta\n\ntest_a if x == 1\n",
		want:  said{file: FileTests, rule: "test_failed", line: 10, message: "conflicting values"},
	},
	"none": {
		tests: beginTests + "check_a if layer.meta\n",
		want:  said{file: FileTests, rule: "no_tests", line: 1, message: "test_"},
	},
	"only some to do": {
		tests: beginTests + "todo_test_a if layer.meta\n",
		want:  said{file: FileTests, rule: "no_tests", line: 1, message: "test_"},
	},
	"in the layer's package": {
		tests: begin + "test_a if true\n",
		want:  said{file: FileTests, rule: "package", line: 1, message: `"customer-success_test"`},
	},
	"that read another layer": {
		tests: "package x_test\n\nimport data.mcp.layers.team.finance\n\ntest_a if finance\n",
		want:  said{file: FileTests, rule: "import", line: 3, message: "finance"},
	},
	"that read the registry": {
		tests: beginTests + "test_a if not data.registry.agents\n",
		want:  said{file: FileTests, rule: "data", line: 6, message: "data.registry"},
	},
	"that read input": {
		tests: beginTests + "test_a if not input.x\n",
		want:  said{file: FileTests, rule: "input", line: 6, message: "input"},
	},
	"that replace a builtin": {
		tests: beginTests + "test_a if layer.meta with count as 1\n",
		want:  said{file: FileTests, rule: "with", line: 6, message: "time.now_ns"},
	},
	"that replace the platform": {
		tests: beginTests + "test_a if layer.meta with data.mcp.authz.allow as true\n",
		want:  said{file: FileTests, rule: "with", line: 6, message: "data.mcp.authz.allow"},
	},
	"that replace the clock by the runtime": {
		tests: beginTests + "test_a if layer.meta with time.now_ns as opa.runtime\n",
		want:  said{file: FileTests, rule: "with", line: 6, message: "by a number"},
	},
	"with a builtin of no layer (E2)": {
		tests: beginTests + "test_a if bits.lsh(1, 20000000000) > 0\n",
		want:  said{file: FileTests, rule: "builtin", line: 6, message: "bits.lsh"},
	},
	"with a builtin of no layer in a head": {
		tests: beginTests + "test_a[bits.lsh(1, 20000000000)] if true\n",
		want:  said{file: FileTests, rule: "builtin", line: 6, message: "bits.lsh"},
	},
	"that do not parse": {
		tests: beginTests + "test_a { true }\n",
		want:  said{file: FileTests, rule: "syntax", line: 6, message: "Rules are Rego v1"},
	},
	"that do not compile": {
		tests: beginTests + "test_a if layer.deny[x] == y\n",
		want:  said{file: FileTests, rule: "compile", line: 6, message: "check its spelling"},
	},
	"that are too much text": {
		tests: beginTests + "# " + string(make([]byte, maxText)),
		want:  said{file: FileTests, rule: "text_too_large", message: "64 KiB"},
	},
	"without a module": {
		rego: "none", tests: goodTests,
		want: said{file: FileTests, rule: "tests_without_rego", line: 1, message: "no module"},
	},
}

func TestTestsThatAreWrongAreRefusedAtTheirPlace(t *testing.T) {
	t.Parallel()
	for name, tc := range wrongTests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rego := begin + denyWrites
			if tc.rego == "none" {
				rego = ""
			}
			v := Check(t.Context(), asked(rego, tc.tests))
			if len(v.Faults) == 0 || !tc.want.isOf(v.Faults[0]) {
				t.Errorf("faults = %+v; want %+v", v.Faults, tc.want)
			}
		})
	}
}

func TestNoModuleHasNoFaults(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(Verdict{}, Check(t.Context(), asked("", ""))); diff != "" {
		t.Errorf("verdict (-want +got):\n%s", diff)
	}
}
