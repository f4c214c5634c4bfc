package emulator

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

const (
	defaultPerPage = 50
	maxPerPage     = 100
)

// listQuery is what a list asks for. Auth0 refuses parameters that an endpoint
// does not know, and so does this.
type listQuery struct {
	values        url.Values
	page, perPage int
	includeTotals bool
	fields        []string
	exclude       bool // fields are left out, not picked
}

func invalidQuery(format string, args ...any) *apiError {
	return apiErrorf(http.StatusBadRequest, "invalid_query_string", "Query validation error: "+format+".", args...)
}

// parseListQuery reads paging, fields and the endpoint's own filters.
func parseListQuery(r *http.Request, filters ...string) (listQuery, error) {
	allowed := append([]string{"page", "per_page", "include_totals", "fields", "include_fields"}, filters...)
	return parseQuery(r, allowed)
}

// parseFieldsQuery reads the parameters of a GET of one object.
func parseFieldsQuery(r *http.Request) (listQuery, error) {
	return parseQuery(r, []string{"fields", "include_fields"})
}

func parseQuery(r *http.Request, allowed []string) (listQuery, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return listQuery{}, invalidQuery("'the query string is malformed'")
	}
	for name := range values {
		if !slices.Contains(allowed, name) {
			return listQuery{}, invalidQuery("'Additional properties not allowed: %s'", name)
		}
	}
	q := listQuery{values: values, fields: splitList(values.Get("fields"))}
	include := true
	for _, f := range []struct {
		name string
		read func(string) string
	}{
		{"page", intInto(&q.page, 0, 1<<20, 0)},
		{"per_page", intInto(&q.perPage, 0, maxPerPage, defaultPerPage)},
		{"include_totals", boolInto(&q.includeTotals, false)},
		{"include_fields", boolInto(&include, true)},
	} {
		if fault := f.read(values.Get(f.name)); fault != "" {
			return listQuery{}, invalidQuery("'%s' on property %s", fault, f.name)
		}
	}
	q.exclude = !include
	return q, nil
}

// intInto and boolInto read one parameter and return what is wrong with it, or
// "".
func intInto(into *int, low, high, otherwise int) func(string) string {
	return func(s string) string {
		if s == "" {
			*into = otherwise
			return ""
		}
		n, err := strconv.Atoi(s)
		if err != nil || n < low || n > high {
			return fmt.Sprintf("Expected an integer from %d to %d", low, high)
		}
		*into = n
		return ""
	}
}

func boolInto(into *bool, otherwise bool) func(string) string {
	return func(s string) string {
		switch s {
		case "":
			*into = otherwise
		case "true", "false":
			*into = s == "true"
		default:
			return "Expected type boolean"
		}
		return ""
	}
}

// accepts reports whether a filter is absent or lists value.
func (q listQuery) accepts(filter, value string) bool {
	wanted := splitList(q.values.Get(filter))
	return len(wanted) == 0 || slices.Contains(wanted, value)
}

// is reports whether a filter is absent or equals value, which may contain
// commas.
func (q listQuery) is(filter, value string) bool {
	return !q.values.Has(filter) || q.values.Get(filter) == value
}

// project keeps the fields that were asked for.
func (q listQuery) project(doc document) document {
	if len(q.fields) == 0 {
		return doc
	}
	picked := document{}
	for name, v := range doc {
		if slices.Contains(q.fields, name) != q.exclude {
			picked[name] = v
		}
	}
	return picked
}

// window returns the bounds of the page in a list of total elements.
func (q listQuery) window(total int) (from, to int) {
	from = min(q.page*q.perPage, total)
	return from, min(from+q.perPage, total)
}

// listReply answers with one page: a bare array, or with include_totals an
// object that also counts.
func listReply[V any](q listQuery, name string, found []V, show func(V) document) reply {
	from, to := q.window(len(found))
	page := make([]document, 0, to-from)
	for _, v := range found[from:to] {
		page = append(page, q.project(show(v)))
	}
	if !q.includeTotals {
		return reply{http.StatusOK, page}
	}
	return reply{http.StatusOK, document{
		name: page, "total": len(found), "start": q.page * q.perPage, "limit": q.perPage,
	}}
}
