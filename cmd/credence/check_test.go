package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/credenceproject/credence/api"
)

// denied is a decision as the API answers it.
func denied() api.Decision {
	return api.Decision{
		Reasons:  []api.Reason{{Tier: "platform", ID: "access", Code: "access_denied"}, {Tier: "platform", ID: "permissions", Code: "missing_permission"}},
		Agent:    &api.DecisionAgent{ID: testID, Name: "support-triage", Team: "customer\x1b[31m-success", AgentType: "support", Environment: "production"},
		Resource: &api.DecisionResource{Name: "billing-system", Type: "data_sink", Team: "finance"},
		Revision: 42,
	}
}

func TestCheckSaysWhetherAndWhyNot(t *testing.T) {
	t.Parallel()
	allowed := denied()
	allowed.Allow, allowed.Allowed, allowed.Reasons = true, true, []api.Reason{}
	unknown := denied()
	unknown.Agent, unknown.Resource, unknown.Reasons = nil, nil, []api.Reason{{Tier: "platform", ID: "resource", Code: "resource_unknown"}}
	for name, tt := range map[string]struct {
		decision api.Decision
		code     int
		out, err string
	}{
		"allowed": {allowed, exitOK, `
			allowed   at revision 42
			agent     support-triage (support of customer\u001b[31m-success, in production)
			resource  billing-system (data_sink of finance)
			`, ""},
		"denied": {denied(), exitFailure, `
			denied    at revision 42
			agent     support-triage (support of customer\u001b[31m-success, in production)
			resource  billing-system (data_sink of finance)
			because   access_denied  platform/access
			because   missing_permission  platform/permissions
			`, "credence: the call is denied\n'credence explain' with the same arguments says why, and who can change it.\n"},
		"of what is not known": {unknown, exitFailure, `
			denied   at revision 42
			because  resource_unknown  platform/resource
			`, "credence: the call is denied\n'credence explain' with the same arguments says why, and who can change it.\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := at(newAPIServer(t, map[string]http.HandlerFunc{"GET /agents/support-triage/access": answer(200, tt.decision)}))
			if code := c.run(t.Context(), "check", "support-triage", "POST", "billing-system"); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			want(t, "stdout", tt.out, c.out)
			want(t, "stderr", tt.err, c.err)
		})
	}
}

func TestCheckPrintsTheDecisionItselfAsJSON(t *testing.T) {
	t.Parallel()
	c := at(newAPIServer(t, map[string]http.HandlerFunc{"GET /agents/support-triage/access": answer(200, denied())}))
	if code := c.run(t.Context(), "check", "support-triage", "POST", "billing-system", "-o", "json"); code != exitFailure {
		t.Errorf("exit code %d, want %d", code, exitFailure)
	}
	want(t, "stdout", `
		{
		  "agent": {
		    "agent_type": "support",
		    "environment": "production",
		    "id": "`+testID+`",
		    "name": "support-triage",
		    "team": "customer\u001b[31m-success"
		  },
		  "allow": false,
		  "allowed": false,
		  "reasons": [
		    {
		      "code": "access_denied",
		      "id": "access",
		      "tier": "platform"
		    },
		    {
		      "code": "missing_permission",
		      "id": "permissions",
		      "tier": "platform"
		    }
		  ],
		  "resource": {
		    "name": "billing-system",
		    "team": "finance",
		    "type": "data_sink"
		  },
		  "revision": 42
		}
		`, c.out)
}

func TestCheckSaysThatTheServerIsBehind(t *testing.T) {
	t.Parallel()
	allowed := api.Decision{Allow: true, Allowed: true, Reasons: []api.Reason{}}
	for age, said := range map[string]string{
		"": "", "0": "", "5": "", "-9": "", "soon": "",
		"75": "credence: the server last saw the registry 1m15s ago, so this may be out of date: its database is away\n",
	} {
		c := at(newAPIServer(t, map[string]http.HandlerFunc{"GET /agents/a/access": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Age", age)
			answer(200, allowed)(w, r)
		}}))
		if code := c.run(t.Context(), "check", "a", "POST", "b"); code != exitOK {
			t.Errorf("Age %q: exit code %d", age, code)
		}
		want(t, "Age "+age+": stderr", said, c.err)
	}
}

func TestCheckAsksWhatItWasGiven(t *testing.T) {
	t.Parallel()
	allowed := api.Decision{Allow: true, Allowed: true, Reasons: []api.Reason{}}
	server := newAPIServer(t, map[string]http.HandlerFunc{"GET /agents/{name}/access": answer(200, allowed)})
	for args, asked := range map[string]string{
		"a post b":               "GET /agents/a/access?method=POST&resource=b",
		"a GET b /say?x=1&y#z":   "GET /agents/a/access?method=GET&path=%2Fsay%3Fx%3D1%26y%23z&resource=b",
		testID + " POST b&path=": "GET /agents/" + testID + "/access?method=POST&resource=b%26path%3D",
	} {
		at(server).mustRun(t, append([]string{"check"}, strings.Split(args, " ")...)...)
		calls := server.seen()
		want(t, args, asked, calls[len(calls)-1])
	}
}

func TestCheckFailuresHaveTheirExitCodes(t *testing.T) {
	t.Parallel()
	server := newAPIServer(t, map[string]http.HandlerFunc{
		"GET /agents/nobody/access":   problem(404, "not_found", "there is no agent of that name or id"),
		"GET /agents/stranger/access": problem(403, "permission_denied", "not yours"),
		"GET /agents/garbled/access":  answer(200, "no decision"),
	})
	for args, code := range map[string]int{
		"nobody POST b":   exitNotFound,
		"stranger POST b": exitDenied,
		"garbled POST b":  exitFailure,
		"a POST":          exitUsage,
		"a POST b c d":    exitUsage,
		"a POST b -o yml": exitUsage,
	} {
		c := at(server)
		if got := c.run(t.Context(), append([]string{"check"}, strings.Fields(args)...)...); got != code {
			t.Errorf("check %s: exit code %d, want %d\n%s", args, got, code, c.err)
		}
		if c.out != "" {
			t.Errorf("check %s: stdout %q", args, c.out)
		}
	}
}
