package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/api"
)

const (
	testID     = "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"
	testSecret = "the-secret-that-is-shown-once"
	testToken  = "header.payload.signature"
)

// apiServer answers as the API does, and keeps what it was asked.
type apiServer struct {
	*httptest.Server
	mu    sync.Mutex
	calls []string // method, URI and body
	who   []string // authorizations
}

func newAPIServer(t *testing.T, routes map[string]http.HandlerFunc) *apiServer {
	t.Helper()
	s := &apiServer{}
	mux := http.NewServeMux()
	for pattern, handler := range routes {
		mux.HandleFunc(pattern, handler)
	}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.calls = append(s.calls, strings.TrimSpace(r.Method+" "+r.RequestURI+" "+string(body)))
		s.who = append(s.who, r.Header.Get("Authorization"))
		s.mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body)) // for the handler too
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *apiServer) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.calls...)
}

func (s *apiServer) callers() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.who...)
}

func answer(status int, doc any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		contentType := "application/json"
		if status >= 400 {
			contentType = "application/problem+json"
		}
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		if doc != nil {
			_ = json.NewEncoder(w).Encode(doc)
		}
	}
}

func problem(status int, code, detail string, faults ...api.FieldError) http.HandlerFunc {
	p := api.Problem{Type: "https://credence.example/problems/" + code, Title: code, Status: status, Code: code, Detail: &detail, RequestID: "req-7"}
	if len(faults) > 0 {
		p.Errors = &faults
	}
	return answer(status, p)
}

// terminal is one run of a command: its surroundings, then what it printed.
type terminal struct {
	dir   string
	env   map[string]string
	stdin string
	human bool // somebody sits at it

	out, err string
	failed   error
}

// at returns a terminal whose environment names the server.
func at(server *apiServer) *terminal {
	return &terminal{dir: os.TempDir(), env: map[string]string{"CREDENCE_SERVER": server.URL, "CREDENCE_TOKEN": testToken}}
}

// run runs the command as main does, and returns its exit code.
func (c *terminal) run(ctx context.Context, args ...string) int {
	var out, errs bytes.Buffer
	surroundings := streams{in: strings.NewReader(c.stdin), out: &out, err: &errs}
	env := func(name string) (string, bool) {
		value, ok := c.env[name]
		return value, ok
	}
	developer := func() *developer { // each command has its own, as in main
		d := newDeveloper(surroundings, env)
		d.workingDir = func() (string, error) { return c.dir, nil }
		d.terminal = func(io.Reader) bool { return c.human }
		return d
	}
	root := &cobra.Command{Use: "credence", SilenceUsage: true, SilenceErrors: true}
	root.SetOut(&out)
	root.SetErr(&errs)
	root.AddCommand(developer().agentCommand(), developer().resourceCommand(), developer().checkCommand(),
		developer().policyCommand(), developer().explainCommand(), developer().bundleCommand(),
		developer().auditCommand(), developer().driftCommand(), developer().tokenCommand(), healthcheckCommand(surroundings, env))
	withUsageErrors(root)
	root.SetArgs(args)
	if c.failed = root.ExecuteContext(ctx); c.failed != nil {
		printError(&errs, c.failed)
	}
	c.out, c.err = out.String(), errs.String()
	return exitCode(c.failed)
}

// mustRun runs a command that succeeds.
func (c *terminal) mustRun(t *testing.T, args ...string) {
	t.Helper()
	if code := c.run(t.Context(), args...); code != exitOK {
		t.Fatalf("credence %s: exit code %d\n%s", strings.Join(args, " "), code, c.err)
	}
}

// unindent removes the tabs with which a text is written in a test.
func unindent(s string) string {
	return strings.ReplaceAll(strings.TrimPrefix(s, "\n"), "\t", "")
}

func want(t *testing.T, what, want, got string) {
	t.Helper()
	if diff := cmp.Diff(unindent(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// writeDevInfo leaves a dev.json in dir, as the dev system does.
func writeDevInfo(t *testing.T, dir string, mode os.FileMode, info devInfo) {
	t.Helper()
	state := devStateIn(dir)
	if err := os.MkdirAll(state.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := state.write(info); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(state.infoFile(), mode); err != nil {
		t.Fatal(err)
	}
}

var testTime = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// triage is an agent as the API answers it.
func triage() api.Agent {
	ten, day := int64(10), int64(10000)
	client, subject := "Qm4client", "Qm4client@clients"
	condition := func(kind api.ConditionType) api.Condition {
		return api.Condition{Type: kind, Status: api.True, Reason: "Done", Message: "", LastTransitionTime: testTime}
	}
	refused := "the secret store refused"
	return api.Agent{
		ID: testID, Name: "support-triage", Team: "customer-success", AgentType: "support", Environment: "production",
		Owner: "ana@example.com", Description: "Sorts\x1b[31m tickets", Scopes: []string{"skills:invoke", "data:read"},
		Capabilities: []api.Capability{{Name: "triage"}}, Labels: map[string]string{"tier": "1", "cost-center": "cx-12"},
		Config: json.RawMessage(`{"max_tickets_per_hour":200}`), Quota: api.Quota{RequestsPerSecond: &ten, RequestsPerDay: &day},
		Lifecycle: api.AgentLifecycleActive, Revision: 42, CredentialGeneration: 1,
		Conditions: []api.Condition{condition(api.ConditionTypeIdentityReady), condition(api.ConditionTypeReady)},
		Provisioning: []api.ProvisioningStep{
			{Step: api.ProvisioningStepStepAuth0Client, State: api.Done, At: testTime},
			{Step: api.ProvisioningStepStepVaultEntity, State: api.Failed, At: testTime, LastError: &refused},
		},
		Identity:  api.AgentIdentity{Provider: api.Auth0, ClientID: &client, Subject: &subject},
		Secrets:   api.AgentSecrets{Provider: api.Vault, Entity: "agent_" + testID},
		CreatedAt: testTime, UpdatedAt: testTime, CreatedBy: "auth0|ana",
	}
}

func TestWithoutAServerTheUserIsToldWhereOneComesFrom(t *testing.T) {
	t.Parallel()
	c := &terminal{dir: t.TempDir()}
	if code := c.run(t.Context(), "agent", "list"); code != exitUsage {
		t.Errorf("exit code %d, want %d", code, exitUsage)
	}
	want(t, "stderr", `
		credence: no server is given, and no dev system runs in this directory or above it
		Start one with 'make dev' or 'credence dev', or say where the server is with --server or CREDENCE_SERVER.
		`, c.err)
}

func TestTheDevSystemOfADirectoryAboveIsUsed(t *testing.T) {
	t.Parallel()
	server := newAPIServer(t, map[string]http.HandlerFunc{"GET /agents": answer(200, api.AgentPage{Items: []api.Agent{}})})
	top := t.TempDir()
	writeDevInfo(t, top, 0o600, devInfo{API: server.URL, DeveloperToken: "dev-token", AdminToken: "admin-token"})
	deep := filepath.Join(top, "a", "b")
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	tokenFile := filepath.Join(top, "token")
	if err := os.WriteFile(tokenFile, []byte("file-token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		env  map[string]string
		args []string
		want string
	}{
		{nil, nil, "dev-token"},
		{nil, []string{"--as", "developer"}, "dev-token"},
		{nil, []string{"--as", "admin"}, "admin-token"},
		{nil, []string{"--server", server.URL + "/"}, "dev-token"},
		{nil, []string{"--token-file", tokenFile}, "file-token"},
		{map[string]string{"CREDENCE_TOKEN": "env-token"}, nil, "env-token"},
		{map[string]string{"CREDENCE_TOKEN": "env-token"}, []string{"--as", "admin"}, "admin-token"},
		{map[string]string{"CREDENCE_TOKEN": "env-token"}, []string{"--token-file", tokenFile}, "file-token"},
		{map[string]string{"CREDENCE_TOKEN_FILE": tokenFile, "CREDENCE_SERVER": server.URL}, nil, "file-token"},
	} {
		c := &terminal{dir: deep, env: tt.env}
		c.mustRun(t, append([]string{"agent", "list"}, tt.args...)...)
		callers := server.callers()
		if got := callers[len(callers)-1]; got != "Bearer "+tt.want {
			t.Errorf("%v with %v: the server saw %q, want the token %q", tt.args, slicesOf(tt.env), got, tt.want)
		}
	}
}

func slicesOf(env map[string]string) (names []string) {
	for name := range maps.Keys(env) {
		names = append(names, name)
	}
	return names
}

func TestTheDevSystemsTokensGoToNoOtherServer(t *testing.T) {
	t.Parallel()
	other := newAPIServer(t, nil)
	dir := t.TempDir()
	writeDevInfo(t, dir, 0o600, devInfo{API: "http://127.0.0.1:1", DeveloperToken: "dev-token", AdminToken: "admin-token"})
	for _, args := range [][]string{nil, {"--as", "admin"}} {
		c := &terminal{dir: dir}
		if code := c.run(t.Context(), append([]string{"agent", "list", "--server", other.URL}, args...)...); code != exitUsage {
			t.Errorf("%v: exit code %d, want %d", args, code, exitUsage)
		}
	}
	if seen := other.seen(); len(seen) != 0 {
		t.Errorf("the other server saw %v", seen)
	}
}

func TestADevFileThatOthersCouldReadOrMadeIsNotTrusted(t *testing.T) {
	t.Parallel()
	server := newAPIServer(t, nil)
	readable, aDirectory, broken := t.TempDir(), t.TempDir(), t.TempDir()
	writeDevInfo(t, readable, 0o640, devInfo{API: server.URL, DeveloperToken: "dev-token"})
	if err := os.MkdirAll(devStateIn(aDirectory).infoFile(), 0o700); err != nil {
		t.Fatal(err)
	}
	writeDevInfo(t, broken, 0o600, devInfo{})
	if err := os.WriteFile(devStateIn(broken).infoFile(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for dir, why := range map[string]string{readable: "others can read it", aDirectory: "not a file of yours", broken: "unexpected end"} {
		c := &terminal{dir: dir, env: map[string]string{"CREDENCE_TOKEN": testToken}}
		if code := c.run(t.Context(), "agent", "list"); code != exitFailure || !strings.Contains(c.err, why) {
			t.Errorf("exit code %d, want %d and %q in:\n%s", code, exitFailure, why, c.err)
		}
	}
	if seen := server.seen(); len(seen) != 0 {
		t.Errorf("the server saw %v", seen)
	}
}

func TestADevFileOfAnotherUserIsNotTrusted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeDevInfo(t, dir, 0o600, devInfo{API: "http://127.0.0.1:1"})
	file := devStateIn(dir).infoFile()
	if _, err := readDevInfo(file, os.Geteuid()); err != nil {
		t.Errorf("the user's own: %v", err)
	}
	if _, err := readDevInfo(file, os.Geteuid()+1); err == nil || !strings.Contains(err.Error(), "not a file of yours") {
		t.Errorf("another's: %v, want that it is not trusted", err)
	}
}

func TestTokensThatContradictEachOtherAreRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		env  map[string]string
		args []string
		want string
	}{
		{map[string]string{"CREDENCE_TOKEN": "a", "CREDENCE_TOKEN_FILE": "b"}, nil, "leave one"},
		{nil, []string{"--as", "admin", "--token-file", "b"}, "exclude each other"},
		{nil, []string{"--as", "root"}, "one of developer, admin"},
	} {
		c := &terminal{dir: t.TempDir(), env: tt.env}
		if code := c.run(t.Context(), append([]string{"agent", "list"}, tt.args...)...); code != exitUsage || !strings.Contains(c.err, tt.want) {
			t.Errorf("exit code %d, want %d and %q in:\n%s", code, exitUsage, tt.want, c.err)
		}
	}
}

func TestTheNullDeviceIsNoTerminal(t *testing.T) {
	t.Parallel()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if isTerminal(null) || isTerminal(strings.NewReader("y\n")) {
		t.Error("the null device or a reader is taken for a terminal")
	}
}
