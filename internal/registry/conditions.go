package registry

import "time"

// ExpiringSoon warns of an expiry; it is true of working agents too.
const ExpiringSoon ConditionType = "ExpiringSoon"

// conditionSteps says which steps make each condition true.
var conditionSteps = []struct {
	condition ConditionType
	steps     []StepName
}{
	{IdentityReady, []StepName{StepClient, StepGrant}},
	{SecretsReady, []StepName{StepEntity, StepAlias}},
	{PolicyPublished, []StepName{StepPolicy}},
	{Ready, Steps},
}

// Conditions derives the agent's conditions from its state, so that the two never
// disagree. A step that is not listed counts as pending. ExpiringSoon is among them
// only when it is true: when the agent or its credentials expire within window of
// now, or have expired.
func (a Agent) Conditions(now time.Time, window time.Duration) []Condition {
	conditions := make([]Condition, 0, len(conditionSteps)+1)
	for _, cs := range conditionSteps {
		c := conditionOf(cs.condition, a.Steps, cs.steps)
		if cs.condition == Ready {
			c = a.ready(c)
		}
		conditions = append(conditions, c)
	}
	if c, soon := a.expiringSoon(now, window); soon {
		conditions = append(conditions, c)
	}
	return conditions
}

// conditionOf is the condition that needs the named steps.
func conditionOf(condition ConditionType, all []Step, needed []StepName) Condition {
	c := Condition{Type: condition, Status: True, Reason: "Done", Message: "Everything that this needs is in place."}
	for _, name := range needed {
		step := stepNamed(all, name)
		if step.At.After(c.LastTransitionTime) {
			c.LastTransitionTime = step.At
		}
		if step.State == StepDone || c.Status == False {
			continue // the first step that is not done tells the most
		}
		c.Status = False
		c.Reason, c.Message = explain(step)
	}
	return c
}

func explain(s Step) (reason, message string) {
	switch s.State {
	case StepFailed:
		return "StepFailed", "Step " + string(s.Name) + " failed: " + s.LastError
	case StepUndone:
		return "TakenBack", "Step " + string(s.Name) + " was taken back."
	default:
		return "StepPending", "Step " + string(s.Name) + " is not done yet."
	}
}

// ready says of the condition that all steps make what else keeps the agent from
// working. That it was suspended tells more than the steps that follow from it.
func (a Agent) ready(byStep Condition) Condition {
	not := func(reason, message string) Condition {
		return Condition{Type: Ready, Status: False, Reason: reason, Message: message, LastTransitionTime: later(byStep.LastTransitionTime, a.UpdatedAt)}
	}
	switch {
	case a.Lifecycle == Decommissioned && byStep.Status == True:
		return not("Decommissioned", "It is decommissioned.")
	case a.Lifecycle != Decommissioned && a.Suspended:
		return not("Suspended", "It is suspended: "+a.SuspendReason)
	case byStep.Status != True:
		return byStep
	case a.Convergence.Renewal != RenewNothing:
		return not("Renewing", "What it has at the providers is being renewed.")
	case !a.Convergence.Converged():
		return not("Converging", "The providers have not followed the last change yet.")
	default:
		return byStep
	}
}

// expiringSoon is the warning before the first of the agent's expiries.
func (a Agent) expiringSoon(now time.Time, window time.Duration) (c Condition, soon bool) {
	at, reason, what := a.ExpiresAt, "AgentExpires", "The agent expires"
	if at.IsZero() || (!a.CredentialsExpireAt.IsZero() && a.CredentialsExpireAt.Before(at)) {
		at, reason, what = a.CredentialsExpireAt, "CredentialsExpire", "Its credentials expire"
	}
	if at.IsZero() || a.Lifecycle == Decommissioned || now.Before(at.Add(-window)) {
		return Condition{}, false
	}
	return Condition{
		Type: ExpiringSoon, Status: True, Reason: reason, Message: what + " at " + at.UTC().Format(time.RFC3339) + ".",
		LastTransitionTime: at.Add(-window),
	}, true
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// IsReady reports whether the agent works: every step is done, the providers have
// followed every change, and it is neither suspended nor being renewed.
func (a Agent) IsReady() bool {
	return a.ready(conditionOf(Ready, a.Steps, Steps)).Status == True
}

// StepState returns the state of the named step.
func (a Agent) StepState(name StepName) StepState { return stepNamed(a.Steps, name).State }

func stepNamed(steps []Step, name StepName) Step {
	for _, s := range steps {
		if s.Name == name {
			return s
		}
	}
	return Step{Name: name, State: StepPending}
}
