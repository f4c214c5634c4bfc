package registry

import "time"

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

// ConditionsOf derives the conditions from the steps, so that the two never
// disagree. A step that is not listed counts as pending.
func ConditionsOf(steps []Step) []Condition {
	byName := make(map[StepName]Step, len(steps))
	for _, s := range steps {
		byName[s.Name] = s
	}
	conditions := make([]Condition, 0, len(conditionSteps))
	for _, cs := range conditionSteps {
		c := Condition{Type: cs.condition, Status: True, Reason: "Done", Message: "Everything that this needs is in place."}
		var changed time.Time
		for _, name := range cs.steps {
			step := byName[name]
			if step.At.After(changed) {
				changed = step.At
			}
			if step.State == StepDone || c.Status == False {
				continue // the first step that is not done tells the most
			}
			c.Status = False
			c.Reason, c.Message = explain(name, step)
		}
		c.LastTransitionTime = changed
		conditions = append(conditions, c)
	}
	return conditions
}

func explain(name StepName, s Step) (reason, message string) {
	switch s.State {
	case StepFailed:
		return "StepFailed", "Step " + string(name) + " failed: " + s.LastError
	case StepUndone:
		return "TakenBack", "Step " + string(name) + " was taken back."
	default:
		return "StepPending", "Step " + string(name) + " is not done yet."
	}
}

// IsReady reports whether every step is done.
func (a Agent) IsReady() bool {
	for _, c := range ConditionsOf(a.Steps) {
		if c.Status != True {
			return false
		}
	}
	return true
}

// StepState returns the state of the named step.
func (a Agent) StepState(name StepName) StepState {
	for _, s := range a.Steps {
		if s.Name == name {
			return s.State
		}
	}
	return StepPending
}
