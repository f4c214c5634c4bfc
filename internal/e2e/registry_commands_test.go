package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/api"
)

func decisionIn(t testing.TB, r response) api.Decision {
	t.Helper()
	var d api.Decision
	r.decode(t, &d)
	return d
}

// command runs credence as the admin, against the world's server.
func (w *world) command(args ...string) *process {
	w.t.Helper()
	return credence(w.t, map[string]string{"CREDENCE_SERVER": "http://" + w.api, "CREDENCE_TOKEN": w.admin}, args...)
}

// TestCommandsOfTheRegistry runs what people use against a real server: what they
// print, and their exit codes.
func TestCommandsOfTheRegistry(t *testing.T) {
	t.Parallel()
	w := newRegistry(t)
	w.as(w.developer).register(registration("support-triage", nil))
	file := w.file("new-skill.yaml", "type: skill\nteam: platform\ndeployments:\n  production:\n    endpoint: https://skills.example.com\n")
	bad := w.file("bad-skill.yaml", "type: skill\nteam: platform\ndeployments:\n  production:\n    endpoint: https://169.254.169.254\n")
	tests := []struct {
		args string
		code int
		says []string
	}{
		{"check support-triage POST hello-skill /say-hello", 0, []string{"allowed", "support-triage (support of customer-success, in production)", "hello-skill (skill of platform)"}},
		{"check support-triage post billing-system", 1, []string{"denied", "access_denied", "platform/access"}},
		{"check support-triage POST staging-skill", 1, []string{"environment_mismatch"}},
		{"check support-triage POST admin-tool", 1, []string{"missing_permission"}},
		{"check support-triage POST nothing", 1, []string{"resource_unknown"}},
		{"check nobody POST hello-skill", 3, nil},
		{"resource put new-skill -f " + file, 0, []string{"new-skill", "https://skills.example.com"}},
		{"check support-triage POST new-skill", 1, []string{"access_denied"}},
		{"resource get new-skill", 0, []string{"new-skill", "platform"}},
		{"resource list --environment staging", 0, []string{"staging-skill"}},
		{"resource put bad-skill -f " + bad, 4, []string{"/deployments/production/endpoint"}},
		{"resource delete new-skill --yes", 0, nil},
		{"resource get new-skill", 3, nil},
	}
	for _, tt := range tests {
		p := w.command(strings.Fields(tt.args)...)
		said := p.stdout.String() + p.stderr.String()
		if code := p.cmd.ProcessState.ExitCode(); code != tt.code {
			t.Errorf("credence %s: exit %d, want %d\n%s", tt.args, code, tt.code, said)
		}
		for _, text := range tt.says {
			if !strings.Contains(said, text) {
				t.Errorf("credence %s does not say %q:\n%s", tt.args, text, said)
			}
		}
	}
	var printed api.Decision
	p := w.command("check", "support-triage", "POST", "hello-skill", "-o", "json")
	if err := json.Unmarshal(p.stdout.bytes(), &printed); err != nil {
		t.Fatalf("%v: %s%s", err, p.stdout, p.stderr)
	}
	asked := decisionIn(t, w.as(w.admin).get("/agents/support-triage/access?resource=hello-skill&method=POST").want(t, 200))
	if diff := cmp.Diff(asked, printed); diff != "" {
		t.Errorf("the command prints another decision than the API answers (-API +command):\n%s", diff)
	}
}

// TestMetadataAnswersAsTheContractSays: fields, header and conditional requests,
// and who may ask.
func TestMetadataAnswersAsTheContractSays(t *testing.T) {
	t.Parallel()
	w := newRegistry(t)
	reader := w.as(w.token("test|gateway", []string{"resources:read"}))
	w.as(w.admin).put("/resources/hello-skill", `{
		"type": "skill", "team": "platform", "description": "Says hello", "data_classification": "low", "required_permissions": ["skills:invoke"],
		"access": {"visibility": "team", "teams": ["customer-success"], "agent_types": []}, "labels": {"tier": "1"},
		"deployments": {"production": {"endpoint": "https://skills.example.com"}, "staging": {"endpoint": "https://skills.example.com"}}}`).want(t, 200)
	const path = "/resources/hello-skill/metadata"
	for query, where := range map[string]struct{ header, field, environments any }{
		"?environment=production": {"production", "production", nil},
		"":                        {"production, staging", nil, []any{"production", "staging"}},
	} {
		answer := reader.get(path+query).want(t, 200)
		var got map[string]any
		answer.decode(t, &got)
		revision := answer.header.Get("X-Resource-Revision")
		want := map[string]any{
			"name": "hello-skill", "type": "skill", "team": "platform", "data_classification": "low", "required_permissions": []any{"skills:invoke"},
			"access": map[string]any{"visibility": "team", "teams": []any{"customer-success"}, "agent_types": []any{}},
			"labels": map[string]any{"tier": "1"}, "revision": got["revision"],
		}
		for name, value := range map[string]any{"environment": where.field, "environments": where.environments} {
			if value != nil {
				want[name] = value
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
		header := map[string]any{}
		for _, name := range []string{"X-Resource-Type", "X-Resource-Team", "X-Resource-Environment", "X-Resource-Data-Classification", "Age"} {
			header[name] = answer.header.Get(name)
		}
		wantHeader := map[string]any{"X-Resource-Type": "skill", "X-Resource-Team": "platform", "X-Resource-Environment": where.header, "X-Resource-Data-Classification": "low", "Age": "0"}
		if diff := cmp.Diff(wantHeader, header); diff != "" || revision == "" || revision == "0" {
			t.Errorf("%s: header (-want +got):\n%s revision %s", query, diff, revision)
		}
		tag := answer.header.Get("ETag")
		unchanged := reader.with("If-None-Match", `"other", W/`+tag).get(path+query).want(t, 304)
		if unchanged.header.Get("ETag") != tag || len(unchanged.body) > 0 {
			t.Errorf("304 with %s and %q", unchanged.header.Get("ETag"), unchanged.body)
		}
		w.as(w.admin).put("/resources/other-skill", resourceDocument("skill", "platform", "team", "production"))
		reader.with("If-None-Match", tag).get(path+query).want(t, 304) // what another resource does is nothing to this one
	}
	tag := reader.get(path).header.Get("ETag")
	w.setVisibility("organization")
	if got := reader.with("If-None-Match", tag).get(path).want(t, 200).header.Get("ETag"); got == tag {
		t.Error("another state has the same ETag")
	}
	reader.get("/resources/hello-skill/metadata?environment=staging").wantRefused(t, 404, "not_deployed")
	reader.get("/resources/nothing/metadata").wantRefused(t, 404, "not_found")
	w.as(w.developer).get(path).wantRefused(t, 403, "permission_denied")
}
