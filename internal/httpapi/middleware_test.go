package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/rulebook"
)

// panicking is a store whose reads panic.
type panicking struct{ rulebook.Store }

func (panicking) Environment(context.Context, string) (registry.Environment, error) {
	panic("the text of the panic, hvs.abcdefghijklmnopqrstuvwx")
}

func TestAPanicIsAnsweredAsAFaultOfOursAndEndsNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *Options) { o.Rulebook = rulebook.NewService(panicking{}) })
	w := f.do(call{method: http.MethodGet, path: "/environments/production", as: "admin"})
	wantProblem(t, w, http.StatusInternalServerError, "internal")
	if strings.Contains(w.Body.String(), "panic") || strings.Contains(w.Body.String(), ".go") {
		t.Errorf("the caller is shown the panic: %s", w.Body)
	}
	failures := f.logs.records(t, "request failed")
	if len(failures) != 1 {
		t.Fatalf("%d log records, want 1: %s", len(failures), f.logs)
	}
	text, _ := failures[0]["error"].(string)
	if !strings.Contains(text, "the text of the panic") || !strings.Contains(text, "middleware_test.go") {
		t.Errorf("the log lacks the panic or where it was: %s", text)
	}
	if requests := f.logs.records(t, "request"); len(requests) != 1 || requests[0]["status"] != float64(http.StatusInternalServerError) {
		t.Errorf("the request was logged as %v, want one with status 500", requests)
	}
	if w := f.do(call{method: http.MethodGet, path: "/healthz"}); w.Code != http.StatusOK {
		t.Errorf("the next request is answered %d", w.Code)
	}
}

func TestTheRequestIDIsEchoedWhenItIsHarmless(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for sent, echoed := range map[string]bool{
		"7c9e6679-7425-40de-944b-e07fc1f90ae7": true,
		"a":                                    true,
		"A.b_c-9":                              true,
		strings.Repeat("a", 64):                true,
		"":                                     false,
		strings.Repeat("a", 65):                false,
		strings.Repeat("a", 10_000):            false,
		"two words":                            false,
		"a\nlevel=INFO msg=forged":             false,
		"a\r\nSet-Cookie: b=c":                 false,
		"a\n":                                  false,
		"a\x00b":                               false,
		`{"a":1}`:                              false,
		"<script>":                             false,
		"${jndi:ldap://example.com}":           false,
		"ä":                                    false,
		"'; DROP TABLE audit_events; --":       false,
	} {
		w := f.do(call{method: http.MethodGet, path: "/agents", header: map[string]string{echo.HeaderXRequestID: sent}})
		got := wantProblem(t, w, http.StatusUnauthorized, "missing_token").RequestID
		if echoed {
			wantEqual(t, "the request id", sent, got)
			continue
		}
		if id, err := uuid.Parse(got); err != nil || id.Version() != 7 {
			t.Errorf("for %q the request id is %q, want a UUIDv7", sent, got)
		}
	}
	for _, r := range f.logs.records(t, "request") {
		if id, _ := r["request_id"].(string); !requestIDs.MatchString(id) {
			t.Errorf("the log has the request id %q", id)
		}
	}
}

// TestInvariant_D3_HostsThatAreNotListedAreRefused keeps a page that a browser
// loaded from elsewhere from reaching us by DNS rebinding.
func TestInvariant_D3_HostsThatAreNotListedAreRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *Options) { o.AllowedHosts = []string{"127.0.0.1", "localhost", "::1"} })
	for host, served := range map[string]bool{
		"127.0.0.1":                true,
		"127.0.0.1:8080":           true,
		"localhost:8080":           true,
		"LocalHost:8080":           true, // RFC 9110, section 4.2.3: hosts have no case
		"[::1]:8080":               true,
		"[::1]":                    true,
		"":                         false,
		":8080":                    false,
		"attacker.example":         false,
		"attacker.example:8080":    false,
		"localhost.evil.example":   false,
		"127.0.0.1.evil.example":   false,
		"127.0.0.1@evil.example":   false,
		"evil.example#127.0.0.1":   false,
		"127.0.0.2":                false,
		"2130706433":               false,
		"0.0.0.0:8080":             false,
		"localhost:8080:8080":      false,
		"[::ffff:127.0.0.1]:8080":  false,
		"localhost\x00.example":    false,
		"localhost, evil.example":  false,
		"evil.example, localhost":  false,
		"[localhost]evil.example":  false,
		"[::1].evil.example":       false,
		"localhost.evil.example:1": false,
	} {
		for _, path := range []string{"/healthz", "/agents", "/openapi.yaml", "/nowhere"} {
			r := call{method: http.MethodGet, path: path}.request(t.Context())
			r.Host = host
			w := recorded(f, r)
			if refused := w.Code == http.StatusMisdirectedRequest; refused == served {
				t.Errorf("%s of host %q: %d, want it served: %t", path, host, w.Code, served)
			}
			if !served {
				wantProblem(t, w, http.StatusMisdirectedRequest, "unknown_host")
			}
		}
	}
}

func TestWithoutAListEveryHostIsServed(t *testing.T) {
	t.Parallel()
	r := call{method: http.MethodGet, path: "/healthz"}.request(t.Context())
	r.Host = "anything.example"
	if w := recorded(newFixture(t), r); w.Code != http.StatusOK {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
}

// Whatever callers make up, the metrics have few series.
func TestLabelsAreBounded(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for i := range 200 {
		made := fmt.Sprintf("x%d", i)
		for _, c := range []call{
			{method: http.MethodGet, path: "/" + made},
			{method: http.MethodGet, path: "/agents/" + made},
			{method: http.MethodGet, path: "/agents/" + made + "/" + made},
			{method: http.MethodPatch, path: "/agents/" + made, as: "ana"},
			{method: http.MethodPost, path: "/agents?" + made, as: made},
			{method: "MADE" + made, path: "/agents"},
			{method: "MADE" + made, path: "/" + made},
			{method: http.MethodTrace, path: "/healthz"},
		} {
			f.do(c)
		}
	}
	routes := map[string]bool{"none": true}
	for _, r := range f.handler.Routes() {
		routes[r.Path] = true
	}
	families, err := f.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := 0
	for _, family := range families {
		for _, m := range family.GetMetric() {
			series++
			for _, l := range m.GetLabel() {
				switch l.GetName() {
				case "route":
					if !routes[l.GetValue()] {
						t.Errorf("there is a route %q", l.GetValue())
					}
				case "method":
					if l.GetValue() != "other" && strings.Contains(l.GetValue(), "MADE") {
						t.Errorf("there is a method %q", l.GetValue())
					}
				case "status":
				default:
					t.Errorf("there is a label %q", l.GetName())
				}
			}
		}
	}
	if series == 0 || series > 20 {
		t.Errorf("%d series, want at most 20", series)
	}
}

func TestARequestIsLoggedWithoutWhatItCarried(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.do(call{method: http.MethodPost, path: "/agents", as: "ben", body: `{"name": "in-the-body"}`,
		header: map[string]string{"Cookie": "session=in-a-cookie"}})
	f.do(call{method: http.MethodGet, path: "/agents?cursor=in-the-query", as: "ben"})
	f.do(call{method: http.MethodGet, path: "/agents?in-the-query=1", as: "ben"})
	requests := f.logs.records(t, "request")
	if len(requests) != 3 {
		t.Fatalf("%d requests were logged, want 3", len(requests))
	}
	for _, key := range []string{"time", "milliseconds", "request_id"} {
		delete(requests[0], key)
	}
	wantEqual(t, "the record", map[string]any{
		"level": "INFO", "msg": "request", "method": "POST", "route": "/agents", "status": float64(422), "subject": "auth0|ben",
	}, requests[0])
	if text := f.logs.String(); strings.Contains(text, "in-") || strings.Contains(text, "Bearer") {
		t.Errorf("the log holds what the request carried: %s", text)
	}
}

func TestAnUnknownRouteAndMethodAreProblems(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	wantProblem(t, f.do(call{method: http.MethodGet, path: "/nowhere"}), http.StatusNotFound, "not_found")
	w := f.do(call{method: http.MethodPut, path: "/agents/a"})
	wantProblem(t, w, http.StatusMethodNotAllowed, "method_not_allowed")
	if got := w.Header().Get(echo.HeaderAllow); !strings.Contains(got, http.MethodGet) || !strings.Contains(got, http.MethodDelete) {
		t.Errorf("Allow = %q", got)
	}
}
