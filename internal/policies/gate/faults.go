package gate

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/credenceproject/credence/internal/registry"
)

const (
	maxFaults  = 20  // more help nobody
	maxMessage = 600 // bytes
)

// at returns a fault at a place in the text. OPA's own places carry the file.
func at(l *ast.Location, rule, format string, args ...any) Fault {
	f := Fault{File: FileRego, Rule: rule, Message: fmt.Sprintf(format, args...)}
	if l != nil {
		f.Line, f.Column = l.Row, l.Col
		if l.File == FileTests {
			f.File = FileTests
		}
	}
	return f
}

// listed sorts faults by place, without those that say the same twice.
func listed(faults []Fault) []Fault {
	slices.SortStableFunc(faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	faults = slices.CompactFunc(faults, func(a, b Fault) bool {
		return a.File == b.File && a.Line == b.Line && a.Rule == b.Rule && a.Message == b.Message
	})
	faults = faults[:min(len(faults), maxFaults)]
	for i := range faults {
		faults[i].Message = shorten(faults[i].Message)
	}
	return faults
}

func shorten(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	return strings.ToValidUTF8(message[:maxMessage], "") + "…"
}

// astFaults are what OPA's parser or compiler says, in its own words.
func astFaults(file, rule string, err error) []Fault {
	list, ok := errors.AsType[ast.Errors](err)
	if !ok {
		one, isOne := errors.AsType[*ast.Error](err)
		if !isOne {
			one = &ast.Error{Message: err.Error()}
		}
		list = ast.Errors{one}
	}
	faults := make([]Fault, 0, len(list))
	for _, e := range list {
		if e.Location == nil && len(list) > 1 {
			continue // that there are more
		}
		f := at(e.Location, rule, "%s", explained(e))
		f.File = file
		if e.Location != nil && (e.Location.File == FileRego || e.Location.File == FileTests) {
			f.File = e.Location.File
		}
		faults = append(faults, f)
	}
	return faults
}

// advice is what to do about errors of OPA that newcomers meet, by a part of their
// text.
var advice = []struct{ part, text string }{
	{"`if` keyword is required", "Rules are Rego v1: write deny contains \"code\" if { … }."},
	{"`contains` keyword is required", "Rules are Rego v1: write deny contains \"code\" if { … }."},
	{"is unsafe", "A variable needs a value: check its spelling, or bind it with := or `some x in …`. Each rule and each `not` must be able to find its values."},
	{"undefined function", "Check its spelling; functions come from this module or from OPA's builtins that layers may use."},
	{"rego_recursion_error", "Rules cannot depend on themselves."},
	{"template strings are not supported", "Reasons are constant codes such as \"read_only\"; for a few of them, join words with concat."},
	{"empty module", "A layer begins with its package, such as: package mcp.layers.team[\"customer-success\"]."},
	{"illegal token", "Strings are in double quotes, or in backquotes where nothing is escaped."},
}

func explained(e *ast.Error) string {
	text := sentence(e.Message)
	for _, a := range advice {
		if strings.Contains(e.Message, a.part) || e.Code == a.part {
			return text + " " + a.text
		}
	}
	return text
}

// sentence makes a message of OPA's one.
func sentence(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if s == "" {
		return "OPA does not accept it."
	}
	s = "OPA says: " + s
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

// location is the place of an error of an evaluation, if it has one.
func location(err error) *ast.Location {
	if e, ok := errors.AsType[*topdown.Error](err); ok {
		return e.Location
	}
	return nil
}

// spoken is what an evaluation says, without codes and places.
func spoken(err error) string {
	if e, ok := errors.AsType[*topdown.Error](err); ok {
		return sentence(e.Message)
	}
	return sentence(err.Error())
}

// refusal is the error that says what is wrong with a module.
func refusal(faults []Fault) error {
	fields := make([]registry.FieldError, 0, len(faults))
	for _, f := range faults {
		fields = append(fields, registry.FieldError{
			Pointer: "/" + f.File, Code: f.Rule, Detail: fmt.Sprintf("line %d: %s", f.Line, f.Message),
		})
	}
	return registry.Invalid.Errorf("rego_invalid", "the layer's Rego is not accepted: %s", faults[0].Message).With(fields...)
}

// isConflict reports whether an evaluation stopped because a rule had two values.
func isConflict(err error) bool {
	e, ok := errors.AsType[*topdown.Error](err)
	return ok && e.Code == topdown.ConflictErr
}
