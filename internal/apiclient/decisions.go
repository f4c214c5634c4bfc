package apiclient

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// AccessJSON returns what policy says when the agent, by name or id, makes the
// call, as the server's own document (api.Decision), and how long ago the server
// last saw that it decides on the newest state; 0 where it does not say. An empty
// path is the resource's root. It returns NotFound when there is no such agent;
// that there is no such resource is a decision.
func (c *Client) AccessJSON(ctx context.Context, agent, method, resource, path string) (document json.RawMessage, age time.Duration, err error) {
	q := url.Values{"resource": {resource}, "method": {method}}
	if path != "" {
		q.Set("path", path)
	}
	answer, err := c.do(ctx, request{method: http.MethodGet, path: []string{"agents", agent, "access"}, query: q, want: ok, repeat: true})
	return answer.Document, answer.Age, err
}
