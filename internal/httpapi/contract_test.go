package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v5"
	"go.yaml.in/yaml/v3"

	"github.com/credenceproject/credence"
)

// responseValidator holds responses to openapi.yaml.
type responseValidator struct {
	doc     map[string]any
	schemas map[string]*jsonschema.Schema // by component
}

func responseSchemas(t testing.TB) responseValidator {
	t.Helper()
	v, err := loadResponseSchemas()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// loadResponseSchemas compiles the components of openapi.yaml, closed: a response
// holds nothing that the contract does not name. Their subset of OpenAPI 3.0 is
// JSON Schema as it stands.
var loadResponseSchemas = sync.OnceValues(func() (responseValidator, error) {
	v := responseValidator{schemas: map[string]*jsonschema.Schema{}}
	if err := yaml.Unmarshal(credence.OpenAPI, &v.doc); err != nil {
		return v, err
	}
	components := at(v.doc, "components", "schemas")
	for _, schema := range components {
		closeObjects(schema)
	}
	source, err := json.Marshal(v.doc)
	if err != nil {
		return v, err
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat = true
	if err := c.AddResource("openapi.json", bytes.NewReader(source)); err != nil {
		return v, err
	}
	for name := range components {
		if v.schemas[name], err = c.Compile("openapi.json#/components/schemas/" + name); err != nil {
			return v, err
		}
	}
	return v, nil
})

// closeObjects makes unknown properties faults.
func closeObjects(schema any) {
	object, ok := schema.(map[string]any)
	if !ok {
		return
	}
	if properties, ok := object["properties"].(map[string]any); ok {
		if object["additionalProperties"] == nil {
			object["additionalProperties"] = false
		}
		for _, p := range properties {
			closeObjects(p)
		}
	}
	closeObjects(object["items"])
}

// at walks into maps.
func at(v map[string]any, path ...string) map[string]any {
	for _, key := range path {
		v, _ = v[key].(map[string]any)
	}
	return v
}

// check holds v, as it is on the wire, to the schema of a component.
func (r responseValidator) check(t testing.TB, component string, v any) {
	t.Helper()
	document, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	r.checkJSON(t, component, document)
}

func (r responseValidator) checkJSON(t testing.TB, component string, document []byte) {
	t.Helper()
	var v any
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Errorf("not JSON: %v: %s", err, document)
		return
	}
	if err := r.schemas[component].Validate(v); err != nil {
		t.Errorf("not a %s: %#v\n%s", component, err, document)
	}
}

// response holds an answer to what the contract says of the operation: its
// status, its headers, its content type and its body.
func (r responseValidator) response(t testing.TB, operationID string, w *httptest.ResponseRecorder) {
	t.Helper()
	all := contract(t)
	op := all[slices.IndexFunc(all, func(c contractOperation) bool { return c.OperationID == operationID })]
	responses := at(r.doc, "paths", op.Path, strings.ToLower(op.Method), "responses")
	declared, ok := responses[strconv.Itoa(w.Code)].(map[string]any)
	if !ok {
		if w.Code < 400 {
			t.Errorf("%s answers %d, which the contract does not have", operationID, w.Code)
			return
		}
		declared = at(r.doc, "components", "responses", "Problem")
	}
	declared = r.resolved(declared)
	rehearsed := isDryRun(w)
	for name := range at(declared, "headers") {
		if sometimes := r.resolved(at(declared, "headers", name))["required"] == false; w.Header().Get(name) == "" && !sometimes && !rehearsed {
			t.Errorf("%s %d lacks the header %s", operationID, w.Code, name)
		}
	}
	if rehearsed && (w.Header().Get("ETag") != "" || w.Header().Get("Location") != "") {
		t.Errorf("%s: a dry run has the headers %v", operationID, w.Header())
	}
	content := at(declared, "content")
	if len(content) == 0 {
		if w.Body.Len() > 0 {
			t.Errorf("%s %d has a body: %s", operationID, w.Code, w.Body)
		}
		return
	}
	contentType := w.Header().Get("Content-Type")
	schema := at(content, contentType, "schema")
	if schema["format"] == "binary" {
		return // no document
	}
	ref, _ := schema["$ref"].(string)
	if either, ok := schema["oneOf"].([]any); ok { // a dry run is the other of the two
		one, _ := either[0].(map[string]any)
		if ref, _ = one["$ref"].(string); rehearsed {
			ref = "#/components/schemas/DryRun"
		}
	}
	if ref == "" {
		t.Errorf("%s %d has the content type %q", operationID, w.Code, contentType)
		return
	}
	r.checkJSON(t, ref[strings.LastIndexByte(ref, '/')+1:], w.Body.Bytes())
}

// resolved is what a $ref of the contract stands for.
func (r responseValidator) resolved(object map[string]any) map[string]any {
	ref, ok := object["$ref"].(string)
	if !ok {
		return object
	}
	return at(r.doc, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
}

func isDryRun(w *httptest.ResponseRecorder) bool {
	var d struct {
		DryRun bool `json:"dry_run"`
	}
	return json.Unmarshal(w.Body.Bytes(), &d) == nil && d.DryRun
}

// TestResponsesAreWhatTheContractSays goes through every operation, well and
// badly, on a real database.
func TestResponsesAreWhatTheContractSays(t *testing.T) {
	t.Parallel()
	f := newSystem(t)
	seen := map[string]bool{}
	do := func(operationID string, status int, c call) *httptest.ResponseRecorder {
		t.Helper()
		w := f.do(c)
		if w.Code != status {
			t.Errorf("%s %s: %d, want %d: %s", c.method, c.path, w.Code, status, w.Body)
		}
		responseSchemas(t).response(t, operationID, w)
		seen[fmt.Sprintf("%s %d", operationID, w.Code)] = true
		return w
	}
	for _, doc := range []struct{ one, many, name, path, body string }{
		{"Environment", "Environments", "production", "/environments", `{"reserved_names": ["billing"]}`},
		{"AgentType", "AgentTypes", "support", "/agent-types", supportType},
		{"Team", "Teams", "customer-success", "/teams", `{"max_agents": 5}`},
	} {
		path := doc.path + "/" + doc.name
		created := do("put"+doc.one, 201, call{method: http.MethodPut, path: path, as: "admin", body: doc.body})
		do("put"+doc.one, 200, call{method: http.MethodPut, path: path, as: "admin", body: doc.body})
		do("put"+doc.one, 200, call{method: http.MethodPut, path: path + "?dry_run=true", as: "admin", body: doc.body})
		do("delete"+doc.one, 200, call{method: http.MethodDelete, path: path + "?dry_run=true", as: "admin"})
		do("put"+doc.one, 412, call{method: http.MethodPut, path: path, as: "admin", body: doc.body, header: map[string]string{"If-None-Match": "*"}})
		do("put"+doc.one, 422, call{method: http.MethodPut, path: path, as: "admin", body: `{"x": 1}`})
		do("put"+doc.one, 400, call{method: http.MethodPut, path: path, as: "admin", body: doc.body, header: map[string]string{"If-Match": "x"}})
		do("get"+doc.one, 200, call{method: http.MethodGet, path: path, as: "ana"})
		do("get"+doc.one, 304, call{method: http.MethodGet, path: path, as: "ana", header: map[string]string{"If-None-Match": `"old", ` + created.Header().Get("ETag")}})
		do("get"+doc.one, 404, call{method: http.MethodGet, path: doc.path + "/nobody", as: "ana"})
		do("list"+doc.many, 200, call{method: http.MethodGet, path: doc.path, as: "ana"})
		do("delete"+doc.one, 412, call{method: http.MethodDelete, path: path, as: "admin", header: map[string]string{"If-Match": `"old"`}})
	}

	registered := do("createAgent", 201, call{method: http.MethodPost, path: "/agents", as: "ana", body: supportAgent("first")})
	wantEqual(t, "Cache-Control", "no-store", registered.Header().Get("Cache-Control"))
	wantEqual(t, "Location", "/agents/first", registered.Header().Get("Location"))
	do("createAgent", 409, call{method: http.MethodPost, path: "/agents", as: "ana", body: supportAgent("first")})
	do("createAgent", 403, call{method: http.MethodPost, path: "/agents", as: "ben", body: supportAgent("other")})
	do("createAgent", 422, call{method: http.MethodPost, path: "/agents", as: "ana", body: `{}`})
	do("createAgent", 201, call{method: http.MethodPost, path: "/agents", as: "ana", body: supportAgent("second")})

	do("getAgent", 200, call{method: http.MethodGet, path: "/agents/first", as: "ben"})
	do("getAgent", 304, call{method: http.MethodGet, path: "/agents/first", as: "ben", header: map[string]string{"If-None-Match": "W/" + registered.Header().Get("ETag")}})
	do("getAgent", 404, call{method: http.MethodGet, path: "/agents/nobody", as: "ben"})
	do("getAgent", 403, call{method: http.MethodGet, path: "/agents/first?include=decommissioned", as: "ben"})
	page := do("listAgents", 200, call{method: http.MethodGet, path: "/agents?limit=1", as: "ben"})
	var first struct {
		Next string `json:"next_cursor"`
	}
	if err := json.Unmarshal(page.Body.Bytes(), &first); err != nil || first.Next == "" {
		t.Errorf("there is no next page: %v: %s", err, page.Body)
	}
	rest := do("listAgents", 200, call{method: http.MethodGet, path: "/agents?limit=1&cursor=" + first.Next, as: "ben"})
	if body := rest.Body.String(); !strings.Contains(body, `"second"`) || strings.Contains(body, "next_cursor") {
		t.Errorf("the second page is not the last: %s", body)
	}

	do("deleteAgent", 403, call{method: http.MethodDelete, path: "/agents/first", as: "ben"})
	do("deleteAgent", 412, call{method: http.MethodDelete, path: "/agents/first", as: "ana", header: map[string]string{"If-Match": `"old"`}})
	do("deleteAgent", 204, call{method: http.MethodDelete, path: "/agents/first", as: "ana"})
	do("deleteAgent", 404, call{method: http.MethodDelete, path: "/agents/first", as: "ana"})
	do("getAgent", 200, call{method: http.MethodGet, path: "/agents/first?include=decommissioned", as: "admin"})
	do("listAgents", 200, call{method: http.MethodGet, path: "/agents?lifecycle=decommissioned", as: "admin"})

	do("deleteEnvironment", 409, call{method: http.MethodDelete, path: "/environments/production", as: "admin"})
	do("deleteAgent", 204, call{method: http.MethodDelete, path: "/agents/second", as: "ana"})
	for id, path := range map[string]string{"deleteAgentType": "/agent-types/support", "deleteEnvironment": "/environments/production", "deleteTeam": "/teams/customer-success"} {
		do(id, 204, call{method: http.MethodDelete, path: path, as: "admin"})
		do(id, 404, call{method: http.MethodDelete, path: path, as: "admin"})
	}
	lifecycleOperations(f, do)
	resourceOperations(f, do)
	policyOperations(f, do)
	layerOperations(do)
	do("healthz", 200, call{method: http.MethodGet, path: "/healthz"})
	do("readyz", 200, call{method: http.MethodGet, path: "/readyz"})
	f.health.Drain()
	do("readyz", 503, call{method: http.MethodGet, path: "/readyz"})

	for _, op := range contract(t) {
		for status := range at(responseSchemas(t).doc, "paths", op.Path, strings.ToLower(op.Method), "responses") {
			if status != "default" && !seen[op.OperationID+" "+status] {
				t.Errorf("%s %s was not seen", op.OperationID, status)
			}
		}
	}
}
