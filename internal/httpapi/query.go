package httpapi

import (
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// checkQuery returns Malformed unless the query has these parameters only, each
// once at most and readable: a filter that is misspelt must not list everything.
func checkQuery(raw string, known []parameter) error {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return registry.Malformed.Wrap(err, codeParameter, "the query cannot be read: expected name=value pairs, percent-encoded")
	}
	for name, values := range query {
		i := slices.IndexFunc(known, func(p parameter) bool { return p.name == name })
		switch {
		case i < 0:
			return registry.Malformed.Errorf(codeParameter, "there is no parameter %q here; this takes %q", name, namesOf(known))
		case len(values) > 1:
			return registry.Malformed.Errorf(codeParameter, "the parameter %s is given %d times; it may be given once", name, len(values))
		}
		if !isOfKind(values[0], known[i].kind) {
			return registry.Malformed.Errorf(codeParameter, "the parameter %s must be of type %s", name, known[i].kind)
		}
	}
	return nil
}

func namesOf(parameters []parameter) []string {
	names := make([]string, len(parameters))
	for i, p := range parameters {
		names[i] = p.name
	}
	return names
}

func isOfKind(value, kind string) bool {
	switch kind {
	case "integer":
		_, err := strconv.Atoi(value)
		return err == nil
	case "boolean":
		return value == "true" || value == "false"
	default:
		return true
	}
}

// timeParameter reads a parameter that is a time of RFC 3339; the zero time is none.
func timeParameter(name string, value *string) (time.Time, error) {
	if value == nil {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, *value)
	if err != nil {
		return time.Time{}, registry.Invalid.Wrap(err, codeParameter, name+" must be a time as in RFC 3339, such as 2026-03-01T12:00:00Z")
	}
	return at, nil
}
