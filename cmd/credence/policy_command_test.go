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
)

const (
	teamPolicy = `{"tier":"team","id":"cx","rules":[{"code":"no_writes","effect":"deny","message":"Read-only at night",
		"when":{"methods":["POST","PUT"],"outside_hours":{"from":"09:00","to":"17:00"}}}],
		"rego":"package mcp.layers.team[\"cx\"]\n","tests":"package cx_test\n","required":false,"version":3,"revision":42,
		"created_at":"2026-03-04T05:06:07Z","updated_at":"2026-03-04T05:06:07Z"}`
	teamPolicyYAML = `rules:
  - code: no_writes
    effect: deny
    message: Read-only at night
    when:
      methods: [POST, PUT]
      outside_hours:
        from: "09:00"
        to: "17:00"
`
)

// policyServer has the policy team/cx, keeps what is put there, and answers each
// write on a state that it has not with 412.
type policyServer struct {
	*apiServer
	document string // "" for none
	put      string
}

func newPolicyServer(t *testing.T, document string) *policyServer {
	t.Helper()
	s := &policyServer{document: document}
	s.apiServer = newAPIServer(t, map[string]http.HandlerFunc{
		"GET /policies/team/cx": func(w http.ResponseWriter, r *http.Request) {
			if s.document == "" {
				answer(404, map[string]any{"status": 404, "code": "not_found", "title": "Not found"})(w, r)
				return
			}
			w.Header().Set("ETag", `"three"`)
			answer(200, json.RawMessage(s.document))(w, r)
		},
		"PUT /policies/team/cx": func(w http.ResponseWriter, r *http.Request) {
			if match := r.Header.Get("If-Match"); s.document == "" && r.Header.Get("If-None-Match") != "*" || s.document != "" && match != `"three"` {
				answer(412, map[string]any{"status": 412, "code": "precondition_failed", "title": "Changed"})(w, r)
				return
			}
			body, _ := io.ReadAll(r.Body)
			s.put = string(body)
			answer(200, json.RawMessage(teamPolicy))(w, r)
		},
		"POST /policies/team/cx/rollback": func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("If-Match") != `"three"` {
				answer(412, map[string]any{"status": 412, "code": "precondition_failed", "title": "Changed"})(w, r)
				return
			}
			answer(200, json.RawMessage(teamPolicy))(w, r)
		},
		"GET /policies": answer(200, json.RawMessage(`{"items":[`+teamPolicy+`]}`)),
		"POST /policies:validate": answer(422, json.RawMessage(`{"status":422,"code":"invalid_policy","title":"Invalid policy",
			"errors":[{"pointer":"/rego","code":"no_input","detail":"line 7: read data.mcp.request instead of input"}]}`)),
	})
	return s
}

// pulled is a directory with the files of team/cx.
func pulled(t *testing.T, s *policyServer) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "policies")
	at(s.apiServer).mustRun(t, "policy", "pull", "--dir", dir)
	return dir
}

func edit(t *testing.T, path, old, now string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(content), old, now, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsPulledIsReadableAndPushingItAgainChangesNothing(t *testing.T) {
	t.Parallel()
	s := newPolicyServer(t, teamPolicy)
	dir := pulled(t, s)
	for path, want := range map[string]string{
		"cx.yaml": teamPolicyYAML, "cx.rego": "package mcp.layers.team[\"cx\"]\n", "cx_test.rego": "package cx_test\n",
	} {
		got, err := os.ReadFile(filepath.Join(dir, "team", path))
		if diff := cmp.Diff(want, string(got)); diff != "" || err != nil {
			t.Errorf("%s (-want +got):\n%s%v", path, diff, err)
		}
	}
	c := at(s.apiServer)
	c.mustRun(t, "policy", "push", "--dir", dir)
	want(t, "push", "unchanged team/cx\n", c.out)
	c.mustRun(t, "policy", "diff", "--dir", dir)
	want(t, "diff", "", c.out)
	if s.put != "" {
		t.Errorf("put %s", s.put)
	}
}

func TestPushCreatesAndReplacesOnTheStateThatItSaw(t *testing.T) {
	t.Parallel()
	s := newPolicyServer(t, teamPolicy)
	dir := pulled(t, s)
	edit(t, filepath.Join(dir, "team", "cx.yaml"), "no_writes", "no_late_writes")
	if err := os.Remove(filepath.Join(dir, "team", "cx_test.rego")); err != nil {
		t.Fatal(err)
	}
	c := at(s.apiServer)
	if code := c.run(t.Context(), "policy", "diff", "--dir", dir); code != exitFailure {
		t.Errorf("diff: exit code %d, want %d", code, exitFailure)
	}
	want(t, "diff", `
		team/cx (document)
		  rules:
		-   - code: no_writes
		+   - code: no_late_writes
		      effect: deny
		      message: Read-only at night
		      when:
		team/cx (tests)
		- package cx_test
		`, c.out)
	c.mustRun(t, "policy", "push", "--dir", dir, "team/cx", "--denies-everyone")
	want(t, "push", "replaced team/cx\n", c.out)
	put := `{"rego":"package mcp.layers.team[\"cx\"]\n","rules":[{"code":"no_late_writes","effect":"deny","message":"Read-only at night",` +
		`"when":{"methods":["POST","PUT"],"outside_hours":{"from":"09:00","to":"17:00"}}}]}`
	if diff := cmp.Diff(put, s.put); diff != "" {
		t.Errorf("put (-want +got):\n%s", diff)
	}
	if last := s.seen()[len(s.seen())-1]; !strings.HasPrefix(last, "PUT /policies/team/cx?confirm=denies_everyone ") {
		t.Errorf("sent %s", last)
	}
	s.document = ""
	c.mustRun(t, "policy", "push", "--dir", dir)
	want(t, "push", "created team/cx\n", c.out)
}

func TestARefusedPolicySaysWhereAndWhatToWrite(t *testing.T) {
	t.Parallel()
	s := newPolicyServer(t, teamPolicy)
	c := at(s.apiServer)
	if code := c.run(t.Context(), "policy", "validate", "--dir", pulled(t, s)); code != exitRefused {
		t.Errorf("exit code %d, want %d", code, exitRefused)
	}
	if !strings.Contains(c.err, "/rego: line 7: read data.mcp.request instead of input") {
		t.Errorf("stderr: %s", c.err)
	}
}

func TestRollbackActsOnTheStateThatItSaw(t *testing.T) {
	t.Parallel()
	s := newPolicyServer(t, teamPolicy)
	c := at(s.apiServer)
	c.mustRun(t, "policy", "rollback", "team/cx", "2")
	want(t, "stdout", "team/cx is again what it was in version 2\n", c.out)
	if last := s.seen()[len(s.seen())-1]; last != `POST /policies/team/cx/rollback {"version":2}` {
		t.Errorf("sent %s", last)
	}
}

func TestPolicyTestNeedsNoServer(t *testing.T) {
	t.Parallel()
	module := `package mcp.layers.team["cx"]

import data.mcp.request

meta := {"about": "no deletes"}

deny contains "no_deletes" if request.method == "DELETE"
`
	tests := `package cx_test

import data.mcp.layers.team.cx

test_deletes_are_denied if "no_deletes" in cx.deny with data.mcp.request as {"method": "DELETE"}
`
	for name, tt := range map[string]struct {
		rego, out string
		code      int
	}{
		"good":         {module, "ok team/cx: 1 tests passed\n", exitOK},
		"a bad module": {strings.Replace(module, "request.method", "input.method", 1), "cx.rego:7:", exitRefused},
		"a bad test":   {strings.Replace(module, `"DELETE"`, `"delete"`, 1), "cx_test.rego:5:", exitRefused},
	} {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "team"), 0o700); err != nil {
			t.Fatal(err)
		}
		for file, content := range map[string]string{"cx.rego": tt.rego, "cx_test.rego": tests} {
			if err := os.WriteFile(filepath.Join(dir, "team", file), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c := &terminal{dir: dir}
		if code := c.run(t.Context(), "policy", "test", "--dir", dir); code != tt.code {
			t.Errorf("%s: exit code %d, want %d: %s%s", name, code, tt.code, c.out, c.err)
		}
		if !strings.Contains(c.out, tt.out) {
			t.Errorf("%s: stdout %s", name, c.out)
		}
	}
}

func TestAMisspeltPolicyIsNoRequest(t *testing.T) {
	t.Parallel()
	s := newPolicyServer(t, teamPolicy)
	dir := pulled(t, s)
	before := len(s.seen())
	if err := os.Rename(filepath.Join(dir, "team"), filepath.Join(dir, "teams")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"push", "--dir", dir}, exitRefused, "is no policy's file"},
		{[]string{"push", "cx"}, exitUsage, "write TIER/ID"},
		{[]string{"delete", "teams/cx"}, exitUsage, "the tier is global, team, agent_type or agent"},
		{[]string{"versions", "agent/support-triage"}, exitUsage, "named by the agent's id"},
		{[]string{"rollback", "team/cx", "zero"}, exitUsage, "is no version"},
		{[]string{"push", "--dir", filepath.Join(dir, "nowhere")}, exitFailure, "there is no directory"},
	} {
		c := at(s.apiServer)
		if code := c.run(t.Context(), append([]string{"policy"}, tt.args...)...); code != tt.code || !strings.Contains(c.err, tt.says) {
			t.Errorf("%v: exit code %d, want %d: %s", tt.args, code, tt.code, c.err)
		}
	}
	if after := s.seen()[before:]; len(after) > 0 {
		t.Errorf("sent %v", after)
	}
}

func TestDiffsOfLargeTextsStayCheap(t *testing.T) {
	t.Parallel()
	lines := func(prefix string) []string {
		all := make([]string, 30_000)
		for i := range all {
			all[i] = prefix
		}
		return all
	}
	if got := diffLines(append([]string{"same"}, lines("a")...), append([]string{"same"}, lines("b")...)); len(got) != 60_001 || got[0] != "  same" {
		t.Errorf("%d lines, the first %q", len(got), got[0])
	}
}
