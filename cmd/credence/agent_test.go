package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/api"
)

func TestGetShowsTheAgentItsConditionsAndItsSteps(t *testing.T) {
	t.Parallel()
	c := at(newAPIServer(t, map[string]http.HandlerFunc{"GET /agents/support-triage": answer(200, triage())}))
	c.mustRun(t, "agent", "get", "support-triage")
	want(t, "stdout", `
		Name           support-triage
		ID             0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b
		Team           customer-success
		Type           support
		Environment    production
		State          ready
		Owner          ana@example.com
		Description    Sorts\u001b[31m tickets
		Scopes         skills:invoke, data:read
		Capabilities   triage
		Labels         cost-center=cx-12, tier=1
		Config         {"max_tickets_per_hour":200}
		Quota          10 per second, 10000 per day
		Client ID      Qm4client
		Token subject  Qm4client@clients
		Vault entity   agent_0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b
		Credentials    generation 1
		Revision       42
		Created        2026-03-04T05:06:07Z by auth0|ana
		Updated        2026-03-04T05:06:07Z

		CONDITION      STATUS  SINCE                 REASON  MESSAGE
		IdentityReady  true    2026-03-04T05:06:07Z  Done
		Ready          true    2026-03-04T05:06:07Z  Done

		STEP          STATE   AT                    LAST ERROR
		auth0_client  done    2026-03-04T05:06:07Z
		vault_entity  failed  2026-03-04T05:06:07Z  the secret store refused
		`, c.out)
	want(t, "stderr", "", c.err)
}

func TestAStateIsOneWord(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*api.Agent){
		"ready":          func(*api.Agent) {},
		"suspended":      func(a *api.Agent) { a.Suspended = true },
		"decommissioned": func(a *api.Agent) { a.Suspended, a.Lifecycle = true, api.AgentLifecycleDecommissioned },
		"not ready":      func(a *api.Agent) { a.Conditions[1].Status = api.Unknown },
	} {
		a := triage()
		change(&a)
		if got := stateOf(a); got != want {
			t.Errorf("stateOf = %q, want %q", got, want)
		}
	}
}

func TestJSONIsTheServersAnswer(t *testing.T) {
	t.Parallel()
	answered := `{"revision":9007199254740993,"name":"a","of_a_later_version":{"z":1,"a":[]},"owner":"<b>&"}`
	raw := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(answered))
	}
	c := at(newAPIServer(t, map[string]http.HandlerFunc{"GET /agents/a": raw}))
	c.mustRun(t, "agent", "get", "a", "-o", "json")
	want(t, "stdout", `
		{
		  "revision": 9007199254740993,
		  "name": "a",
		  "of_a_later_version": {
		    "z": 1,
		    "a": []
		  },
		  "owner": "<b>&"
		}
		`, c.out)
}

// twoPages lists the agent under two names, on two pages.
func twoPages(w http.ResponseWriter, r *http.Request) {
	first, second, next := triage(), triage(), "next"
	second.Name, second.Suspended = "a", true
	page := api.AgentPage{Items: []api.Agent{first}, NextCursor: &next}
	if r.URL.Query().Get("cursor") == next {
		page = api.AgentPage{Items: []api.Agent{second}}
	}
	answer(200, page)(w, r)
}

func TestListShowsAllPagesAndPassesTheFilters(t *testing.T) {
	t.Parallel()
	server := newAPIServer(t, map[string]http.HandlerFunc{"GET /agents": twoPages})
	c := at(server)
	c.mustRun(t, "agent", "list", "--team", "cx", "--type", "support", "--environment", "production",
		"--lifecycle", "decommissioned", "--capability", "triage")
	want(t, "stdout", `
		NAME            TEAM              TYPE     ENVIRONMENT  STATE      ID
		support-triage  customer-success  support  production   ready      0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b
		a               customer-success  support  production   suspended  0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b
		`, c.out)
	filters := "agent_type=support&capability=triage"
	wantCalls := []string{
		"GET /agents?" + filters + "&environment=production&lifecycle=decommissioned&team=cx",
		"GET /agents?" + filters + "&cursor=next&environment=production&lifecycle=decommissioned&team=cx",
	}
	if diff := cmp.Diff(wantCalls, server.seen()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestAListAsJSONIsOneDocument(t *testing.T) {
	t.Parallel()
	c := at(newAPIServer(t, map[string]http.HandlerFunc{"GET /agents": twoPages}))
	c.mustRun(t, "agent", "list", "-o", "json")
	var got map[string][]struct{ Name string }
	if err := json.Unmarshal([]byte(c.out), &got); err != nil {
		t.Fatalf("stdout is not one document: %v\n%s", err, c.out)
	}
	if diff := cmp.Diff(map[string][]struct{ Name string }{"items": {{"support-triage"}, {"a"}}}, got); diff != "" {
		t.Errorf("stdout (-want +got):\n%s", diff)
	}
}

func TestAnEmptyListIsSaidToTheUserAndNotToTheScript(t *testing.T) {
	t.Parallel()
	server := newAPIServer(t, map[string]http.HandlerFunc{"GET /agents": answer(200, api.AgentPage{Items: []api.Agent{}})})
	c := at(server)
	c.mustRun(t, "agent", "list")
	want(t, "stdout", "", c.out)
	want(t, "stderr", "There are no such agents.\n", c.err)
	c.mustRun(t, "agent", "list", "-o", "json")
	want(t, "stdout", "{\n  \"items\": []\n}\n", c.out)
}

func TestAFailureAmongThePagesPrintsNoHalfAList(t *testing.T) {
	t.Parallel()
	server := newAPIServer(t, map[string]http.HandlerFunc{"GET /agents": func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("cursor") {
			problem(500, "internal", "no")(w, r)
			return
		}
		twoPages(w, r)
	}})
	for _, output := range []string{"table", "json"} {
		c := at(server)
		if code := c.run(t.Context(), "agent", "list", "-o", output); code != exitFailure || c.out != "" {
			t.Errorf("-o %s: exit code %d, stdout %q", output, code, c.out)
		}
	}
}

func TestNamesAreCompletedFromTheServer(t *testing.T) {
	t.Parallel()
	list := func(w http.ResponseWriter, r *http.Request) {
		var items []api.Agent
		for _, name := range []string{"support-a", "support-b", "billing", "support-$(reboot)"} {
			a := triage()
			a.Name, a.Team = name, "t\n:9"
			items = append(items, a)
		}
		answer(200, api.AgentPage{Items: items})(w, r)
	}
	server := newAPIServer(t, map[string]http.HandlerFunc{"GET /agents": list})
	const noFiles = ":4\n" // cobra.ShellCompDirectiveNoFileComp
	for args, want := range map[string]string{
		"agent get supp":               "support-a\tsupport of t\\u000a:9 in production\nsupport-b\tsupport of t\\u000a:9 in production\n" + noFiles,
		"agent get support-a b":        noFiles,
		"agent delete support-a supp":  "support-b\tsupport of t\\u000a:9 in production\n" + noFiles,
		"agent get -o ":                "table\njson\n" + noFiles,
		"agent list --lifecycle ":      "active\ndecommissioned\n" + noFiles,
		"agent list --as ":             "developer\nadmin\n" + noFiles,
		"token --as ":                  "developer\nadmin\n" + noFiles,
		"token -o ":                    "text\njson\n" + noFiles,
		"agent list --team ":           noFiles,
		"agent get --server=nowhere x": noFiles,
	} {
		c := at(server)
		c.mustRun(t, append([]string{"__complete"}, strings.Split(args, " ")...)...)
		if diff := cmp.Diff(want, c.out); diff != "" {
			t.Errorf("%q (-want +got):\n%s", args, diff)
		}
		if strings.Contains(c.err, "credence:") {
			t.Errorf("%q: stderr %q", args, c.err)
		}
	}
}

func TestACompletionThatFailsIsQuiet(t *testing.T) {
	t.Parallel()
	for _, c := range []*terminal{
		at(newAPIServer(t, map[string]http.HandlerFunc{"GET /agents": problem(401, "invalid_token", "no")})),
		{dir: t.TempDir()},
	} {
		c.mustRun(t, "__complete", "agent", "get", "s")
		want(t, "stdout", ":4\n", c.out)
		want(t, "stderr", "Completion ended with directive: ShellCompDirectiveNoFileComp\n", c.err) // cobra's own; shells drop it
	}
}

func TestTheShellsHaveCompletions(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		c := &terminal{dir: t.TempDir()}
		if c.mustRun(t, "completion", shell); !strings.Contains(c.out, "__complete") {
			t.Errorf("%s: no script", shell)
		}
	}
}
