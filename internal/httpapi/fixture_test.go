package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/api/schemas"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/rulebook"
	"github.com/credenceproject/credence/internal/schema"
	"github.com/credenceproject/credence/internal/telemetry"
)

var update = flag.Bool("update", false, "write the golden files anew")

// callers are who presents each token.
var callers = map[string]registry.Principal{
	"admin":     {Subject: "auth0|root", Permissions: []registry.Permission{registry.Admin}},
	"ana":       {Subject: "auth0|ana", Permissions: []registry.Permission{registry.AgentsRegister, registry.AgentsRead, registry.AgentsWrite}, Teams: []string{"customer-success"}},
	"ben":       {Subject: "auth0|ben", Permissions: []registry.Permission{registry.AgentsRegister, registry.AgentsRead, registry.AgentsWrite}, Teams: []string{"platform"}},
	"reader":    {Subject: "auth0|reader", Permissions: []registry.Permission{registry.AgentsRead}},
	"powerless": {Subject: "auth0|powerless"},

	"owner":   {Subject: "auth0|owner", Permissions: []registry.Permission{registry.ResourcesRead, registry.ResourcesWrite}, Teams: []string{"platform"}},
	"rival":   {Subject: "auth0|rival", Permissions: []registry.Permission{registry.ResourcesRead, registry.ResourcesWrite}, Teams: []string{"customer-success"}},
	"gateway": {Subject: "gateway@clients", Permissions: []registry.Permission{registry.ResourcesRead}},

	"author":   {Subject: "auth0|author", Permissions: []registry.Permission{registry.PoliciesRead, registry.PoliciesWrite}, Teams: []string{"customer-success"}},
	"stranger": {Subject: "auth0|stranger", Permissions: []registry.Permission{registry.PoliciesRead, registry.PoliciesWrite}, Teams: []string{"platform"}},
	"auditor":  {Subject: "auth0|auditor", Permissions: []registry.Permission{registry.PoliciesRead}, Teams: []string{"customer-success"}},
}

// knownCallers authenticates those.
type knownCallers struct{}

func (knownCallers) Authenticate(_ context.Context, token string) (registry.Principal, error) {
	if p, ok := callers[token]; ok {
		return p, nil
	}
	return registry.Principal{}, registry.Unauthenticated.Errorf("invalid_token", "nobody has this token")
}

// audits keeps what was refused; it fails when told to.
type audits struct {
	mu     sync.Mutex
	events []registry.AuditEvent
	err    error
}

func (a *audits) RecordAudit(_ context.Context, e registry.AuditEvent) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.events = append(a.events, e)
	return a.err
}

// take returns what was refused since the last call of it.
func (a *audits) take() []registry.AuditEvent {
	a.mu.Lock()
	defer a.mu.Unlock()
	events := a.events
	a.events = nil
	return events
}

// fixture is an API whose services a test may choose. Those that it does not
// are not there: a request that reaches one of them is answered 500.
type fixture struct {
	t       testing.TB
	handler *echo.Echo
	audits  *audits
	metrics *prometheus.Registry
	logs    *logBuffer
}

func newFixture(t testing.TB, change ...func(*Options)) *fixture {
	t.Helper()
	validator, err := schema.New(schemas.FS)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, audits: &audits{}, metrics: prometheus.NewRegistry(), logs: &logBuffer{}}
	o := Options{
		Rulebook: rulebook.NewService(nil), Schemas: validator, Authenticator: knownCallers{}, Auditor: f.audits,
		Health: NewHealth("v1.2.3"), Metrics: telemetry.NewHTTPMetrics(f.metrics), Handout: handout,
		Log: slog.New(slog.NewJSONHandler(f.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&o)
	}
	f.handler = New(o)
	return f
}

// handout is what new agents are told.
var handout = Handout{
	TokenEndpoint: "https://tenant.example.com/oauth/token", Audience: "https://mcp.example.com/",
	VaultAddress: "https://vault.example.com", VaultAuthPath: "auth/jwt/login", VaultRole: "agent",
	SecretPaths: func(a registry.Agent) SecretPaths {
		return SecretPaths{Own: "secret/data/mcp/agents/by-id/agent_" + a.ID, Team: "secret/data/mcp/agents/by-env/" + a.Environment + "/by-team/" + a.Team, Common: "secret/data/mcp/agents/by-env/" + a.Environment + "/common"}
	},
}

// call is a request. A body makes it JSON, unless a header says otherwise.
type call struct {
	method, path string
	as           string // the token; "" sends none
	body         string
	reader       io.Reader // instead of body
	header       map[string]string
}

func (c call) request(ctx context.Context) *http.Request {
	body := c.reader
	if body == nil {
		body = strings.NewReader(c.body)
	}
	r := httptest.NewRequestWithContext(ctx, c.method, c.path, body)
	if c.body != "" {
		r.Header.Set(echo.HeaderContentType, "application/json")
	}
	if c.as != "" {
		r.Header.Set(echo.HeaderAuthorization, "Bearer "+c.as)
	}
	for name, value := range c.header {
		r.Header.Set(name, value)
	}
	return r
}

func (f *fixture) do(c call) *httptest.ResponseRecorder {
	f.t.Helper()
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, c.request(f.t.Context()))
	return w
}

// problem decodes the problem that w must be.
func problem(t testing.TB, w *httptest.ResponseRecorder) api.Problem {
	t.Helper()
	if got := w.Header().Get(echo.HeaderContentType); got != "application/problem+json" {
		t.Fatalf("%d with content type %q, want a problem: %s", w.Code, got, w.Body)
	}
	var p api.Problem
	d := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		t.Fatalf("the problem is not one: %v: %s", err, w.Body)
	}
	if p.Status != w.Code {
		t.Errorf("the problem says %d, the response %d", p.Status, w.Code)
	}
	if p.Type != problemTypes+p.Code {
		t.Errorf("type = %q, want it to end in the code %q", p.Type, p.Code)
	}
	if p.RequestID == "" || p.RequestID != w.Header().Get(echo.HeaderXRequestID) {
		t.Errorf("request_id = %q, the response carries %q", p.RequestID, w.Header().Get(echo.HeaderXRequestID))
	}
	return p
}

// wantProblem checks the problem's status and code, and returns it.
func wantProblem(t testing.TB, w *httptest.ResponseRecorder, status int, code string) api.Problem {
	t.Helper()
	p := problem(t, w)
	if p.Status != status || p.Code != code {
		t.Errorf("the problem is %d %s, want %d %s: %s", p.Status, p.Code, status, code, w.Body)
	}
	return p
}

func wantEqual[T any](t testing.TB, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// logBuffer is a log that can be read meanwhile.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// records decodes the log's lines with this message.
func (l *logBuffer) records(t testing.TB, message string) []map[string]any {
	t.Helper()
	var found []map[string]any
	for line := range strings.Lines(l.String()) {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("a line of the log is not JSON: %s", line)
		}
		if r[slog.MessageKey] == message {
			found = append(found, r)
		}
	}
	return found
}

// recorded is the answer to r.
func recorded(f *fixture, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, r)
	return w
}
