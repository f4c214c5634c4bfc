package httpapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const helloSkill = `{
	"type": "skill", "team": "platform", "description": "Says hello", "data_classification": "low",
	"required_permissions": ["skills:invoke"],
	"access": {"visibility": "team", "teams": ["customer-success"], "agent_types": []},
	"deployments": {"production": {"endpoint": "https://hello.skills.example.com"}, "staging": {"endpoint": "http://10.20.0.7"}},
	"operations": [{"name": "say-hello", "method": "POST", "path": "/say-hello", "input": {"type": "object"}, "output": true}],
	"labels": {"tier": "1"}
}`

// newCatalogue is a system with two environments that allow hello-skill to be put.
func newCatalogue(t testing.TB) *system {
	t.Helper()
	s := newSystem(t)
	s.ask(t, "admin", http.MethodPut, "/environments/production", `{"allowed_endpoints":["*.skills.example.com:443"],"reserved_names":["billing"]}`).want(t, 201, "")
	s.ask(t, "admin", http.MethodPut, "/environments/staging", `{"allowed_endpoints":["10.20.0.0/16"]}`).want(t, 201, "")
	return s
}

// resourceOperations goes through the operations of resources, for the contract's
// test.
func resourceOperations(s *system, do func(operationID string, status int, c call) *httptest.ResponseRecorder) {
	const path = "/resources/hello-skill"
	ifNoneMatch := func(etag string) map[string]string { return map[string]string{"If-None-Match": etag} }
	for _, name := range []string{"production", "staging"} {
		do("putEnvironment", 201, call{method: http.MethodPut, path: "/environments/" + name, as: "admin", body: `{"allowed_endpoints": ["10.20.0.0/16", "*.skills.example.com:443"]}`})
	}
	created := do("putResource", 201, call{method: http.MethodPut, path: path, as: "owner", body: helloSkill})
	do("putResource", 200, call{method: http.MethodPut, path: path, as: "owner", body: `{"type": "service", "team": "platform"}`})
	do("putResource", 200, call{method: http.MethodPut, path: path, as: "owner", body: helloSkill})
	do("putResource", 412, call{method: http.MethodPut, path: path, as: "owner", body: helloSkill, header: map[string]string{"If-Match": created.Header().Get("ETag")}})
	do("putResource", 200, call{method: http.MethodPut, path: path + "?dry_run=true", as: "owner", body: helloSkill})
	do("deleteResource", 200, call{method: http.MethodDelete, path: path + "?dry_run=true", as: "owner"})
	do("putResource", 422, call{method: http.MethodPut, path: path, as: "owner", body: `{}`})
	read := do("getResource", 200, call{method: http.MethodGet, path: path, as: "gateway"})
	do("getResource", 304, call{method: http.MethodGet, path: path, as: "gateway", header: ifNoneMatch(read.Header().Get("ETag"))})
	do("listResources", 200, call{method: http.MethodGet, path: "/resources?limit=1&type=skill", as: "gateway"})
	do("listResources", 422, call{method: http.MethodGet, path: "/resources?type=api", as: "gateway"})
	s.catchUp(s.t)
	for id, method := range map[string]string{"getResourceMetadata": http.MethodGet} {
		do(id, 200, call{method: method, path: path + "/metadata", as: "gateway"})
		found := do(id, 200, call{method: method, path: path + "/metadata?environment=production", as: "gateway"})
		do(id, 304, call{method: method, path: path + "/metadata?environment=production", as: "gateway", header: ifNoneMatch(found.Header().Get("ETag"))})
	}
	do("getResourceMetadata", 404, call{method: http.MethodGet, path: "/resources/nothing/metadata", as: "gateway"})
	do("deleteResource", 403, call{method: http.MethodDelete, path: path, as: "rival"})
	do("deleteResource", 204, call{method: http.MethodDelete, path: path, as: "owner"})
	do("deleteResource", 404, call{method: http.MethodDelete, path: path, as: "owner"})
}

// reply is what one call was answered.
type reply struct{ *httptest.ResponseRecorder }

// ask makes a call; fields are names and values of its header.
func (s *system) ask(t testing.TB, as, method, path, body string, fields ...string) reply {
	t.Helper()
	c := call{as: as, method: method, path: path, body: body, header: map[string]string{}}
	for i := 0; i < len(fields); i += 2 {
		c.header[fields[i]] = fields[i+1]
	}
	return reply{s.do(c)}
}

// want checks the status and, of a problem, its code and its faults, as pointers
// with their codes.
func (a reply) want(t testing.TB, status int, code string, faults ...string) {
	t.Helper()
	if a.Code != status {
		t.Errorf("status %d, want %d: %s", a.Code, status, a.Body)
		return
	}
	if code == "" {
		return
	}
	p := wantProblem(t, a.ResponseRecorder, status, code)
	var got []string
	for _, f := range deref(p.Errors) {
		got = append(got, f.Pointer+" "+f.Code)
	}
	if diff := cmp.Diff(faults, got); diff != "" {
		t.Errorf("faults (-want +got):\n%s\n%s", diff, a.Body)
	}
}

// wantJSON compares the body with a document, as text but for space.
func (a reply) wantJSON(t testing.TB, want string) {
	t.Helper()
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(want)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(compact.String(), strings.TrimSpace(a.Body.String())); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

// fields are those of the header with these names.
func (a reply) fields(names ...string) map[string]string {
	all := map[string]string{}
	for _, name := range names {
		all[name] = a.Header().Get(name)
	}
	return all
}
