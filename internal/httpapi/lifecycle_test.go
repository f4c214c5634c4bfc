package httpapi

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// state is all that a write can have changed: what the API shows, the revision, and
// what the providers were asked.
type state struct {
	Agents, Tombstones, Documents string
	Revision, Calls               int64
}

func (s *system) state(t testing.TB) state {
	t.Helper()
	read := func(path string) string {
		w := s.ask(t, "admin", http.MethodGet, path, "")
		w.want(t, 200, "")
		return w.Body.String()
	}
	head, err := s.store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return state{
		Agents: read("/agents"), Tombstones: read("/agents?lifecycle=decommissioned"),
		Documents: read("/environments") + read("/agent-types") + read("/teams") + read("/resources"),
		Revision:  head.Revision, Calls: s.providers.calls.Load(),
	}
}

// Whatever is wrong with a write is a problem with a code, and neither the registry
// nor a provider has heard of it.
func TestAWriteThatIsRefusedChangesNothing(t *testing.T) {
	t.Parallel()
	s := newOffice(t)
	s.ask(t, "ana", http.MethodPost, "/agents", supportAgent("triage"), "Idempotency-Key", "taken").want(t, 201, "")
	s.ask(t, "admin", http.MethodPut, "/teams/blocked", `{"blocked": true}`).want(t, 201, "")
	const agent, stale = "/agents/triage", `"stale"`
	signing := func(keys string) string {
		return with(supportAgent("other"), `"authentication": "private_key_jwt", "jwks": `+keys)
	}
	const reason = `{"reason": "It leaked"}`
	transfer := func(team string) string {
		return `{"team": "` + team + `", "owner": "ben@example.com", "reason": "Moved"}`
	}
	before := s.state(t)
	for _, tc := range []struct { //nolint:paralleltest // they share the registry that they must not change
		name, as, method, path, body string
		header                       []string
		status                       int
		code                         string
		faults                       []string
	}{
		{"a key over 255 characters", "ana", "POST", "/agents", supportAgent("other"), []string{"Idempotency-Key", strings.Repeat("k", 256)}, 400, "invalid_idempotency_key", nil},
		{"a key that is none", "ana", "POST", "/agents", supportAgent("other"), []string{"Idempotency-Key", `"a`}, 400, "invalid_idempotency_key", nil},
		{"a key of another request", "ana", "POST", "/agents", supportAgent("other"), []string{"Idempotency-Key", "taken"}, 422, "idempotency_key_reused", nil},
		{"a name that is taken", "ana", "POST", "/agents", supportAgent("triage"), nil, 409, "name_taken", []string{"/name name_taken"}},

		{"a patch of another state", "ana", "PATCH", agent, `{"owner": "x"}`, []string{"If-Match", stale}, 412, "precondition_failed", nil},
		{"a patch of any state", "ana", "PATCH", agent, `{"owner": "x"}`, nil, 428, "precondition_required", nil},
		{"a suspension of another state", "ana", "POST", agent + "/suspend", reason, []string{"If-Match", stale}, 412, "precondition_failed", nil},
		{"a transfer of another state", "admin", "POST", agent + "/transfer", transfer("platform"), []string{"If-Match", stale}, 412, "precondition_failed", nil},
		{"a rotation of another state", "ana", "POST", agent + "/credentials", "", []string{"If-Match", stale}, 412, "precondition_failed", nil},
		{"a removal of another state", "ana", "DELETE", agent, "", []string{"If-Match", stale}, 412, "precondition_failed", nil},
		{"an If-Match that is none", "ana", "PATCH", agent, `{"owner": "x"}`, []string{"If-Match", "x"}, 400, "invalid_parameter", nil},

		{
			"a patch of what never changes", "ana", "PATCH", agent, `{"id": "x", "name": "other", "environment": "staging", "created_at": null, "owner": "x"}`,
			[]string{"If-Match", "*"}, 422, "immutable_field",
			[]string{"/created_at immutable_field", "/environment immutable_field", "/id immutable_field", "/name immutable_field"},
		},
		{"a patch of the team", "ana", "PATCH", agent, `{"team": "platform"}`, []string{"If-Match", "*"}, 422, "immutable_field", []string{"/team immutable_field"}},
		{"a patch to what the type does not allow", "ana", "PATCH", agent, `{"scopes": ["data:write"]}`, []string{"If-Match", "*"}, 403, "scope_not_allowed", []string{"/scopes/0 scope_not_allowed"}},
		{"a patch to what cannot be", "ana", "PATCH", agent, `{"owner": null, "quota": {"x": 1}}`, []string{"If-Match", "*"}, 422, "invalid_registration", []string{"/owner required", "/quota/x unknown_field"}},
		{"a patch into the past", "ana", "PATCH", agent, `{"expires_at": "2020-01-01T00:00:00Z"}`, []string{"If-Match", "*"}, 422, "invalid_registration", []string{"/expires_at not_in_future"}},
		{"a patch of nobody", "ana", "PATCH", "/agents/nobody", `{}`, []string{"If-Match", "*"}, 404, "not_found", nil},
		{"a patch of another team's", "ben", "PATCH", agent, `{}`, []string{"If-Match", "*"}, 403, "team_not_allowed", nil},

		{"resuming what is not suspended", "ana", "POST", agent + "/resume", reason, nil, 409, "not_suspended", nil},
		{"suspending for no reason", "ana", "POST", agent + "/suspend", `{"reason": " "}`, nil, 422, "invalid_switch", []string{"/reason blank"}},
		{"suspending another team's", "ben", "POST", agent + "/suspend", reason, nil, 403, "team_not_allowed", nil},

		{"giving to a team of others", "ana", "POST", agent + "/transfer", transfer("platform"), nil, 403, "team_not_allowed", []string{"/team team_not_allowed"}},
		{"taking from a team of others", "ben", "POST", agent + "/transfer", transfer("platform"), nil, 403, "team_not_allowed", nil},
		{"giving to a blocked team", "admin", "POST", agent + "/transfer", transfer("blocked"), nil, 403, "team_blocked", nil},
		{"giving to nobody", "admin", "POST", agent + "/transfer", `{}`, nil, 422, "invalid_transfer", []string{"/owner required", "/reason required", "/team required"}},

		{"keys with private parts", "ana", "POST", "/agents", signing(privateKeys), nil, 422, "invalid_registration", []string{"/jwks/keys/0/d private_key"}},
		{"keys that are weak", "ana", "POST", "/agents", signing(weakKeys), nil, 422, "invalid_registration", []string{"/jwks/keys/0/n weak_key"}},
		{"keys on no curve", "ana", "POST", "/agents", signing(curveKeys), nil, 422, "invalid_registration", []string{"/jwks/keys/0/crv unsupported_curve"}},
		{"rotating to keys with private parts", "ana", "POST", agent + "/credentials", `{"jwks": ` + privateKeys + `}`, nil, 422, "invalid_rotation", []string{"/jwks/keys/0/d private_key"}},
		{"rotating to weak keys", "ana", "POST", agent + "/credentials", `{"jwks": ` + weakKeys + `}`, nil, 422, "invalid_rotation", []string{"/jwks/keys/0/n weak_key"}},
		{"rotating to keys on no curve", "ana", "POST", agent + "/credentials", `{"jwks": ` + curveKeys + `}`, nil, 422, "invalid_rotation", []string{"/jwks/keys/0/crv unsupported_curve"}},
		{"rotating into the past", "ana", "POST", agent + "/credentials", `{"credentials_expire_at": "2020-01-01T00:00:00Z"}`, nil, 422, "invalid_rotation", []string{"/credentials_expire_at not_in_future"}},

		{"expiring in the past", "ana", "POST", "/agents", with(supportAgent("other"), `"expires_at": "2020-01-01T00:00:00Z"`), nil, 422, "invalid_registration", []string{"/expires_at not_in_future"}},
		{"expiring at no time", "ana", "POST", "/agents", with(supportAgent("other"), `"credentials_expire_at": "soon"`), nil, 422, "invalid_registration", []string{"/credentials_expire_at format"}},
		{"adopting without being an admin", "ana", "POST", "/agents", with(supportAgent("other"), `"adopt": {"client_id": "Qm4"}`), nil, 403, "permission_denied", []string{"/adopt permission_denied"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.ask(t, tc.as, tc.method, tc.path, tc.body, tc.header...).want(t, tc.status, tc.code, tc.faults...)
			if diff := cmp.Diff(before, s.state(t)); diff != "" {
				t.Errorf("it changed (-before +after):\n%s", diff)
			}
		})
	}
}

// A dry run is answered with what would be done, after all checks, and does nothing.
func TestADryRunChangesNothing(t *testing.T) {
	t.Parallel()
	s := newCatalogue(t)
	s.ask(t, "admin", http.MethodPut, "/agent-types/support", supportType).want(t, 201, "")
	s.ask(t, "admin", http.MethodPut, "/agent-types/unused", `{}`).want(t, 201, "")
	s.ask(t, "admin", http.MethodPut, "/teams/platform", `{}`).want(t, 201, "")
	s.ask(t, "owner", http.MethodPut, "/resources/hello-skill", helloSkill).want(t, 201, "")
	s.ask(t, "ana", http.MethodPost, "/agents", supportAgent("triage"), "Idempotency-Key", "used").want(t, 201, "")
	s.ask(t, "ana", http.MethodPost, "/agents", supportAgent("asleep")).want(t, 201, "")
	s.ask(t, "ana", http.MethodPost, "/agents/asleep/suspend", `{"reason": "It leaked"}`).want(t, 200, "")
	before := s.state(t)
	const reason = `{"reason": "It leaked"}`
	for _, tc := range []struct { //nolint:paralleltest // they share the registry that they must not change
		as, method, path, body string
		status                 int
		code                   string
		planned                bool // there is something to do at the providers
	}{
		{"ana", "POST", "/agents", supportAgent("other"), 200, "", true},
		{"ana", "POST", "/agents", supportAgent("triage"), 409, "name_taken", false},
		{"ana", "POST", "/agents", "{}", 422, "invalid_registration", false},
		{"ana", "PATCH", "/agents/triage", `{"scopes": ["data:read"]}`, 200, "", true},
		{"ana", "PATCH", "/agents/triage", `{"scopes": ["data:write"]}`, 403, "scope_not_allowed", false},
		{"ana", "POST", "/agents/triage/suspend", reason, 200, "", true},
		{"ana", "POST", "/agents/triage/resume", reason, 409, "not_suspended", false},
		{"ana", "POST", "/agents/asleep/resume", reason, 200, "", true},
		{"admin", "POST", "/agents/triage/transfer", `{"team": "platform", "owner": "ben@example.com", "reason": "Moved"}`, 200, "", true},
		{"ana", "POST", "/agents/triage/credentials", "", 200, "", true},
		{"ana", "DELETE", "/agents/triage", "", 200, "", true},
		{"ben", "DELETE", "/agents/triage", "", 403, "team_not_allowed", false},
		{"admin", "PUT", "/environments/production", `{"grants": "explicit"}`, 200, "", false},
		{"admin", "PUT", "/environments/testing", `{}`, 200, "", false},
		{"admin", "DELETE", "/environments/production", "", 409, "in_use", false},
		{"admin", "PUT", "/agent-types/support", `{}`, 200, "", false},
		{"admin", "DELETE", "/agent-types/support", "", 409, "in_use", false},
		{"admin", "DELETE", "/agent-types/unused", "", 200, "", false},
		{"admin", "PUT", "/teams/customer-success", `{}`, 200, "", false},
		{"admin", "DELETE", "/teams/platform", "", 200, "", false},
		{"admin", "DELETE", "/teams/nobody", "", 404, "not_found", false},
		{"owner", "PUT", "/resources/hello-skill", `{"type": "service", "team": "platform"}`, 200, "", false},
		{"owner", "PUT", "/resources/billing", `{"type": "service", "team": "platform"}`, 403, "name_reserved", false},
		{"owner", "DELETE", "/resources/hello-skill", "", 200, "", false},
		{"rival", "DELETE", "/resources/hello-skill", "", 403, "team_not_allowed", false},
	} {
		t.Run(tc.as+" "+tc.method+" "+tc.path, func(t *testing.T) {
			fields := []string{"Idempotency-Key", "used"}
			if tc.method == http.MethodPatch {
				fields = append(fields, "If-Match", "*")
			}
			w := s.ask(t, tc.as, tc.method, tc.path+"?dry_run=true", tc.body, fields...)
			if w.Code != tc.status || (tc.code != "" && problem(t, w.ResponseRecorder).Code != tc.code) {
				t.Errorf("%d, want %d %s: %s", w.Code, tc.status, tc.code, w.Body)
			}
			if tc.status == 200 && (!isDryRun(w.ResponseRecorder) || strings.Contains(w.Body.String(), `"plan":[]`) == tc.planned) {
				t.Errorf("the answer is %s", w.Body)
			}
			if diff := cmp.Diff(before, s.state(t)); diff != "" {
				t.Errorf("it changed (-before +after):\n%s", diff)
			}
		})
	}
	s.ask(t, "ana", http.MethodPost, "/agents?dry_run=true", supportAgent("other"), "Idempotency-Key", "new").want(t, 200, "")
	s.ask(t, "ana", http.MethodPost, "/agents", supportAgent("other"), "Idempotency-Key", "new").want(t, 201, "") // a dry run uses up no key
}

func TestAnAgentsLifeIsShown(t *testing.T) {
	t.Parallel()
	s := newOffice(t)
	s.ask(t, "ana", http.MethodPost, "/agents", with(supportAgent("triage"), `"expires_at": "2100-01-01T00:00:00Z"`)).want(t, 201, "")
	const agent = "/agents/triage"

	w := s.ask(t, "ana", http.MethodPost, agent+"/suspend", `{"reason": "It leaked", "revoke_tokens": true}`)
	w.want(t, 200, "")
	a := agentOf(t, w.ResponseRecorder)
	if !a.Suspended || *a.SuspendReason != "It leaked" || a.TokensValidAfter == nil || a.Generation != a.ObservedGeneration {
		t.Errorf("suspended: %s", w.Body)
	}
	if read := s.ask(t, "ana", http.MethodGet, agent, ""); read.Header().Get("ETag") != w.Header().Get("ETag") || read.Body.String() != w.Body.String() {
		t.Errorf("reading it shows %s %s, suspending it %s %s", read.Header().Get("ETag"), read.Body, w.Header().Get("ETag"), w.Body)
	}
	if again := s.ask(t, "ana", http.MethodPost, agent+"/suspend", `{"reason": "It leaked"}`); again.Header().Get("ETag") != w.Header().Get("ETag") {
		t.Errorf("suspending again made a new state: %s", again.Body)
	}
	s.ask(t, "ana", http.MethodPost, agent+"/credentials", "").want(t, 409, "agent_suspended")
	s.ask(t, "ana", http.MethodPost, agent+"/resume", `{"reason": "Found"}`).want(t, 200, "")

	w = s.ask(t, "ana", http.MethodPatch, agent, `{"expires_at": null, "description": "New"}`, "If-Match", "*")
	w.want(t, 200, "")
	if a = agentOf(t, w.ResponseRecorder); a.ExpiresAt != nil || a.Description != "New" || a.Suspended {
		t.Errorf("patched: %s", w.Body)
	}

	w = s.ask(t, "ana", http.MethodPost, agent+"/credentials", `{"jwks": `+goodKeys+`}`)
	w.want(t, 200, "")
	if strings.Contains(w.Body.String(), "client_secret\"") || !strings.Contains(w.Body.String(), `"credential_generation":2`) || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("rotated to keys: %v %s", w.Header(), w.Body)
	}
	s.ask(t, "ana", http.MethodPost, agent+"/credentials", "").want(t, 409, "keys_needed")

	var actions []string
	for _, e := range strings.Split(s.ask(t, "ana", http.MethodGet, "/audit?agent=triage", "").Body.String(), `"action":"`)[1:] {
		actions = append(actions, e[:strings.Index(e, `"`)])
	}
	for _, want := range []string{"agent.register", "agent.suspend", "agent.resume", "agent.change", "agent.rotate"} {
		if !strings.Contains(strings.Join(actions, " "), want) {
			t.Errorf("the audit log lacks %s: %v", want, actions)
		}
	}
	if other := s.ask(t, "ben", http.MethodGet, "/audit?agent=triage", "").Body.String(); other != `{"items":[]}`+"\n" {
		t.Errorf("another team sees %s", other)
	}
}

// A repetition gets a secret that works, as long as nobody else asked for one.
func TestInvariant_C3_ARepetitionIsAnsweredByWhatTheFirstCallLedTo(t *testing.T) {
	t.Parallel()
	s := newOffice(t)
	register := func(as, document string) reply {
		t.Helper()
		return s.ask(t, as, http.MethodPost, "/agents", document, "Idempotency-Key", `"k-1"`)
	}
	first := register("ana", supportAgent("triage"))
	first.want(t, 201, "")
	reordered := register("ana", strings.Replace(supportAgent("triage"), `"labels": {"a": "b"}}`, `"labels":{"a":"b"} }`, 1))
	reordered.want(t, 201, "")
	for w, want := range map[*reply][]string{&first: {"", `"shown once"`, `"credential_generation":1`}, &reordered: {"true", `"shown anew"`, `"credential_generation":2`}} {
		body := w.Body.String()
		if w.Header().Get("Idempotency-Replayed") != want[0] || !strings.Contains(body, want[1]) || !strings.Contains(body, want[2]) {
			t.Errorf("%v %s, want %q", w.Header(), body, want)
		}
	}
	register("ben", supportAgent("triage")).want(t, 403, "team_not_allowed", "/team team_not_allowed") // his keys are others
	register("ana", supportAgent("other")).want(t, 422, "idempotency_key_reused")

	s.ask(t, "ana", http.MethodPost, "/agents/triage/credentials", "").want(t, 200, "")
	told := register("ana", supportAgent("triage"))
	told.want(t, 200, "")
	if body := told.Body.String(); strings.Contains(body, "shown") || !strings.Contains(body, `"next":["POST /agents/triage/credentials"]`) {
		t.Errorf("after a rotation: %s", body)
	}
	if a := s.ask(t, "ana", http.MethodGet, "/agents/triage", ""); !strings.Contains(a.Body.String(), `"credential_generation":3`) {
		t.Errorf("the repetition changed the secret: %s", a.Body)
	}
	s.ask(t, "ana", http.MethodDelete, "/agents/triage", "").want(t, 204, "")
	register("ana", supportAgent("triage")).want(t, 409, "idempotency_key_spent")
}

// An adopted client keeps its secret, which only its owner knows.
func TestAnAdoptedClientIsNotGivenANewSecret(t *testing.T) {
	t.Parallel()
	s := newOffice(t)
	for _, status := range []int{201, 200} { // also not when the call is repeated
		w := s.ask(t, "admin", http.MethodPost, "/agents", with(supportAgent("triage"), `"adopt": {"client_id": "Qm4x"}`), "Idempotency-Key", "k")
		if w.Code != status || strings.Contains(w.Body.String(), "shown") || !strings.Contains(w.Body.String(), `"client_id":"Qm4x"`) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
}

// A token's iat has whole seconds. None that was issued before a revocation counts,
// in its very second neither; who is answered can fetch one that does.
func TestWhoIsToldOfARevocationCanFetchATokenThatCounts(t *testing.T) {
	t.Parallel()
	s := newOffice(t)
	s.ask(t, "ana", http.MethodPost, "/agents", supportAgent("triage")).want(t, 201, "")
	for _, step := range []struct{ action, document string }{
		{"/credentials", `{"revoke_tokens": true}`},
		{"/suspend", `{"reason": "It leaked", "revoke_tokens": true}`},
		{"/resume", `{"reason": "Found"}`},
		{"/suspend", `{"reason": "It leaked"}`},
		{"/resume", `{"reason": "Found", "revoke_tokens": true}`},
	} {
		asked := time.Now()
		w := s.ask(t, "ana", http.MethodPost, "/agents/triage"+step.action, step.document)
		w.want(t, 200, "")
		answered := time.Now()
		a := agentOf(t, s.ask(t, "ana", http.MethodGet, "/agents/triage", "").ResponseRecorder)
		from := *a.TokensValidAfter
		if from.Nanosecond() != 0 {
			t.Errorf("%s: tokens count from %s, want a whole second", step.action, from)
		}
		if strings.Contains(step.document, "revoke") && from.Unix() <= asked.Unix() {
			t.Errorf("%s: a token that was issued as it was asked for, at %s, counts: from %s on they do", step.action, asked, from)
		}
		if !a.Suspended && answered.Unix() < from.Unix() {
			t.Errorf("%s: a token that is fetched at %s does not count: from %s on they do", step.action, answered, from)
		}
	}
}
