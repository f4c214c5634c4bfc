package apiclient

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/credenceproject/credence/api"
)

// Access returns what policy says when the agent, by name or id, makes the call.
// An empty path is the resource's root. It returns NotFound when there is no such
// agent; that there is no such resource is a decision.
func (c *Client) Access(ctx context.Context, agent, method, resource, path string) (api.Decision, error) {
	raw, err := c.AccessJSON(ctx, agent, method, resource, path)
	if err != nil {
		return api.Decision{}, err
	}
	return decode[api.Decision](raw)
}

// AccessJSON is Access with the server's own document.
func (c *Client) AccessJSON(ctx context.Context, agent, method, resource, path string) (json.RawMessage, error) {
	q := url.Values{"resource": {resource}, "method": {method}}
	if path != "" {
		q.Set("path", path)
	}
	return c.do(ctx, request{method: http.MethodGet, path: []string{"agents", agent, "access"}, query: q, want: http.StatusOK, repeat: true})
}
