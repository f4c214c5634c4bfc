package decisions

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/credenceproject/credence/internal/registry"
)

// odd are values that a claim should not have, and that JSON can.
var odd = []any{
	nil, true, "", "text", "\x00", 0, -1, 1.5, 1e300, json.Number("1e400"), json.Number("-0"), []any{}, []any{nil, 1, "skills:invoke"},
	map[string]any{}, map[string]any{"skills:invoke": true}, []string{"skills:invoke", "skills:invoke"}, uint8(7), []map[string]string{{"a": "b"}},
}

func call(claims map[string]any) Query {
	return Query{Claims: claims, TokenValid: true, Method: "POST", Path: []string{"say-hello"}, Resource: "hello-skill"}
}

func claims(sub string, permissions ...string) map[string]any {
	return map[string]any{"sub": sub, "permissions": permissions, "exp": forever}
}

func with(m map[string]any, key string, value any) map[string]any {
	m = maps.Clone(m)
	m[key] = value
	return m
}

func TestPolicyThatGivesNoUsableAnswerDenies(t *testing.T) {
	t.Parallel()
	const usable = `"allow": true, "allowed": true, "reasons": [], "agent": null, "resource": null, "revision": 1`
	const known = `{"id": "i", "name": "n", "team": "t", "agent_type": "y", "environment": "e"}`
	for name, decision := range map[string]string{
		"undefined":           `1 if input.nothing`,
		"conflict":            `1` + "\n\ndecision := 2",
		"no object":           `true`,
		"null":                `null`,
		"array":               `[{"allow": true}]`,
		"empty":               `{}`,
		"allow missing":       `object.remove({` + usable + `}, ["allow"])`,
		"allowed missing":     `object.remove({` + usable + `}, ["allowed"])`,
		"reasons missing":     `object.remove({` + usable + `}, ["reasons"])`,
		"revision missing":    `object.remove({` + usable + `}, ["revision"])`,
		"allow text":          `object.union({` + usable + `}, {"allow": "true"})`,
		"allow number":        `object.union({` + usable + `}, {"allow": 1, "allowed": 1})`,
		"two answers":         `object.union({` + usable + `}, {"allowed": false})`,
		"reasons object":      `object.union({` + usable + `}, {"reasons": {"code": "x"}})`,
		"reason text":         `object.union({` + usable + `}, {"reasons": ["x"]})`,
		"reason without code": `object.union({` + usable + `}, {"reasons": [{"tier": "platform", "id": "x"}]})`,
		"agent text":          `object.union({` + usable + `}, {"agent": "triage"})`,
		"agent empty":         `object.union({` + usable + `}, {"agent": {}})`,
		"agent id number":     `object.union({` + usable + `}, {"agent": object.union(` + known + `, {"id": 1})})`,
		"resource array":      `object.union({` + usable + `}, {"resource": ["hello-skill"]})`,
		"revision text":       `object.union({` + usable + `}, {"revision": "1"})`,
		"revision fraction":   `object.union({` + usable + `}, {"revision": 1.5})`,
		"revision negative":   `object.union({` + usable + `}, {"revision": -1})`,
		"revision huge":       `object.union({` + usable + `}, {"revision": 1e30})`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := viewOf(policyOf("package mcp.authz\n\ndecision := " + decision))
			got := mustDecide(t, patientEvaluator(), v, "production", call(claims("triage@clients", "skills:invoke")))
			want := Decision{Reasons: []Reason{{Tier: "platform", ID: "policy", Code: "decision_undefined"}}, Revision: 41}
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Decision{}, "Fault")); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
			if got.Fault == nil {
				t.Error("nothing tells what is wrong with the policy")
			}
		})
	}
}

func TestPolicyMaySayMoreThanWeKnowOf(t *testing.T) {
	t.Parallel()
	v := viewOf(policyOf(`package mcp.authz

decision := {
	"allow": true, "allowed": true, "reasons": {{"tier": "team", "id": "red", "code": "b", "more": 1}, {"tier": "team", "id": "red", "code": "a"}},
	"agent": {"id": "i", "name": "n", "team": "t", "agent_type": "y", "environment": "e", "labels": {}},
	"resource": {"name": "r", "type": "skill", "team": "o"}, "revision": data.registry.meta.revision,
	"headers": {"x-agent": "n"}, "http_status": 200,
}`))
	got := mustDecide(t, patientEvaluator(), v, "production", Query{})
	want := Decision{
		Allow: true, Revision: 41,
		Reasons:  []Reason{{Tier: "team", ID: "red", Code: "a"}, {Tier: "team", ID: "red", Code: "b"}},
		Agent:    &Agent{ID: "i", Name: "n", Team: "t", AgentType: "y", Environment: "e"},
		Resource: &Resource{Name: "r", Type: "skill", Team: "o"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("decision (-want +got):\n%s", diff)
	}
}

func TestClaimsThatAreNoJSONAreInvalid(t *testing.T) {
	t.Parallel()
	cycle := map[string]any{}
	cycle["again"] = cycle
	for name, value := range map[string]any{
		"function": func() {}, "channel": make(chan int), "NaN": math.NaN(), "infinity": math.Inf(1), "no number": json.Number("x"), "cycle": cycle,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := patientEvaluator().Decide(t.Context(), viewOf(platform()), "production", call(map[string]any{"sub": value}), time.Now())
			if !errors.Is(err, registry.Invalid) {
				t.Errorf("error %v, want Invalid", err)
			}
		})
	}
}

func TestDecideNeedsAnEnvironmentAndAPolicyThatItCanRun(t *testing.T) {
	t.Parallel()
	newer := saying("x")
	newer.Layout = 99
	for name, c := range map[string]struct {
		policy      registry.PlatformPolicy
		environment string
		kind        registry.Kind
		code        string
	}{
		"environment unknown": {saying("x"), "nowhere", registry.NotFound, "not_found"},
		"no policy":           {registry.PlatformPolicy{}, "production", registry.Unavailable, "policy_missing"},
		"newer layout":        {newer, "production", registry.Unavailable, "policy_unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := patientEvaluator().Decide(t.Context(), viewOf(c.policy), c.environment, Query{}, time.Now())
			if e, ok := registry.AsError(err); !ok || e.Kind != c.kind || e.Code != c.code {
				t.Errorf("error %v, want %s %s", err, c.kind, c.code)
			}
		})
	}
}

// endless takes for ever: it looks at every pair of a billion.
const endless = `package mcp.authz

decision := count([1 | some i in numbers.range(1, 100000); some j in numbers.range(1, 10000); i * j == 0])`

func TestEndlessPolicyIsUnavailable(t *testing.T) {
	t.Parallel()
	e := patientEvaluator()
	e.limit = 10 * time.Millisecond
	_, err := e.Decide(t.Context(), viewOf(policyOf(endless)), "production", Query{}, time.Now())
	if e, ok := registry.AsError(err); !ok || e.Kind != registry.Unavailable || e.Code != "decision_timeout" {
		t.Errorf("error %v, want Unavailable decision_timeout", err)
	}
}

func TestDecideEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := patientEvaluator().Decide(ctx, viewOf(policyOf(endless)), "production", Query{}, time.Now())
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
}

func TestPanicOfAnEvaluationIsAnError(t *testing.T) {
	t.Parallel()
	if err := contain(func() error { panic("broken builtin") }); err == nil {
		t.Error("no error")
	}
}
