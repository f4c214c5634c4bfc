package apiclient

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

const (
	// maxAnswer is the most that is read of an answer: a page of 50 agents with
	// the largest registrations fits.
	maxAnswer = 64 << 20
	// attempts is how often a request that may be repeated is sent.
	attempts = 4
	// longestWait is the longest Retry-After that is waited for.
	longestWait = 30 * time.Second
)

// Unreachable is the code of the Unavailable error that says that the request
// never left: nothing listens at the address. After any other failure without
// an answer, what became of the request is not known.
const Unreachable = "unreachable"

// request is one call of the API.
type request struct {
	method string
	path   []string // escaped segments below the server's address
	query  url.Values
	body   []byte
	want   int          // the status of success
	or     int          // another one; 0 is none
	repeat bool         // sending it twice does what sending it once does
	header *http.Header // where that of the answer goes; nil: nowhere
}

// do sends r and returns the body of the answer. A request that may be repeated
// is, while the server says 503 and when to come back, if that is before ctx
// ends.
func (c *Client) do(ctx context.Context, r request) ([]byte, error) {
	for n := 1; ; n++ {
		body, err := c.once(ctx, r)
		p, refused := errors.AsType[*Problem](err)
		if !refused || !r.repeat || n == attempts || p.Status != http.StatusServiceUnavailable {
			return body, err
		}
		if !wait(ctx, p.RetryAfter) {
			return nil, err
		}
	}
}

// wait waits for d and reports whether a further attempt makes sense.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 || d > longestWait {
		return false
	}
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= d {
		return false // rather the answer now than a timeout later
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// once sends r once.
func (c *Client) once(ctx context.Context, r request) ([]byte, error) {
	token, err := c.token(ctx)
	if err != nil {
		return nil, fmt.Errorf("get the caller's token: %w", err)
	}
	if !sendable(token) {
		return nil, errors.New("the token is empty or has characters that no token has")
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := c.newRequest(ctx, r, token)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, unreachable(ctx, err, c.base)
	}
	defer resp.Body.Close()
	body, err := readAnswer(ctx, resp, c.base)
	if err != nil {
		return nil, err
	}
	if r.header != nil {
		*r.header = resp.Header
	}
	if r.or != 0 && resp.StatusCode == r.or {
		r.want = r.or
	}
	return body, check(resp, body, r.want)
}

func (c *Client) newRequest(ctx context.Context, r request, token string) (*http.Request, error) {
	u := c.base.JoinPath(r.path...)
	u.RawQuery = r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), bytes.NewReader(r.body))
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	req.Header.Set("Accept", "application/json, application/problem+json")
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("User-Agent", c.userAgent)
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// sendable reports whether token has only the characters that a header field
// may have; net/http's own error would be the less helpful one.
func sendable(token string) bool {
	return token != "" && !strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' })
}

// check returns nil for the answer that was hoped for.
func check(resp *http.Response, body []byte, want int) error {
	if resp.StatusCode != want {
		return problemOf(resp, body)
	}
	if want == http.StatusNoContent {
		return nil
	}
	if mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); mediaType != "application/json" {
		return &Problem{Status: resp.StatusCode, Title: http.StatusText(resp.StatusCode), Detail: notOurs(resp)}
	}
	return nil
}

func readAnswer(ctx context.Context, resp *http.Response, at *url.URL) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, unreachable(ctx, err, at)
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("the answer is larger than %d MiB", maxAnswer>>20)
	}
	return body, nil
}

// unreachable says in the user's words why there is no answer. The caller's own
// cancellation and a certificate that is not trusted are no reason to come back
// later, so they are of no kind.
func unreachable(ctx context.Context, err error, at *url.URL) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // its text repeats the URL
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("the certificate of %s is not trusted: %w", at.Host, err)
	}
	op, isOp := errors.AsType[*net.OpError](err)
	switch address := at.Scheme + "://" + at.Host; {
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("call %s: %w", address, context.Canceled)
	case isOp && op.Op == "dial":
		return registry.Unavailable.Wrap(err, Unreachable, "cannot reach "+address)
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(ctx.Err(), context.DeadlineExceeded):
		return registry.Unavailable.Wrap(err, "timeout", address+" did not answer in time")
	default:
		return registry.Unavailable.Wrap(err, "connection_lost", "there was no answer from "+address)
	}
}
