package httpapi

import (
	"net/url"
	"slices"
	"strconv"

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
		if _, err := strconv.Atoi(values[0]); known[i].number && err != nil {
			return registry.Malformed.Errorf(codeParameter, "the parameter %s must be an integer", name)
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
