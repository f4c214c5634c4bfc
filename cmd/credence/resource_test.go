package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/api"
)

// hello is a resource as the API answers it.
func hello() api.Resource {
	schema := json.RawMessage(`true`)
	return api.Resource{
		Name: "hello-skill", Type: api.Skill, Team: "platform", Description: "Says\x1b[31m hello", DataClassification: api.Low,
		RequiredPermissions: []string{"skills:invoke"},
		Access:              api.ResourceAccess{Visibility: "team", Teams: []string{"customer-success"}, AgentTypes: []string{}},
		Deployments:         map[string]api.Deployment{"staging": {Endpoint: "http://10.20.0.7"}, "production": {Endpoint: "https://hello.example.com"}},
		Operations:          []api.Operation{{Name: "say-hello", Method: api.OperationMethodPOST, Path: "/say-hello", Input: &schema}},
		Labels:              map[string]string{"tier": "1"}, Revision: 42, CreatedAt: testTime, UpdatedAt: testTime,
	}
}

const helloTable = `
		Name            hello-skill
		Type            skill
		Team            platform
		Description     Says\u001b[31m hello
		Data            low
		Permissions     skills:invoke
		Visibility      team
		Teams admitted  customer-success
		Labels          tier=1
		Revision        42
		Created         2026-03-04T05:06:07Z
		Updated         2026-03-04T05:06:07Z

		ENVIRONMENT  ENDPOINT
		production   https://hello.example.com
		staging      http://10.20.0.7

		OPERATION  METHOD  PATH
		say-hello  POST    /say-hello
		`

func TestResourcePutSendsTheDocumentOfAFileOrOfTheInput(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "hello.yaml")
	if err := os.WriteFile(file, []byte("type: skill\nteam: platform\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, status := range []int{200, 201} {
		server := newAPIServer(t, map[string]http.HandlerFunc{"PUT /resources/hello-skill": answer(status, hello())})
		c := at(server)
		c.stdin = `{"type":"skill"}`
		c.mustRun(t, "resource", "put", "hello-skill", "-f", file)
		want(t, "stdout", helloTable, c.out)
		c.mustRun(t, "resource", "put", "hello-skill", "-f", "-", "-o", "json")
		var got api.Resource
		if err := json.Unmarshal([]byte(c.out), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(hello(), got); diff != "" {
			t.Errorf("stdout (-want +got):\n%s", diff)
		}
		calls := []string{`PUT /resources/hello-skill {"type":"skill","team":"platform"}`, `PUT /resources/hello-skill {"type":"skill"}`}
		if diff := cmp.Diff(calls, server.seen()); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	}
}

func TestResourceFailuresSayWhatIsWrongAndWhatHelps(t *testing.T) {
	t.Parallel()
	fault := api.FieldError{Pointer: "/deployments/production/endpoint", Code: "endpoint_not_allowed", Detail: "environment \"production\" does not allow this host and port"}
	server := newAPIServer(t, map[string]http.HandlerFunc{
		"PUT /resources/{name}":    problem(403, "endpoint_not_allowed", "an endpoint is not allowed", fault),
		"GET /resources/{name}":    problem(404, "not_found", "there is no resource of that name"),
		"DELETE /resources/{name}": problem(403, "team_not_allowed", "not yours"),
	})
	for _, tt := range []struct {
		args string
		code int
		says []string
	}{
		{"put a -f -", exitDenied, []string{"an endpoint is not allowed (endpoint_not_allowed)", "/deployments/production/endpoint: environment \"production\" does not allow", "Ask an admin"}},
		{"put a", exitUsage, []string{"describe the resource with -f"}},
		{"put -f -", exitUsage, []string{"accepts 1 arg"}},
		{"put A -f -", exitRefused, []string{`no resource can have the name "A"`}},
		{"put a -f nowhere.json", exitFailure, []string{"nowhere.json"}},
		{"get a", exitNotFound, []string{"'credence resource list' shows what there is."}},
		{"get ../agents", exitNotFound, []string{"no resource can have the name"}},
		{"delete a b", exitNotFound, []string{"nothing was deleted: a: ", "'credence resource list'"}},
		{"list --type api", exitUsage, []string{"skill, tool, data_source, data_sink, service"}},
		{"lst", exitUsage, []string{"there is no command"}},
	} {
		c := at(server)
		c.stdin = `{}`
		code := c.run(t.Context(), append([]string{"resource"}, strings.Fields(tt.args)...)...)
		if code != tt.code {
			t.Errorf("resource %s: exit code %d, want %d\n%s", tt.args, code, tt.code, c.err)
		}
		for _, text := range tt.says {
			if !strings.Contains(c.err, text) {
				t.Errorf("resource %s does not say %q:\n%s", tt.args, text, c.err)
			}
		}
	}
}

func TestResourceGetShowsIt(t *testing.T) {
	t.Parallel()
	c := at(newAPIServer(t, map[string]http.HandlerFunc{"GET /resources/hello-skill": answer(200, hello())}))
	c.mustRun(t, "resource", "get", "hello-skill")
	want(t, "stdout", helloTable, c.out)
}

func TestResourceListShowsAllPagesAndPassesTheFilters(t *testing.T) {
	t.Parallel()
	server := newAPIServer(t, map[string]http.HandlerFunc{"GET /resources": func(w http.ResponseWriter, r *http.Request) {
		first, second, next := hello(), hello(), "next"
		second.Name, second.Deployments = "other", map[string]api.Deployment{}
		page := api.ResourcePage{Items: []api.Resource{first}, NextCursor: &next}
		if r.URL.Query().Get("cursor") == next {
			page = api.ResourcePage{Items: []api.Resource{second}}
		}
		answer(200, page)(w, r)
	}})
	c := at(server)
	c.mustRun(t, "resource", "list", "--type", "skill", "--team", "platform", "--environment", "production", "--operation", "say-hello", "-q", "hello")
	want(t, "stdout", `
		NAME         TYPE   TEAM      DATA  VISIBILITY  ENVIRONMENTS
		hello-skill  skill  platform  low   team        production, staging
		other        skill  platform  low   team
		`, c.out)
	const filters = "environment=production&operation=say-hello&q=hello&team=platform&type=skill"
	if diff := cmp.Diff([]string{"GET /resources?" + filters, "GET /resources?cursor=next&" + filters}, server.seen()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	c.mustRun(t, "resource", "list", "-o", "json")
	var got api.ResourcePage
	if err := json.Unmarshal([]byte(c.out), &got); err != nil || len(got.Items) != 2 {
		t.Errorf("stdout is not one document of two resources: %v\n%s", err, c.out)
	}
}

func TestAnEmptyListOfResourcesIsSaidToTheUserAndNotToTheScript(t *testing.T) {
	t.Parallel()
	c := at(newAPIServer(t, map[string]http.HandlerFunc{"GET /resources": answer(200, api.ResourcePage{Items: []api.Resource{}})}))
	c.mustRun(t, "resource", "list")
	want(t, "stdout", "", c.out)
	want(t, "stderr", "There are no such resources.\n", c.err)
	c.mustRun(t, "resource", "list", "-o", "json")
	want(t, "stdout", "{\n  \"items\": []\n}\n", c.out)
}

func TestResourceDeleteAsksSomebodyAtATerminal(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		human   bool
		stdin   string
		args    []string
		deleted bool
	}{
		{human: false, deleted: true},
		{human: true, stdin: "y\n", deleted: true},
		{human: true, stdin: "\n", deleted: false},
		{human: true, args: []string{"--yes"}, deleted: true},
	} {
		server := newAPIServer(t, map[string]http.HandlerFunc{
			"GET /resources/hello-skill": answer(200, hello()), "DELETE /resources/hello-skill": answer(204, nil),
		})
		c := at(server)
		c.human, c.stdin = tt.human, tt.stdin
		code := c.run(t.Context(), append([]string{"resource", "delete", "hello-skill"}, tt.args...)...)
		if deleted := len(server.seen()) == 2; deleted != tt.deleted || deleted != (code == exitOK) {
			t.Errorf("%+v: deleted %t, exit code %d", tt, deleted, code)
		}
		asked := strings.Contains(c.err, "hello-skill, a skill of platform\nDelete for good? [y/N] ")
		if wantAsked := tt.human && tt.args == nil; asked != wantAsked {
			t.Errorf("%+v: asked %t:\n%s", tt, asked, c.err)
		}
	}
}

func TestNamesOfResourcesAreCompletedFromTheServer(t *testing.T) {
	t.Parallel()
	list := func(w http.ResponseWriter, r *http.Request) {
		var items []api.Resource
		for _, name := range []string{"hello-a", "hello-b", "billing", "hello-$(reboot)"} {
			resource := hello()
			resource.Name, resource.Team = name, "t\n:9"
			items = append(items, resource)
		}
		answer(200, api.ResourcePage{Items: items})(w, r)
	}
	server := newAPIServer(t, map[string]http.HandlerFunc{"GET /resources": list})
	const noFiles = ":4\n" // cobra.ShellCompDirectiveNoFileComp
	for args, want := range map[string]string{
		"resource get hel":            "hello-a\tskill of t\\u000a:9\nhello-b\tskill of t\\u000a:9\n" + noFiles,
		"resource put hello-a b":      noFiles,
		"resource delete hello-a hel": "hello-b\tskill of t\\u000a:9\n" + noFiles,
		"resource list --type ":       "skill\ntool\ndata_source\ndata_sink\nservice\n" + noFiles,
		"resource list --team ":       noFiles,
	} {
		c := at(server)
		c.mustRun(t, append([]string{"__complete"}, strings.Split(args, " ")...)...)
		if c.out != want {
			t.Errorf("credence %s is completed with %q, want %q", args, c.out, want)
		}
	}
}
