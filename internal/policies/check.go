package policies

import (
	"context"
	"errors"
	"fmt"

	"github.com/credenceproject/credence/internal/policies/gate"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// Verdict is what was found out of a policy that may be kept.
type Verdict struct {
	DeniesEveryone bool // a write needs Write.DeniesEveryone
	Tests          []gate.TestResult
}

// layoutOfLayers is the first layout of data in which policy reads layers.
const layoutOfLayers = 3

// view is the registry in memory, when policy enforces what is written now.
func (s *Service) view() (*snapshot.View, error) {
	v := s.snapshot.View()
	if v == nil {
		return nil, snapshot.NotLoaded()
	}
	if v.Policy().Layout < layoutOfLayers {
		return nil, registry.Unavailable.Errorf("policy_unknown", "the platform policy that is active knows no tiers, so nobody would enforce this: run credence migrate")
	}
	return v, nil
}

// check finds out what a write of p would bring about. It returns Invalid with
// every fault of its Rego and of its tests.
func (s *Service) check(ctx context.Context, v *snapshot.View, p registry.Policy, about subject) (Verdict, []registry.FieldError, error) {
	verdict, err := s.pass(ctx, v, p, about)
	if err != nil {
		return Verdict{}, nil, err
	}
	if len(verdict.Faults) > 0 {
		return Verdict{}, nil, registry.Invalid.
			Errorf("invalid_policy", "the policy's Rego cannot go into bundles: see errors for each place and what to write there").
			With(faultsOf(verdict.Faults)...)
	}
	who := about.reach(p.LayerKey, v)
	var everyone []registry.FieldError
	add := func(pointer, detail string) {
		everyone = append(everyone, registry.FieldError{Pointer: pointer, Code: deniesEveryoneCode, Detail: detail})
	}
	switch {
	case deniesEveryone(registry.Policy{Ceiling: p.Ceiling}, who):
		add("/ceiling", "lets no call through that needs a permission")
	case deniesEveryone(p, who):
		add("/rules", "leave no call undenied, of whatever resource and whenever it comes")
	}
	if verdict.DeniesEveryone {
		add("/rego", "left none of many sample requests undenied")
	}
	return Verdict{DeniesEveryone: len(everyone) > 0, Tests: verdict.Tests}, everyone, nil
}

// deniesEveryoneCode is that of a policy that leaves no call undenied.
const deniesEveryoneCode = "denies_everyone"

// meant returns Invalid for a policy that denies everyone, unless the caller says
// that this is what they want.
func meant(everyone []registry.FieldError, confirmed bool) error {
	if len(everyone) == 0 || confirmed {
		return nil
	}
	return registry.Invalid.Errorf(deniesEveryoneCode, "nobody whom the policy is about could call anything; if that is meant, repeat the call with confirm=%s", deniesEveryoneCode).
		With(everyone...)
}

// pass has the policy's Rego pass the gate, beside all that is in force.
func (s *Service) pass(ctx context.Context, v *snapshot.View, p registry.Policy, about subject) (gate.Verdict, error) {
	if p.Rego == "" && p.Tests == "" {
		return gate.Verdict{}, nil
	}
	scope := registry.AllScopes
	if p.Tier == registry.TierAgent {
		scope = about.agent.Environment
	}
	others := map[string]string{}
	for _, m := range s.modules.InForce(v, scope).Modules {
		if m.Key != p.LayerKey {
			others[m.Path] = m.Source
		}
	}
	verdict, err := s.gate.Check(ctx, gate.Request{Layer: p.LayerKey, Rego: p.Rego, Tests: p.Tests, Platform: v.Policy().Modules, Others: others})
	if errors.Is(err, context.DeadlineExceeded) {
		return verdict, registry.Unavailable.Wrap(err, "gate_busy", "checking the policy's Rego took longer than a request may; repeat the call later")
	}
	return verdict, err
}

func faultsOf(all []gate.Fault) []registry.FieldError {
	fields := make([]registry.FieldError, len(all))
	for i, f := range all {
		pointer := "/rego"
		if f.File == gate.FileTests {
			pointer = "/tests"
		}
		fields[i] = registry.FieldError{Pointer: pointer, Code: f.Rule, Detail: placed(f)}
	}
	return fields
}

// placed is the fault's message with its place in the text.
func placed(f gate.Fault) string {
	switch {
	case f.Line == 0:
		return f.Message
	case f.Column == 0:
		return fmt.Sprintf("line %d: %s", f.Line, f.Message)
	default:
		return fmt.Sprintf("line %d, column %d: %s", f.Line, f.Column, f.Message)
	}
}

// reach is which calls the policy of that name judges.
func (about subject) reach(key registry.LayerKey, v *snapshot.View) reach {
	switch key.Tier {
	case registry.TierAgent:
		return reach{environments: []string{about.agent.Environment}, agentType: about.agent.AgentType}
	case registry.TierAgentType:
		return reach{environments: v.EnvironmentNames(), agentType: key.ID}
	default:
		return reach{environments: v.EnvironmentNames()}
	}
}
