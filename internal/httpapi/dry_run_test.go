package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/api"
)

// planned is the plan of a dry run, a line each.
func planned(t testing.TB, w reply) string {
	t.Helper()
	var d api.DryRun
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || w.Code != http.StatusOK || !d.DryRun {
		t.Fatalf("%v: %d %s", err, w.Code, w.Body)
	}
	lines := make([]string, 0, len(d.Plan))
	for _, call := range d.Plan {
		lines = append(lines, call.Provider+" "+call.Action+" "+call.Object)
	}
	return strings.Join(lines, ", ")
}

// A dry run says what the write would do at the providers, no more and no less.
func TestADryRunSaysWhatWouldBeDone(t *testing.T) {
	t.Parallel()
	s := newOffice(t)
	s.ask(t, "ana", http.MethodPost, "/agents", supportAgent("awake")).want(t, 201, "")
	s.ask(t, "ana", http.MethodPost, "/agents", supportAgent("asleep")).want(t, 201, "")
	s.ask(t, "ana", http.MethodPost, "/agents/asleep/suspend", `{"reason": "It leaked"}`).want(t, 200, "")
	s.ask(t, "ana", http.MethodPost, "/agents", supportAgent("gone")).want(t, 201, "")
	gone := "/agents/" + agentOf(t, s.ask(t, "ana", http.MethodGet, "/agents/gone", "").ResponseRecorder).ID
	s.ask(t, "ana", http.MethodDelete, gone, "").want(t, 204, "")

	const (
		withdraw = "registry deny policy, vault disable entity, auth0 delete client, vault delete entity"
		create   = "auth0 create client, auth0 create grant, vault create entity, vault create alias, registry publish policy"
		reason   = `{"reason": "It leaked"}`
		revoke   = `{"reason": "It leaked", "revoke_tokens": true}`
		transfer = `{"team": "platform", "owner": "ben@example.com", "reason": "Moved"}`
	)
	for _, tc := range []struct{ method, path, body, want string }{ //nolint:paralleltest // they share a registry, which none changes
		{"POST", "/agents", supportAgent("other"), create},
		{
			"POST", "/agents", with(supportAgent("other"), `"adopt": {"client_id": "Qm4x"}`),
			"auth0 update client, auth0 create grant, vault create entity, vault create alias, registry publish policy",
		},
		{"PATCH", "/agents/awake", `{"scopes": ["data:read"]}`, "auth0 update grant, registry publish policy"},
		{"PATCH", "/agents/awake", `{"labels": {"c": "d"}}`, "registry publish policy"},
		{"PATCH", "/agents/awake", `{"labels": {"a": "b"}, "capabilities": [{"input": {"type":"object"}, "name": "triage"}]}`, ""},
		{"PATCH", "/agents/asleep", `{"scopes": ["data:read"]}`, ""},
		{"POST", "/agents/awake/suspend", reason, "registry deny policy, vault disable entity, auth0 delete grant"},
		{"POST", "/agents/asleep/suspend", reason, ""},
		{"POST", "/agents/asleep/resume", reason, "auth0 create grant, vault enable entity, vault update alias, registry publish policy"},
		{"POST", "/agents/asleep/resume", revoke, "vault delete entity, auth0 create grant, vault create entity, vault create alias, registry publish policy"},
		{"POST", "/agents/awake/transfer", transfer, withdraw + ", " + create},
		{"POST", "/agents/asleep/transfer", transfer, withdraw},
		{"POST", "/agents/awake/credentials", "", "auth0 rotate secret, registry publish policy"},
		{"POST", "/agents/awake/credentials", `{"jwks": ` + goodKeys + `}`, "auth0 update client, registry publish policy"},
		{"DELETE", "/agents/awake", "", "registry remove policy, vault disable entity, auth0 delete client, vault delete entity"},
		{"DELETE", gone, "", ""},
	} {
		t.Run(tc.method+" "+tc.path+" "+tc.body, func(t *testing.T) {
			got := planned(t, s.ask(t, "admin", tc.method, tc.path+"?dry_run=true", tc.body, "If-Match", "*"))
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("the plan (-want +got):\n%s", diff)
			}
		})
	}
}

// A patch to what the agent already is makes no new state, and no work.
func TestAPatchThatChangesNothingMakesNoNewState(t *testing.T) {
	t.Parallel()
	s := newOffice(t)
	s.ask(t, "ana", http.MethodPost, "/agents", supportAgent("triage")).want(t, 201, "")
	s.ask(t, "ana", http.MethodPost, "/agents", strings.Replace(supportAgent("bare"), `"capabilities": [{"name": "triage", "input": {"type": "object"}}], `, "", 1)).want(t, 201, "")
	for _, agent := range []string{"/agents/triage", "/agents/bare"} {
		before := s.ask(t, "ana", http.MethodGet, agent, "")
		w := s.ask(t, "ana", http.MethodPatch, agent, `{"owner": "ana@example.com", "labels": {"a": "b"}}`, "If-Match", "*")
		w.want(t, 200, "")
		if w.Body.String() != before.Body.String() || w.Header().Get("ETag") != before.Header().Get("ETag") {
			t.Errorf("%s was\n%s and is\n%s", agent, before.Body, w.Body)
		}
	}
}
