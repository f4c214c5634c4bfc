package httpapi

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/credenceproject/credence/internal/registry"
)

const agentID = "0197c0de-0000-7000-8000-000000000001"

func TestACursorComesBackAsItWasGiven(t *testing.T) {
	t.Parallel()
	for _, p := range []position{{Name: "support"}, {Name: "support-triage", ID: agentID}, {Name: strings.Repeat("a", 63)}} {
		got, err := readCursor(cursor(p))
		if err != nil || got != p {
			t.Errorf("readCursor() = %+v, %v; want %+v", got, err, p)
		}
	}
	if got, err := readCursor(nil); err != nil || got != (position{}) {
		t.Errorf("no cursor is %+v, %v; want the first page", got, err)
	}
}

func TestACursorThatWeDidNotGiveIsRefused(t *testing.T) {
	t.Parallel()
	encode := base64.RawURLEncoding.EncodeToString
	good := *cursor(position{Name: "support-triage", ID: agentID})
	for name, tampered := range map[string]string{
		"no base64":               "%%%",
		"padded base64":           base64.URLEncoding.EncodeToString([]byte(`{"n":"ab"}`)) + "==",
		"cut off":                 good[:len(good)-3],
		"with something behind":   good + encode([]byte(`{}`)),
		"no JSON":                 encode([]byte("support")),
		"a list":                  encode([]byte(`["support"]`)),
		"null":                    encode([]byte(`null`)),
		"an empty object":         encode([]byte(`{}`)),
		"an empty name":           encode([]byte(`{"n":""}`)),
		"a number for a name":     encode([]byte(`{"n":1}`)),
		"a name that is none":     encode([]byte(`{"n":"A'; DROP TABLE agents"}`)),
		"a name with NUL":         encode([]byte(`{"n":"a\u0000"}`)),
		"a name of 64 characters": encode([]byte(`{"n":"` + strings.Repeat("a", 64) + `"}`)),
		"a UUID for a name":       encode([]byte(`{"n":"` + agentID + `"}`)),
		"an id that is none":      encode([]byte(`{"n":"a","i":"1"}`)),
		"an id with more behind":  encode([]byte(`{"n":"a","i":"` + agentID + `'"}`)),
		"deep nesting":            encode([]byte(strings.Repeat("[", 100_000))),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := readCursor(&tampered)
			if e, ok := registry.AsError(err); !ok || !errors.Is(err, registry.Invalid) || e.Code != "invalid_cursor" {
				t.Errorf("readCursor() = %+v, %v; want invalid_cursor", got, err)
			}
			if got != (position{}) {
				t.Errorf("a refused cursor gave the position %+v", got)
			}
		})
	}
}

func TestTheCursorOfANumberedListComesBackAsItWasGiven(t *testing.T) {
	t.Parallel()
	for _, n := range []int64{1, 42, 1 << 62} {
		if got, err := readNumberCursor(numberCursor(n)); err != nil || got != n {
			t.Errorf("readNumberCursor() = %d, %v; want %d", got, err, n)
		}
	}
	if got, err := readNumberCursor(nil); err != nil || got != 0 {
		t.Errorf("no cursor is %d, %v; want the first page", got, err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	for _, tampered := range []string{
		"%%%", encode([]byte(`{"l":0}`)), encode([]byte(`{"l":-1}`)), encode([]byte(`{"l":"1"}`)), encode([]byte(`{"l":1.5}`)),
		encode([]byte(`null`)), *cursor(position{Name: "support"}),
	} {
		if got, err := readNumberCursor(&tampered); !errors.Is(err, registry.Invalid) || got != 0 {
			t.Errorf("readNumberCursor(%q) = %d, %v; want it refused", tampered, got, err)
		}
	}
}

func TestParametersOfListsAreChecked(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for query, want := range map[string]struct {
		status int
		code   string
	}{
		"limit=0":           {http.StatusUnprocessableEntity, "invalid_parameter"},
		"limit=201":         {http.StatusUnprocessableEntity, "invalid_parameter"},
		"limit=-1":          {http.StatusUnprocessableEntity, "invalid_parameter"},
		"limit=many":        {http.StatusBadRequest, "invalid_parameter"},
		"limit=99999999999": {http.StatusUnprocessableEntity, "invalid_parameter"},
		"limit=1e2":         {http.StatusBadRequest, "invalid_parameter"},
		"cursor=x":          {http.StatusUnprocessableEntity, "invalid_cursor"},
	} {
		for _, path := range []string{"/agents", "/environments", "/agent-types", "/teams", "/audit", "/drift"} {
			wantProblem(t, f.do(call{method: http.MethodGet, path: path + "?" + query, as: "admin"}), want.status, want.code)
		}
	}
	for path, names := range map[string]string{
		"/agents?limit=abc": "limit", "/agents?teem=x": "teem", "/agents?team=a&team=b": "team", "/agents?Team=a": "Team", "/agents/a?limit=1": "limit",
		"/teams?team=a": "team", "/healthz?x=1": "x", "/readyz?probe=1": "probe", "/agents?team=%zz": "query", "/agents?a;b": "query",
		"/drift?agent=a": "agent", "/audit?team=a": "team",
	} {
		p := wantProblem(t, f.do(call{method: http.MethodGet, path: path, as: "admin"}), http.StatusBadRequest, "invalid_parameter")
		if !strings.Contains(*p.Detail, names) || strings.Contains(*p.Detail, "strconv") || strings.Contains(*p.Detail, "nvalid format") {
			t.Errorf("%s: %s", path, *p.Detail)
		}
	}
	wantProblem(t, f.do(call{method: http.MethodDelete, path: "/agents/a?force=1", as: "admin"}), http.StatusBadRequest, "invalid_parameter")
	wantProblem(t, f.do(call{method: http.MethodGet, path: "/agents?lifecycle=asleep", as: "admin"}), http.StatusUnprocessableEntity, "invalid_parameter")
	wantProblem(t, f.do(call{method: http.MethodGet, path: "/agents/a?include=everything", as: "admin"}), http.StatusUnprocessableEntity, "invalid_parameter")
	for path, names := range map[string]string{
		"/agents?expires_before=soon": "expires_before", "/agents?expires_before=2026-03-01": "expires_before", "/agents?expires_before=": "expires_before",
		"/audit?from=yesterday": "from", "/audit?until=1": "until", "/audit?agent=%00": "agent", "/audit?actor=%ff": "actor", "/audit?action=%00": "action",
		"/agents/a?wait=never": "wait", "/agents/a?wait=": "wait", "/agents/a?wait=ready&timeout=0s": "timeout", "/agents/a?wait=ready&timeout=61s": "timeout",
		"/agents/a?wait=ready&timeout=30": "timeout", "/agents/a?wait=ready&timeout=-5s": "timeout", "/agents/a?timeout=5s": "timeout",
		"/agents/a?wait=ready&include=decommissioned": "include",
	} {
		p := wantProblem(t, f.do(call{method: http.MethodGet, path: path, as: "admin"}), http.StatusUnprocessableEntity, "invalid_parameter")
		if !strings.Contains(*p.Detail, names) {
			t.Errorf("%s: %s", path, *p.Detail)
		}
	}
	for _, path := range []string{"/agents/a?dry_run=yes", "/agents/a?dry_run=1", "/agents/a?dry_run=", "/teams/a?dry_run=True", "/agents/a?dry_run=true&dry_run=true"} {
		p := wantProblem(t, f.do(call{method: http.MethodDelete, path: path, as: "admin"}), http.StatusBadRequest, "invalid_parameter")
		if !strings.Contains(*p.Detail, "dry_run") {
			t.Errorf("%s: %s", path, *p.Detail)
		}
	}
}
