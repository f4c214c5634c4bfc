package registry_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const week = 7 * 24 * time.Hour

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
			for _, c := range (registry.Agent{Steps: tc.steps}).Conditions(noon, week) {
				got = append(got, string(c.Type)+" "+string(c.Status)+" "+c.Reason)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("Conditions() (-want +got):\n%s", diff)
			}
			if got := (registry.Agent{Steps: tc.steps}).IsReady(); got != tc.ready {
				t.Errorf("IsReady() = %t, want %t", got, tc.ready)
			}
		})
	}
}

func TestAConditionTellsOfTheFirstStepThatIsNotDoneAndOfTheLastChange(t *testing.T) {
	t.Parallel()
	a := registry.Agent{Steps: steps(registry.StepDone, registry.StepFailed, registry.StepUndone, registry.StepPending, registry.StepPending)}
	got := a.Conditions(noon, week)
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
		t.Errorf("Conditions() (-want +got):\n%s", diff)
	}
}

func TestEveryStepBelongsToAConditionOfItsOwn(t *testing.T) {
	t.Parallel()
	for i, name := range registry.Steps {
		states := []registry.StepState{registry.StepDone, registry.StepDone, registry.StepDone, registry.StepDone, registry.StepDone}
		states[i] = registry.StepPending
		missing := 0
		for _, c := range (registry.Agent{Steps: steps(states...)}).Conditions(noon, week) {
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

// allDone are the steps of an agent that is wholly there.
func allDone() []registry.Step {
	done := registry.StepDone
	return steps(done, done, done, done, done)
}

func TestAnAgentIsReadyOnlyWhenNothingIsLeftToDo(t *testing.T) {
	t.Parallel()
	changed := noon.Add(time.Hour)
	for _, tc := range []struct {
		name  string
		agent registry.Agent
		want  registry.Condition
	}{
		{
			"nothing is left", registry.Agent{Steps: allDone(), UpdatedAt: changed},
			registry.Condition{Status: registry.True, Reason: "Done", Message: "Everything that this needs is in place.", LastTransitionTime: noon.Add(4 * time.Minute)},
		},
		{
			"suspended", registry.Agent{Steps: allDone(), UpdatedAt: changed, Suspended: true, SuspendReason: "leaked its secret"},
			registry.Condition{Status: registry.False, Reason: "Suspended", Message: "It is suspended: leaked its secret", LastTransitionTime: changed},
		},
		{
			"suspended, with steps taken back",
			registry.Agent{Steps: steps(registry.StepDone, registry.StepUndone), UpdatedAt: changed, Suspended: true, SuspendReason: "leaked its secret"},
			registry.Condition{Status: registry.False, Reason: "Suspended", Message: "It is suspended: leaked its secret", LastTransitionTime: changed},
		},
		{
			"a change is on its way", registry.Agent{Steps: allDone(), UpdatedAt: changed, Convergence: registry.Convergence{Generation: 3, Observed: 2}},
			registry.Condition{Status: registry.False, Reason: "Converging", Message: "The providers have not followed the last change yet.", LastTransitionTime: changed},
		},
		{
			"renewed", registry.Agent{Steps: allDone(), UpdatedAt: changed, Convergence: registry.Convergence{Renewal: registry.RenewEntity}},
			registry.Condition{Status: registry.False, Reason: "Renewing", Message: "What it has at the providers is being renewed.", LastTransitionTime: changed},
		},
		{
			"decommissioned a moment ago", registry.Agent{Steps: allDone(), UpdatedAt: changed, Lifecycle: registry.Decommissioned, Suspended: true},
			registry.Condition{Status: registry.False, Reason: "Decommissioned", Message: "It is decommissioned.", LastTransitionTime: changed},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.want.Type = registry.Ready
			if diff := cmp.Diff(tc.want, tc.agent.Conditions(noon, week)[3]); diff != "" {
				t.Errorf("Ready (-want +got):\n%s", diff)
			}
			if got := tc.agent.IsReady(); got != (tc.want.Status == registry.True) {
				t.Errorf("IsReady() = %t, the condition is %s", got, tc.want.Status)
			}
		})
	}
}

func TestAnExpiryIsWarnedOfWithinTheWindow(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	warning := func(reason, message string, since time.Time) *registry.Condition {
		return &registry.Condition{Type: registry.ExpiringSoon, Status: registry.True, Reason: reason, Message: message, LastTransitionTime: since}
	}
	for _, tc := range []struct {
		name  string
		agent registry.Agent
		want  *registry.Condition
	}{
		{"never", registry.Agent{}, nil},
		{"in more than a week", registry.Agent{ExpiresAt: noon.Add(7*day + time.Second)}, nil},
		{"in a week", registry.Agent{ExpiresAt: noon.Add(7 * day)}, warning("AgentExpires", "The agent expires at 2026-03-08T12:00:00Z.", noon)},
		{"since yesterday", registry.Agent{ExpiresAt: noon.Add(-day)}, warning("AgentExpires", "The agent expires at 2026-02-28T12:00:00Z.", noon.Add(-8*day))},
		{
			"the credentials first", registry.Agent{ExpiresAt: noon.Add(2 * day), CredentialsExpireAt: noon.Add(day)},
			warning("CredentialsExpire", "Its credentials expire at 2026-03-02T12:00:00Z.", noon.Add(-6*day)),
		},
		{
			"the agent first", registry.Agent{ExpiresAt: noon.Add(day), CredentialsExpireAt: noon.Add(2 * day)},
			warning("AgentExpires", "The agent expires at 2026-03-02T12:00:00Z.", noon.Add(-6*day)),
		},
		{"decommissioned", registry.Agent{ExpiresAt: noon, Lifecycle: registry.Decommissioned}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.agent.Steps = allDone()
			var got *registry.Condition
			if all := tc.agent.Conditions(noon, week); len(all) > 4 {
				got = &all[4]
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("ExpiringSoon (-want +got):\n%s", diff)
			}
			if !tc.agent.IsReady() && tc.agent.Lifecycle != registry.Decommissioned {
				t.Error("an expiry that is near makes an agent unready")
			}
		})
	}
}
