package apiclient

import (
	"context"
	"net/http"
	"net/url"

	"github.com/credenceproject/credence/internal/registry"
)

// Bundle downloads the OPA bundle of a scope, or of a part of it: a .tar.gz as the
// answer's Document, with its ETag. digest, "" for the present one, is that of a
// bundle before it.
func (c *Client) Bundle(ctx context.Context, p registry.ScopePart, digest string) (Answer, error) {
	if !registry.ValidName(p.Scope) {
		return Answer{}, registry.NotFound.Errorf("not_found", "no environment can have the name %q", p.Scope)
	}
	path := []string{"bundles", p.Scope}
	if p.Part != "" {
		path = append(path, "parts", url.PathEscape(p.Part))
	}
	q := url.Values{}
	if digest != "" {
		q.Set("digest", digest)
	}
	return c.do(ctx, request{method: http.MethodGet, path: path, query: q, want: ok, repeat: true, accept: "application/gzip"})
}
