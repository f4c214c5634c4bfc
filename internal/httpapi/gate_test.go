package httpapi

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/strictjson"
)

// unreadable is a body that must not be read.
type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

// endless is a body without an end and without a length.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.read += len(p)
	return len(p), nil
}

// The gate asks in a fixed order: who, whether, then what: the query, then the
// body. Each row is wrong in all that comes later.
func TestTheGateAsksInOrder(t *testing.T) {
	t.Parallel()
	text := map[string]string{echo.HeaderContentType: "text/plain"}
	for _, write := range []call{
		{method: http.MethodPost, path: "/agents"},
		{method: http.MethodPost, path: "/agents/support-triage/suspend"},
		{method: http.MethodPost, path: "/agents/support-triage/resume"},
		{method: http.MethodPost, path: "/agents/support-triage/transfer"},
		{method: http.MethodPut, path: "/environments/production"},
		{method: http.MethodPut, path: "/agent-types/support"},
		{method: http.MethodPut, path: "/teams/customer-success"},
	} {
		t.Run(write.method+" "+write.path, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			for _, step := range []struct {
				call
				status int
				code   string
			}{
				{call{path: "?x=1", reader: unreadable{t}, header: text}, http.StatusUnauthorized, "missing_token"},
				{call{path: "?x=1", as: "unknown", reader: unreadable{t}, header: text}, http.StatusUnauthorized, "invalid_token"},
				{call{path: "?x=1", as: "powerless", reader: unreadable{t}, header: text}, http.StatusForbidden, "permission_denied"},
				{call{path: "?x=1", as: "reader", reader: unreadable{t}, header: text}, http.StatusForbidden, "permission_denied"},
				{call{path: "?x=1", as: "admin", reader: unreadable{t}, header: text}, http.StatusBadRequest, "invalid_parameter"},
				{call{as: "admin", reader: unreadable{t}, header: text}, http.StatusUnsupportedMediaType, "unsupported_media_type"},
				{call{as: "admin", reader: unreadable{t}}, http.StatusUnsupportedMediaType, "unsupported_media_type"},
				{call{as: "admin", body: strings.Repeat(" ", strictjson.MaxBytes+1)}, http.StatusRequestEntityTooLarge, "body_too_large"},
				{call{as: "admin", body: `{"name": `}, http.StatusBadRequest, "invalid_json"},
				{call{as: "admin", body: ""}, http.StatusUnsupportedMediaType, "unsupported_media_type"},
				{call{as: "admin", body: `{"name": "a", "name": "b"}`}, http.StatusBadRequest, "duplicate_key"},
				{call{as: "admin", body: `{"max_agents": 1e9999999}`}, http.StatusUnprocessableEntity, "number_out_of_range"},
			} {
				step.method, step.path = write.method, write.path+step.path
				wantProblem(t, f.do(step.call), step.status, step.code)
			}
			w := f.do(call{method: write.method, path: write.path, as: "admin", body: `{"unknown": 1}`})
			if p := problem(t, w); p.Status != http.StatusUnprocessableEntity {
				t.Errorf("a document that is wrong: %d %s", p.Status, p.Code)
			}
		})
	}
}

// A body that may be left out is read where there is one, also where its length is
// not known beforehand.
func TestABodyThatMayBeLeftOutIsHeldToTheSameRules(t *testing.T) {
	t.Parallel()
	json := map[string]string{echo.HeaderContentType: "application/json"}
	unsized := func(s string) io.Reader { return io.MultiReader(strings.NewReader(s)) }
	for name, tc := range map[string]struct {
		call
		status int
		code   string
	}{
		"none":                         {call{}, http.StatusAccepted, ""},
		"none, of unknown length":      {call{reader: unsized("")}, http.StatusAccepted, ""},
		"none, with a content type":    {call{header: json}, http.StatusAccepted, ""},
		"an empty object":              {call{body: "{}"}, http.StatusAccepted, ""},
		"an object, of unknown length": {call{reader: unsized("{}"), header: json}, http.StatusAccepted, ""},
		"text":                         {call{body: "{}", header: map[string]string{echo.HeaderContentType: "text/plain"}}, http.StatusUnsupportedMediaType, "unsupported_media_type"},
		"no content type":              {call{reader: unsized("{}")}, http.StatusUnsupportedMediaType, "unsupported_media_type"},
		"a space":                      {call{body: " "}, http.StatusBadRequest, "invalid_json"},
		"no JSON":                      {call{body: "{"}, http.StatusBadRequest, "invalid_json"},
		"too much":                     {call{body: strings.Repeat(" ", strictjson.MaxBytes+1)}, http.StatusRequestEntityTooLarge, "body_too_large"},
		"no object":                    {call{body: "[]"}, http.StatusUnprocessableEntity, "invalid_repair"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, func(o *Options) { o.Drift = &drifts{} })
			tc.method, tc.path, tc.as = http.MethodPost, "/drift/repair", "admin"
			w := f.do(tc.call)
			if tc.code != "" {
				wantProblem(t, w, tc.status, tc.code)
			} else if w.Code != tc.status {
				t.Errorf("%d, want %d: %s", w.Code, tc.status, w.Body)
			}
		})
	}
}

func TestAPatchMayComeInEitherMediaType(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *Options) {
		o.Agents = agents.NewService(emptyRegistry{}, nil, nil, nil, slog.New(slog.DiscardHandler), agents.Options{})
	})
	for media, status := range map[string]int{
		"application/json": http.StatusNotFound, "application/merge-patch+json": http.StatusNotFound,
		"application/merge-patch+json; charset=utf-8": http.StatusNotFound,
		"application/json-patch+json":                 http.StatusUnsupportedMediaType, "": http.StatusUnsupportedMediaType,
	} {
		w := f.do(call{method: http.MethodPatch, path: "/agents/nobody", as: "ana", body: `{}`, header: map[string]string{echo.HeaderContentType: media, "If-Match": `"x"`}})
		if w.Code != status {
			t.Errorf("%q: %d, want %d: %s", media, w.Code, status, w.Body)
		}
	}
	w := f.do(call{method: http.MethodPost, path: "/agents/nobody/suspend", as: "ana", body: `{}`, header: map[string]string{echo.HeaderContentType: "application/merge-patch+json"}})
	wantProblem(t, w, http.StatusUnsupportedMediaType, "unsupported_media_type")
}

// emptyRegistry is a registry without any agent.
type emptyRegistry struct{ agents.Store }

func (emptyRegistry) Agent(context.Context, string, bool) (registry.Agent, error) {
	return registry.Agent{}, registry.NotFound.Errorf("not_found", "there is no agent of that name")
}

// A parameter that cannot be read is told to callers who may call at all.
func TestParametersComeAfterThePermission(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, step := range []struct {
		as     string
		status int
		code   string
	}{
		{"", http.StatusUnauthorized, "missing_token"},
		{"powerless", http.StatusForbidden, "permission_denied"},
		{"reader", http.StatusBadRequest, "invalid_parameter"},
	} {
		wantProblem(t, f.do(call{method: http.MethodGet, path: "/agents?limit=x", as: step.as}), step.status, step.code)
	}
}

// The body comes before the team: a document that is wrong and for another's
// team is wrong.
func TestTheTeamComesAfterTheBody(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	w := f.do(call{method: http.MethodPost, path: "/agents", as: "ben", body: `{"team": "customer-success"}`})
	wantProblem(t, w, http.StatusUnprocessableEntity, "invalid_registration")
}

func TestABodyWithoutALengthIsReadToTheLimitOnly(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	body := &endless{}
	w := f.do(call{method: http.MethodPut, path: "/teams/cx", as: "admin", reader: body, header: map[string]string{echo.HeaderContentType: "application/json"}})
	wantProblem(t, w, http.StatusRequestEntityTooLarge, "body_too_large")
	if body.read > 2*strictjson.MaxBytes {
		t.Errorf("%d bytes were read", body.read)
	}
}

func TestABodyThatSaysThatItIsTooLongIsNotRead(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := call{method: http.MethodPut, path: "/teams/cx", as: "admin", reader: unreadable{t}, header: map[string]string{echo.HeaderContentType: "application/json"}}.request(t.Context())
	r.ContentLength = strictjson.MaxBytes + 1
	wantProblem(t, recorded(f, r), http.StatusRequestEntityTooLarge, "body_too_large")
}

func TestABodyThatBreaksOffIsMalformed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	body := io.MultiReader(strings.NewReader(`{"max_agents": `), brokenReader{})
	w := f.do(call{method: http.MethodPut, path: "/teams/cx", as: "admin", reader: body, header: map[string]string{echo.HeaderContentType: "application/json"}})
	p := wantProblem(t, w, http.StatusBadRequest, "unreadable_body")
	if strings.Contains(*p.Detail, "peer") {
		t.Errorf("the cause is shown: %s", *p.Detail)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("connection reset by peer") }

func TestTwoAuthorizationHeadersAreRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := call{method: http.MethodGet, path: "/agents", as: "admin"}.request(t.Context())
	r.Header.Add(echo.HeaderAuthorization, "Bearer ana")
	wantProblem(t, recorded(f, r), http.StatusUnauthorized, "invalid_token")
}

// away fails as a verifier does that cannot reach the issuer.
type away struct{}

func (away) Authenticate(context.Context, string) (registry.Principal, error) {
	return registry.Principal{}, registry.Unavailable.Errorf("identity_provider_unavailable", "the keys cannot be fetched")
}

func TestATokenThatCannotBeVerifiedNowIsNotRefusedForGood(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *Options) { o.Authenticator = away{} })
	w := f.do(call{method: http.MethodGet, path: "/agents", as: "ana"})
	wantProblem(t, w, http.StatusServiceUnavailable, "identity_provider_unavailable")
	if w.Header().Get(echo.HeaderRetryAfter) == "" {
		t.Error("there is no Retry-After")
	}
}

// agentClient refuses as the verifier does for an agent's client (invariant A2).
type agentClient struct{}

func (agentClient) Authenticate(context.Context, string) (registry.Principal, error) {
	return registry.Principal{Subject: "bot@clients", Permissions: []registry.Permission{registry.Admin}}, registry.Forbidden.Errorf("agent_client", "agents may not use the control plane")
}

func TestInvariant_A2_AnAgentsClientIsRefusedOnEveryRoute(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *Options) { o.Authenticator = agentClient{} })
	for _, op := range contract(t) {
		if operations[op.OperationID].public {
			continue
		}
		path := strings.ReplaceAll(op.Path, "{name}", "support")
		wantProblem(t, f.do(call{method: op.Method, path: path, as: "agent", body: "{}"}), http.StatusForbidden, "agent_client")
	}
}
