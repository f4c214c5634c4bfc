package decisions

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/decide"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

func serviceOf(v *snapshot.View) *Service {
	s := NewService(fixed{v}, decide.New(parsing()), patientEvaluator(), slog.New(slog.DiscardHandler))
	s.scanTime = time.Minute
	return s
}

// A policy that gives no answer denies everybody: whoever is woken by that must
// find out why.
func TestAPolicyThatGivesNoAnswerIsToldInTheLog(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	v := viewOf(policyOf("package mcp.authz\n\ndecision := 1 if input.nothing"))
	s := NewService(fixed{v}, decide.New(parsing()), patientEvaluator(), slog.New(slog.NewTextHandler(&log, nil)))
	d, err := s.Access(t.Context(), "triage", "hello-skill", "POST", "/")
	if err != nil || d.Allow || !slices.Equal(codes(d), []string{"decision_undefined"}) {
		t.Errorf("decision %+v, error %v", d, err)
	}
	if !strings.Contains(log.String(), "the decision is undefined") {
		t.Errorf("the log does not tell: %s", log.String())
	}
}

func TestAccessAsksForTheAgentAsItIsRegistered(t *testing.T) {
	t.Parallel()
	allowed := Decision{Allow: true, Reasons: []Reason{}, Agent: triage, Resource: hello, Revision: 41}
	for name, c := range map[string]struct {
		agent, resource, method, path string
		want                          Decision
	}{
		"by name":              {"triage", "hello-skill", "POST", "/say-hello", allowed},
		"without a path":       {"triage", "hello-skill", "POST", "", allowed},
		"of a suspended agent": {"sleeper", "hello-skill", "POST", "/", Decision{Reasons: deny("agent", "agent_suspended"), Agent: sleeper, Resource: hello, Revision: 41}},
		"of an expired agent":  {"gone", "hello-skill", "POST", "/", Decision{Reasons: deny("agent", "agent_expired"), Agent: gone, Resource: hello, Revision: 41}},
		"with a new token":     {"leaky", "hello-skill", "POST", "/", Decision{Allow: true, Reasons: []Reason{}, Agent: leaky, Resource: hello, Revision: 41}},
		"without scopes":       {"mute", "hello-skill", "POST", "/", Decision{Reasons: deny("permissions", "missing_permission"), Agent: mute, Resource: hello, Revision: 41}},
		"in its environment":   {"tester", "hello-skill", "POST", "/", Decision{Reasons: deny("environment", "environment_mismatch"), Agent: tester, Resource: hello, Revision: 40}},
		"to nothing":           {"triage", "nothing", "POST", "/", Decision{Reasons: deny("resource", "resource_unknown"), Agent: triage, Revision: 41}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := serviceOf(viewOf(platform())).Access(t.Context(), c.agent, c.resource, c.method, c.path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAccessFindsAnAgentByItsID(t *testing.T) {
	t.Parallel()
	a := agentIn("production", "triage", "customer-success")
	a.ID = "01970000-0000-7000-8000-000000000001"
	v := snapshot.New(registry.Facts{
		Scopes: touched(map[string]int64{"production": 1}), Environments: []registry.EnvironmentFacts{{Name: "production"}},
		Agents: []registry.AgentFacts{a}, Policy: saying("asked"),
	})
	got, err := serviceOf(v).Access(t.Context(), a.ID, "hello-skill", "POST", "/")
	if err != nil || !slices.Equal(codes(got), []string{"asked"}) {
		t.Errorf("decision %+v, error %v", got, err)
	}
}

func TestAccessShowsPolicyThePath(t *testing.T) {
	t.Parallel()
	v := viewOf(policyOf(`package mcp.authz

decision := {"allow": false, "allowed": false, "reasons": [{"tier": "platform", "id": input.request.method, "code": concat("|", input.request.path)}], "revision": 1}`))
	for path, want := range map[string]string{"": "", "/": "", "/a": "a", "a/b": "a|b", "/a//b/": "a||b|"} {
		d, err := serviceOf(v).Access(t.Context(), "triage", "hello-skill", "PATCH", path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]Reason{{Tier: "platform", ID: "PATCH", Code: want}}, d.Reasons); diff != "" {
			t.Errorf("path %q (-want +got):\n%s", path, diff)
		}
	}
}

func TestAccessShowsPolicyAToken(t *testing.T) {
	t.Parallel()
	v := viewOf(policyOf(`package mcp.authz

decision := {"allow": false, "allowed": false, "reasons": [{"tier": "platform", "id": "token", "code": json.marshal(input.jwt)}], "revision": 1}`))
	for agent, permissions := range map[string]string{"triage": `["skills:invoke","data:read"]`, "mute": `[]`} {
		d, err := serviceOf(v).Access(t.Context(), agent, "hello-skill", "POST", "/")
		if err != nil {
			t.Fatal(err)
		}
		want := `{"payload":{"exp":253402300799,"iat":253402300799,"permissions":` + permissions + `,"sub":"` + agent + `@clients"},"valid":true}`
		if diff := cmp.Diff(deny("token", want), d.Reasons); diff != "" {
			t.Errorf("token (-want +got):\n%s", diff)
		}
	}
}

func TestServiceErrors(t *testing.T) {
	t.Parallel()
	loaded := serviceOf(viewOf(platform()))
	access := func(s *Service, agent string) error {
		_, err := s.Access(t.Context(), agent, "hello-skill", "POST", "/")
		return err
	}
	callers := func(s *Service, resource string) error {
		_, _, err := s.Callers(t.Context(), resource, "POST", "", 10)
		return err
	}
	for name, c := range map[string]struct {
		err  error
		kind registry.Kind
	}{
		"access before the registry was loaded":  {access(serviceOf(nil), "triage"), registry.Unavailable},
		"callers before the registry was loaded": {callers(serviceOf(nil), "hello-skill"), registry.Unavailable},
		"access without a policy":                {access(serviceOf(viewOf(registry.PlatformPolicy{})), "triage"), registry.Unavailable},
		"callers without a policy":               {callers(serviceOf(viewOf(registry.PlatformPolicy{})), "hello-skill"), registry.Unavailable},
		"access of nobody":                       {access(loaded, "nobody"), registry.NotFound},
		"access of an unknown id":                {access(loaded, "01970000-0000-7000-8000-000000000001"), registry.NotFound},
		"callers of nothing":                     {callers(loaded, "nothing"), registry.NotFound},
	} {
		if !errors.Is(c.err, c.kind) {
			t.Errorf("%s: error %v, want %s", name, c.err, c.kind)
		}
	}
}

func names(agents []registry.AgentFacts) string {
	var list []string
	for _, a := range agents {
		list = append(list, a.Name)
	}
	return strings.Join(list, " ")
}

func TestCallersAreThoseWhomPolicyAllows(t *testing.T) {
	t.Parallel()
	s := serviceOf(viewOf(platform()))
	s.scanTime = time.Hour // however busy the machine is
	for name, c := range map[string]struct{ resource, method, want string }{
		"of a skill":                    {"hello-skill", "POST", "billing-bot leaky temp triage"},
		"with a permission nobody has":  {"ledger", "GET", ""},
		"of a source, to write instead": {"ledger", "POST", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, next, err := s.Callers(t.Context(), c.resource, c.method, "", 10)
			if err != nil || next != "" || names(got) != c.want {
				t.Errorf("callers %q, next %q, error %v, want %q", names(got), next, err, c.want)
			}
		})
	}
}

// pages walks all pages of callers and returns their names, and how many pages
// there were.
func pages(t *testing.T, s *Service, limit int) (all string, n int) {
	t.Helper()
	var list []registry.AgentFacts
	for after := ""; ; n++ {
		callers, next, err := s.Callers(t.Context(), "skill-000000", "POST", after, limit)
		if err != nil {
			t.Fatal(err)
		}
		if len(callers) > limit {
			t.Fatalf("%d callers on a page of %d", len(callers), limit)
		}
		list = append(list, callers...)
		if next == "" {
			return names(list), n + 1
		}
		if next <= after {
			t.Fatalf("page after %q goes on after %q", after, next)
		}
		after = next
	}
}

func TestAgentsAfterAreTheFirstInOrder(t *testing.T) {
	t.Parallel()
	v := manyAgents(300, saying("x"))
	var all []string
	for i := range 300 {
		all = append(all, fmt.Sprintf("agent-%06d", i))
	}
	for _, n := range []int{1, 2, 10, 150, 299, 300, 301, 1000} {
		for _, from := range []int{0, 1, 150, 295, 300} {
			after := ""
			if from > 0 {
				after = all[from-1]
			}
			want := all[from:min(from+n, len(all))]
			var got []string
			for _, a := range agentsAfter(v, after, n) {
				got = append(got, a.name)
			}
			if !slices.Equal(got, want) {
				t.Errorf("first %d after %q: %v, want %v", n, after, got, want)
			}
		}
	}
}

func TestCallersComeInPagesByName(t *testing.T) {
	t.Parallel()
	const all = "agent-000000 agent-000001 agent-000002 agent-000003 agent-000004 agent-000005 agent-000006"
	for name, c := range map[string]struct {
		limit, scanned int
		scanTime       time.Duration
		pages          int
	}{
		"all on one":                    {7, scanned, time.Hour, 1},
		"as many as asked for":          {3, scanned, time.Hour, 3},
		"few looked at":                 {7, 2, time.Hour, 4},
		"no time, but one at the least": {7, scanned, -1, 7},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serviceOf(manyAgents(7, platform()))
			s.scanned, s.scanTime = c.scanned, c.scanTime
			got, n := pages(t, s, c.limit)
			if got != all || n != c.pages {
				t.Errorf("%q on %d pages, want %d", got, n, c.pages)
			}
		})
	}
}

// Who may call can come after many who may not.
func TestACallerAmongManyIsFound(t *testing.T) {
	t.Parallel()
	var agents []registry.AgentFacts
	for i := range 1000 {
		agents = append(agents, suspended(agentIn("production", fmt.Sprintf("agent-%04d", i), "payments")))
	}
	agents[900].Suspended = false
	f := registry.Facts{
		Scopes: touched(map[string]int64{"production": 1}), Environments: []registry.EnvironmentFacts{{Name: "production", Grants: "permissions", MaxStaleness: "15m"}},
		Agents: agents, Policy: platform(),
		Resources: []registry.ResourceFacts{{Name: "hello-skill", Type: registry.Skill, Team: "payments", Environments: []string{"production"}}},
	}
	got, next, err := serviceOf(snapshot.New(f)).Callers(t.Context(), "hello-skill", "POST", "", 1)
	if err != nil || names(got) != "agent-0900" || next != "agent-0900" {
		t.Errorf("callers %q, next %q, error %v", names(got), next, err)
	}
}

func TestCallersOfAPolicyThatFailsAreNone(t *testing.T) {
	t.Parallel()
	s := serviceOf(viewOf(policyOf("package mcp.authz\n\ndecision := true")))
	got, next, err := s.Callers(t.Context(), "hello-skill", "POST", "", 10)
	if len(got) != 0 || next != "" || err != nil {
		t.Errorf("callers %v, next %q, error %v", got, next, err)
	}
}
