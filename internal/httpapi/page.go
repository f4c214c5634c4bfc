package httpapi

import (
	"encoding/base64"
	"encoding/json"

	"github.com/credenceproject/credence/internal/registry"
)

const (
	defaultLimit = 50
	maxLimit     = 200
)

// pageLimit is how many items a list answers.
func pageLimit(asked *int) (int, error) {
	if asked == nil {
		return defaultLimit, nil
	}
	if *asked < 1 || *asked > maxLimit {
		return 0, registry.Invalid.Errorf("invalid_parameter", "limit must be between 1 and %d", maxLimit)
	}
	return *asked, nil
}

// pageAsked is which page a list by name is asked for: after which name, and how
// many items.
func pageAsked(c *string, limit *int) (after string, n int, err error) {
	if n, err = pageLimit(limit); err != nil {
		return "", 0, err
	}
	last, err := readCursor(c)
	return last.Name, n, err
}

// nextPage is the cursor of the page that begins after a name; none without one.
func nextPage(after string) *string {
	if after == "" {
		return nil
	}
	return cursor(position{Name: after})
}

// each converts the items of a page. The result is not nil: no items are [].
func each[T, W any](items []T, convert func(T) W) []W {
	out := make([]W, len(items))
	for i, item := range items {
		out[i] = convert(item)
	}
	return out
}

// position is what a cursor holds: the last item of the page before.
type position struct {
	Name string `json:"n"`
	ID   string `json:"i,omitempty"`
}

// cursor makes an opaque cursor of p.
func cursor(p position) *string { return opaque(p) }

// readCursor reads what cursor made; none is the first page.
func readCursor(c *string) (position, error) {
	var p position
	if c == nil || *c == "" {
		return p, nil
	}
	if !readOpaque(*c, &p) || !registry.ValidName(p.Name) || (p.ID != "" && !registry.IsUUID(p.ID)) {
		return position{}, invalidCursor()
	}
	return p, nil
}

// number is what the cursor of a numbered list holds.
type number struct {
	Last int64 `json:"l"`
}

// numberCursor makes an opaque cursor of the last number of a page.
func numberCursor(last int64) *string { return opaque(number{last}) }

// readNumberCursor reads what numberCursor made; none is 0.
func readNumberCursor(c *string) (int64, error) {
	if c == nil || *c == "" {
		return 0, nil
	}
	var n number
	if !readOpaque(*c, &n) || n.Last <= 0 {
		return 0, invalidCursor()
	}
	return n.Last, nil
}

func opaque(v any) *string {
	b, err := json.Marshal(v)
	if err != nil {
		return nil // strings and numbers always encode
	}
	s := base64.RawURLEncoding.EncodeToString(b)
	return &s
}

func readOpaque(cursor string, v any) bool {
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	return err == nil && json.Unmarshal(b, v) == nil
}

func invalidCursor() error {
	return registry.Invalid.Errorf("invalid_cursor", "the cursor is not one that this API gave; begin at the first page")
}

// deref returns what p points at, or the zero value.
func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
