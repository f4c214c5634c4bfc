package httpapi

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// withoutTimes takes the dates out of a resource's document: they are the
// database's.
func (a reply) withoutTimes(t testing.TB) reply {
	t.Helper()
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(a.Body.Bytes(), &doc); err != nil {
		t.Fatalf("%v\n%s", err, a.Body)
	}
	for _, name := range []string{"created_at", "updated_at"} {
		var at time.Time
		if err := json.Unmarshal(doc[name], &at); err != nil || at.IsZero() || at.Location() != time.UTC {
			t.Errorf("%s is %s", name, doc[name])
		}
		delete(doc, name)
	}
	a.Body.Reset()
	if err := json.NewEncoder(a.Body).Encode(doc); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAResourceIsPutReadAndDeleted(t *testing.T) {
	t.Parallel()
	w := newCatalogue(t)
	created := w.ask(t, "owner", "PUT", "/resources/hello-skill", helloSkill, "If-None-Match", "*")
	created.want(t, 201, "")
	createdBody := created.Body.String()
	etag := created.Header().Get("ETag")
	if diff := cmp.Diff(map[string]string{"Location": "/resources/hello-skill", "ETag": `"hello-skill.3.1"`}, created.fields("Location", "ETag")); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	created.withoutTimes(t).wantJSON(t, `{
		"access": {"agent_types": [], "teams": ["customer-success"], "visibility": "team"},
		"data_classification": "low",
		"deployments": {"production": {"endpoint": "https://hello.skills.example.com"}, "staging": {"endpoint": "http://10.20.0.7"}},
		"description": "Says hello", "labels": {"tier": "1"}, "name": "hello-skill",
		"operations": [{"input": {"type": "object"}, "method": "POST", "name": "say-hello", "output": true, "path": "/say-hello"}],
		"required_permissions": ["skills:invoke"], "revision": 3, "team": "platform", "type": "skill"
	}`)

	read := w.ask(t, "gateway", "GET", "/resources/hello-skill", "")
	read.want(t, 200, "")
	if read.Header().Get("ETag") != etag || read.Body.String() != createdBody {
		t.Errorf("GET answers %s with %s, PUT answered %s with %s", read.Body, read.Header().Get("ETag"), createdBody, etag)
	}
	unchanged := w.ask(t, "gateway", "GET", "/resources/hello-skill", "", "If-None-Match", `"other", W/`+etag)
	if unchanged.want(t, 304, ""); unchanged.Header().Get("ETag") != etag || unchanged.Body.Len() != 0 {
		t.Errorf("304 with the ETag %s and the body %q", unchanged.Header().Get("ETag"), unchanged.Body)
	}

	w.ask(t, "owner", "PUT", "/resources/hello-skill", helloSkill, "If-None-Match", "*").want(t, 412, "precondition_failed")
	same := w.ask(t, "owner", "PUT", "/resources/hello-skill", helloSkill, "If-Match", etag)
	if same.want(t, 200, ""); same.Header().Get("ETag") != etag {
		t.Errorf("a PUT that changes nothing made the state %s", same.Header().Get("ETag"))
	}
	replaced := w.ask(t, "owner", "PUT", "/resources/hello-skill", strings.Replace(helloSkill, "hello", "good day", 1), "If-Match", etag)
	if replaced.want(t, 200, ""); replaced.Header().Get("ETag") == etag {
		t.Error("a PUT that changes the description kept the state")
	}
	w.ask(t, "owner", "DELETE", "/resources/hello-skill", "", "If-Match", etag).want(t, 412, "precondition_failed")
	w.ask(t, "owner", "DELETE", "/resources/hello-skill", "", "If-Match", replaced.Header().Get("ETag")).want(t, 204, "")
	w.ask(t, "owner", "DELETE", "/resources/hello-skill", "").want(t, 404, "not_found")
	w.ask(t, "gateway", "GET", "/resources/hello-skill", "").want(t, 404, "not_found")
}

// Two replicas put the same resource in turn, each with the state that it read.
func TestAPutWithTheStateOfBeforeIsRefused(t *testing.T) {
	t.Parallel()
	w := newCatalogue(t)
	state := w.ask(t, "owner", "PUT", "/resources/hello-skill", helloSkill).Header().Get("ETag")
	one := strings.Replace(helloSkill, "Says hello", "one", 1)
	two := strings.Replace(helloSkill, "Says hello", "two", 1)
	for range 3 {
		first := w.ask(t, "owner", "PUT", "/resources/hello-skill", one, "If-Match", state)
		first.want(t, 200, "")
		w.ask(t, "owner", "PUT", "/resources/hello-skill", two, "If-Match", state).want(t, 412, "precondition_failed")
		second := w.ask(t, "owner", "PUT", "/resources/hello-skill", two, "If-Match", first.Header().Get("ETag"))
		second.want(t, 200, "")
		state = second.Header().Get("ETag")
	}
}

func TestWhoMayDoWhatWithResources(t *testing.T) {
	t.Parallel()
	w := newCatalogue(t)
	w.ask(t, "owner", "PUT", "/resources/hello-skill", helloSkill).want(t, 201, "")
	const resource, metadata = "/resources/hello-skill", "/resources/hello-skill/metadata"
	for _, tt := range []struct {
		token, method, target, body string
		status                      int
		code                        string
		faults                      []string
	}{
		{"", "GET", "/resources", "", 401, "missing_token", nil},
		{"nobody", "GET", resource, "", 401, "invalid_token", nil},
		{"", "GET", metadata, "", 401, "missing_token", nil},
		{"ana", "GET", "/resources", "", 403, "permission_denied", nil},
		{"ana", "GET", resource, "", 403, "permission_denied", nil},
		{"ana", "GET", metadata, "", 403, "permission_denied", nil},
		{"ana", "PUT", resource, "not even JSON", 403, "permission_denied", nil}, // permission is checked before the body
		{"gateway", "PUT", resource, helloSkill, 403, "permission_denied", nil},
		{"gateway", "DELETE", resource, "", 403, "permission_denied", nil},
		{"rival", "PUT", "/resources/new", helloSkill, 403, "team_not_allowed", []string{"/team team_not_allowed"}},
		{"rival", "PUT", resource, strings.Replace(helloSkill, "platform", "customer-success", 1), 403, "team_not_allowed", nil},
		{"rival", "PUT", resource, strings.Replace(helloSkill, "skill", "api", 1), 422, "invalid_resource", []string{"/type enum"}}, // team after it
		{"rival", "DELETE", resource, "", 403, "team_not_allowed", nil},
		{"owner", "PUT", "/resources/billing", helloSkill, 403, "name_reserved", nil},
		{"owner", "DELETE", "/resources/billing", "", 403, "name_reserved", nil},
		{"owner", "PUT", resource, strings.Replace(helloSkill, "https://hello.skills", "https://hello", 1), 403, "endpoint_not_allowed",
			[]string{"/deployments/production/endpoint endpoint_not_allowed"}},
		{"admin", "PUT", "/resources/billing", helloSkill, 201, "", nil},
		{"admin", "DELETE", "/resources/billing", "", 204, "", nil},
	} {
		w.ask(t, tt.token, tt.method, tt.target, tt.body).want(t, tt.status, tt.code, tt.faults...)
	}
	// Every refused write is in the audit log, and no refused read (invariant C6).
	const deniedSQL = `SELECT string_agg(concat_ws(' ', action, actor, object_name, detail), E'\n' ORDER BY id) FROM audit_events WHERE outcome = 'denied'`
	var got string
	if err := w.pool.QueryRow(t.Context(), deniedSQL).Scan(&got); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"resource.put auth0|ana hello-skill permission_denied",
		"resource.put gateway@clients hello-skill permission_denied",
		"resource.delete gateway@clients hello-skill permission_denied",
		"resource.put auth0|rival new team_not_allowed",
		"resource.put auth0|rival hello-skill team_not_allowed",
		"resource.delete auth0|rival hello-skill team_not_allowed",
		"resource.put auth0|owner billing name_reserved",
		"resource.delete auth0|owner billing name_reserved",
		"resource.put auth0|owner hello-skill endpoint_not_allowed",
	}
	if diff := cmp.Diff(want, strings.Split(got, "\n")); diff != "" {
		t.Errorf("denied (-want +got):\n%s", diff)
	}
}

func TestBadResourcesAreRefusedWithEveryFault(t *testing.T) {
	t.Parallel()
	w := newCatalogue(t)
	for _, tt := range []struct {
		target, body string
		status       int
		code         string
		faults       []string
	}{
		{"/resources/a", `{`, 400, "invalid_json", nil},
		{"/resources/a", `{"type":"skill","type":"tool","team":"platform"}`, 400, "duplicate_key", []string{"/type duplicate_key"}},
		{"/resources/a", `{"x":1}`, 422, "invalid_resource", []string{"/team required", "/type required", "/x unknown_field"}},
		{"/resources/A", `{"type":"skill","team":"platform"}`, 422, "invalid_resource", []string{" invalid_name"}},
		{"/resources/a", `{"type":"skill","team":"platform","deployments":{"production":{"endpoint":"https://u:p@h"},"staging":{"endpoint":"http://127.1"}}}`,
			422, "invalid_resource", []string{"/deployments/production/endpoint invalid_endpoint", "/deployments/staging/endpoint invalid_endpoint"}},
		{"/resources/a", `{"type":"skill","team":"platform","deployments":{"nowhere":{"endpoint":"https://h"}}}`,
			422, "invalid_resource", []string{"/deployments/nowhere unknown_environment"}},
		{"/resources/a", `{"type":"skill","team":"platform","description":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "body_too_large", nil},
	} {
		w.ask(t, "owner", "PUT", tt.target, tt.body).want(t, tt.status, tt.code, tt.faults...)
	}
	w.ask(t, "owner", "PUT", "/resources/a", helloSkill, "Content-Type", "text/plain").want(t, 415, "unsupported_media_type")
	w.ask(t, "owner", "PUT", "/resources/a", helloSkill, "If-Match", "no-quotes").want(t, 400, "invalid_parameter")
	w.ask(t, "owner", "POST", "/resources/a", helloSkill).want(t, 405, "method_not_allowed")
	w.ask(t, "owner", "PATCH", "/resources/a", helloSkill).want(t, 405, "method_not_allowed")
	for _, name := range []string{"A", "a%00", "..%2fa", "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", "%ff"} {
		w.ask(t, "owner", "GET", "/resources/"+name, "").want(t, 404, "not_found")
		w.ask(t, "owner", "GET", "/resources/"+name+"/metadata", "").want(t, 404, "not_found")
		w.ask(t, "owner", "DELETE", "/resources/"+name, "").want(t, 404, "not_found")
	}
}

func TestResourcesAreListedByFilterAndPage(t *testing.T) {
	t.Parallel()
	w := newCatalogue(t)
	for name, change := range map[string][2]string{
		"a-skill": {`"type": "skill"`, `"type": "tool"`}, "b-skill": {"say-hello", "wave"}, "c-skill": {"Says hello", "Says nothing"},
	} {
		w.ask(t, "owner", "PUT", "/resources/"+name, strings.ReplaceAll(helloSkill, change[0], change[1])).want(t, 201, "")
	}
	list := func(query string) (names []string, next string) {
		t.Helper()
		r := w.ask(t, "gateway", "GET", "/resources?"+query, "")
		r.want(t, 200, "")
		var page struct {
			Items      []struct{ Name string }
			NextCursor string `json:"next_cursor"`
		}
		if err := json.Unmarshal(r.Body.Bytes(), &page); err != nil {
			t.Fatal(err)
		}
		names = []string{}
		for _, item := range page.Items {
			names = append(names, item.Name)
		}
		return names, page.NextCursor
	}
	for query, want := range map[string][]string{
		"":                    {"a-skill", "b-skill", "c-skill"},
		"type=tool":           {"a-skill"},
		"team=platform":       {"a-skill", "b-skill", "c-skill"},
		"team=nobody":         {},
		"environment=staging": {"a-skill", "b-skill", "c-skill"},
		"environment=nowhere": {},
		"operation=wave":      {"b-skill"},
		"q=HELLO":             {"a-skill", "b-skill"},
		"q=HELLO&type=tool":   {"a-skill"},
		"q=" + url.QueryEscape("'; DROP TABLE resources; --"): {},
		"type=&team=&q=": {"a-skill", "b-skill", "c-skill"},
	} {
		if names, next := list(query); next != "" || !cmp.Equal(want, names) {
			t.Errorf("?%s lists %q and then %q, want %q", query, names, next, want)
		}
	}
	first, next := list("limit=2&q=skill")
	second, end := list("limit=2&q=skill&cursor=" + next)
	if diff := cmp.Diff([][]string{{"a-skill", "b-skill"}, {"c-skill"}}, [][]string{first, second}); diff != "" || end != "" {
		t.Errorf("pages, after which comes %q (-want +got):\n%s", end, diff)
	}
	for _, query := range []string{
		"limit=0", "limit=201", "type=api", "team=A", "environment=..", "operation=a%00", "operation=-", "q=%00", "q=%ff", "q=" + strings.Repeat("x", 257),
	} {
		w.ask(t, "gateway", "GET", "/resources?"+query, "").want(t, 422, "invalid_parameter")
	}
	w.ask(t, "gateway", "GET", "/resources?limit=x", "").want(t, 400, "invalid_parameter")
	w.ask(t, "gateway", "GET", "/resources?cursor=x", "").want(t, 422, "invalid_cursor")
}
