package decisions

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
)

func codes(d Decision) []string {
	list := []string{}
	for _, r := range d.Reasons {
		list = append(list, r.Code)
	}
	return list
}

// Invariant B2: what decides is the registry's policy, not the binary's.
func TestInvariant_B2_PolicyOfTheRegistryDecides(t *testing.T) {
	t.Parallel()
	e := patientEvaluator()
	q := call(claims("triage@clients", "skills:invoke"))
	if d := mustDecide(t, e, viewOf(platform()), "production", q); !d.Allow {
		t.Fatalf("the binary's policy denies: %+v", d)
	}
	d := mustDecide(t, e, viewOf(saying("closed_today")), "production", q)
	if diff := cmp.Diff([]string{"closed_today"}, codes(d)); diff != "" || d.Allow {
		t.Errorf("codes (-want +got):\n%s", diff)
	}
}

func TestPolicyThatIsNoneIsUnavailableAndTheOneBeforeDecidesOn(t *testing.T) {
	t.Parallel()
	const good = "package mcp.authz\n\ndecision := "
	for name, source := range map[string]string{
		"no Rego":           "allow all of it",
		"old Rego":          "package mcp.authz\n\ndecision { true }",
		"unsafe variable":   good + "x",
		"recursion":         "package mcp.authz\n\ndecision := data.mcp.authz",
		"unknown function":  good + "no.such(1)",
		"sends":             good + `http.send({"method": "GET", "url": "http://127.0.0.1:1"})`,
		"looks up":          good + `net.lookup_ip_addr("localhost")`,
		"sees the process":  good + `opa.runtime()`,
		"leaves to chance":  good + `rand.intn("x", 10)`,
		"makes identifiers": good + `uuid.rfc4122("x")`,
		"parses policy":     good + `rego.parse_module("x", "package x")`,
		"signs":             good + `io.jwt.encode_sign_raw("{}", "{}", "{}")`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, before := patientEvaluator(), viewOf(saying("before"))
			mustDecide(t, e, before, "production", Query{})
			for range 2 {
				_, err := e.Decide(t.Context(), viewOf(policyOf(source)), "production", Query{}, time.Now())
				if k, ok := registry.AsError(err); !ok || k.Kind != registry.Unavailable || k.Code != "policy_invalid" || k.Err == nil {
					t.Errorf("error %v, want Unavailable policy_invalid and a cause", err)
				}
				if d := mustDecide(t, e, before, "production", Query{}); !cmp.Equal(codes(d), []string{"before"}) {
					t.Errorf("codes %v, want those of the policy before", codes(d))
				}
			}
		})
	}
}

func TestPolicyMayReadTheClock(t *testing.T) {
	t.Parallel()
	v := viewOf(policyOf("package mcp.authz\n\ndecision := time.now_ns()"))
	query, err := patientEvaluator().query(v, "production")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := evaluate(t.Context(), query, newTransaction(v, "production"), nil, time.Now()); err != nil {
		t.Error(err)
	}
}

func TestPolicyIsCompiledOnceAndTheLastOnesAreKept(t *testing.T) {
	t.Parallel()
	e := patientEvaluator()
	a, b := e.program("a"), e.program("b")
	if e.program("a") != a || e.program("b") != b {
		t.Error("a policy in use was compiled again")
	}
	for i := range kept - 1 {
		e.program(fmt.Sprint(i))
	}
	if e.program("b") != b {
		t.Error("a policy used among the last was forgotten")
	}
	if e.program("a") == a || len(e.programs) != kept {
		t.Errorf("%d programs are kept, want %d and not the oldest", len(e.programs), kept)
	}
}

// Views and policies change while others decide: every answer is that of the
// policy and the revision that were asked.
func TestConcurrentDecisionsAreEachOfTheirOwnView(t *testing.T) {
	t.Parallel()
	e := patientEvaluator()
	var wg sync.WaitGroup
	for worker := range 4 * runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range 40 {
				code := fmt.Sprintf("policy_%d", (worker+i/5)%3)
				facts := viewOf(saying(code))
				d, err := e.Decide(t.Context(), facts, "production", call(claims("triage@clients")), time.Now())
				if err != nil || d.Revision != facts.ScopeRevision("production") || strings.Join(codes(d), " ") != code {
					t.Errorf("decision %+v, error %v, want %s", d, err, code)
					return
				}
			}
		})
	}
	wg.Wait()
}

// One view serves many at once.
func TestConcurrentDecisionsOfOneViewAgree(t *testing.T) {
	t.Parallel()
	e, v := patientEvaluator(), viewOf(platform())
	want := mustDecide(t, e, v, "production", call(claims("triage@clients", "skills:invoke")))
	var wg sync.WaitGroup
	for range 4 * runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for range 50 {
				got, err := e.Decide(t.Context(), v, "production", call(claims("triage@clients", "skills:invoke")), time.Now())
				if diff := cmp.Diff(want, got); err != nil || diff != "" {
					t.Errorf("error %v, decision (-want +got):\n%s", err, diff)
					return
				}
			}
		})
	}
	wg.Wait()
}
