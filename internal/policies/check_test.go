package policies_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/policies"
	"github.com/credenceproject/credence/internal/policies/gate"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

func viewWith(layout int64) *snapshot.View {
	return snapshot.New(registry.Facts{Policy: registry.PlatformPolicy{Layout: layout, Modules: platform}})
}

// The gate sees a policy beside all that would be in one bundle with it, and not
// beside what it replaces.
func TestTheGateSeesWhatAPolicyWouldStandBeside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	facts := func(key registry.LayerKey, environment, rego string) registry.LayerFacts {
		return registry.LayerFacts{LayerKey: key, Environment: environment, Rego: rego}
	}
	elsewhere := registry.LayerKey{Tier: registry.TierAgent, ID: nobodys.ID}
	w.remember(facts(ofAll, "", "package all"), facts(ofTeam, "", "package before"), facts(ofType, "", ""),
		facts(w.ofAgent(), "production", "package agent"), facts(elsewhere, "staging", "package elsewhere"))
	all := map[string]string{"layers/global/office-hours.rego": "package all", "layers/team/support.rego": "package before"}
	without := func(path string) map[string]string {
		rest := map[string]string{}
		for p, source := range all {
			if p != path {
				rest[p] = source
			}
		}
		return rest
	}
	for _, tc := range []struct {
		key    registry.LayerKey
		others map[string]string
	}{
		{ofTeam, without("layers/team/support.rego")},
		{ofType, all},
		{w.ofAgent(), all},
	} {
		for _, ask := range []func(registry.Policy) error{
			func(p registry.Policy) error { return w.put(admin, p, create) },
			func(p registry.Policy) error { _, err := w.service.Validate(t.Context(), p); return err },
		} {
			w.gate.asked = nil
			if err := ask(custom(tc.key)); err != nil {
				t.Fatal(err)
			}
			want := []gate.Request{{Layer: tc.key, Rego: "package a", Tests: "package a_test", Platform: platform, Others: tc.others}}
			if diff := cmp.Diff(want, w.gate.asked); diff != "" {
				t.Errorf("the gate was asked about %v (-want +got):\n%s", tc.key, diff)
			}
		}
	}
}

func TestRulesAloneNeedNoGate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.gate.err = errors.New("nobody is to ask")
	w.mustPut(quiet(ofTeam), create)
	if _, err := w.service.Validate(t.Context(), quiet(ofTeam)); err != nil {
		t.Error(err)
	}
}

func TestWhatTheGateFindsIsToldByPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	there := w.mustPut(custom(ofTeam), create) // of a time when the gate let it by
	second := w.mustPut(quiet(ofTeam), on(there))
	w.gate.verdict = gate.Verdict{DeniesEveryone: true, Faults: []gate.Fault{
		{File: gate.FileRego, Line: 7, Column: 3, Rule: "foreign_data", Message: `data.registry is not for layers; read data.mcp.request instead`},
		{File: gate.FileRego, Rule: "too_expensive", Message: "asks too much"},
		{File: gate.FileTests, Line: 2, Rule: "test_failed", Message: "test_a does not hold"},
	}}
	_, validate := w.service.Validate(t.Context(), custom(ofTeam))
	_, rollback := w.service.Rollback(t.Context(), admin, ofTeam, there.Version, on(second))
	confirmed := on(second)
	confirmed.DeniesEveryone = true
	for what, err := range map[string]error{"put": w.put(admin, custom(ofTeam), confirmed), "rollback": rollback, "validate": validate} {
		e, ok := registry.AsError(err)
		if !ok || e.Kind != registry.Invalid || e.Code != "invalid_policy" {
			t.Errorf("%s: %v, want invalid_policy", what, err)
			continue
		}
		want := []registry.FieldError{
			{Pointer: "/rego", Code: "foreign_data", Detail: "line 7, column 3: data.registry is not for layers; read data.mcp.request instead"},
			{Pointer: "/rego", Code: "too_expensive", Detail: "asks too much"},
			{Pointer: "/tests", Code: "test_failed", Detail: "line 2: test_a does not hold"},
		}
		if diff := cmp.Diff(want, e.Fields); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	w.gate.verdict, w.gate.err = gate.Verdict{}, registry.Unavailable.Errorf("gate_busy", "busy")
	wantError(t, w.put(admin, custom(ofTeam), on(second)), registry.Unavailable, "gate_busy")
	w.gate.err = fmt.Errorf("check custom Rego: %w", context.DeadlineExceeded)
	wantError(t, w.put(admin, custom(ofTeam), on(second)), registry.Unavailable, "gate_busy")
}

func TestWhoDeniesEveryoneHasToMeanIt(t *testing.T) {
	t.Parallel()
	everybody := func(p *registry.Policy) { p.Rules[0].When = registry.Conditions{} }
	nothing := func(p *registry.Policy) { p.Ceiling = &registry.Ceiling{Permissions: []string{}} }
	w := newWorld(t)
	for name, tc := range map[string]struct { //nolint:paralleltest // they write the same policies
		key    registry.LayerKey
		change func(*registry.Policy)
		rego   bool // denies everyone
		faults []string
	}{
		"rules":          {ofAll, everybody, false, []string{"/rules denies_everyone"}},
		"rules and Rego": {ofTeam, everybody, true, []string{"/rules denies_everyone", "/rego denies_everyone"}},
		"Rego":           {ofType, func(*registry.Policy) {}, true, []string{"/rego denies_everyone"}},
		"a ceiling":      {ofTeam, nothing, false, []string{"/ceiling denies_everyone"}},
		"both environments": {ofTeam, func(p *registry.Policy) {
			p.Rules[0].When = registry.Conditions{Environments: []string{"production", "staging"}}
		}, false, []string{"/rules denies_everyone"}},
		"the agent's own type":          {w.ofAgent(), func(p *registry.Policy) { p.Rules[0].When = registry.Conditions{AgentTypes: []string{"assistant"}} }, false, []string{"/rules denies_everyone"}},
		"the agent's own environment":   {w.ofAgent(), func(p *registry.Policy) { p.Rules[0].When = registry.Conditions{Environments: []string{"production"}} }, false, []string{"/rules denies_everyone"}},
		"the type that it is about":     {ofType, func(p *registry.Policy) { p.Rules[0].When = registry.Conditions{AgentTypes: []string{"assistant"}} }, false, []string{"/rules denies_everyone"}},
		"another type":                  {ofType, func(p *registry.Policy) { p.Rules[0].When = registry.Conditions{AgentTypes: []string{"batch"}} }, false, nil},
		"one of the environments":       {ofTeam, func(p *registry.Policy) { p.Rules[0].When = registry.Conditions{Environments: []string{"production"}} }, false, nil},
		"a rule that allows everything": {ofTeam, func(p *registry.Policy) { p.Rules[0].Effect, p.Rules[0].When = registry.Allow, registry.Conditions{} }, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := custom(tc.key)
			tc.change(&p)
			w.gate.verdict = gate.Verdict{DeniesEveryone: tc.rego, Tests: []gate.TestResult{{Name: "test_a", Passed: true}}}
			verdict, err := w.service.Validate(t.Context(), p)
			want := policies.Verdict{DeniesEveryone: tc.faults != nil, Tests: w.gate.verdict.Tests}
			if diff := cmp.Diff(want, verdict); err != nil || diff != "" {
				t.Errorf("Validate() = %v (-want +got):\n%s", err, diff)
			}
			if tc.faults != nil {
				wantError(t, w.put(admin, p, create), registry.Invalid, "denies_everyone", tc.faults...)
			}
			confirmed := create
			confirmed.DeniesEveryone = tc.faults != nil
			saved := w.mustPut(p, confirmed)
			defer w.mustDelete(p.LayerKey)
			if tc.faults == nil {
				return
			}
			w.mustPut(quiet(p.LayerKey), on(saved))
			_, err = w.service.Rollback(t.Context(), admin, p.LayerKey, saved.Version, replace)
			wantError(t, err, registry.Invalid, "denies_everyone", tc.faults...)
			confirmed = replace
			confirmed.DeniesEveryone = true
			if _, err = w.service.Rollback(t.Context(), admin, p.LayerKey, saved.Version, confirmed); err != nil {
				t.Errorf("Rollback() that is meant = %v", err)
			}
		})
	}
}
