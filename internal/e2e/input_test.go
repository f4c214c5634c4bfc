package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// TestBadInputNeverReachesAProvider sends what no registration is. Each has its
// status, its code and its place, and none of it leaves the server.
func TestBadInputNeverReachesAProvider(t *testing.T) {
	t.Parallel()
	w := newStill(t)
	before := providerCalls(w)
	dev := w.as(w.developer)
	for _, tt := range slices.Concat(badJSON(), badNames(), badRegistrations()) {
		dev.post("/agents", tt.document).wantRefusedAs(t, tt.name, refused{tt.status, tt.code, tt.faults})
	}
	checkBadBodies(w)
	if after := providerCalls(w); after != before {
		t.Errorf("%d calls reached a provider", after-before)
	}
	if names := pages(dev, "/agents", ""); len(names) > 0 {
		t.Errorf("agents %v", names)
	}
	dev.register(registration("good", nil))
}

type badInput struct {
	name, document string
	status         int
	code           string
	faults         []string
}

// badJSON is what strict JSON is not.
func badJSON() []badInput {
	with := func(more string) string { return strings.TrimSuffix(registration("bad", nil), "}") + "," + more + "}" }
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	return []badInput{
		{"nothing", ``, 400, "invalid_json", nil},
		{"no JSON", `name=bad`, 400, "invalid_json", nil},
		{"half a document", registration("bad", nil)[:40], 400, "invalid_json", nil},
		{"a comma too many", with(``), 400, "invalid_json", nil},
		{"two documents", registration("bad", nil) + `{}`, 400, "trailing_data", nil},
		{"a key twice", with(`"name":"other"`), 400, "duplicate_key", []string{"/name duplicate_key"}},
		{"a key twice by escapes", with(`"n\u0061me":"other"`), 400, "duplicate_key", []string{"/name duplicate_key"}},
		{"a key twice below", with(`"config":{"a":1,"a":2}`), 400, "duplicate_key", []string{"/config/a duplicate_key"}},
		{"65 deep", with(`"config":{"a":` + deep(63) + `}`), 400, "too_deep", []string{"/config/a" + strings.Repeat("/0", 62) + " too_deep"}},
		{"very deep", strings.Repeat("[", 100_000), 400, "too_deep", []string{strings.Repeat("/0", 64) + " too_deep"}},
		{"no UTF-8", with(`"description":"` + "\xff" + `"`), 400, "invalid_utf8", nil},
		{"a raw control character", with(`"description":"` + "\x01" + `"`), 400, "invalid_json", nil},
		{"NUL", with(`"description":"a\u0000b"`), 422, "invalid_string", []string{"/description invalid_string"}},
		{"half a surrogate pair", with(`"description":"\ud800"`), 422, "invalid_string", []string{"/description invalid_string"}},
		{"1e9999999", with(`"quota":{"requests_per_second":1e9999999}`), 422, "number_out_of_range", []string{"/quota/requests_per_second number_out_of_range"}},
		{"1e309 in the config", with(`"config":{"max_tickets_per_hour":1e309}`), 422, "number_out_of_range", []string{"/config/max_tickets_per_hour number_out_of_range"}},
		{"no object", `[]`, 422, "invalid_registration", []string{" type"}},
		{"null", `null`, 422, "invalid_registration", []string{" type"}},
	}
}

// badNames are names that would mean more than themselves in a template, a path
// or a policy.
func badNames() []badInput {
	names := map[string]string{
		"empty": "", "a slash": "a/b", "plus": "+", "a plus in it": "a+b", "dots": "..", "a dot": "a.b", "a template": "{{identity.entity.id}}", "a star": "*", "an underscore": "a_b",
		"upper case": "Agent", "64 characters": strings.Repeat("a", 64), "a hyphen first": "-a", "a hyphen last": "a-", "a blank": "a b", "a newline": "a\n",
		"a percent sign": "%2e%2e", "a Cyrillic а": "аgent", "a full-width letter": "ａgent", "a Kelvin sign": "\u212a", "a dotless i": "agentı", "an invisible character": "agent\u200b",
	}
	var bad []badInput
	for what, name := range names {
		faults := []string{"/name pattern"}
		bad = append(bad, badInput{"name: " + what, registration(name, nil), 422, "invalid_registration", faults})
	}
	const id = "0197c1d2-7b1a-7c3e-9f00-112233445566"
	bad = append(bad, badInput{"name: a UUID", registration(id, nil), 422, "invalid_registration", []string{"/name not"}})
	for _, field := range []string{"team", "agent_type", "environment"} {
		bad = append(bad,
			badInput{field + ": dots", registration("bad", map[string]any{field: ".."}), 422, "invalid_registration", []string{"/" + field + " pattern"}},
			badInput{field + ": a UUID", registration("bad", map[string]any{field: id}), 422, "invalid_registration", []string{"/" + field + " not"}})
	}
	return bad
}

// badRegistrations are well-formed and wrong.
func badRegistrations() []badInput {
	labels := map[string]any{}
	for i := range 17 {
		labels[fmt.Sprintf("label-%d", i)] = "x"
	}
	invalid := func(name string, changes map[string]any, faults ...string) badInput {
		return badInput{name, registration("bad", changes), 422, "invalid_registration", faults}
	}
	return []badInput{
		invalid("an unknown type", map[string]any{"agent_type": "unheard-of"}, "/agent_type unknown_agent_type"),
		invalid("an unknown environment", map[string]any{"environment": "unheard-of"}, "/environment unknown_environment"),
		invalid("both, beside the rest", map[string]any{"agent_type": "unheard-of", "environment": "unheard-of", "owner": "", "x": 1},
			"/agent_type unknown_agent_type", "/environment unknown_environment", "/owner minLength", "/x unknown_field"),
		invalid("unknown fields", map[string]any{"nmae": "x", "a/b~c": 1}, "/a~1b~0c unknown_field", "/nmae unknown_field"),
		invalid("what is missing", map[string]any{"owner": nil, "team": nil}, "/owner required", "/team required"),
		invalid("wrong types", map[string]any{"owner": 7, "scopes": "data:read", "labels": []any{}, "quota": true},
			"/labels type", "/owner type", "/quota type", "/scopes type"),
		invalid("numbers out of range", map[string]any{"quota": map[string]any{"requests_per_second": -1, "requests_per_day": 1.5}},
			"/quota/requests_per_day type", "/quota/requests_per_second minimum"),
		invalid("a scope twice", map[string]any{"scopes": []string{"data:read", "data:read"}}, "/scopes uniqueItems"),
		invalid("a capability twice", map[string]any{"capabilities": []any{map[string]any{"name": "a"}, map[string]any{"name": "a"}}}, "/capabilities/1/name duplicate"),
		invalid("a capability's schema that is none", map[string]any{"capabilities": []any{map[string]any{"name": "a", "input": 5}}}, "/capabilities/0/input type"),
		invalid("17 labels", map[string]any{"labels": labels}, "/labels maxProperties"),
		invalid("a config of more than 16 KiB", map[string]any{"config": map[string]any{"a": strings.Repeat("x", 16<<10)}}, "/config too_large"),
		invalid("a config that its type refuses", map[string]any{"config": map[string]any{"max_tickets_per_hour": 0, "other": 1}},
			"/config/max_tickets_per_hour minimum", "/config/other unknown_field"),
	}
}

// checkBadBodies sends what is refused before anybody reads it as JSON.
func checkBadBodies(w *world) {
	w.t.Helper()
	dev, t := w.as(w.developer), w.t
	large := registration("bad", map[string]any{"description": strings.Repeat("x", 1<<20)})
	dev.post("/agents", large).wantRefused(t, 413, "body_too_large")
	dev.do("POST", "/agents", "application/json", struct{ io.Reader }{strings.NewReader(large)}).wantRefused(t, 413, "body_too_large") // chunked
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "application/json, text/html", "nonsense;;"} {
		dev.do("POST", "/agents", contentType, strings.NewReader(registration("bad", nil))).wantRefused(t, 415, "unsupported_media_type")
	}
	dev.with("Content-Encoding", "gzip").do("POST", "/agents", "application/json", bytes.NewReader([]byte{0x1f, 0x8b})).want(t, 400)
	for _, path := range []string{"/agents?team=%00", "/agents?capability=%ff", "/agents?teem=x", "/agents?limit=abc", "/agents?team=a&team=b", "/readyz?x=1", "/environments/%00", "/teams/%ff"} {
		dev.get(path).wantRefused(t, 400, "invalid_parameter")
	}
	for _, name := range []string{"..", "%2e%2e", "a%2fb", "A", "a_b", "%00", "*", "{{x}}", strings.Repeat("a", 64), "0197c1d2-7b1a-7c3e-9f00-112233445566", "%ff"} {
		if got := w.as(w.admin).put("/teams/"+name, `{}`).status; got != 422 && got != 404 && got != 400 {
			t.Errorf("PUT /teams/%s: %d", name, got)
		}
		for _, method := range []string{"GET", "DELETE"} {
			if got := dev.do(method, "/agents/"+name, "", nil).status; got != 404 && got != 400 && got != 405 {
				t.Errorf("%s /agents/%s: %d", method, name, got)
			}
		}
	}
}

// TestInvariant_E1_SchemasLoadNothingAndAreBounded, by the door that admins use.
func TestInvariant_E1_SchemasLoadNothingAndAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var fanOut strings.Builder
	for i := range 30 {
		fmt.Fprintf(&fanOut, `"d%d":{"allOf":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%d"}]},`, i, i+1, i+1)
	}
	tests := []struct {
		name, schema string
		faults       []string
	}{
		{"a file", `{"$ref":"file:///etc/passwd"}`, []string{"/schema/$ref ref_not_local"}},
		{"the net", `{"properties":{"a":{"$ref":"` + w.auth0.URL + `/schema"}}}`, []string{"/schema/properties/a/$ref ref_not_local"}},
		{"a base of one's own", `{"$id":"file:///etc/","$ref":"passwd"}`, []string{"/schema/$ref ref_not_local"}},
		{"2^30 subschemas", `{"$ref":"#/$defs/d0","$defs":{` + fanOut.String() + `"d30":{}}}`, []string{"/schema too_deep", "/schema too_many_subschemas"}},
		{"itself", `{"properties":{"a":{"$ref":"#"}}}`, []string{"/schema ref_recursive"}},
		{"64 KiB and more", `{"$comment":"` + strings.Repeat("x", 64<<10) + `"}`, []string{"/schema too_large"}},
		{"an endless pattern", `{"pattern":"((a{100}){100}){100}"}`, []string{"/schema/pattern invalid_pattern"}},
		{"a typing error", `{"requried":["a"]}`, []string{"/schema/requried unknown_keyword"}},
		{"no schema", `7`, []string{"/schema type"}},
	}
	for _, tt := range tests {
		w.as(w.admin).put("/agent-types/bomb", `{"schema":`+tt.schema+`}`).wantRefused(t, 422, "invalid_agent_type", tt.faults...)
	}
	if calls := w.auth0.passed("/schema"); len(calls) > 0 {
		t.Errorf("the server fetched %v", calls)
	}
	w.as(w.admin).get("/agent-types/bomb").wantRefused(t, 404, "not_found")
	w.as(w.admin).put("/agent-types/escalating", `{"default_scopes":["admin"],"default_quota":{"requests_per_day":2},"max_quota":{"requests_per_day":1}}`).
		wantRefused(t, 422, "invalid_agent_type", "/default_quota/requests_per_day quota_not_allowed", "/default_scopes/0 scope_not_allowed")
}
