package auth0

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

const (
	// maxResponse bounds what we read of one answer. The longest we ask for,
	// fifty Actions with their code, stays well below it.
	maxResponse = 8 << 20
	// maxErrorBody bounds what we read of a refusal.
	maxErrorBody = 64 << 10
)

// newTransport returns the transport of a client that was given none. It reads
// no proxy from the environment: proxy says which one to use, and may be nil.
func newTransport(proxy func(*http.Request) (*url.URL, error)) *http.Transport {
	return &http.Transport{
		Proxy:                 proxy,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   16,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   5 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}

// guard is the transport of everything we send to the tenant. It turns each
// answer that is not a success into a *responseError, because the SDK drops the
// headers and the errorCode, and takes the status from the body. It follows no
// redirect: a 307 would repeat a POST and carry our token elsewhere. It bounds
// the bodies. It sends nothing after the deadline of the request, though the timer
// may not have fired: the process may have been frozen since somebody looked, and
// another one holds the agent's lease by now.
type guard struct {
	endpoint endpoint
	base     http.RoundTripper
}

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host != g.endpoint.host || req.URL.Scheme != g.endpoint.scheme {
		closeBody(req)
		return nil, fmt.Errorf("refuse to call %s: it is not the tenant", req.URL.Host)
	}
	if deadline, ok := req.Context().Deadline(); ok && !time.Now().Before(deadline) {
		closeBody(req)
		return nil, fmt.Errorf("%w: it is too late to send it: %w", registry.ErrNotDone, context.DeadlineExceeded)
	}
	resp, err := g.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		resp.Body = http.MaxBytesReader(nil, resp.Body, maxResponse)
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, readError(req, resp, time.Now())
}

// bearer signs requests to the Management API with the control plane's token.
// The token is fetched under the request's deadline.
type bearer struct {
	tokens *tokenSource
	base   http.RoundTripper
}

func (b *bearer) RoundTrip(req *http.Request) (*http.Response, error) {
	token, err := b.tokens.token(req.Context())
	if err != nil {
		closeBody(req)
		return nil, err
	}
	signed := req.Clone(req.Context())
	signed.Header.Set("Authorization", "Bearer "+token)
	resp, err := b.base.RoundTrip(signed)
	if refused, ok := errors.AsType[*responseError](err); ok && refused.status == http.StatusUnauthorized {
		// Revoked, or signed by a key that is gone: the next call gets another.
		b.tokens.forget(token)
	}
	return resp, err
}

// closeBody keeps a RoundTripper's promise for a request that was not sent.
func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}

// readError reads a refusal in either of Auth0's dialects: the Management API's
// {statusCode, error, message, errorCode} and OAuth's {error, error_description}
// (RFC 6749 section 5.2). A body in neither leaves the status alone to speak.
func readError(req *http.Request, resp *http.Response, now time.Time) *responseError {
	var body struct {
		Error       string `json:"error"`
		Message     string `json:"message"`
		Code        string `json:"errorCode"`
		Description string `json:"error_description"`
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err == nil {
		err = json.Unmarshal(raw, &body)
	}
	e := &responseError{
		method: req.Method, path: req.URL.Path, status: resp.StatusCode,
		code: body.Code, text: body.Message, retryAfter: retryAfter(resp.Header, now),
	}
	switch {
	case err != nil:
		e.text = "(a body that is not JSON)"
	case e.code == "" && e.text == "":
		e.code, e.text = body.Error, body.Description
	}
	return e
}
