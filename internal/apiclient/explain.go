package apiclient

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// Question is a call that is to be explained, or with an empty Resource whatever
// the agent may call.
type Question struct {
	Agent    string    `json:"agent"` // name or id
	Resource string    `json:"resource,omitempty"`
	Method   string    `json:"method,omitempty"`
	Path     string    `json:"path,omitempty"`
	Time     time.Time `json:"time,omitzero"` // as if it were then; zero is now
}

// ExplainJSON returns why the call is allowed or denied (api.Explanation), and how
// long ago the server last saw that it knows the newest state. cursor is the one
// of the page before, or "".
func (c *Client) ExplainJSON(ctx context.Context, q Question, cursor string) (json.RawMessage, time.Duration, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, 0, err
	}
	query := url.Values{}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	answer, err := c.do(ctx, request{method: http.MethodPost, path: []string{"explain"}, query: query, body: body, want: ok, repeat: true})
	return answer.Document, answer.Age, err
}
