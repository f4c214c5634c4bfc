package gate

import (
	"regexp/syntax"
	"strings"
	"time"
	_ "time/tzdata" // zones are the same on every machine

	"github.com/open-policy-agent/opa/v1/ast"
)

const (
	maxPattern = 256 // bytes
	maxProgram = 500 // instructions that a regular expression becomes
	maxStars   = 2   // of a glob
)

// constants checks the operands that have to be known here: of a pattern that comes
// with the request nobody knows how long it takes, and where one is malformed the
// rule silently does not fire.
func (i *inspector) constants(l *ast.Location, name string, operands []*ast.Term) {
	switch {
	case name == ast.RegexMatch.Name && len(operands) >= 2:
		i.regex(l, operands[0])
	case name == ast.GlobMatch.Name && len(operands) >= 3:
		i.glob(l, operands[0])
		if !isConstant(operands[1]) {
			i.add(l, "pattern", "The delimiters of glob.match are constant, such as [\"/\"] or null.")
		}
	case name == ast.ParseRFC3339Nanos.Name && len(operands) >= 1:
		if s, ok := operands[0].Value.(ast.String); ok {
			if _, err := time.Parse(time.RFC3339, string(s)); err != nil {
				i.add(l, "moment", "%q is no moment of RFC 3339; one is \"2026-01-31T00:00:00Z\".", string(s))
			}
		}
	case name == ast.Clock.Name || name == ast.Date.Name || name == ast.Weekday.Name:
		i.zone(l, name, operands)
	}
}

func (i *inspector) regex(l *ast.Location, t *ast.Term) {
	pattern, ok := t.Value.(ast.String)
	switch {
	case !ok:
		i.add(l, "pattern", "The pattern of regex.match is a constant string: regex.match(`^reports-`, request.resource.name).")
	case len(pattern) > maxPattern:
		i.add(l, "pattern", "The pattern has %d bytes; at most %d are read.", len(pattern), maxPattern)
	default:
		switch n, err := instructions(string(pattern)); {
		case err != nil:
			i.add(l, "pattern", "The pattern is no regular expression of RE2 (%.200v); the rule would never fire.", err)
		case n > maxProgram:
			i.add(l, "pattern", "The pattern repeats too much: it becomes %d instructions, at most %d are run. Check lengths with count.", n, maxProgram)
		}
	}
}

// instructions is how long the program of a regular expression is: each byte of a
// text may meet all of it.
func instructions(pattern string) (int, error) {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0, err
	}
	program, err := syntax.Compile(re.Simplify())
	if err != nil {
		return 0, err
	}
	return len(program.Inst), nil
}

// glob allows plain text and few stars. OPA's globs go back and try again: with
// [ab], {a,b} or many stars a caller's text of 256 bytes holds them up for minutes.
func (i *inspector) glob(l *ast.Location, t *ast.Term) {
	pattern, ok := t.Value.(ast.String)
	switch {
	case !ok:
		i.add(l, "pattern", "The pattern of glob.match is a constant string: glob.match(\"reports-*\", [], request.resource.name).")
	case len(pattern) > maxPattern:
		i.add(l, "pattern", "The pattern has %d bytes; at most %d are read.", len(pattern), maxPattern)
	case strings.ContainsAny(string(pattern), `?[]{}!\`), strings.Count(strings.ReplaceAll(string(pattern), "**", "*"), "*") > maxStars:
		i.add(l, "pattern", "Globs in layers have plain text and at most %d stars: others take some requests minutes. Use regex.match with a constant pattern.", maxStars)
	}
}

// zone checks the time zone that is written beside a moment: time.clock([ns, zone]).
func (i *inspector) zone(l *ast.Location, name string, operands []*ast.Term) {
	if len(operands) == 0 {
		return
	}
	pair, ok := operands[0].Value.(*ast.Array)
	if !ok || pair.Len() < 2 {
		return
	}
	zone, ok := pair.Elem(1).Value.(ast.String)
	if !ok {
		i.add(l, "timezone", "The time zone of %s is a constant, such as \"Europe/Berlin\".", name)
		return
	}
	if _, err := time.LoadLocation(string(zone)); err != nil || zone == "Local" {
		i.add(l, "timezone", "There is no time zone %q; the rule would never fire. Zones have IANA names, such as \"Europe/Berlin\" or \"UTC\".", string(zone))
	}
}
