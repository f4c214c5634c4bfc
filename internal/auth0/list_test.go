package auth0

import (
	"errors"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadListIsWholeOrFails(t *testing.T) {
	t.Parallel()
	type page struct {
		items string // one byte each
		total int
	}
	for name, row := range map[string]struct {
		pages []page // in the order in which they are asked for
		want  string // "" is errIncomplete
	}{
		"one page":                           {[]page{{"ab", 2}}, "ab"},
		"three pages":                        {[]page{{"abc", 7}, {"def", 7}, {"g", 7}}, "abcdefg"},
		"a last page that is full":           {[]page{{"abc", 6}, {"def", 6}}, "abcdef"},
		"a page cut short":                   {[]page{{"ab", 7}}, ""},
		"a last page cut short":              {[]page{{"abc", 5}, {"d", 5}}, ""},
		"an empty page in between":           {[]page{{"abc", 7}, {"", 7}}, ""},
		"a page that is too long":            {[]page{{"abcd", 4}}, ""},
		"items without a total":              {[]page{{"ab", 0}}, ""},
		"a negative total":                   {[]page{{"", -1}}, ""},
		"growing at the end":                 {[]page{{"abc", 4}, {"de", 5}}, "abcde"},
		"growing in front":                   {[]page{{"abc", 4}, {"cd", 5}}, "abcd"},
		"shrinking once":                     {[]page{{"abc", 5}, {"e", 4}, {"bcd", 4}, {"e", 4}}, "bcde"},
		"shrinking without end":              {[]page{{"abc", 7}, {"", 6}, {"abc", 6}, {"", 5}, {"abc", 5}, {"", 4}}, ""},
		"shrinking below the page asked for": {[]page{{"abc", 4}, {"", 3}, {"abc", 3}}, "abc"},
	} {
		asked := 0
		items, err := readList(3, func(s string) string { return s }, func(int) ([]string, int, error) {
			if asked == len(row.pages) {
				t.Fatalf("%s: asked for more than %d pages", name, asked)
			}
			p := row.pages[asked]
			asked++
			var items []string
			for _, b := range p.items {
				items = append(items, string(b))
			}
			return items, p.total, nil
		})
		got := ""
		for _, item := range items {
			got += item
		}
		if diff := cmp.Diff(row.want, got); diff != "" || (row.want == "") != errors.Is(err, errIncomplete) {
			t.Errorf("%s: %q, %v; want %q", name, got, err, row.want)
		}
		if asked != len(row.pages) {
			t.Errorf("%s: asked for %d of %d pages", name, asked, len(row.pages))
		}
	}
}

func TestReadListAsksForPagesInOrder(t *testing.T) {
	t.Parallel()
	var asked []int
	items, err := readList(2, func(s string) string { return s }, func(page int) ([]string, int, error) {
		asked = append(asked, page)
		return []string{strconv.Itoa(2 * page), strconv.Itoa(2*page + 1)}, 6, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{0, 1, 2}, asked); diff != "" || len(items) != 6 {
		t.Errorf("pages -want +got:\n%s%v", diff, items)
	}
}

func TestReadListOfNothingIsEmpty(t *testing.T) {
	t.Parallel()
	items, err := readList(2, func(s string) string { return s }, func(int) ([]string, int, error) { return nil, 0, nil })
	if err != nil || len(items) != 0 {
		t.Errorf("%v, %v", items, err)
	}
}
