package apiclient

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/registry"
)

// ResourceFilter chooses resources. An empty field does not choose.
type ResourceFilter struct {
	Type, Team  string
	Environment string // one that it is deployed in
	Operation   string // the name of one
	Q           string // text in name or description
	PageSize    int    // resources per request, at most 200; 0 is the server's default
}

func (f ResourceFilter) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{
		"type": f.Type, "team": f.Team, "environment": f.Environment, "operation": f.Operation, "q": f.Q,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if f.PageSize > 0 {
		q.Set("limit", strconv.Itoa(f.PageSize))
	}
	return q
}

// PutResource creates the resource of that name as a JSON document describes it,
// or replaces the one that is there (CONTRACT "Resources"). It may be repeated, and
// is while the server says so.
func (c *Client) PutResource(ctx context.Context, name string, document []byte) (api.Resource, error) {
	raw, err := c.PutResourceJSON(ctx, name, document)
	if err != nil {
		return api.Resource{}, err
	}
	return decode[api.Resource](raw)
}

// PutResourceJSON is PutResource with the server's own document.
func (c *Client) PutResourceJSON(ctx context.Context, name string, document []byte) (json.RawMessage, error) {
	if !registry.ValidName(name) {
		return nil, registry.Invalid.Errorf("invalid_name", "no resource can have the name %q", name)
	}
	answer, err := c.do(ctx, request{method: http.MethodPut, path: []string{"resources", name}, body: document, want: okOrCreated, repeat: true})
	return answer.Document, err
}

// Resource returns the resource of that name, or NotFound.
func (c *Client) Resource(ctx context.Context, name string) (api.Resource, error) {
	raw, err := c.ResourceJSON(ctx, name)
	if err != nil {
		return api.Resource{}, err
	}
	return decode[api.Resource](raw)
}

// ResourceJSON is Resource with the server's own document.
func (c *Client) ResourceJSON(ctx context.Context, name string) (json.RawMessage, error) {
	if err := checkResource(name); err != nil {
		return nil, err
	}
	answer, err := c.do(ctx, request{method: http.MethodGet, path: []string{"resources", name}, want: ok, repeat: true})
	return answer.Document, err
}

// DeleteResource deletes the resource of that name. It is sent once: a repetition
// could hit the name's next holder.
func (c *Client) DeleteResource(ctx context.Context, name string) error {
	if err := checkResource(name); err != nil {
		return err
	}
	_, err := c.do(ctx, request{method: http.MethodDelete, path: []string{"resources", name}, want: noContent})
	return err
}

// Resources returns the resources that f chooses, by name, reading page after page
// as they are asked for. After an error it ends.
func (c *Client) Resources(ctx context.Context, f ResourceFilter) iter.Seq2[api.Resource, error] {
	return decoded[api.Resource](c.ResourcesJSON(ctx, f))
}

// ResourcesJSON is Resources with the server's own documents.
func (c *Client) ResourcesJSON(ctx context.Context, f ResourceFilter) iter.Seq2[json.RawMessage, error] {
	return c.items(ctx, []string{"resources"}, f.query())
}

// checkResource refuses what can be no name, before it becomes part of a path.
func checkResource(name string) error {
	if registry.ValidName(name) {
		return nil
	}
	return registry.NotFound.Errorf("not_found", "no resource can have the name %q", name)
}
