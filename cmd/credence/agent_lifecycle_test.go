package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/api"
)

// pending is a registration that the providers have not followed yet.
func pending() api.PendingAgent {
	why := "the secret store did not answer"
	a := triage()
	a.Conditions[1].Status, a.Generation, a.Convergence = api.False, 1, api.Convergence{Attempts: 2, LastError: &why}
	return api.PendingAgent{Agent: a, Next: []string{"POST /agents/support-triage/credentials"}}
}

func TestARegistrationThatIsNotFinishedSaysWhyAndIsASuccess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "agent.secret")
	c := at(newAPIServer(t, map[string]http.HandlerFunc{"POST /agents": answer(202, pending())}))
	c.mustRun(t, "agent", "register", "--name", "support-triage", "--secret-file", path)
	for _, text := range []string{"Recorded support-triage. It is being finished in the background.", "Last attempt: the secret store did not answer"} {
		if !strings.Contains(c.out, text) {
			t.Errorf("stdout lacks %q:\n%s", text, c.out)
		}
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("an empty secret file was left: %v", err)
	}
}

// --wait waits until the agent is ready, and collects its secret by the same key.
func TestWaitEndsWithTheSecret(t *testing.T) {
	t.Parallel()
	registrations := make(chan string, 4)
	server := newAPIServer(t, map[string]http.HandlerFunc{
		"POST /agents": func(w http.ResponseWriter, r *http.Request) {
			registrations <- r.Header.Get("Idempotency-Key")
			if len(registrations) == 1 {
				answer(202, pending())(w, r)
				return
			}
			answer(201, registered())(w, r)
		},
		"GET /agents/" + testID: func(w http.ResponseWriter, r *http.Request) {
			if got := r.URL.Query().Encode(); got != "timeout=29s&wait=ready" && got != "timeout=30s&wait=ready" {
				t.Errorf("asked with %q", got)
			}
			answer(200, triage())(w, r)
		},
	})
	c := at(server)
	c.mustRun(t, "agent", "register", "--name", "support-triage", "--wait")
	if !strings.Contains(c.out, testSecret) {
		t.Errorf("the secret is missing:\n%s", c.out)
	}
	if first, second := <-registrations, <-registrations; first == "" || first != second {
		t.Errorf("the keys are %q and %q, want the same", first, second)
	}
}

// sent is what a command sent to a path.
type sent struct{ Query, IfMatch, Body string }

// TestEachChangeSendsWhatItSays: a row is a command and what arrives.
func TestEachChangeSendsWhatItSays(t *testing.T) {
	t.Parallel()
	keys := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(keys, []byte(`{"keys": []}`), 0o600); err != nil {
		t.Fatal(err)
	}
	const agent = "support-triage"
	for _, tt := range []struct {
		args string
		at   string
		want sent
	}{
		{"suspend support-triage --reason leak --revoke-tokens", "POST /agents/support-triage/suspend", sent{Body: `{"reason":"leak","revoke_tokens":true}`}},
		{"resume support-triage --reason fine", "POST /agents/support-triage/resume", sent{Body: `{"reason":"fine"}`}},
		{"suspend support-triage --reason x --dry-run", "POST /agents/support-triage/suspend", sent{Query: "dry_run=true", Body: `{"reason":"x"}`}},
		{
			"transfer support-triage --to platform --owner ben@example.com --reason merged", "POST /agents/support-triage/transfer",
			sent{Body: `{"team":"platform","owner":"ben@example.com","reason":"merged"}`},
		},
		{
			"rotate support-triage --jwks " + keys + " --credentials-expire-at 2027-01-31T00:00:00Z", "POST /agents/support-triage/credentials",
			sent{Body: `{"jwks":{"keys":[]},"credentials_expire_at":"2027-01-31T00:00:00Z"}`},
		},
		{
			"change support-triage --scope a:b --remove expires_at", "PATCH /agents/support-triage",
			sent{IfMatch: `"v7"`, Body: `{"expires_at":null,"scopes":["a:b"]}`},
		},
	} {
		var got sent
		take := func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			got = sent{Query: r.URL.RawQuery, IfMatch: r.Header.Get("If-Match"), Body: string(body)}
			if r.URL.RawQuery != "" {
				answer(200, api.DryRun{DryRun: true, Plan: []api.PlannedCall{{Provider: "vault", Action: "disable", Object: "entity"}}})(w, r)
				return
			}
			if strings.HasSuffix(r.URL.Path, "/credentials") {
				answer(200, registered())(w, r)
				return
			}
			answer(200, triage())(w, r)
		}
		read := func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"v7"`)
			answer(200, triage())(w, r)
		}
		c := at(newAPIServer(t, map[string]http.HandlerFunc{tt.at: take, "GET /agents/" + agent: read}))
		c.mustRun(t, append([]string{"agent"}, strings.Fields(tt.args)...)...)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.args, diff)
		}
		if tt.want.Query != "" {
			want(t, "stdout of a dry run", `
				Nothing was done. This would be:
				  vault  disable  entity
				`, c.out)
		}
	}
}

func TestAChangeThatAProviderHasYetToFollowSaysSo(t *testing.T) {
	t.Parallel()
	c := at(newAPIServer(t, map[string]http.HandlerFunc{"POST /agents/support-triage/suspend": answer(202, pending().Agent)}))
	c.mustRun(t, "agent", "suspend", "support-triage", "--reason", "leak")
	want(t, "stdout", `
		support-triage (0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b): suspended
		A provider has yet to follow, which goes on in the background; 'credence agent get 0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b' tells how far it is.

		Last attempt: the secret store did not answer
		`, c.out)
}

func TestAPrivateKeyNeverLeaves(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, []byte("-----BEGIN RSA PRIVATE KEY-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := registrar(t)
	for _, args := range [][]string{{"register", "--name", "a"}, {"rotate", "a"}} {
		c := at(server)
		if code := c.run(t.Context(), append(append([]string{"agent"}, args...), "--jwks", path)...); code != exitRefused || !strings.Contains(c.err, "give the public one") {
			t.Errorf("%v: exit code %d, want %d:\n%s", args, code, exitRefused, c.err)
		}
	}
	if seen := server.seen(); len(seen) != 0 {
		t.Errorf("the server saw %v", seen)
	}
}

func TestTheAuditLogShowsWhatChanged(t *testing.T) {
	t.Parallel()
	name, team := "support-triage", "customer-success"
	before, after := json.RawMessage(`{"scopes":["a:b"],"owner":"ana","labels":{}}`), json.RawMessage(`{"scopes":[],"owner":"ana","expires_at":"x"}`)
	page := api.AuditPage{Items: []api.AuditEvent{{
		ID: 7, At: testTime, Actor: "auth0|ana", Action: "agent.change", Outcome: "intent", Team: &team,
		Object: api.AuditObject{Kind: "agent", Name: &name}, Before: &before, After: &after,
	}}}
	server := newAPIServer(t, map[string]http.HandlerFunc{"GET /audit": answer(200, page)})
	c := at(server)
	c.mustRun(t, "audit", "--agent", "support-triage", "--since", "2026-01-01T00:00:00Z")
	want(t, "stdout", `
		AT                    ACTOR      ACTION        OUTCOME  OBJECT                TEAM              DETAIL
		2026-03-04T05:06:07Z  auth0|ana  agent.change  intent   agent support-triage  customer-success  expires_at, labels, scopes
		`, c.out)
	if code := c.run(t.Context(), "audit", "--since", "yesterday"); code != exitUsage {
		t.Errorf("exit code %d, want %d", code, exitUsage)
	}
}

func TestDriftIsShownAndRepaired(t *testing.T) {
	t.Parallel()
	agent := testID
	page := api.DriftPage{Items: []api.DriftRecord{{
		ID: 1, Provider: "auth0", ObjectKind: "grant", ObjectID: "cgr_1", AgentID: &agent, Field: "scopes", Expected: "a:b", Found: "a:b c:d",
		Action: "repairing", FirstSeen: testTime, LastSeen: testTime,
	}}}
	var repaired string
	server := newAPIServer(t, map[string]http.HandlerFunc{
		"GET /drift": answer(200, page),
		"POST /drift/repair": func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			repaired = string(body)
			answer(202, api.QueuedRepairs{Queued: 1})(w, r)
		},
	})
	c := at(server)
	c.mustRun(t, "drift")
	want(t, "stdout", `
		PROVIDER  OBJECT       AGENT                                 FIELD   EXPECTED  FOUND    ACTION     SINCE
		auth0     grant cgr_1  0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b  scopes  a:b       a:b c:d  repairing  2026-03-04T05:06:07Z
		`, c.out)
	c.mustRun(t, "drift", "--repair", "--agent", "support-triage")
	if repaired != `{"agent":"support-triage"}` || !strings.Contains(c.out, "1 agents are being brought") {
		t.Errorf("sent %s, printed %s", repaired, c.out)
	}
}
