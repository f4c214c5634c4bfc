package apiclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"net/url"
)

// page is one page of a list.
type page struct {
	Items      []json.RawMessage `json:"items"`
	NextCursor string            `json:"next_cursor"`
}

// items yields the items of the list at path, reading page after page as they are
// asked for. After an error it ends.
func (c *Client) items(ctx context.Context, path []string, query url.Values) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		query := maps.Clone(query) // each range begins at the first page
		if query == nil {
			query = url.Values{}
		}
		for {
			page, err := c.page(ctx, path, query)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, raw := range page.Items {
				if !yield(raw, nil) {
					return
				}
			}
			if page.NextCursor == "" {
				return
			}
			if page.NextCursor == query.Get("cursor") {
				yield(nil, errors.New("the server's list does not go on: the next page is the same one"))
				return
			}
			query.Set("cursor", page.NextCursor)
		}
	}
}

func (c *Client) page(ctx context.Context, path []string, query url.Values) (page, error) {
	answer, err := c.do(ctx, request{method: http.MethodGet, path: path, query: query, want: ok, repeat: true})
	if err != nil {
		return page{}, err
	}
	return decode[page](answer.Document)
}

// decoded decodes items. After an error it ends.
func decoded[T any](items iter.Seq2[json.RawMessage, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for raw, err := range items {
			var v T
			if err == nil {
				v, err = decode[T](raw)
			}
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}

func decode[T any](raw json.RawMessage) (T, error) {
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		return v, fmt.Errorf("read the server's answer: %w", err)
	}
	return v, nil
}
