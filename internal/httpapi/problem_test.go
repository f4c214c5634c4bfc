package httpapi

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/registry"
)

// allKinds reads the kinds from their source: one that somebody adds must be
// thought of here.
func allKinds(t *testing.T) []registry.Kind {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../registry/errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []registry.Kind
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); !ok || typ.Name != "Kind" {
			return true
		}
		for _, v := range spec.Values {
			value, err := strconv.Unquote(v.(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			kinds = append(kinds, registry.Kind(value))
		}
		return true
	})
	return kinds
}

func TestEveryKindHasItsStatus(t *testing.T) {
	t.Parallel()
	want := map[registry.Kind]int{
		registry.Malformed: 400, registry.TooLarge: 413, registry.UnsupportedMedia: 415, registry.Invalid: 422,
		registry.Unauthenticated: 401, registry.Forbidden: 403, registry.NotFound: 404, registry.Conflict: 409,
		registry.PreconditionFailed: 412, registry.PreconditionRequired: 428, registry.TooManyRequests: 429,
		registry.Gone:    410,
		registry.Refused: 502, registry.Unavailable: 503,
	}
	kinds := allKinds(t)
	if len(kinds) < 13 {
		t.Fatalf("%d kinds were found in the source, want 13 or more", len(kinds))
	}
	for _, kind := range kinds {
		if want[kind] == 0 {
			t.Errorf("the kind %q has no status", kind)
		}
		p, _ := problemFor(fmt.Errorf("act: %w", kind.Errorf("some_code", "what to do")))
		got := api.Problem{
			Type: "https://credence.example/problems/some_code", Title: "Some code", Status: want[kind], Code: "some_code", Detail: new("what to do"),
		}
		if diff := cmp.Diff(got, p); diff != "" {
			t.Errorf("the problem of the kind %q (-want +got):\n%s", kind, diff)
		}
	}
}

func TestProblemFor(t *testing.T) {
	t.Parallel()
	internal := api.Problem{
		Type: "https://credence.example/problems/internal", Title: "Internal Server Error", Status: 500, Code: "internal",
		Detail: new("Something failed on our side; the log has it under the request id."),
	}
	for name, tc := range map[string]struct {
		err  error
		want api.Problem
	}{
		"an error of no kind":             {errors.New("raw words of a driver"), internal},
		"a kind without a status":         {registry.Kind("new").Errorf("new_code", "words"), internal},
		"a kind alone":                    {registry.NotFound, internal},
		"the router's own fault":          {echo.NewHTTPError(http.StatusInternalServerError, "raw words"), internal},
		"a deadline that nobody looks at": {fmt.Errorf("read: %w", context.DeadlineExceeded), internal},
		"a caller who hung up": {fmt.Errorf("read: %w", context.Canceled), api.Problem{
			Type: "https://credence.example/problems/client_closed_request", Title: "Client closed request", Status: 499,
			Code: "client_closed_request", Detail: new("The caller hung up."),
		}},
		"a provider that a hung-up caller made fail": {registry.Unavailable.Wrap(context.Canceled, "provider_unavailable", "it does not answer"), api.Problem{
			Type: "https://credence.example/problems/provider_unavailable", Title: "Provider unavailable", Status: 503,
			Code: "provider_unavailable", Detail: new("it does not answer"),
		}},
		"the cause stays inside": {registry.Refused.Wrap(errors.New("raw words of a provider"), "provider_refused", "it said no"), api.Problem{
			Type: "https://credence.example/problems/provider_refused", Title: "Provider refused", Status: 502, Code: "provider_refused", Detail: new("it said no"),
		}},
		"places of the document": {registry.Invalid.Errorf("invalid_team", "it is wrong").With(
			registry.FieldError{Pointer: "/a", Code: "type", Detail: "is no number"}, registry.FieldError{Pointer: "", Code: "required", Detail: "b is missing"}), api.Problem{
			Type: "https://credence.example/problems/invalid_team", Title: "Invalid team", Status: 422, Code: "invalid_team", Detail: new("it is wrong"),
			Errors: &[]api.FieldError{{Pointer: "/a", Code: "type", Detail: "is no number"}, {Pointer: "", Code: "required", Detail: "b is missing"}},
		}},
		"a route that is not there": {echo.ErrNotFound, api.Problem{
			Type: "https://credence.example/problems/not_found", Title: "Not found", Status: 404, Code: "not_found", Detail: new("Not Found"),
		}},
		"what the router refuses for no reason that we know": {echo.NewHTTPError(http.StatusTeapot, "short and stout"), api.Problem{
			Type: "https://credence.example/problems/request_refused", Title: "Request refused", Status: 418, Code: "request_refused", Detail: new("short and stout"),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, _ := problemFor(tc.err)
			if diff := cmp.Diff(tc.want, p); diff != "" {
				t.Errorf("problemFor() (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhenTheCallerMayComeBack(t *testing.T) {
	t.Parallel()
	after := func(k registry.Kind, d time.Duration) error {
		e := k.Errorf("code", "message")
		e.RetryAfter = d
		return e
	}
	for _, tc := range []struct {
		err  error
		want string // the Retry-After field
	}{
		{after(registry.Unavailable, 0), "5"}, // CONTRACT: 503 always has it
		{after(registry.Unavailable, -time.Second), "5"},
		{after(registry.Unavailable, time.Millisecond), "1"},
		{after(registry.Unavailable, 1500*time.Millisecond), "2"},
		{after(registry.Unavailable, 30*time.Second), "30"},
		{after(registry.TooManyRequests, 7*time.Second), "7"},
		{after(registry.TooManyRequests, 0), ""},
		{after(registry.Refused, 0), ""},
		{after(registry.Conflict, 0), ""},
		{errors.New("of no kind"), ""},
	} {
		f := newFixture(t)
		f.handler.GET("/fails", func(echo.Context) error { return tc.err })
		w := f.do(call{method: http.MethodGet, path: "/fails"})
		if got := w.Header().Get(echo.HeaderRetryAfter); got != tc.want {
			t.Errorf("Retry-After of %v is %q, want %q", tc.err, got, tc.want)
		}
		wantEqual(t, "Cache-Control", "no-store", w.Header().Get(echo.HeaderCacheControl))
	}
}

// What the caller may not know is in the log, once, under the id that the caller
// is shown.
func TestAFaultOfOursIsLoggedOnceWithItsCauseAndAnsweredWithoutIt(t *testing.T) {
	t.Parallel()
	const raw = `pq: password authentication failed for user "credence"`
	for name, err := range map[string]error{
		"of no kind":    errors.New(raw),
		"a provider's":  registry.Refused.Wrap(errors.New(raw), "provider_refused", "it said no"),
		"a database's":  registry.Unavailable.Wrap(errors.New(raw), "database_unavailable", "it is away"),
		"joined to one": errors.Join(registry.Unavailable.Errorf("database_unavailable", "it is away"), errors.New(raw)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.handler.GET("/fails", func(echo.Context) error { return err })
			w := f.do(call{method: http.MethodGet, path: "/fails"})
			p := problem(t, w)
			if strings.Contains(w.Body.String(), "password") {
				t.Errorf("the caller is shown the cause: %s", w.Body)
			}
			failures := f.logs.records(t, "request failed")
			if len(failures) != 1 {
				t.Fatalf("%d log records, want 1: %s", len(failures), f.logs)
			}
			if text, _ := failures[0]["error"].(string); !strings.Contains(text, raw) || failures[0]["request_id"] != p.RequestID {
				t.Errorf("the log lacks the cause or the request: %v", failures[0])
			}
		})
	}
}

func TestARefusalIsNotLoggedAsAFailure(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	wantProblem(t, f.do(call{method: http.MethodGet, path: "/agents"}), http.StatusUnauthorized, "missing_token")
	if failures := f.logs.records(t, "request failed"); len(failures) != 0 {
		t.Errorf("it was logged: %v", failures)
	}
	if requests := f.logs.records(t, "request"); len(requests) != 1 {
		t.Errorf("%d requests were logged, want 1", len(requests))
	}
}

// RFC 6750, section 3: who sent no token is told no error.
func TestTheChallengeOfA401(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for token, want := range map[string]string{"": `Bearer realm="credence"`, "unknown": `Bearer realm="credence", error="invalid_token"`} {
		w := f.do(call{method: http.MethodGet, path: "/agents", as: token})
		if got := w.Header().Get(echo.HeaderWWWAuthenticate); w.Code != http.StatusUnauthorized || got != want {
			t.Errorf("with the token %q: %d, WWW-Authenticate %q, want %q", token, w.Code, got, want)
		}
	}
}
