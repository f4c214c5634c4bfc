package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/credenceproject/credence/api"
)

// registered is the answer to a registration.
func registered() api.RegisteredAgent {
	r := api.RegisteredAgent{
		Agent: triage(),
		Credentials: api.AgentCredentials{
			ClientID: "Qm4client", ClientSecret: new(testSecret), TokenEndpoint: "https://tenant.example.com/oauth/token", Audience: "https://mcp.example.com/",
		},
		Vault: api.AgentVault{Address: "https://vault.example.com", AuthPath: "auth/jwt/login", Role: "agent"},
		Next:  []string{"credence token --client-id Qm4client", "curl https://vault.example.com"},
	}
	r.Vault.SecretPaths.Own, r.Vault.SecretPaths.Team, r.Vault.SecretPaths.Common = "secret/data/own", "secret/data/team", "secret/data/common"
	return r
}

func registrar(t *testing.T) *apiServer {
	t.Helper()
	return newAPIServer(t, map[string]http.HandlerFunc{"POST /agents": answer(201, registered())})
}

func TestRegisterShowsTheSecretOnceAndWhatIsNext(t *testing.T) {
	t.Parallel()
	c := at(registrar(t))
	c.mustRun(t, "agent", "register", "--name", "support-triage")
	want(t, "stdout", `
		Registered support-triage.

		Name         support-triage
		ID           0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b
		Team         customer-success
		Type         support
		Environment  production
		State        ready
		Scopes       skills:invoke, data:read
		Quota        10 per second, 10000 per day

		Identity
		  Client ID       Qm4client
		  Token endpoint  https://tenant.example.com/oauth/token
		  Audience        https://mcp.example.com/

		Client secret: shown once, stored nowhere. Keep it now.
		  the-secret-that-is-shown-once

		Vault
		  Address         https://vault.example.com
		  Log in at       auth/jwt/login with role agent
		  Own secrets     secret/data/own
		  Team's secrets  secret/data/team
		  Common secrets  secret/data/common

		Next
		  credence token --client-id Qm4client
		  curl https://vault.example.com
		`, c.out)
	want(t, "stderr", "", c.err)
}

func TestADocumentComesFromAFileFromFlagsOrFromBoth(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	asJSON := file("agent.json", ` {"name": "a", "labels": {"x": "1", "y": "<2>"}, "quota": {"requests_per_day": 5}, "scopes": ["a:b"], "later": 1e2}`)
	asYAML := file("agent.yaml", "name: a\nlabels: {x: '1'}\n")
	config := file("config.yml", "limit: 200\nmode: no\n")
	for _, tt := range []struct {
		name  string
		args  []string
		stdin string
		want  string
	}{
		{"a file as it is", []string{"-f", asJSON}, "", `{"name": "a", "labels": {"x": "1", "y": "<2>"}, "quota": {"requests_per_day": 5}, "scopes": ["a:b"], "later": 1e2}`},
		{"YAML", []string{"-f", asYAML}, "", `{"name":"a","labels":{"x":"1"}}`},
		{"JSON on stdin", []string{"-f", "-"}, ` {"name":"a"}`, `{"name":"a"}`},
		{"YAML on stdin", []string{"-f", "-"}, "name: a", `{"name":"a"}`},
		{"flags win", []string{"-f", asJSON, "--name", "b", "--label", "x=2", "--label", "z==", "--quota-rps", "3", "--scope", "c:d,e:f", "--scope", "g:h"}, "",
			`{"labels":{"x":"2","y":"<2>","z":"="},"later":1e2,"name":"b","quota":{"requests_per_day":5,"requests_per_second":3},"scopes":["c:d","e:f","g:h"]}`},
		{"flags alone", []string{
			"--name", "a", "--team", "t", "--type", "support", "--environment", "production", "--owner", "o", "--description", "d",
			"--scope", "a:b", "--label", "k=v", "--config", config, "--quota-rps", "0", "--quota-rpd", "7",
		}, "", `{"agent_type":"support","config":{"limit":200,"mode":"no"},"description":"d","environment":"production","labels":{"k":"v"},` +
			`"name":"a","owner":"o","quota":{"requests_per_day":7,"requests_per_second":0},"scopes":["a:b"],"team":"t"}`},
		{"no scopes", []string{"--scope="}, "", `{"scopes":[]}`},
		{"config on stdin", []string{"--config", "-"}, "{}", `{"config":{}}`},
	} {
		server := registrar(t)
		c := at(server)
		c.stdin = tt.stdin
		c.mustRun(t, append([]string{"agent", "register"}, tt.args...)...)
		got := strings.TrimSpace(strings.TrimPrefix(server.seen()[0], "POST /agents"))
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: the document (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestADocumentThatCannotBeReadIsNotSent(t *testing.T) {
	t.Parallel()
	server := registrar(t)
	for _, tt := range []struct {
		args  string
		stdin string
		code  int
		want  string
	}{
		{"-f -", `{"name":`, exitRefused, "is not JSON"},
		{"-f -", `{"name":"a","name":"b"}`, exitRefused, "twice"},
		{"-f -", "name: a\nname: b", exitRefused, "twice"},
		{"-f -", "a: b: c", exitRefused, "not YAML"},
		{"-f - --name x", "[1]", exitRefused, "not an object"},
		{"-f - --label a=b", "labels: 1", exitRefused, "/labels is not an object"},
		{"-f - --quota-rps 1", "quota: null", exitRefused, "/quota is not an object"},
		{"-f -", strings.Repeat(" ", 1<<20) + "{}", exitRefused, "larger than 1048576 bytes"},
		{"-f - --config -", "", exitUsage, "cannot both read"},
		{"--label novalue", "", exitUsage, "not key=value"},
		{"--quota-rps many", "", exitUsage, "invalid argument"},
		{"-f /does/not/exist.json", "", exitFailure, "no such file"},
	} {
		c := at(server)
		c.stdin = tt.stdin
		if code := c.run(t.Context(), append([]string{"agent", "register"}, strings.Fields(tt.args)...)...); code != tt.code || !strings.Contains(c.err, tt.want) {
			t.Errorf("%s: exit code %d, want %d and %q in:\n%s", tt.args, code, tt.code, tt.want, c.err)
		}
	}
	if seen := server.seen(); len(seen) != 0 {
		t.Errorf("the server saw %v", seen)
	}
}

func TestJSONHasTheWholeAnswerOfARegistration(t *testing.T) {
	t.Parallel()
	c := at(registrar(t))
	c.mustRun(t, "agent", "register", "--name", "a", "-o", "json")
	var got api.RegisteredAgent
	if err := json.Unmarshal([]byte(c.out), &got); err != nil {
		t.Fatalf("stdout: %v\n%s", err, c.out)
	}
	if diff := cmp.Diff(registered().Credentials, got.Credentials); diff != "" {
		t.Errorf("credentials (-want +got):\n%s", diff)
	}
}

func TestASecretFileIsTheOnlyPlaceOfTheSecret(t *testing.T) {
	t.Parallel()
	for _, output := range []string{"table", "json"} {
		path := filepath.Join(t.TempDir(), "agent.secret")
		c := at(registrar(t))
		c.mustRun(t, "agent", "register", "--name", "a", "--secret-file", path, "-o", output)
		if strings.Contains(c.out+c.err, testSecret) {
			t.Errorf("-o %s: the secret was printed:\n%s%s", output, c.out, c.err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != testSecret+"\n" {
			t.Errorf("-o %s: the file holds %q, %v", output, got, err)
		}
		if about, err := os.Stat(path); err != nil || about.Mode().Perm() != 0o600 {
			t.Errorf("-o %s: %v, %v, want mode 0600", output, about, err)
		}
		if output == "table" && !strings.Contains(c.out, "only in "+path) {
			t.Errorf("the table does not name the file:\n%s", c.out)
		}
		var doc map[string]map[string]any
		if output == "json" {
			if _ = json.Unmarshal([]byte(c.out), &doc); doc["credentials"]["client_id"] != "Qm4client" {
				t.Errorf("the JSON has lost the client:\n%s", c.out)
			}
		}
	}
}

func TestWithoutAPlaceForTheSecretNothingIsRegistered(t *testing.T) {
	t.Parallel()
	server := registrar(t)
	path := filepath.Join(t.TempDir(), "agent.secret")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := at(server)
	if code := c.run(t.Context(), "agent", "register", "--name", "a", "--secret-file", path); code != exitFailure {
		t.Errorf("exit code %d, want %d", code, exitFailure)
	}
	if got, _ := os.ReadFile(path); string(got) != "mine" {
		t.Errorf("the file was overwritten with %q", got)
	}
	if seen := server.seen(); len(seen) != 0 {
		t.Errorf("the server saw %v", seen)
	}
}

func TestARefusedRegistrationLeavesNoSecretFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "agent.secret")
	c := at(newAPIServer(t, map[string]http.HandlerFunc{"POST /agents": problem(409, "name_taken", "the name is taken")}))
	if code := c.run(t.Context(), "agent", "register", "--name", "a", "--secret-file", path); code != exitConflict || !strings.Contains(c.err, "shows who has it") {
		t.Errorf("exit code %d, want %d\n%s", code, exitConflict, c.err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is there: %v", err)
	}
}

// A registration is sent again with its key when the answer is lost: the server
// makes one agent of it.
func TestARegistrationWithoutAnAnswerIsRepeatedWithItsKey(t *testing.T) {
	t.Parallel()
	keys := make(chan string, 8)
	server := newAPIServer(t, map[string]http.HandlerFunc{"POST /agents": func(w http.ResponseWriter, r *http.Request) {
		keys <- r.Header.Get("Idempotency-Key")
		if len(keys) == 1 {
			panic(http.ErrAbortHandler)
		}
		answer(201, registered())(w, r)
	}})
	c := at(server)
	c.mustRun(t, "agent", "register", "--name", "a")
	if first, second := <-keys, <-keys; first == "" || first != second {
		t.Errorf("the keys are %q and %q, want the same", first, second)
	}
	if !strings.Contains(c.out, testSecret) {
		t.Errorf("the secret is missing:\n%s", c.out)
	}
}

func TestARegistrationThatMayHaveHappenedSaysHowToRepeatIt(t *testing.T) {
	t.Parallel()
	server := newAPIServer(t, map[string]http.HandlerFunc{"POST /agents": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }})
	c := at(server)
	if code := c.run(t.Context(), "agent", "register", "--name", "a", "--idempotency-key", "k-1"); code != exitUnavailable || !strings.Contains(c.err, "with --idempotency-key k-1") {
		t.Errorf("exit code %d, want %d and how to repeat it:\n%s", code, exitUnavailable, c.err)
	}
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestASecretThatCouldNotBeWrittenIsAFailure(t *testing.T) {
	t.Parallel()
	server := registrar(t)
	env := map[string]string{"CREDENCE_SERVER": server.URL, "CREDENCE_TOKEN": testToken}
	for _, output := range []string{"table", "json"} {
		cmd := agentCommand(streams{in: strings.NewReader(""), out: full{}, err: &bytes.Buffer{}}, func(name string) (string, bool) { v, ok := env[name]; return v, ok })
		root := &cobra.Command{Use: "credence", SilenceErrors: true, SilenceUsage: true}
		root.AddCommand(cmd)
		root.SetArgs([]string{"agent", "register", "--name", "a", "-o", output})
		if err := root.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), "no space left") {
			t.Errorf("-o %s: %v, want the failed write", output, err)
		}
	}
}
