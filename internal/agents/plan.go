package agents

import (
	"slices"

	"github.com/credenceproject/credence/internal/registry"
)

// PlannedCall is one thing that a change would do at a provider.
type PlannedCall struct {
	Provider string // auth0, vault or registry
	Action   string // such as create, update, enable, delete, disable
	Object   string // such as client, grant, entity, alias, policy
}

// Plan says what bringing an agent from one desired state to another would do at
// each provider, in order. before is the zero Agent for a registration.
func Plan(before, after registry.Agent) []PlannedCall {
	renewal := after.Convergence.Renewal
	switch {
	case before.ID != "" && after.Convergence.Generation == before.Convergence.Generation:
		return nil // there is nothing to change
	case after.Lifecycle == registry.Decommissioned:
		return []PlannedCall{
			{"registry", "remove", "policy"}, {"vault", "disable", "entity"}, {"auth0", "delete", "client"}, {"vault", "delete", "entity"},
		}
	case after.Suspended && renewal == registry.RenewIdentity: // the new one is made when it is resumed
		return withdrawal()
	case after.Suspended && before.Suspended:
		return nil // the providers hear of the rest when it is resumed
	case after.Suspended:
		return []PlannedCall{{"registry", "deny", "policy"}, {"vault", "disable", "entity"}, {"auth0", "delete", "grant"}}
	}
	var plan []PlannedCall
	switch renewal {
	case registry.RenewIdentity:
		plan = withdrawal()
	case registry.RenewEntity:
		plan = append(plan, PlannedCall{"vault", "delete", "entity"})
	}
	for _, step := range after.Steps {
		if call, ok := plannedSteps[step.Name]; ok && step.State != registry.StepDone {
			plan = append(plan, PlannedCall{call.Provider, plannedAction(before, after, step.Name), call.Object})
		}
	}
	if before.ID != "" && after.CredentialGeneration > before.CredentialGeneration && after.Authentication != registry.PrivateKeyJWT {
		plan = append(plan, PlannedCall{"auth0", "rotate", "secret"})
	}
	return append(plan, PlannedCall{"registry", "publish", "policy"})
}

// withdrawal is what a renewed identity begins with.
func withdrawal() []PlannedCall {
	return []PlannedCall{
		{"registry", "deny", "policy"}, {"vault", "disable", "entity"}, {"auth0", "delete", "client"}, {"vault", "delete", "entity"},
	}
}

var plannedSteps = map[registry.StepName]PlannedCall{
	registry.StepClient: {Provider: "auth0", Object: "client"},
	registry.StepGrant:  {Provider: "auth0", Object: "grant"},
	registry.StepEntity: {Provider: "vault", Object: "entity"},
	registry.StepAlias:  {Provider: "vault", Object: "alias"},
}

// plannedAction is what becomes of a step's object.
func plannedAction(before, after registry.Agent, step registry.StepName) string {
	renewal := after.Convergence.Renewal
	inEntity := []registry.StepName{registry.StepEntity, registry.StepAlias}
	switch {
	case after.ClientID == "" || renewal == registry.RenewIdentity:
		return "create"
	case step == registry.StepClient: // of an adopted one, too
		return "update"
	case before.ID == "",
		step == registry.StepGrant && before.StepState(step) == registry.StepUndone,
		renewal == registry.RenewEntity && slices.Contains(inEntity, step):
		return "create"
	case renewal == registry.RenewAccess && step == registry.StepEntity:
		return "enable"
	default:
		return "update"
	}
}
