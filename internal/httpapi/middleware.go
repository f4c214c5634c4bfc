package httpapi

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/credenceproject/credence/internal/authn"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/telemetry"
)

// requestIDs are what callers may send as X-Request-Id: it reaches logs and the
// audit log.
var requestIDs = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// requestID keeps the caller's request id or makes one, and answers it.
func requestID(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		id := c.Request().Header.Get(echo.HeaderXRequestID)
		if !requestIDs.MatchString(id) {
			fresh, err := uuid.NewV7()
			if err != nil {
				return fmt.Errorf("make a request id: %w", err)
			}
			id = fresh.String()
		}
		c.Response().Header().Set(echo.HeaderXRequestID, id)
		c.SetRequest(c.Request().WithContext(registry.WithRequestID(c.Request().Context(), id)))
		return next(c)
	}
}

// source notes the address that the request came from, for the audit log. It is
// the connection's: what a header says of it, anybody may write.
func source(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if host, _, err := net.SplitHostPort(c.Request().RemoteAddr); err == nil {
			c.SetRequest(c.Request().WithContext(registry.WithSource(c.Request().Context(), host)))
		}
		return next(c)
	}
}

// observe logs and counts each request, after its response is written.
func observe(log *slog.Logger, m *telemetry.HTTPMetrics) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			began := time.Now()
			if err := next(c); err != nil {
				c.Error(err) // writes the problem, so that its status is known here
			}
			took, status, route := time.Since(began), c.Response().Status, routeOf(c)
			m.Observe(c.Request().Method, route, status, took)

			ctx := c.Request().Context()
			level := slog.LevelInfo
			if route == "/healthz" || route == "/readyz" {
				level = slog.LevelDebug
			}
			subject := ""
			if p, ok := authn.LookupPrincipal(ctx); ok {
				subject = p.Subject
			}
			log.LogAttrs(ctx, level, "request", slog.String("method", c.Request().Method), slog.String("route", route),
				slog.Int("status", status), slog.Float64("milliseconds", float64(took.Microseconds())/1000),
				slog.String("subject", subject), slog.String("request_id", registry.RequestIDFrom(ctx)))
			return nil
		}
	}
}

// routeOf is the route's pattern: few values, whatever callers send.
func routeOf(c echo.Context) string {
	if path := c.Path(); path != "" && path != "/*" {
		return path
	}
	return "none"
}

// recoverPanics turns a panic into an error, so that it is answered and logged
// as one.
func recoverPanics(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
			}
		}()
		return next(c)
	}
}

// allowHosts refuses requests for other host names: a page that a browser loaded
// from elsewhere must not reach us by rebinding its name to our address
// (invariant D3).
func allowHosts(allowed []string) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if isAllowedHost(allowed, c.Request().Host) {
				return next(c)
			}
			return echo.NewHTTPError(http.StatusMisdirectedRequest, unknownHost)
		}
	}
}

// OnlyHosts is the same for a handler beside the API.
func OnlyHosts(allowed []string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isAllowedHost(allowed, r.Host) {
			http.Error(w, unknownHost, http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

const unknownHost = "this server is not known by that host name"

// isAllowedHost reports whether field, a Host field, names one of the allowed
// hosts; no list allows all.
func isAllowedHost(allowed []string, field string) bool {
	host := hostName(field)
	return len(allowed) == 0 || slices.ContainsFunc(allowed, func(a string) bool { return strings.EqualFold(a, host) })
}

// hostName is the name in a Host field: without a port and, of an IPv6 address,
// without its brackets (RFC 9110, section 7.2).
func hostName(field string) string {
	if name, _, err := net.SplitHostPort(field); err == nil {
		return name
	}
	if strings.HasPrefix(field, "[") && strings.HasSuffix(field, "]") {
		return field[1 : len(field)-1]
	}
	return field
}
