package apiclient

import (
	"cmp"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/registry"
)

// Problem is the server's refusal of a request (RFC 9457). An answer that is no
// problem document, such as a proxy's, has the status and no Code.
//
// errors.Is(err, registry.NotFound) and the like ask for its kind.
type Problem struct {
	Status     int
	Code       string // stable, snake_case
	Title      string
	Detail     string
	RequestID  string // finds the request in the server's log
	Errors     []api.FieldError
	RetryAfter time.Duration // when repeating makes sense; 0 is unknown
}

// Error says what was refused in one line.
func (p *Problem) Error() string {
	line := cmp.Or(p.Detail, p.Title, http.StatusText(p.Status), "the server refused the request")
	return fmt.Sprintf("%s (%s)", line, cmp.Or(p.Code, "HTTP status "+strconv.Itoa(p.Status)))
}

// Kind returns what the status means to the caller; "" when it is a fault of
// the server's.
func (p *Problem) Kind() registry.Kind { return kinds[p.Status] }

// Is reports whether target is the kind of the problem.
func (p *Problem) Is(target error) bool { return p.Kind() != "" && target == error(p.Kind()) }

// kinds gives each status the kind that the server means by it.
var kinds = map[int]registry.Kind{
	http.StatusBadRequest:            registry.Malformed,
	http.StatusUnauthorized:          registry.Unauthenticated,
	http.StatusForbidden:             registry.Forbidden,
	http.StatusNotFound:              registry.NotFound,
	http.StatusConflict:              registry.Conflict,
	http.StatusGone:                  registry.Gone,
	http.StatusPreconditionFailed:    registry.PreconditionFailed,
	http.StatusRequestEntityTooLarge: registry.TooLarge,
	http.StatusUnsupportedMediaType:  registry.UnsupportedMedia,
	http.StatusUnprocessableEntity:   registry.Invalid,
	http.StatusPreconditionRequired:  registry.PreconditionRequired,
	http.StatusTooManyRequests:       registry.TooManyRequests,
	http.StatusBadGateway:            registry.Refused,
	http.StatusServiceUnavailable:    registry.Unavailable,
	http.StatusGatewayTimeout:        registry.Unavailable,
}

// problemOf reads the refusal in an answer.
func problemOf(resp *http.Response, body []byte) *Problem {
	p := &Problem{Status: resp.StatusCode, Title: http.StatusText(resp.StatusCode), RetryAfter: retryAfter(resp.Header)}
	if mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); mediaType != "application/problem+json" {
		p.Detail = notOurs(resp)
		return p
	}
	var doc api.Problem
	if err := json.Unmarshal(body, &doc); err != nil {
		p.Detail = notOurs(resp)
		return p
	}
	p.Code, p.Title, p.RequestID = doc.Code, doc.Title, doc.RequestID
	if doc.Detail != nil {
		p.Detail = *doc.Detail
	}
	if doc.Errors != nil {
		p.Errors = *doc.Errors
	}
	return p
}

// notOurs describes an answer that Credence does not give. Its body stays
// unseen: it may be anybody's page.
func notOurs(resp *http.Response) string {
	if to := resp.Header.Get("Location"); to != "" && resp.StatusCode/100 == 3 {
		return "the server redirects, and a redirect is not followed with a token: use the address it redirects to, " + strconv.Quote(to)
	}
	return "the answer is not one of Credence's; is this its address?"
}

// retryAfter reads a Retry-After field in seconds, the form that the API uses.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.ParseUint(h.Get("Retry-After"), 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second //nolint:gosec // 31 bits
}
