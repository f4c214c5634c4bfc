package httpapi

import (
	"context"

	"github.com/credenceproject/credence/api"
)

const (
	bundleCache = "no-cache, private"
	bundleVary  = "Prefer" // long polls and other forms will differ by it
)

// GetBundle handles GET /bundles/{scope}.
func (s *Server) GetBundle(ctx context.Context, req api.GetBundleRequestObject) (api.GetBundleResponseObject, error) {
	have, err := parseTags("If-None-Match", req.Params.IfNoneMatch, false)
	if err != nil {
		return nil, err
	}
	answer, err := s.bundles.Get(ctx, req.Scope, have)
	if err != nil {
		return nil, err
	}
	cache, vary, age := bundleCache, bundleVary, s.age()
	if answer.Bundle == nil { // with the fields that the bundle would have (RFC 9110, section 15.4.5)
		return api.GetBundle304Response{
			Headers: api.BundleNotModifiedResponseHeaders{ETag: etag(answer.NotModified), Age: age, CacheControl: &cache, Vary: &vary},
		}, nil
	}
	return api.GetBundle200ApplicationGzipResponse{BundleAnswerApplicationGzipResponse: api.BundleAnswerApplicationGzipResponse{
		Headers:       api.BundleAnswerResponseHeaders{ETag: etag(answer.Bundle.Tag.String()), Age: age, CacheControl: &cache, Vary: &vary},
		Body:          answer.Bundle.Reader(),
		ContentLength: answer.Bundle.Size,
	}}, nil
}

// GetRevision handles GET /revision.
func (s *Server) GetRevision(ctx context.Context, _ api.GetRevisionRequestObject) (api.GetRevisionResponseObject, error) {
	h, err := s.heads.Head(ctx)
	if err != nil {
		return nil, err
	}
	return api.GetRevision200JSONResponse{Epoch: h.Epoch, Revision: h.Revision}, nil
}
