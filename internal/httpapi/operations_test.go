package httpapi

import (
	"cmp"
	"net/http"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"go.yaml.in/yaml/v3"

	"github.com/credenceproject/credence"
	"github.com/credenceproject/credence/internal/registry"
)

// contractOperation is one operation of openapi.yaml, as far as the gate is
// concerned.
type contractOperation struct {
	Method, Path string
	OperationID  string `yaml:"operationId"`
	Description  string `yaml:"description"`
	Security     *[]any `yaml:"security"` // nil: the document's, a bearer token
	RequestBody  struct {
		Required bool
		Content  map[string]yaml.Node
	} `yaml:"requestBody"`
	Parameters []contractParameter
}

type contractParameter struct {
	Ref    string `yaml:"$ref"`
	Name   string
	In     string
	Schema struct{ Type string }
}

// contract reads openapi.yaml.
func contract(t testing.TB) []contractOperation {
	t.Helper()
	var doc struct {
		Paths      map[string]map[string]yaml.Node
		Components struct {
			Parameters map[string]contractParameter
		}
	}
	if err := yaml.Unmarshal(credence.OpenAPI, &doc); err != nil {
		t.Fatal(err)
	}
	var all []contractOperation
	for route, item := range doc.Paths {
		for method, node := range item {
			if method == "parameters" {
				continue
			}
			op := contractOperation{Method: strings.ToUpper(method), Path: route}
			if err := node.Decode(&op); err != nil {
				t.Fatal(err)
			}
			for i, p := range op.Parameters {
				if p.Ref != "" {
					op.Parameters[i] = doc.Components.Parameters[path.Base(p.Ref)]
				}
			}
			all = append(all, op)
		}
	}
	return all
}

func TestEveryOperationOfTheContractHasItsGate(t *testing.T) {
	t.Parallel()
	inContract := map[string]bool{}
	for _, c := range contract(t) {
		inContract[c.OperationID] = true
		op, ok := operations[c.OperationID]
		if !ok {
			t.Errorf("%s has no entry", c.OperationID)
			continue
		}
		public := c.Security != nil && len(*c.Security) == 0
		if op.public != public {
			t.Errorf("%s: public = %t, openapi.yaml says %t", c.OperationID, op.public, public)
		}
		if wantPublic := c.OperationID == "healthz" || c.OperationID == "readyz"; op.public != wantPublic {
			t.Errorf("%s: public = %t", c.OperationID, op.public)
		}
		if !op.public && len(op.anyOf) == 0 && !strings.Contains(c.Description, "Any token") {
			t.Errorf("%s needs no permission", c.OperationID)
		}
		wantBody := body{expected: len(c.RequestBody.Content) > 0, optional: len(c.RequestBody.Content) > 0 && !c.RequestBody.Required}
		for media := range c.RequestBody.Content {
			if media != "application/json" {
				wantBody.also = append(wantBody.also, media)
			}
		}
		if !reflect.DeepEqual(op.body, wantBody) {
			t.Errorf("%s: body %+v, openapi.yaml says %+v", c.OperationID, op.body, wantBody)
		}
		write := c.Method != http.MethodGet && c.Method != http.MethodHead
		if (op.action != "") != write || (op.kind != "") != write {
			t.Errorf("%s is %s, and its refusals are audited as %q of %q", c.OperationID, c.Method, op.action, op.kind)
		}
		var query []parameter
		for _, p := range c.Parameters {
			if p.In == "query" {
				kind := p.Schema.Type
				if kind == "string" {
					kind = ""
				}
				query = append(query, parameter{p.Name, kind})
			}
		}
		if rehearsable := slices.Contains(op.query, parameter{"dry_run", "boolean"}); rehearsable != (write && !slices.Contains([]string{"repairDrift", "validatePolicy", "explain"}, c.OperationID)) {
			t.Errorf("%s: dry_run is %t", c.OperationID, rehearsable)
		}
		byName := func(a, b parameter) int { return cmp.Compare(a.name, b.name) }
		if !slices.Equal(slices.SortedFunc(slices.Values(query), byName), slices.SortedFunc(slices.Values(op.query), byName)) {
			t.Errorf("%s takes %v, openapi.yaml says %v", c.OperationID, op.query, query)
		}
		for _, p := range registry.Permissions {
			documented := strings.Contains(c.Description, "Needs `"+string(p.Name)+"`")
			if documented && op.anyOf[0] != p.Name {
				t.Errorf("%s needs %s, openapi.yaml says %s", c.OperationID, op.anyOf[0], p.Name)
			}
		}
		if write && !strings.Contains(c.Description, "Needs `") {
			t.Errorf("openapi.yaml does not say what %s needs", c.OperationID)
		}
	}
	for id := range operations {
		if !inContract[id] {
			t.Errorf("%s is not in openapi.yaml", id)
		}
	}
}

// Whatever is served asks for a token, but for the two health checks and the
// contract itself: also a route that somebody adds past the table.
func TestEveryRouteButThePublicOnesAsksForAToken(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	public := map[string]bool{}
	for _, path := range []string{"/healthz", "/readyz", "/openapi.yaml"} {
		public["GET "+path], public["HEAD "+path] = true, true
	}
	seen, heads := 0, 0
	for _, r := range f.handler.Routes() {
		if r.Method == echo.RouteNotFound {
			continue
		}
		if r.Method == http.MethodHead {
			heads++
		} else {
			seen++
		}
		path := strings.NewReplacer(":name", "support", `\:`, ":").Replace(r.Path)
		w := f.do(call{method: r.Method, path: path, body: "{}"})
		if public[r.Method+" "+r.Path] {
			if w.Code != http.StatusOK {
				t.Errorf("%s %s without a token: %d", r.Method, r.Path, w.Code)
			}
			continue
		}
		if w.Code != http.StatusUnauthorized {
			t.Errorf("%s %s without a token: %d, want 401", r.Method, r.Path, w.Code)
		}
	}
	if want := len(operations) + 1; seen != want {
		t.Errorf("%d routes are served, want the %d operations and /openapi.yaml", seen, len(operations))
	}
	gets := 1
	for _, c := range contract(t) {
		if c.Method == http.MethodGet {
			gets++
		}
	}
	if heads != gets {
		t.Errorf("HEAD is served on %d routes, GET on %d", heads, gets)
	}
}

func TestTheContractIsServed(t *testing.T) {
	t.Parallel()
	w := newFixture(t).do(call{method: http.MethodGet, path: "/openapi.yaml"})
	wantEqual(t, "content type", "application/yaml", w.Header().Get(echo.HeaderContentType))
	wantEqual(t, "body", string(credence.OpenAPI), w.Body.String())
}
