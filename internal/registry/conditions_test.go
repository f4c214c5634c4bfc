package registry_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// steps returns all steps with these states, in order, each a minute after the
// one before.
func steps(states ...registry.StepState) []registry.Step {
	all := make([]registry.Step, 0, len(states))
	for i, state := range states {
		s := registry.Step{Name: registry.Steps[i], State: state, At: noon.Add(time.Duration(i) * time.Minute)}
		if state == registry.StepFailed {
			s.LastError = "it does not answer."
		}
		all = append(all, s)
	}
	return all
}

func TestConditionsFollowFromTheSteps(t *testing.T) {
	t.Parallel()
	const (
		pending = registry.StepPending
		done    = registry.StepDone
		failed  = registry.StepFailed
		undone  = registry.StepUndone
	)
	for _, tc := range []struct {
		name  string
		steps []registry.Step
		want  []string // type status reason, for each condition
		ready bool
	}{
		{
			"all done", steps(done, done, done, done, done),
			[]string{"IdentityReady true Done", "SecretsReady true Done", "PolicyPublished true Done", "Ready true Done"}, true,
		},
		{
			"nothing known", nil,
			[]string{"IdentityReady false StepPending", "SecretsReady false StepPending", "PolicyPublished false StepPending", "Ready false StepPending"}, false,
		},
		{
			"just recorded", steps(pending, pending, pending, pending, pending),
			[]string{"IdentityReady false StepPending", "SecretsReady false StepPending", "PolicyPublished false StepPending", "Ready false StepPending"}, false,
		},
		{
			"no grant", steps(done, failed, pending, pending, pending),
			[]string{"IdentityReady false StepFailed", "SecretsReady false StepPending", "PolicyPublished false StepPending", "Ready false StepFailed"}, false,
		},
		{
			"an alias short", steps(done, done, done, failed, pending),
			[]string{"IdentityReady true Done", "SecretsReady false StepFailed", "PolicyPublished false StepPending", "Ready false StepFailed"}, false,
		},
		{
			"only policy is missing", steps(done, done, done, done, pending),
			[]string{"IdentityReady true Done", "SecretsReady true Done", "PolicyPublished false StepPending", "Ready false StepPending"}, false,
		},
		{
			"decommissioned, the provider not told", steps(failed, failed, undone, undone, undone),
			[]string{"IdentityReady false StepFailed", "SecretsReady false TakenBack", "PolicyPublished false TakenBack", "Ready false StepFailed"}, false,
		},
		{
			"taken back", steps(undone, undone, undone, undone, undone),
			[]string{"IdentityReady false TakenBack", "SecretsReady false TakenBack", "PolicyPublished false TakenBack", "Ready false TakenBack"}, false,
		},
		{
			"a state from a newer version", steps(done, done, "paused", done, done),
			[]string{"IdentityReady true Done", "SecretsReady false StepPending", "PolicyPublished true Done", "Ready false StepPending"}, false,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, c := range registry.ConditionsOf(tc.steps) {
				got = append(got, string(c.Type)+" "+string(c.Status)+" "+c.Reason)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("ConditionsOf() (-want +got):\n%s", diff)
			}
			if got := (registry.Agent{Steps: tc.steps}).IsReady(); got != tc.ready {
				t.Errorf("IsReady() = %t, want %t", got, tc.ready)
			}
		})
	}
}

func TestAConditionTellsOfTheFirstStepThatIsNotDoneAndOfTheLastChange(t *testing.T) {
	t.Parallel()
	got := registry.ConditionsOf(steps(registry.StepDone, registry.StepFailed, registry.StepUndone, registry.StepPending, registry.StepPending))
	want := []registry.Condition{
		{
			Type: registry.IdentityReady, Status: registry.False, Reason: "StepFailed",
			Message: "Step auth0_grant failed: it does not answer.", LastTransitionTime: noon.Add(time.Minute),
		},
		{
			Type: registry.SecretsReady, Status: registry.False, Reason: "TakenBack",
			Message: "Step vault_entity was taken back.", LastTransitionTime: noon.Add(3 * time.Minute),
		},
		{
			Type: registry.PolicyPublished, Status: registry.False, Reason: "StepPending",
			Message: "Step policy is not done yet.", LastTransitionTime: noon.Add(4 * time.Minute),
		},
		{
			Type: registry.Ready, Status: registry.False, Reason: "StepFailed",
			Message: "Step auth0_grant failed: it does not answer.", LastTransitionTime: noon.Add(4 * time.Minute),
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ConditionsOf() (-want +got):\n%s", diff)
	}
}

func TestEveryStepBelongsToAConditionOfItsOwn(t *testing.T) {
	t.Parallel()
	for i, name := range registry.Steps {
		states := []registry.StepState{registry.StepDone, registry.StepDone, registry.StepDone, registry.StepDone, registry.StepDone}
		states[i] = registry.StepPending
		missing := 0
		for _, c := range registry.ConditionsOf(steps(states...)) {
			if c.Status == registry.False {
				missing++
			}
		}
		if missing != 2 {
			t.Errorf("without step %s %d conditions are false, want its own and Ready", name, missing)
		}
	}
}

func TestAStepThatIsNotListedIsPending(t *testing.T) {
	t.Parallel()
	a := registry.Agent{Steps: steps(registry.StepDone, registry.StepFailed)}
	got := map[registry.StepName]registry.StepState{}
	for _, name := range registry.Steps {
		got[name] = a.StepState(name)
	}
	want := map[registry.StepName]registry.StepState{
		registry.StepClient: registry.StepDone, registry.StepGrant: registry.StepFailed, registry.StepEntity: registry.StepPending,
		registry.StepAlias: registry.StepPending, registry.StepPolicy: registry.StepPending,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("StepState() (-want +got):\n%s", diff)
	}
}
