package apiclient

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

const (
	jsonMedia = "application/json"
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

// connectionLost is the code of the error that says that the request left and no
// answer came.
const connectionLost = "connection_lost"

// request is one call of the API.
type request struct {
	method   string
	path     []string // escaped segments below the server's address
	query    url.Values
	header   http.Header // beside what every request has
	body     []byte
	media    string        // of body; "" is JSON
	want     []int         // the statuses of success
	accept   string        // media type of the answer; "" is JSON
	repeat   bool          // sending it twice does what sending it once does
	resend   bool          // also when the connection broke, or the same is under way
	patience time.Duration // that the server may take beyond the client's timeout
}

// Answer is what the server said.
type Answer struct {
	Document   json.RawMessage // as the server wrote it; nil when there is none
	ETag       string          // of the state that the document shows, for IfMatch; "" when there is none
	Accepted   bool            // recorded, but providers have not followed yet (202)
	Replayed   bool            // an earlier call with the same idempotency key led to it
	RetryAfter time.Duration   // when there may be news; 0 is unknown
	Age        time.Duration   // since the server last saw that it knows the newest state; 0 where it does not say
}

// do sends r and returns the answer. A request that may be repeated is, while the
// server says 503 and when to come back, if that is before ctx ends.
func (c *Client) do(ctx context.Context, r request) (Answer, error) {
	for n := 1; ; n++ {
		answer, err := c.once(ctx, r)
		after, again := r.again(err)
		if !again || n == attempts || !wait(ctx, after) {
			return answer, err
		}
	}
}

// lostWait is how long after a lost connection a request is sent again.
const lostWait = time.Second

// again reports whether r may be sent again after err, and when.
func (r request) again(err error) (after time.Duration, ok bool) {
	if p, refused := errors.AsType[*Problem](err); refused {
		running := r.resend && p.Status == http.StatusConflict && p.Code == "idempotency_key_in_progress"
		return p.RetryAfter, (r.repeat && p.Status == http.StatusServiceUnavailable) || running
	}
	e, failed := registry.AsError(err)
	return lostWait, r.resend && failed && e.Code == connectionLost
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
func (c *Client) once(ctx context.Context, r request) (Answer, error) {
	token, err := c.token(ctx)
	if err != nil {
		return Answer{}, fmt.Errorf("get the caller's token: %w", err)
	}
	if !sendable(token) {
		return Answer{}, errors.New("the token is empty or has characters that no token has")
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout+r.patience)
	defer cancel()
	req, err := c.newRequest(ctx, r, token)
	if err != nil {
		return Answer{}, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return Answer{}, unreachable(ctx, err, c.base)
	}
	defer resp.Body.Close()
	body, err := readAnswer(ctx, resp, c.base)
	if err != nil {
		return Answer{}, err
	}
	if err := check(resp, body, r); err != nil {
		return Answer{}, err
	}
	if len(body) == 0 {
		body = nil
	}
	return Answer{
		Document: body, ETag: resp.Header.Get("ETag"), Accepted: resp.StatusCode == http.StatusAccepted,
		Replayed: resp.Header.Get("Idempotency-Replayed") == "true", RetryAfter: retryAfter(resp.Header), Age: ageOf(resp.Header),
	}, nil
}

// ageOf reads the Age field (RFC 9111, section 5.1).
func ageOf(h http.Header) time.Duration {
	seconds, err := strconv.ParseUint(h.Get("Age"), 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

func (c *Client) newRequest(ctx context.Context, r request, token string) (*http.Request, error) {
	u := c.base.JoinPath(r.path...)
	u.RawQuery = r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), bytes.NewReader(r.body))
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	maps.Copy(req.Header, r.header)
	req.Header.Set("Accept", cmp.Or(r.accept, jsonMedia)+", application/problem+json")
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("User-Agent", c.userAgent)
	if r.body != nil {
		req.Header.Set("Content-Type", cmp.Or(r.media, jsonMedia))
	}
	return req, nil
}

// sendable reports whether token has only the characters that a header field
// may have; net/http's own error would be the less helpful one.
func sendable(token string) bool {
	return token != "" && !strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' })
}

// check returns nil for an answer that was hoped for.
func check(resp *http.Response, body []byte, r request) error {
	if !slices.Contains(r.want, resp.StatusCode) {
		return problemOf(resp, body)
	}
	if resp.StatusCode == http.StatusNoContent {
		return nil
	}
	if mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); mediaType != cmp.Or(r.accept, jsonMedia) {
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
		return registry.Unavailable.Wrap(err, connectionLost, "there was no answer from "+address)
	}
}

// What requests hope for.
var (
	ok           = []int{http.StatusOK}
	okOrCreated  = []int{http.StatusOK, http.StatusCreated}
	okOrAccepted = []int{http.StatusOK, http.StatusAccepted}
	noContent    = []int{http.StatusNoContent}

	okOrNoContent = []int{http.StatusOK, http.StatusNoContent}
)
