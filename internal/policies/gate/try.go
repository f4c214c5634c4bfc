package gate

import (
	"context"
	"fmt"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// tryTime bounds the evaluation of one sample request. It takes about a millisecond
// on a machine that does nothing else, but nobody's module is refused for a busy one:
// what is slow by itself was refused before.
const tryTime = 5 * time.Second

// try asks the module about sample requests. What it says there of a code, an
// operand or a conflict, it would say while a call is decided.
func (l *layer) try(ctx context.Context) (deniesEveryone bool, faults []Fault) {
	deniesEveryone = true
	faults = contain(FileRego, func() []Fault {
		query, err := l.query(ctx)
		if err != nil {
			return astFaults(FileRego, "compile", err)
		}
		for _, s := range newSampler(l.key, l.module).samples() {
			denied, fault := l.ask(ctx, query, s)
			if fault != nil {
				return []Fault{*fault}
			}
			deniesEveryone = deniesEveryone && (denied || !s.known)
		}
		return nil
	})
	return deniesEveryone && len(faults) == 0, faults
}

func (l *layer) query(ctx context.Context) (rego.PreparedEvalQuery, error) {
	own := packagePath(l.key)
	q := fmt.Sprintf("deny := [x | some x in %[1]v.deny]; allow := [x | some x in %[1]v.allow]; meta := %[1]v.meta", own)
	return rego.New(rego.Query(q), rego.Compiler(l.compiler), rego.StrictBuiltinErrors(true)).PrepareForEval(ctx)
}

// ask returns whether the module denies s.
func (l *layer) ask(ctx context.Context, query rego.PreparedEvalQuery, s sample) (denied bool, _ *Fault) {
	input, err := ast.InterfaceToValue(s.fields)
	if err != nil {
		return false, nil // samples are ours
	}
	bounded, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	results, err := query.Eval(bounded, rego.EvalParsedInput(input), rego.EvalTime(s.at))
	if err != nil {
		f := failure(bounded, err, s)
		return false, &f
	}
	for _, result := range results {
		deny, _ := result.Bindings["deny"].([]any)
		allow, _ := result.Bindings["allow"].([]any)
		for _, code := range append(deny, allow...) {
			if text, ok := code.(string); !ok || !codePattern.MatchString(text) {
				f := at(l.module.Package.Location, "code", "For %s a reason is %.80q; reasons are codes of small letters, digits and underscores, at most 64 of them. Write constant ones.", s, fmt.Sprint(code))
				return false, &f
			}
		}
		denied = denied || len(deny) > 0
	}
	return denied, nil
}

// failure is what is wrong with a module that cannot be evaluated.
func failure(ctx context.Context, err error, s sample) Fault {
	l := location(err)
	switch {
	case ctx.Err() != nil || topdown.IsCancel(err):
		return at(l, "too_expensive", "For %s the module did not come to an end in %v. Go through fewer collections within each other.", s, tryTime)
	case topdown.IsError(err) && isConflict(err):
		return at(l, "several_values", "For %s a rule has several values, which stops every decision. Gather them in a set, or give one rule with else branches.", s)
	default:
		return at(l, "builtin_error", "For %s %.200s In a decision the rule would not fire, without a word: check first that the value is what the function takes.", s, spoken(err))
	}
}

// String says of a request what people tell requests apart by.
func (s sample) String() string {
	method, _ := s.fields["method"].(string)
	resource, ok := s.fields["resource"].(map[string]any)
	if !ok {
		return "a request for an unknown resource"
	}
	return fmt.Sprintf("a request such as %.10q of %.40q at %s", method, resource["name"], s.at.Format("Mon 15:04"))
}
