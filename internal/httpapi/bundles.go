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
	if answer.Bundle == nil {
		return api.GetBundle304Response{Headers: api.GetBundle304ResponseHeaders{ETag: etag(answer.NotModified)}}, nil
	}
	cache, vary := bundleCache, bundleVary
	return api.GetBundle200ApplicationGzipResponse{
		Headers:       api.GetBundle200ResponseHeaders{ETag: etag(answer.Bundle.Tag.String()), CacheControl: &cache, Vary: &vary},
		Body:          answer.Bundle.Reader(),
		ContentLength: answer.Bundle.Size,
	}, nil
}

// GetRevision handles GET /revision.
func (s *Server) GetRevision(ctx context.Context, _ api.GetRevisionRequestObject) (api.GetRevisionResponseObject, error) {
	h, err := s.heads.Head(ctx)
	if err != nil {
		return nil, err
	}
	return api.GetRevision200JSONResponse{Epoch: h.Epoch, Revision: h.Revision}, nil
}
