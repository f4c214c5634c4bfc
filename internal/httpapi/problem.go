package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/registry"
)

// statuses gives each kind of failure its HTTP status. A failure of no kind, or
// of a kind that is not here, is a fault of ours: 500 and no detail.
var statuses = map[registry.Kind]int{
	registry.Malformed:            http.StatusBadRequest,
	registry.TooLarge:             http.StatusRequestEntityTooLarge,
	registry.UnsupportedMedia:     http.StatusUnsupportedMediaType,
	registry.Invalid:              http.StatusUnprocessableEntity,
	registry.Unauthenticated:      http.StatusUnauthorized,
	registry.Forbidden:            http.StatusForbidden,
	registry.NotFound:             http.StatusNotFound,
	registry.Conflict:             http.StatusConflict,
	registry.PreconditionFailed:   http.StatusPreconditionFailed,
	registry.PreconditionRequired: http.StatusPreconditionRequired,
	registry.Gone:                 http.StatusGone,
	registry.TooManyRequests:      http.StatusTooManyRequests,
	registry.Refused:              http.StatusBadGateway,
	registry.Unavailable:          http.StatusServiceUnavailable,
}

// codeParameter is the code of a parameter that cannot be what it is.
const codeParameter = "invalid_parameter"

// routerCodes are the codes of what the router itself refuses.
var routerCodes = map[int]string{
	http.StatusBadRequest:         codeParameter,
	http.StatusNotFound:           "not_found",
	http.StatusMethodNotAllowed:   "method_not_allowed",
	http.StatusMisdirectedRequest: "unknown_host",
}

// statusClientClosedRequest is what logs and metrics show when the caller hung
// up; nobody is left to read the response.
const statusClientClosedRequest = 499

// problemTypes is what the type of every problem begins with.
const problemTypes = "https://credence.example/problems/"

// problemFor maps err to the problem document that the caller sees
// (RFC 9457), and to when the caller may come back.
func problemFor(err error) (p api.Problem, retryAfter time.Duration) {
	p = api.Problem{Status: http.StatusInternalServerError, Code: "internal"}
	detail := "Something failed on our side; the log has it under the request id."
	if e, ok := registry.AsError(err); ok && statuses[e.Kind] != 0 {
		p.Status, p.Code, detail, retryAfter = statuses[e.Kind], e.Code, e.Message, e.RetryAfter
		if len(e.Fields) > 0 {
			fields := make([]api.FieldError, len(e.Fields))
			for i, f := range e.Fields {
				fields[i] = api.FieldError{Pointer: f.Pointer, Code: f.Code, Detail: f.Detail}
			}
			p.Errors = &fields
		}
	} else if he, ok := errors.AsType[*echo.HTTPError](err); ok && he.Code < http.StatusInternalServerError {
		p.Status, p.Code = he.Code, routerCodes[he.Code]
		detail, _ = he.Message.(string)
		if he.Code == http.StatusBadRequest { // what it says is in the words of the library that reads them
			detail = "a parameter in the path or a header cannot be read, or is given more than once"
		}
	} else if errors.Is(err, context.Canceled) {
		p.Status, p.Code, detail = statusClientClosedRequest, "client_closed_request", "The caller hung up."
	}
	if p.Code == "" {
		p.Code = "request_refused"
	}
	if p.Status == http.StatusServiceUnavailable && retryAfter <= 0 {
		retryAfter = 5 * time.Second
	}
	p.Type = problemTypes + p.Code
	p.Title = titleOf(p.Status, p.Code)
	p.Detail = &detail
	return p, retryAfter
}

// titleOf says the code in words; it is the same for every problem of a type.
func titleOf(status int, code string) string {
	if code == "internal" {
		return http.StatusText(status)
	}
	words := strings.ReplaceAll(code, "_", " ")
	return strings.ToUpper(words[:1]) + words[1:]
}

// handleError writes the problem document for err and logs what the document
// hides. It is the only place where an error becomes a response.
func handleError(log *slog.Logger) echo.HTTPErrorHandler {
	return func(err error, c echo.Context) {
		if c.Response().Committed {
			return
		}
		ctx := c.Request().Context()
		p, retryAfter := problemFor(err)
		p.RequestID = registry.RequestIDFrom(ctx)
		if p.Status >= http.StatusInternalServerError {
			log.ErrorContext(ctx, "request failed", "route", routeOf(c), "code", p.Code, "request_id", p.RequestID, "error", err)
		}
		h := c.Response().Header()
		h.Set(echo.HeaderCacheControl, "no-store")
		if p.Status == http.StatusUnauthorized {
			h.Set(echo.HeaderWWWAuthenticate, challenge(p.Code))
		}
		if retryAfter > 0 {
			h.Set(echo.HeaderRetryAfter, strconv.Itoa(int(math.Ceil(retryAfter.Seconds()))))
		}
		body, err := json.Marshal(p)
		if err == nil {
			err = c.Blob(p.Status, "application/problem+json", body)
		}
		if err != nil {
			log.WarnContext(ctx, "the problem could not be written", "error", err)
		}
	}
}

// challenge is the WWW-Authenticate field of RFC 6750, section 3: without a
// token no error is named.
func challenge(code string) string {
	if code == "missing_token" {
		return `Bearer realm="credence"`
	}
	return `Bearer realm="credence", error="invalid_token"`
}
