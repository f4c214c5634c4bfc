package decide_test

import (
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/credenceproject/credence/internal/decide"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/policy"
)

func TestItKnowsTheBinarysPolicyAndTheOneBefore(t *testing.T) {
	t.Parallel()
	current, before := platform(), previous(t)
	if before.Hash != policy.PreviousHash {
		t.Fatalf("the modules of version 2 have the hash %s", before.Hash)
	}
	otherLayout, other := current, current
	otherLayout.Layout--
	other.Hash = policy.Hash(map[string]string{"authz.rego": "package mcp.authz"})
	for name, row := range map[string]struct {
		policy registry.PlatformPolicy
		want   bool
	}{
		"the binary's": {current, true}, "the one before": {before, true}, "none": {registry.PlatformPolicy{}, false},
		"another": {other, false}, "the binary's over other data": {otherLayout, false},
	} {
		if got := decide.Knows(row.policy); got != row.want {
			t.Errorf("%s: known is %t", name, got)
		}
		f := small()
		f.Policy = row.policy
		_, err := decider().Decide(snapshot.New(f), "production", call(), noon)
		if e, ok := registry.AsError(err); row.want != (err == nil) || !row.want && (!ok || e.Kind != registry.Unavailable || e.Code != "policy_unknown") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestDecideErrors(t *testing.T) {
	t.Parallel()
	v := snapshot.New(small())
	if _, err := decider().Decide(v, "nowhere", call(), noon); !errors.Is(err, registry.NotFound) {
		t.Errorf("of no environment: error %v", err)
	}
	for _, claim := range []string{"sub", "permissions", "exp", "nbf", "iat"} {
		for name, value := range map[string]any{"a function": func() {}, "a channel": make(chan int), "not a number": math.NaN(), "infinity": math.Inf(1)} {
			q := call()
			q.Claims[claim] = value
			_, err := decider().Decide(v, "production", q, noon)
			isNumber := strings.HasSuffix(name, "number") || name == "infinity"
			if isNumber && (claim == "sub" || claim == "permissions") {
				continue // no string, whatever else it is
			}
			if e, ok := registry.AsError(err); !ok || e.Kind != registry.Invalid || e.Code != "claims_invalid" {
				t.Errorf("%s is %s: error %v", claim, name, err)
			}
		}
	}
}

// A layer whose Rego fails denies whatever the others say, as an OPA's decision does
// that is an error; one that runs for ever does within a second.
func TestALayerThatGivesNoAnswerDenies(t *testing.T) {
	t.Parallel()
	const forever = `deny contains "x" if count([1 | some i in numbers.range(1, 100000); some j in numbers.range(1, 100000); i * j == 0]) > 0`
	for name, body := range map[string]string{
		"two values of a rule":    "twice := 1 if true\n\ntwice := 2 if true\n\ndeny contains \"x\" if twice > 2",
		"a function that differs": "f(x) := 1 if x\n\nf(x) := 2 if x\n\nallow contains \"x\" if f(true) > 0",
		"deny that is no set":     "deny := true",
		"without end":             forever,
		"that does not compile":   `deny contains x if true`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := decider()
			decide.SetLimit(d, 20*time.Millisecond)
			if !strings.Contains(name, "end") {
				decide.SetLimit(d, time.Minute)
			}
			got, err := d.Decide(snapshot.New(small(ofTeam(regoOf(body)))), "production", call(), noon)
			if err != nil {
				t.Fatal(err)
			}
			if name == "deny that is no set" {
				wantCodes(t, got, "invalid_code")
				return
			}
			wantCodes(t, got, "decision_undefined")
			if got.Fault == nil || !strings.Contains(got.Fault.Error(), "team/red") || got.Revision != 41 {
				t.Errorf("the decision tells nobody of the layer: %+v", got)
			}
		})
	}
}

func wantCodes(t *testing.T, d decide.Decision, want ...string) {
	t.Helper()
	var got []string
	for _, r := range d.Reasons {
		got = append(got, r.Code)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || d.Allow != (len(want) == 0) {
		t.Errorf("allow %t, codes (-want +got):\n%s", d.Allow, diff)
	}
}

// A layer's Rego sees what data.mcp.request says in an OPA, and nothing of others.
func TestALayerReadsTheRequestAlone(t *testing.T) {
	t.Parallel()
	for body, want := range map[string][]string{
		`deny contains concat("_", sort([k | some k, _ in request]))`:                 {"agent_environment_method_path_permissions_resource_subject"},
		`deny contains concat("_", sort([k | some k, _ in request.resource.access]))`: {"agent_types_teams_visibility"},
		`deny contains concat("_", [k | some k, _ in request.agent; k > "name"])`:     {"scopes_suspended_team_valid_after"},
		`deny contains lower(request.resource.name) if request.path == ["say"]`:       {"hello"},
		`deny contains "x" if data.registry`:                                          nil,
		`deny contains "x" if data.mcp.layers.global`:                                 nil,
		`deny contains "x" if data.mcp.token`:                                         nil,
		`deny contains "x" if input`:                                                  nil,
		`deny contains request.path[0]`:                                               {"say"},
		`deny contains "x" if request.path["0"]`:                                      nil,
		`deny contains "x" if request.path[-1]`:                                       nil,
		`deny contains concat("", ["n", format_int(count(request.permissions), 10)])`: {"n2"},
	} {
		got, err := decider().Decide(snapshot.New(small(ofTeam(regoOf(body)))), "production", call(), noon)
		if err != nil || got.Fault != nil {
			t.Fatalf("%s: %v, %v", body, err, got.Fault)
		}
		wantCodes(t, got, want...)
	}
}

// One Decider serves many at once, whatever layers come and go meanwhile.
func TestConcurrentDecisionsAreEachOfTheirOwnView(t *testing.T) {
	t.Parallel()
	d := decider()
	views := make([]*snapshot.View, 4)
	codes := []string{"a", "b", "c", "d"}
	for i, code := range codes {
		views[i] = snapshot.New(small(ofTeam(regoOf(`deny contains "` + code + `" if request.method == "POST"`))))
	}
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 25 {
				n := (worker + i/5) % len(views)
				got, err := d.Decide(views[n], "production", call(), noon)
				if err != nil || len(got.Reasons) != 1 || got.Reasons[0].Code != codes[n] {
					t.Errorf("decision %+v, error %v, want %s", got, err, codes[n])
					return
				}
			}
		})
	}
	wg.Wait()
}

// The work of a decision does not hang on the size of the registry, nor does what it
// leaves for the collector.
//
//nolint:paralleltest // others would be counted too
func TestADecisionAllocatesLittle(t *testing.T) {
	d, q := decider(), call()
	for layers, most := range map[int]float64{0: 5, 4: 6} {
		v := large(1000, dataLayers(layers)...)
		if n := testing.AllocsPerRun(100, func() {
			if got, err := d.Decide(v, "production", q, noon); err != nil || !got.Allow {
				t.Fatal(got, err)
			}
		}); n > most {
			t.Errorf("with %d layers a decision makes %v objects, want %v", layers, n, most)
		}
	}
}
