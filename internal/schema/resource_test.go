package schema_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/schema"
)

const minimalResource = `{"type":"skill","team":"platform"}`

func TestResourceIsDecodedWhole(t *testing.T) {
	t.Parallel()
	data := `{
		"type": "skill", "team": "platform", "description": "Says\nhello", "data_classification": "low",
		"required_permissions": ["skills:invoke"],
		"access": {"visibility": "organization", "teams": ["customer-success"], "agent_types": ["support"]},
		"deployments": {"production": {"endpoint": "https://hello.skills.example.com"}, "staging": {"endpoint": "http://10.20.0.7:8080/v1"}},
		"operations": [{"name": "say-hello", "method": "POST", "path": "/say-hello", "input": {"type":"object"}, "output": true},
		               {"name": "read_one", "method": "GET", "path": "/tickets/{id}"}],
		"labels": {"cost-center": "cx-12"}
	}`
	got, err := newValidator(t).Resource("hello-skill", []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	want := registry.Resource{
		Name: "hello-skill", Type: registry.Skill, Team: "platform", Description: "Says\nhello", DataClassification: "low",
		RequiredPermissions: []string{"skills:invoke"},
		Access:              registry.Access{Visibility: registry.VisibleToOrganization, Teams: []string{"customer-success"}, AgentTypes: []string{"support"}},
		Deployments: map[string]registry.Deployment{
			"production": {Endpoint: "https://hello.skills.example.com"}, "staging": {Endpoint: "http://10.20.0.7:8080/v1"},
		},
		Operations: []registry.Operation{
			{Name: "say-hello", Method: "POST", Path: "/say-hello", Input: json.RawMessage(`{"type":"object"}`), Output: json.RawMessage(`true`)},
			{Name: "read_one", Method: "GET", Path: "/tickets/{id}"},
		},
		Labels: map[string]string{"cost-center": "cx-12"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("resource (-want +got):\n%s", diff)
	}
}

// Whoever leaves something out gets what admits the fewest.
func TestResourceDefaultsAreTheSafest(t *testing.T) {
	t.Parallel()
	want := registry.Resource{
		Name: "hello-skill", Type: registry.Skill, Team: "platform", DataClassification: "restricted", RequiredPermissions: []string{},
		Access:      registry.Access{Visibility: registry.VisibleToTeam, Teams: []string{}, AgentTypes: []string{}},
		Deployments: map[string]registry.Deployment{}, Operations: []registry.Operation{}, Labels: map[string]string{},
	}
	for _, data := range []string{minimalResource, `{"type":"skill","team":"platform","access":{},"deployments":{},"operations":[],"labels":{}}`} {
		got, err := newValidator(t).Resource("hello-skill", []byte(data))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Resource(%s) (-want +got):\n%s", data, diff)
		}
	}
}

func TestResourceReportsEveryFault(t *testing.T) {
	t.Parallel()
	v := newValidator(t)
	tests := []struct {
		name, resource, data string
		want                 []fault
	}{
		{"nothing", "a", `{}`, []fault{{"/team", "required"}, {"/type", "required"}}},
		{"no object", "a", `[]`, []fault{{"", "type"}}},
		{"null", "a", `null`, []fault{{"", "type"}}},
		{"a name that is none", "Hello", minimalResource, []fault{{"", "invalid_name"}}},
		{"a UUID as the name", "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", minimalResource, []fault{{"", "invalid_name"}}},
		{"a name in the document", "a", `{"type":"skill","team":"platform","name":"a"}`, []fault{{"/name", "unknown_field"}}},
		{"nulls", "a", `{"type":"skill","team":"platform","access":null,"deployments":null,"operations":null,"labels":null}`, []fault{
			{"/access", "type"}, {"/deployments", "type"}, {"/labels", "type"}, {"/operations", "type"},
		}},
		{"everything at once", "a", `{"type":"api","team":"Platform","description":7,"data_classification":"secret",
			"required_permissions":["Skills","a","a"],"access":{"visibility":"world","teams":["x","x"],"agent_types":["B"],"users":[]},
			"deployments":{"production":{"endpoint":"ftp://h"},"staging":{"endpoint":"https://u@h","weight":1},"dev":{},"test":7,"qa":{"endpoint":""}},
			"operations":[{"name":"a","method":"post","path":"a"},{"name":"a","method":"TRACE","path":"/","input":[],"x":1},{}],
			"labels":{"A":1},"x":1}`, []fault{
			{"/access/agent_types/0", "pattern"}, {"/access/teams", "uniqueItems"}, {"/access/users", "unknown_field"}, {"/access/visibility", "enum"},
			{"/data_classification", "enum"},
			{"/deployments/dev/endpoint", "required"}, {"/deployments/production/endpoint", "invalid_endpoint"},
			{"/deployments/qa/endpoint", "minLength"}, {"/deployments/staging/endpoint", "invalid_endpoint"}, {"/deployments/staging/weight", "unknown_field"},
			{"/deployments/test", "type"},
			{"/description", "type"}, {"/labels/A", "pattern"}, {"/labels/A", "type"},
			{"/operations/0/method", "enum"}, {"/operations/0/path", "pattern"},
			{"/operations/1/input", "type"}, {"/operations/1/method", "enum"}, {"/operations/1/name", "duplicate"}, {"/operations/1/x", "unknown_field"},
			{"/operations/2/method", "required"}, {"/operations/2/name", "required"}, {"/operations/2/path", "required"},
			{"/required_permissions", "uniqueItems"}, {"/required_permissions/0", "pattern"},
			{"/team", "pattern"}, {"/type", "enum"}, {"/x", "unknown_field"},
		}},
		{"an environment that cannot be", "a", `{"type":"skill","team":"platform","deployments":{"a/b":{"endpoint":"http://h:0"}}}`, []fault{
			{"/deployments/a~1b", "pattern"}, {"/deployments/a~1b/endpoint", "invalid_endpoint"},
		}},
		{"too much of everything", "a", tooMuch(), []fault{
			{"/deployments", "maxProperties"}, {"/labels", "maxProperties"}, {"/operations", "maxItems"},
		}},
		{"a schema that is too large", "a", `{"type":"skill","team":"platform","operations":[{"name":"a","method":"GET","path":"/","output":{"description":"` +
			strings.Repeat("x", 16<<10) + `"}}]}`, []fault{{"/operations/0/output", "too_large"}}},
		{"too large", "a", `{"type":"skill","team":"platform"` + strings.Repeat(" ", schema.MaxResourceBytes) + `}`, []fault{{"", "too_large"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := v.Resource(tt.resource, []byte(tt.data))
			wantFaults(t, err, "invalid_resource", tt.want...)
		})
	}
}

// tooMuch has one deployment, operation and label more than a resource may have.
func tooMuch() string {
	var deployments, operations, labels []string
	for i := range 33 {
		deployments = append(deployments, fmt.Sprintf(`"e%d":{"endpoint":"http://h"}`, i))
	}
	for i := range 101 {
		operations = append(operations, fmt.Sprintf(`{"name":"o%d","method":"GET","path":"/"}`, i))
	}
	for i := range 17 {
		labels = append(labels, fmt.Sprintf(`"l%d":""`, i))
	}
	return fmt.Sprintf(`{"type":"skill","team":"platform","deployments":{%s},"operations":[%s],"labels":{%s}}`,
		strings.Join(deployments, ","), strings.Join(operations, ","), strings.Join(labels, ","))
}

func TestOperationPathsHaveOneShape(t *testing.T) {
	t.Parallel()
	v := newValidator(t)
	for path, ok := range map[string]bool{
		"/": true, "/say-hello": true, "/v1/tickets/{id}": true, "/a/": true, "/a.b/~c": true, "/tickets:search": true, "/a..": false,
		"/.well-known/x": true, "/" + strings.Repeat("a", 255): true,

		"": false, "a": false, "a/b": false, "https://h/a": false, "//h": false, "/a//b": false, "/a//": false,
		"/..": false, "/../a": false, "/a/../b": false, "/a/..": false, "/./a": false, "/a/.": false, "/a/./b": false,
		"/%2e%2e": false, "/a%2fb": false, "/a?b": false, "/a#b": false, `/a\b`: false, "/a b": false, "/a\n": false, "/a\x00": false,
		"/ü": false, "/a;b": false, `/a"b`: false, "/a|b": false, "/" + strings.Repeat("a", 256): false,
	} {
		operation := map[string]any{"name": "o", "method": "GET", "path": path}
		_, err := v.Resource("a", edit(t, minimalResource, map[string]any{"operations": []any{operation}}))
		if got := err == nil; got != ok {
			t.Errorf("path %q: accepted = %t, want %t (%v)", path, got, ok, err)
		}
	}
}

func TestResourceIsStrictJSON(t *testing.T) {
	t.Parallel()
	for _, data := range []string{"", "{", minimalResource + "x", `{"type":"skill","type":"tool","team":"platform"}`} {
		_, err := newValidator(t).Resource("a", []byte(data))
		if e, ok := registry.AsError(err); !ok || e.Kind != registry.Malformed {
			t.Errorf("Resource(%s) = %v, want Malformed", data, err)
		}
	}
}
