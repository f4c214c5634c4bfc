package httpapi

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/authn"
	"github.com/credenceproject/credence/internal/bundles"
	"github.com/credenceproject/credence/internal/registry"
)

// GetBundle handles GET /bundles/{scope}.
func (s *Server) GetBundle(ctx context.Context, req api.GetBundleRequestObject) (api.GetBundleResponseObject, error) {
	p := req.Params
	return s.bundle(ctx, registry.ScopePart{Scope: req.Scope}, bundleParams{p.IfNoneMatch, p.Prefer, p.Digest})
}

// GetBundlePart handles GET /bundles/{scope}/parts/{part}.
func (s *Server) GetBundlePart(ctx context.Context, req api.GetBundlePartRequestObject) (api.GetBundlePartResponseObject, error) {
	if !slices.Contains(registry.Parts, req.Part) { // discovery bundles have paths of their own
		return nil, registry.NotFound.Errorf("not_found", "a bundle has no part of that name")
	}
	p := req.Params
	return s.bundle(ctx, registry.ScopePart{Scope: req.Scope, Part: req.Part}, bundleParams{p.IfNoneMatch, p.Prefer, p.Digest})
}

// GetDiscovery handles GET /bundles/{scope}/discovery.
func (s *Server) GetDiscovery(ctx context.Context, req api.GetDiscoveryRequestObject) (api.GetDiscoveryResponseObject, error) {
	p := req.Params
	return s.bundle(ctx, registry.ScopePart{Scope: req.Scope, Part: bundles.Discovery}, bundleParams{p.IfNoneMatch, p.Prefer, nil})
}

// GetDiscoveryOfParts handles GET /bundles/{scope}/discovery/parts.
func (s *Server) GetDiscoveryOfParts(ctx context.Context, req api.GetDiscoveryOfPartsRequestObject) (api.GetDiscoveryOfPartsResponseObject, error) {
	p := req.Params
	return s.bundle(ctx, registry.ScopePart{Scope: req.Scope, Part: bundles.DiscoveryOfParts}, bundleParams{p.IfNoneMatch, p.Prefer, nil})
}

// GetRevision handles GET /revision.
func (s *Server) GetRevision(ctx context.Context, _ api.GetRevisionRequestObject) (api.GetRevisionResponseObject, error) {
	h, err := s.heads.Head(ctx)
	if err != nil {
		return nil, err
	}
	return api.GetRevision200JSONResponse{Epoch: h.Epoch, Revision: h.Revision}, nil
}

// bundleParams are what a request for a bundle says beside its name.
type bundleParams struct{ ifNoneMatch, prefer, digest *string }

func (s *Server) bundle(ctx context.Context, name registry.ScopePart, p bundleParams) (bundleResponse, error) {
	have, err := parseTags("If-None-Match", p.ifNoneMatch, false)
	if err != nil {
		return bundleResponse{}, err
	}
	if p.digest != nil {
		return s.keptBundle(ctx, name, *p.digest)
	}
	wait := preferredWait(deref(p.prefer))
	answer, err := s.bundles.Get(ctx, bundles.Poll{Name: name, Have: have, Wait: wait, Caller: authn.PrincipalFrom(ctx).Subject})
	return bundleResponse{answer: answer, err: err, polled: wait > 0, age: *s.age()}, nil
}

// keptBundle answers with a bundle that was made before, whatever the caller has.
func (s *Server) keptBundle(ctx context.Context, name registry.ScopePart, digest string) (bundleResponse, error) {
	d, err := parseDigest(digest)
	if err != nil {
		return bundleResponse{}, err
	}
	b, err := s.bundles.Kept(ctx, name, d)
	return bundleResponse{answer: bundles.Answer{Bundle: b}, err: err, age: *s.age()}, nil
}

// parseDigest reads the parameter digest.
func parseDigest(s string) (d bundles.Digest, err error) {
	digits, ok := strings.CutPrefix(s, "sha-256:")
	b, err := hex.DecodeString(digits)
	if !ok || err != nil || len(b) != len(d) {
		return d, registry.Invalid.Errorf(codeParameter, "digest must be sha-256: and 64 hex digits")
	}
	return bundles.Digest(b), nil
}

// bundleResponse is an answer, or the error instead of one. The generated responses
// would copy a bundle by small pieces, and cannot end a connection.
type bundleResponse struct {
	answer bundles.Answer
	err    error
	polled bool // the answer could be held
	age    int  // seconds
}

// VisitGetBundleResponse writes the answer, as do the others.
func (r bundleResponse) VisitGetBundleResponse(w http.ResponseWriter) error     { return r.write(w) }
func (r bundleResponse) VisitGetBundlePartResponse(w http.ResponseWriter) error { return r.write(w) }
func (r bundleResponse) VisitGetDiscoveryResponse(w http.ResponseWriter) error  { return r.write(w) }
func (r bundleResponse) VisitGetDiscoveryOfPartsResponse(w http.ResponseWriter) error {
	return r.write(w)
}

// Media types of bundles. By polledBundle an OPA knows that its polls are held, and
// it compares it to the letter.
const (
	plainBundle  = "application/gzip"
	polledBundle = "application/vnd.openpolicyagent.bundles"
)

func (r bundleResponse) write(w http.ResponseWriter) error {
	// Time for the answer, however long it was held. Where there are no deadlines,
	// nothing can stall.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(stall))
	h := w.Header()
	if r.answer.Last {
		h.Set("Connection", "close")
	}
	if r.err != nil {
		return r.err
	}
	h.Set(echo.HeaderCacheControl, "no-cache, private")
	h.Set(echo.HeaderVary, "Prefer")
	h.Set("Age", strconv.Itoa(r.age))
	b := r.answer.Bundle
	if b == nil { // with the fields that the bundle would have (RFC 9110, section 15.4.5)
		h.Set("ETag", *etag(r.answer.NotModified))
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("ETag", *etag(b.Tag.String()))
	h.Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(b.Digest[:])+":") // RFC 9530, section 3
	h.Set(echo.HeaderContentLength, strconv.FormatInt(b.Size, 10))
	h.Set(echo.HeaderContentType, plainBundle)
	if r.polled {
		h.Set(echo.HeaderContentType, polledBundle)
	}
	w.WriteHeader(http.StatusOK)
	return writeBundle(w, b)
}

// bundleBuffers join a bundle's files, which are many and small, to few writes: many
// OPAs get a bundle at the same time.
var bundleBuffers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, 64<<10) }}

// writeBundle writes the bundle to a reader that may be slow, within bounds that do
// not count how long the answer was held.
func writeBundle(w http.ResponseWriter, b *bundles.Bundle) error {
	buffer, _ := bundleBuffers.Get().(*bufio.Writer)
	buffer.Reset(newPatient(w))
	defer func() {
		buffer.Reset(nil) // it keeps no connection
		bundleBuffers.Put(buffer)
	}()
	if _, err := b.WriteTo(buffer); err != nil {
		return err
	}
	return buffer.Flush()
}
