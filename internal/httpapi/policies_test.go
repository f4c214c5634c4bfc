package httpapi

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/registry"
)

// whole is what an answer says beside the document that was sent.
const whole = `, "tier": "team", "id": "customer-success", "required": false, "version": 1, "revision": 6`

func TestAPolicyIsPutReadAndDeleted(t *testing.T) {
	t.Parallel()
	s, _ := newPolicies(t)
	created := s.ask(t, "author", "PUT", teamPolicy, teamsRules, "If-None-Match", "*")
	created.want(t, 201, "")
	etag, createdBody := created.Header().Get("ETag"), created.Body.String()
	if got := created.Header().Get("Location"); got != teamPolicy {
		t.Errorf("Location is %q", got)
	}
	read := s.ask(t, "auditor", "GET", teamPolicy, "")
	if read.want(t, 200, ""); read.Header().Get("ETag") != etag || read.Body.String() != createdBody {
		t.Errorf("GET answers %s with %s, PUT answered %s with %s", read.Body, read.Header().Get("ETag"), createdBody, etag)
	}
	unchanged := s.ask(t, "auditor", "GET", teamPolicy, "", "If-None-Match", `"other", `+etag)
	if unchanged.want(t, 304, ""); unchanged.Header().Get("ETag") != etag || unchanged.Body.Len() != 0 {
		t.Errorf("304 with ETag %s and body %q", unchanged.Header().Get("ETag"), unchanged.Body)
	}
	var sent, got map[string]any
	for text, doc := range map[string]*map[string]any{
		strings.TrimSuffix(teamsRules, "\n}") + whole + "}": &sent, created.withoutTimes(t).Body.String(): &got,
	} {
		if err := json.Unmarshal([]byte(text), doc); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(sent, got); diff != "" {
		t.Errorf("what is there is not what was sent (-want +got):\n%s", diff)
	}

	s.ask(t, "author", "DELETE", teamPolicy, "", "If-Match", `"stale"`).want(t, 412, "precondition_failed")
	gone := s.ask(t, "author", "DELETE", teamPolicy, "", "If-Match", etag)
	if gone.want(t, 204, ""); gone.Body.Len() != 0 {
		t.Errorf("204 with a body: %s", gone.Body)
	}
	s.ask(t, "auditor", "GET", teamPolicy, "").want(t, 404, "not_found")
}

// What GET answers, without what the registry itself says, is a document that PUT
// takes for the same: also where a list is empty and where a ceiling says nothing.
func TestAPolicyThatIsReadCanBePutAgain(t *testing.T) {
	t.Parallel()
	s, agents := newPolicies(t)
	for path, documents := range map[string][]string{
		teamPolicy: {
			teamsRules, `{}`, `{"ceiling": {}}`, `{"ceiling": {"permissions": []}}`, `{"ceiling": {"data_classification": [], "permissions": ["data:read"]}, "required": true}`,
			`{"rules": [{"code": "a", "effect": "deny", "when": {"outside_hours": {"from": "22:00", "to": "06:00"}}}]}`, `{"rules": [{"code": "a", "effect": "allow", "when": {}}]}`,
		},
		agents: {`{"rules": [{"code": "a", "effect": "deny", "when": {"methods": ["GET"]}}]}`},
	} {
		how := []string{"If-None-Match", "*"}
		for _, document := range documents {
			put := s.ask(t, "admin", "PUT", path+"?confirm=denies_everyone", document, how...)
			if put.Code >= 300 {
				t.Fatalf("PUT %s answers %d: %s", document, put.Code, put.Body)
			}
			how = []string{"If-Match", put.Header().Get("ETag")}
			var read map[string]json.RawMessage
			if err := json.Unmarshal(put.Body.Bytes(), &read); err != nil {
				t.Fatal(err)
			}
			for _, own := range []string{"tier", "id", "version", "revision", "created_at", "updated_at"} {
				delete(read, own)
			}
			text, err := json.Marshal(read)
			if err != nil {
				t.Fatal(err)
			}
			again := s.ask(t, "admin", "PUT", path+"?confirm=denies_everyone", string(text), how...)
			if again.want(t, 200, ""); again.Header().Get("ETag") != how[1] {
				t.Errorf("%s, put again as %s, is another state: %s", document, text, again.Body)
			}
		}
	}
}

func TestAWriteOfAPolicyIsRefused(t *testing.T) {
	t.Parallel()
	s, agents := newPolicies(t)
	s.ask(t, "admin", "PUT", teamPolicy, `{"ceiling": {"permissions": ["skills:invoke"]}, "required": true}`, "If-None-Match", "*").want(t, 201, "")
	const (
		nothing = `{}`
		same    = `{"ceiling": {"permissions": ["skills:invoke"]}, "required": true}`
	)
	for _, tc := range []struct {
		as, method, path, body string
		match                  string // If-Match; "": none
		status                 int
		code                   string
		faults                 []string
	}{
		{"author", "PUT", teamPolicy, same, "", 428, "precondition_required", nil},
		{"author", "DELETE", teamPolicy, "", "", 428, "precondition_required", nil},
		{"author", "POST", teamPolicy + "/rollback", `{"version": 1}`, "", 428, "precondition_required", nil},
		{"author", "PUT", teamPolicy, same, "*, x", 400, "invalid_parameter", nil},
		{"author", "PUT", teamPolicy + "?confirm=yes", same, "*", 422, "invalid_parameter", nil},
		{"author", "PUT", teamPolicy + "?force=true", same, "*", 400, "invalid_parameter", nil},
		{"auditor", "PUT", teamPolicy, same, "*", 403, "permission_denied", nil},
		{"auditor", "DELETE", teamPolicy, "", "*", 403, "permission_denied", nil},
		{"owner", "GET", teamPolicy, "", "", 403, "permission_denied", nil},
		{"stranger", "PUT", teamPolicy, same, "*", 403, "team_not_allowed", nil},
		{"stranger", "PUT", agents, nothing, "*", 403, "team_not_allowed", nil},
		{"author", "PUT", "/policies/global/office-hours", nothing, "*", 403, "tier_not_allowed", nil},
		{"author", "PUT", "/policies/agent_type/support", nothing, "*", 403, "tier_not_allowed", nil},
		{"author", "PUT", teamPolicy, nothing, "*", 403, "ceiling_not_allowed", []string{"/ceiling ceiling_not_allowed", "/required required_not_allowed"}},
		{"author", "PUT", teamPolicy, `{"ceiling": {"permissions": ["skills:invoke"]}}`, "*", 403, "required_not_allowed", []string{"/required required_not_allowed"}},
		{"author", "DELETE", teamPolicy, "", "*", 403, "ceiling_not_allowed", []string{"/ceiling ceiling_not_allowed", "/required required_not_allowed"}},
		{"admin", "PUT", "/policies/agent/triage", nothing, "*", 422, "invalid_policy", []string{" invalid_id"}},
		{"admin", "GET", "/policies/agent/triage", "", "", 404, "not_found", nil},
		{"admin", "PUT", "/policies/team/Platform", nothing, "*", 422, "invalid_policy", []string{" invalid_id"}},
		{"admin", "PUT", "/policies/platform/a", nothing, "*", 422, "invalid_policy", []string{" invalid_id"}},
		{"admin", "PUT", "/policies/global/a", `{"ceiling": {}, "rules": [{"code": "invalid_code", "effect": "deny"}], "priority": 1}`, "*", 422, "invalid_policy",
			[]string{"/ceiling tier_without_ceiling", "/priority unknown_field", "/rules/0/code reserved_code"}},
		{"admin", "PUT", "/policies/global/a", `{"rules": [{"code": "a", "effect": "deny", "when": {"methods": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]}}]}`, "none", 422, "denies_everyone",
			[]string{"/rules denies_everyone"}},
		{"admin", "PUT", "/policies/global/a", nothing, "*", 412, "precondition_failed", nil},
		{"admin", "PUT", "/policies/agent_type/batch", nothing, "none", 404, "not_found", nil},
		{"admin", "POST", teamPolicy + "/rollback", `{"version": 7}`, "*", 404, "not_found", nil},
		{"admin", "POST", teamPolicy + "/rollback", `{"version": "1"}`, "*", 422, "invalid_rollback", []string{"/version type"}},
		{"admin", "GET", teamPolicy + "/versions/0", "", "", 404, "not_found", nil},
		{"admin", "GET", teamPolicy + "/versions/x", "", "", 400, "invalid_parameter", nil},
	} {
		header := []string{"If-Match", tc.match}
		switch tc.match {
		case "":
			header = nil
		case "none":
			header = []string{"If-None-Match", "*"}
		}
		w := s.ask(t, tc.as, tc.method, tc.path, tc.body, header...)
		if w.want(t, tc.status, tc.code, tc.faults...); t.Failed() {
			t.Fatalf("%s %s %s as %s", tc.method, tc.path, tc.body, tc.as)
		}
	}
	var after struct{ Version int64 }
	if w := s.ask(t, "admin", "GET", teamPolicy, ""); json.Unmarshal(w.Body.Bytes(), &after) != nil || after.Version != 1 {
		t.Errorf("after that the policy is %s", w.Body)
	}
}

// Who writes Rego is told where it is wrong and what to write.
func TestFaultsOfRegoAreToldByLine(t *testing.T) {
	t.Parallel()
	s, _ := newPolicies(t)
	document := strings.Replace(teamsRules, `request.method == \"TRACE\"`, `input.method == \"TRACE\"`, 1)
	for _, w := range []reply{
		s.ask(t, "author", "PUT", teamPolicy, document, "If-None-Match", "*"),
		s.ask(t, "author", "POST", "/policies:validate?tier=team&id=customer-success", document),
	} {
		p := wantProblem(t, w.ResponseRecorder, 422, "invalid_policy")
		for _, f := range deref(p.Errors) {
			if f.Pointer != "/rego" || !strings.HasPrefix(f.Detail, "line ") {
				t.Errorf("a fault is %+v", f)
			}
		}
		if len(deref(p.Errors)) == 0 {
			t.Errorf("no fault is told: %s", w.Body)
		}
	}
}

func TestValidatingAPolicyKeepsNothing(t *testing.T) {
	t.Parallel()
	s, agents := newPolicies(t)
	const path = "/policies:validate?tier=team&id=customer-success"
	s.ask(t, "author", "POST", path, teamsRules).wantJSON(t, `{"denies_everyone": false, "tests": [{"name": "test_reads", "passed": true}]}`)
	s.ask(t, "author", "POST", path, `{"rules": [{"code": "a", "effect": "deny"}], "ceiling": {}}`).wantJSON(t, `{"denies_everyone": true, "tests": []}`)
	byID := "/policies:validate?tier=agent&id=" + strings.TrimPrefix(agents, "/policies/agent/")
	s.ask(t, "stranger", "POST", byID, `{}`).want(t, 200, "") // who may write it is not asked
	s.ask(t, "author", "POST", path, `{"rules": 7}`).want(t, 422, "invalid_policy", "/rules type")
	s.ask(t, "author", "POST", "/policies:validate?tier=agent&id=triage", `{}`).want(t, 422, "invalid_policy", " invalid_id")
	s.ask(t, "author", "POST", "/policies:validate?tier=agent&id=0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", `{}`).want(t, 404, "not_found")
	s.ask(t, "owner", "POST", path, teamsRules).want(t, 403, "permission_denied")
	for _, query := range []string{"", "?tier=team", "?id=a", "?tier=team&id=a&id=b", "?tier=team&id=a&dry_run=true"} {
		s.ask(t, "author", "POST", "/policies:validate"+query, teamsRules).want(t, 400, "invalid_parameter")
	}
	s.ask(t, "auditor", "GET", "/policies", "").wantJSON(t, `{"items": []}`)
}

// The colon of :validate is one: nothing else stands in its place.
func TestTheRouteOfValidationIsThatOneAlone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for path, status := range map[string]int{
		"/policies:validate": 401, "/policies:validate?tier=team": 401,
		"/policiesvalidate": 404, "/policies:validat": 404, "/policies:validatex": 404, "/policiesX": 404, "/policies:": 404, `/policies%5C:validate`: 404,
		"/policies:validate/x": 404, "/policies/:validate": 404, "/policies": 405,
	} {
		if w := f.do(call{method: http.MethodPost, path: path, body: "{}"}); w.Code != status {
			t.Errorf("POST %s answers %d, want %d", path, w.Code, status)
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		if w := f.do(call{method: method, path: "/policies:validate", body: "{}"}); w.Code != 405 {
			t.Errorf("%s /policies:validate answers %d, want 405", method, w.Code)
		}
	}
}

func TestPoliciesAndTheirVersionsAreListedByPage(t *testing.T) {
	t.Parallel()
	s, agents := newPolicies(t)
	paths := []string{agents, "/policies/agent_type/support", "/policies/global/a", "/policies/team/a", teamPolicy}
	for _, path := range paths {
		s.ask(t, "admin", "PUT", path, `{}`, "If-None-Match", "*").want(t, 201, "")
	}
	list := func(path string, query url.Values) (pages []int, all []string) {
		for {
			w := s.ask(t, "auditor", "GET", path+"?"+query.Encode(), "")
			w.want(t, 200, "")
			var page struct {
				Items []struct {
					Tier, ID, Action, By string
					Policy               *api.Policy
					Deleted              bool
				}
				Next string `json:"next_cursor"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil {
				t.Fatal(err)
			}
			for _, item := range page.Items {
				if item.Action == "" {
					all = append(all, "/policies/"+item.Tier+"/"+item.ID)
					continue
				}
				if all = append(all, item.Action+" by "+item.By); item.Deleted == (item.Policy != nil) {
					t.Errorf("a version that is deleted: %t, has the policy %v", item.Deleted, item.Policy)
				}
			}
			if pages = append(pages, len(page.Items)); page.Next == "" {
				return pages, all
			}
			query.Set("cursor", page.Next)
		}
	}
	pages, all := list("/policies", url.Values{"limit": {"2"}})
	wantEqual(t, "pages", []int{2, 2, 1}, pages)
	wantEqual(t, "policies", paths, all)
	pages, all = list("/policies", url.Values{"limit": {"1"}, "tier": {"team"}})
	wantEqual(t, "pages of a tier", []int{1, 1}, pages)
	wantEqual(t, "policies of a tier", paths[3:], all)

	s.ask(t, "author", "PUT", teamPolicy, teamsRules, "If-Match", "*").want(t, 200, "")
	s.ask(t, "author", "DELETE", teamPolicy, "", "If-Match", "*").want(t, 204, "")
	s.ask(t, "author", "POST", teamPolicy+"/rollback", `{"version": 2}`, "If-None-Match", "*").want(t, 200, "")
	pages, all = list(teamPolicy+"/versions", url.Values{"limit": {"3"}})
	wantEqual(t, "pages of versions", []int{3, 1}, pages)
	wantEqual(t, "versions", []string{"rollback by auth0|author", "delete by auth0|author", "put by auth0|author", "put by auth0|root"}, all)

	for path, code := range map[string]string{
		"/policies?cursor=x": "invalid_cursor", "/policies?cursor=" + *opaque(layerPosition{"team", "A"}): "invalid_cursor", "/policies?limit=0": "invalid_parameter",
		"/policies?tier=platform": "invalid_parameter", teamPolicy + "/versions?cursor=x": "invalid_cursor", teamPolicy + "/versions?limit=201": "invalid_parameter",
	} {
		s.ask(t, "auditor", "GET", path, "").want(t, 422, code)
	}
}

func TestInvariant_C6_RefusedWritesOfPoliciesAreAudited(t *testing.T) {
	t.Parallel()
	s, agents := newPolicies(t)
	s.ask(t, "stranger", "PUT", teamPolicy, `{"rules": []}`, "If-None-Match", "*").want(t, 403, "team_not_allowed")
	s.ask(t, "auditor", "DELETE", agents, "", "If-Match", "*").want(t, 403, "permission_denied")
	page, _, err := s.store.Audit(t.Context(), registry.AuditFilter{Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range page {
		got = append(got, strings.Join([]string{e.Actor.Subject, e.Action, string(e.Outcome), e.Detail, e.ObjectKind, "/policies/" + e.ObjectID, e.Team}, " "))
	}
	wantEqual(t, "refusals", []string{
		"auth0|auditor policy.delete denied permission_denied policy " + agents + " ",
		"auth0|stranger policy.put denied team_not_allowed policy " + teamPolicy + " customer-success",
	}, got)
}

// A registry whose platform policy knows no tiers would take rules that nobody
// enforces.
func TestPoliciesWaitForAPlatformPolicyThatKnowsTiers(t *testing.T) {
	t.Parallel()
	s := newCatalogue(t)
	for _, w := range []reply{
		s.ask(t, "author", "PUT", teamPolicy, teamsRules, "If-None-Match", "*"),
		s.ask(t, "author", "POST", "/policies:validate?tier=team&id=customer-success", teamsRules),
	} {
		if w.want(t, 503, "policy_unknown"); w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "credence migrate") {
			t.Errorf("it says %s and Retry-After %q", w.Body, w.Header().Get("Retry-After"))
		}
	}
	s.ask(t, "auditor", "GET", "/policies", "").wantJSON(t, `{"items": []}`)
}

func TestARegistrationIsToldOfTheCeiling(t *testing.T) {
	t.Parallel()
	s, _ := newPolicies(t)
	s.ask(t, "admin", "PUT", teamPolicy, `{"ceiling": {"permissions": ["skills:invoke"]}}`, "If-None-Match", "*").want(t, 201, "")
	asks := with(supportAgent("asks"), `"scopes": ["skills:invoke", "data:read"]`)
	w := s.ask(t, "ana", "POST", "/agents", asks)
	w.want(t, 403, "scope_not_allowed", "/scopes/1 scope_not_allowed")
	if !strings.Contains(w.Body.String(), "the ceiling of policy team/customer-success") {
		t.Errorf("the ceiling is not named: %s", w.Body)
	}
	s.ask(t, "ana", "PATCH", "/agents/triage", `{"scopes": ["data:read"]}`, "If-Match", "*").want(t, 403, "scope_not_allowed", "/scopes/0 scope_not_allowed")
	s.ask(t, "ana", "PATCH", "/agents/triage", `{"description": "Sorts"}`, "If-Match", "*").want(t, 200, "")
}
