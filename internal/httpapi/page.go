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
func cursor(p position) *string {
	b, err := json.Marshal(p)
	if err != nil {
		return nil // two strings always encode
	}
	s := base64.RawURLEncoding.EncodeToString(b)
	return &s
}

// readCursor reads what cursor made; none is the first page.
func readCursor(c *string) (position, error) {
	var p position
	if c == nil || *c == "" {
		return p, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(*c)
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err != nil || !registry.ValidName(p.Name) || (p.ID != "" && !registry.IsUUID(p.ID)) {
		return position{}, registry.Invalid.Errorf("invalid_cursor", "the cursor is not one that this API gave; begin at the first page")
	}
	return p, nil
}

// deref returns what p points at, or the zero value.
func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
