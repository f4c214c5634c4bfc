package main

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/credenceproject/credence/internal/auth0/emulator"
)

// fakeJWT is a token with these claims, signed by nobody.
func fakeJWT(claims string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
}

// endpoint gives out a token for the secret, and no other.
func endpoint(t *testing.T) *apiServer {
	t.Helper()
	return newAPIServer(t, map[string]http.HandlerFunc{"POST /oauth/token": func(w http.ResponseWriter, r *http.Request) {
		answer(200, map[string]any{"access_token": fakeJWT(`{"sub":"a"}`), "expires_in": 86400, "token_type": "Bearer", "scope": "x"})(w, r)
	}})
}

func TestATokenStandsAloneOnStdout(t *testing.T) {
	t.Parallel()
	server := endpoint(t)
	secretFile := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secretFile, []byte(testSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		env   map[string]string
		args  []string
		stdin string
	}{
		{env: map[string]string{"CREDENCE_CLIENT_SECRET": testSecret}},
		{env: map[string]string{"CREDENCE_CLIENT_SECRET_FILE": secretFile}},
		{args: []string{"--client-secret-file", secretFile}},
		{args: []string{"--client-secret-file", "-"}, stdin: testSecret + "\n"},
	} {
		c := &terminal{dir: t.TempDir(), env: tt.env, stdin: tt.stdin}
		c.mustRun(t, append([]string{"token", "--token-endpoint", server.URL + "/oauth/token", "--client-id", "Qm4", "--audience", "https://mcp.example.com/"}, tt.args...)...)
		want(t, "stdout", fakeJWT(`{"sub":"a"}`)+"\n", c.out)
		want(t, "stderr", "", c.err)
		calls := server.seen()
		want(t, "request", "POST /oauth/token audience=https%3A%2F%2Fmcp.example.com%2F&client_id=Qm4&client_secret="+testSecret+"&grant_type=client_credentials", calls[len(calls)-1])
	}
}

func TestClaimsAreShownAndNotVerified(t *testing.T) {
	t.Parallel()
	c := &terminal{dir: t.TempDir(), env: map[string]string{"CREDENCE_CLIENT_SECRET": testSecret}}
	c.mustRun(t, "token", "--token-endpoint", endpoint(t).URL+"/oauth/token", "--client-id", "Qm4", "--claims")
	want(t, "stdout", "{\n  \"sub\": \"a\"\n}\n", c.out)
	want(t, "stderr", "These claims are decoded, not verified.\n", c.err)
}

func TestATokenAsJSONIsTheWholeAnswer(t *testing.T) {
	t.Parallel()
	c := &terminal{dir: t.TempDir(), env: map[string]string{"CREDENCE_CLIENT_SECRET": testSecret}}
	c.mustRun(t, "token", "--token-endpoint", endpoint(t).URL+"/oauth/token", "--client-id", "Qm4", "-o", "json")
	want(t, "stdout", `
		{
		  "access_token": "`+fakeJWT(`{"sub":"a"}`)+`",
		  "expires_in": 86400,
		  "scope": "x",
		  "token_type": "Bearer"
		}
		`, c.out)
}

func TestTheDevSystemSaysWhereTokensComeFrom(t *testing.T) {
	t.Parallel()
	server, dir := endpoint(t), t.TempDir()
	writeDevInfo(t, dir, 0o600, devInfo{
		API: "http://127.0.0.1:1", TokenEndpoint: server.URL + "/oauth/token", Audience: "dev-audience",
		AdminToken: "admin-token", DeveloperToken: "dev-token",
	})
	for _, tt := range []struct {
		args []string
		want string // in the last request
	}{
		{nil, "audience=dev-audience&"},
		{[]string{"--audience", "other"}, "audience=other&"},
		{[]string{"--token-endpoint", server.URL + "/oauth/token"}, "audience=dev-audience&"},
		{[]string{"--token-endpoint", server.URL + "/oauth/token?"}, ""}, // refused: a query
	} {
		before := len(server.seen())
		c := &terminal{dir: dir, env: map[string]string{"CREDENCE_CLIENT_SECRET": testSecret}}
		c.run(t.Context(), append([]string{"token", "--client-id", "Qm4"}, tt.args...)...)
		calls := server.seen()[before:]
		if tt.want == "" && len(calls) != 0 || tt.want != "" && !strings.Contains(strings.Join(calls, ""), tt.want) {
			t.Errorf("%v: the endpoint saw %v, want %q", tt.args, calls, tt.want)
		}
	}
	for as, token := range map[string]string{"admin": "admin-token", "developer": "dev-token"} {
		c := &terminal{dir: dir}
		c.mustRun(t, "token", "--as", as)
		want(t, "stdout", token+"\n", c.out)
	}
	c := &terminal{dir: dir}
	c.mustRun(t, "token", "--as", "admin", "-o", "json")
	want(t, "stdout", "{\n  \"access_token\": \"admin-token\",\n  \"token_type\": \"Bearer\"\n}\n", c.out)
}

func TestWhatIsMissingForATokenIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, tt := range []struct {
		args string
		want string
	}{
		{"", "no client is given"},
		{"--client-id c", "no token endpoint is given"},
		{"--client-id c --token-endpoint http://127.0.0.1:1/", "no secret is given"},
		{"--as admin", "no dev system runs"},
		{"--as admin --client-id c", "--as and --client-id exclude each other"},
		{"--client-secret hunter2", "unknown flag: --client-secret"},
	} {
		c := &terminal{dir: dir}
		if code := c.run(t.Context(), append([]string{"token"}, strings.Fields(tt.args)...)...); code != exitUsage || !strings.Contains(c.err, tt.want) {
			t.Errorf("%q: exit code %d, want %d and %q in:\n%s", tt.args, code, exitUsage, tt.want, c.err)
		}
		if strings.Contains(c.err, "hunter2") {
			t.Errorf("%q: stderr shows the value:\n%s", tt.args, c.err)
		}
	}
}

func TestATenantsRefusalIsClear(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(nil)
	issuer := "http://" + server.Listener.Addr().String() + "/"
	tenant, err := emulator.New(emulator.Options{Issuer: issuer})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = tenant
	server.Start()
	t.Cleanup(server.Close)
	id, secret := tenant.ManagementCredentials()
	for _, tt := range []struct{ secret, audience, want string }{
		{"wrong", issuer + "api/v2/", "The client id or the secret is wrong"},
		{secret, "https://else.example.com/", "no token for this audience"},
	} {
		c := &terminal{dir: t.TempDir(), env: map[string]string{"CREDENCE_CLIENT_SECRET": tt.secret}}
		code := c.run(t.Context(), "token", "--token-endpoint", issuer+"oauth/token", "--client-id", id, "--audience", tt.audience)
		if code != exitDenied || !strings.Contains(c.err, tt.want) || strings.Contains(c.err, secret) || c.out != "" {
			t.Errorf("exit code %d, want %d and %q in:\n%s", code, exitDenied, tt.want, c.err)
		}
	}
}

func TestATokenThatWouldWriteToTheTerminalIsNotPrinted(t *testing.T) {
	t.Parallel()
	server := newAPIServer(t, map[string]http.HandlerFunc{"POST /": answer(200, map[string]any{"access_token": "a\x1b[2Jb"})})
	c := &terminal{dir: t.TempDir(), env: map[string]string{"CREDENCE_CLIENT_SECRET": testSecret}}
	if code := c.run(t.Context(), "token", "--token-endpoint", server.URL, "--client-id", "c"); code != exitFailure || c.out != "" {
		t.Errorf("exit code %d, stdout %q", code, c.out)
	}
}
