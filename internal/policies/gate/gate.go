// Package gate decides whether a layer's own Rego may go into bundles.
//
// What passes is evaluated by every OPA, for every call, beside the rules of
// everybody else. So the gate asks more than that the module compiles: that it
// reads the request and nothing else, that no request makes it slow or large, that
// no helper of it can abort a decision, and that its author's tests pass
// (invariants E2, E3, A4 and B6).
//
// Check runs in this process and is for those who trust the module: its author's
// own machine. A server uses a Runner, which runs Main in a child process with
// limits on time and memory.
package gate

import (
	"context"
	"fmt"

	"github.com/credenceproject/credence/internal/registry"
)

// Request is one layer's Rego, and what it would stand beside.
type Request struct {
	Layer    registry.LayerKey
	Rego     string            // the layer's module, or "" for none
	Tests    string            // its author's tests, or "" for none
	Platform map[string]string // the active platform policy, by path
	Others   map[string]string // the modules of the other layers in force, by path
}

// The files that a Fault can be in.
const (
	FileRego  = "rego"
	FileTests = "tests"
)

// Fault is one reason to refuse a module.
type Fault struct {
	File    string // FileRego or FileTests
	Line    int    // from 1; 0 is the whole file
	Column  int    // from 1, or 0
	Rule    string // the check that failed: stable, snake_case
	Message string // what is wrong, and what to write instead
}

// TestResult is what became of one of the author's tests.
type TestResult struct {
	Name    string // of the rule, test_…
	Line    int
	Passed  bool
	Message string // why it did not pass
}

// Verdict is what the gate says of a Request.
type Verdict struct {
	Faults         []Fault      // in the order of the text; none: the module may go into bundles
	DeniesEveryone bool         // no sample request was left undenied: ask whether that is meant
	Tests          []TestResult // in the order of the text
	ReadsClock     bool         // what it says may change while nothing else does
}

// checker is the gate. Its zero value is the one that everybody uses.
type checker struct {
	// open switches the checks of the text off, so that tests can show that the
	// limits of the child hold without them.
	open bool
}

// Check returns what the gate says of r, in this process: nothing bounds the memory
// that a hostile module takes. It is safe for concurrent use.
//
// When ctx ends early, the module counts as too expensive: it was not seen to end.
func Check(ctx context.Context, r Request) Verdict {
	return checker{}.check(ctx, r, func() {})
}

// check calls others when it is done with the module itself: what takes long from
// then on is not its author's fault.
func (c checker) check(ctx context.Context, r Request, others func()) Verdict {
	if r.Rego == "" {
		return withoutModule(r)
	}
	l, faults := c.compile(r.Layer, r.Rego)
	tests, more := c.parseTests(r)
	if faults = append(faults, more...); len(faults) > 0 {
		return Verdict{Faults: listed(faults)}
	}
	v := Verdict{ReadsClock: l.readsClock}
	v.DeniesEveryone, faults = l.try(ctx)
	v.Tests, more = l.test(ctx, tests)
	if v.Faults = listed(append(faults, more...)); len(v.Faults) > 0 {
		return v
	}
	others()
	v.Faults = listed(l.beside(r.Platform, r.Others))
	return v
}

func withoutModule(r Request) Verdict {
	if r.Tests == "" {
		return Verdict{}
	}
	return Verdict{Faults: []Fault{{
		File: FileTests, Line: 1, Column: 1, Rule: "tests_without_rego",
		Message: "There are tests but no module that they could test. Rules given as data need no Rego; remove the tests, or add the module.",
	}}}
}

// contain makes a panic of f a fault: a module stops no server.
func contain(file string, f func() []Fault) (faults []Fault) {
	defer func() {
		if r := recover(); r != nil {
			faults = []Fault{{File: file, Rule: "unsupported", Message: fmt.Sprintf(
				"OPA itself failed on this module (%.100v). Simplify it; halving it finds the place.", r)}}
		}
	}()
	return f()
}
