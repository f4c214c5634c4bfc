package httpapi

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
)

func TestParseTags(t *testing.T) {
	t.Parallel()
	list := func(tags ...string) *registry.Tags { return &registry.Tags{List: tags} }
	anyState := &registry.Tags{Any: true}
	for _, tc := range []struct {
		name, field  string
		strong, weak *registry.Tags // of If-Match and of If-None-Match; nil: malformed
	}{
		{"star", `*`, anyState, anyState},
		{"star with blanks", " *\t", anyState, anyState},
		{"one", `"a.1"`, list("a.1"), list("a.1")},
		{"one with blanks", ` "a.1" `, list("a.1"), list("a.1")},
		{"two", `"a", "b"`, list("a", "b"), list("a", "b")},
		{"two without a blank", `"a","b"`, list("a", "b"), list("a", "b")},
		{"two with a blank before the comma", `"a" , "b"`, list("a", "b"), list("a", "b")},
		{"the same twice", `"a","a"`, list("a", "a"), list("a", "a")},
		{"weak", `W/"a"`, list(), list("a")},
		{"weak and strong", `W/"a", "b"`, list("b"), list("a", "b")},
		{"empty tag", `""`, list(""), list("")},
		{"a comma in a tag", `"a,b"`, list("a,b"), list("a,b")},
		{"a star as a tag", `"*"`, list("*"), list("*")},
		{"a backslash is no escape", `"a\", "b"`, list(`a\`, "b"), list(`a\`, "b")},
		{"empty members (RFC 9110, section 5.6.1)", `, "a",, "b",`, list("a", "b"), list("a", "b")},
		{"nothing", ``, list(), list()},
		{"only commas", ` , ,`, list(), list()},

		{"no quotes", `a`, nil, nil},
		{"no quotes around one of two", `"a", b`, nil, nil},
		{"no end", `"a`, nil, nil},
		{"no end of the second", `"a", "b`, nil, nil},
		{"one quote", `"`, nil, nil},
		{"no comma between", `"a" "b"`, nil, nil},
		{"nothing between", `"a""b"`, nil, nil},
		{"something after", `"a"x`, nil, nil},
		{"star in a list", `*, "a"`, nil, nil},
		{"star behind a list", `"a", *`, nil, nil},
		{"two stars", `**`, nil, nil},
		{"small w", `w/"a"`, nil, nil},
		{"a blank behind W/", `W/ "a"`, nil, nil},
		{"W/ alone", `W/`, nil, nil},
		{"twice weak", `W/W/"a"`, nil, nil},
		{"single quotes", `'a'`, nil, nil},
		{"typographic quotes", "\u201ca\u201d", nil, nil},
		{"NUL", "\x00", nil, nil},
		{"10 kB without a quote", strings.Repeat("a", 10_000), nil, nil},
		{"10 kB without an end", `"` + strings.Repeat("a", 10_000), nil, nil},
	} {
		for strong, want := range map[bool]*registry.Tags{true: tc.strong, false: tc.weak} {
			got, err := parseTags("If-Match", &tc.field, strong)
			if want == nil {
				if !errors.Is(err, registry.Malformed) || got != nil {
					t.Errorf("%s, strong %t: %v, %v; want it refused", tc.name, strong, got, err)
				}
				continue
			}
			if diff := cmp.Diff(want, got, equateEmpty); diff != "" || err != nil {
				t.Errorf("%s, strong %t: %v (-want +got):\n%s", tc.name, strong, err, diff)
			}
		}
	}
}

// equateEmpty holds an empty list for no list.
var equateEmpty = cmp.Transformer("list", func(s []string) string { return strings.Join(s, "\n") })

func TestALongListOfTagsIsReadToItsEnd(t *testing.T) {
	t.Parallel()
	field := strings.Repeat(`"aaaaaaaa",`, 1000) + `W/"the-last"`
	got, err := parseTags("If-None-Match", &field, false)
	if err != nil || len(got.List) != 1001 || !got.Has("the-last") || got.Has("aaaaaaa") {
		t.Errorf("%d tags, %v; want 1001 with the last among them", len(got.List), err)
	}
}

func TestAnAbsentFieldIsNoCondition(t *testing.T) {
	t.Parallel()
	pre, err := precondition(nil, nil)
	if diff := cmp.Diff(registry.Precondition{}, pre); diff != "" || err != nil {
		t.Errorf("precondition() = %v (-want +got):\n%s", err, diff)
	}
	if unchanged, err := notModified(nil, "a"); unchanged || err != nil {
		t.Errorf("notModified() = %t, %v", unchanged, err)
	}
}

// What an answer carries is understood when it comes back, in either field.
func TestATagComesBackAsItWasSent(t *testing.T) {
	t.Parallel()
	for _, tag := range []string{
		registry.Agent{ID: "0197c0de-0000-7000-8000-000000000001", Version: 7}.Tag(),
		registry.Team{Name: "customer-success", Meta: registry.Meta{Revision: 42, Version: 1}}.Tag(),
	} {
		pre, err := precondition(etag(tag), etag(tag))
		if err != nil || !pre.IfMatch.Has(tag) || !pre.IfNoneMatch.Has(tag) {
			t.Errorf("%s is not in what was read from it: %+v, %v", tag, pre, err)
		}
	}
}

func FuzzParseTags(f *testing.F) {
	for _, seed := range []string{`*`, `"a"`, `W/"a", "b"`, `,,`, `"a" "b"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, field string) {
		strong, strongErr := parseTags("If-Match", &field, true)
		weak, weakErr := parseTags("If-None-Match", &field, false)
		if (strongErr == nil) != (weakErr == nil) {
			t.Fatalf("one comparison reads %q, the other does not: %v, %v", field, strongErr, weakErr)
		}
		if strongErr != nil {
			return
		}
		for _, tag := range strong.List {
			if !weak.Has(tag) || strings.Contains(tag, `"`) {
				t.Errorf("%q has the strong tag %q", field, tag)
			}
		}
	})
}
