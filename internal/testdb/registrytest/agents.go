package registrytest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/credenceproject/credence/internal/registry"
)

// held is how long a Writer may work on an agent; nobody else does.
const held = time.Hour

// Register records an agent whose providers are done and, when publish is set,
// lets policy see it; otherwise the agent waits for another pass.
func (w *Writer) Register(ctx context.Context, name, environment string, publish bool) (registry.Agent, error) {
	rules, err := w.rules(ctx, environment)
	if err != nil {
		return registry.Agent{}, err
	}
	a := registry.Agent{
		ID: uuid.Must(uuid.NewV7()).String(), Name: name, Team: rules.Team.Name, AgentType: rules.AgentType.Name, Environment: environment,
		Owner: Needle + "@example.com", Description: Needle, Config: []byte(`{"a": "` + Needle + `"}`),
		Scopes: []string{"skills:invoke"}, Labels: map[string]string{"tier": "gold"},
	}
	intent := uuid.Must(uuid.NewV7()).String()
	_, lease, err := w.store.CreateAgent(ctx, registry.NewAgent{Agent: a, IntentID: intent, Rules: rules, Lease: held}, by)
	if err != nil {
		return registry.Agent{}, err
	}
	w.ids = append(w.ids, a.ID)
	done := registry.Progress{
		Steps: registry.Steps[:len(registry.Steps)-1], State: registry.StepDone, IntentID: intent,
		ClientID: "client-" + a.ID, GrantID: Needle, EntityID: Needle, AliasID: Needle,
	}
	if lease, err = w.store.RecordProgress(ctx, lease, done, held); err != nil {
		return registry.Agent{}, err
	}
	if a, err = w.store.Agent(ctx, a.ID, true); err != nil {
		return a, err
	}
	return w.end(ctx, a, lease, publish)
}

// change changes one of the Writer's agents as its owners, or an admin, would;
// apply says how. Of some changes the pass fails.
func (w *Writer) change(ctx context.Context, draw Draw, action string, apply func(*registry.Agent) error) error {
	if len(w.ids) == 0 {
		return nil
	}
	u := registry.AgentUpdate{Action: action, Detail: Needle, By: by, Lease: held, Apply: apply}
	a, lease, err := w.store.UpdateAgent(ctx, pick(draw, w.ids...), u)
	if err != nil || lease == nil {
		return err
	}
	_, err = w.end(ctx, a, *lease, draw(4) > 0)
	return err
}

// end ends a pass over the agent, well or not.
func (w *Writer) end(ctx context.Context, a registry.Agent, lease registry.Lease, well bool) (registry.Agent, error) {
	if !well {
		return a, w.store.PostponePass(ctx, lease, Needle, time.Hour)
	}
	f := registry.Finish{Generation: a.Convergence.Generation, Steps: []registry.StepName{registry.StepPolicy}, StepState: registry.StepDone}
	switch {
	case a.Lifecycle == registry.Decommissioned:
		f.StepState = registry.StepUndone
	case a.Suspended:
		f.Published = a.Published
	default:
		facts := a.Facts()
		f.Published = &facts
	}
	return w.store.FinishPass(ctx, lease, f)
}

func (w *Writer) changeAgent(ctx context.Context, draw Draw) error {
	switch draw(5) {
	case 0:
		return w.change(ctx, draw, "agent.suspend", suspend)
	case 1:
		return w.change(ctx, draw, "agent.resume", resume)
	case 2, 3:
		scopes, labels := some(draw, "skills:invoke", "data:read"), labels(draw)
		expires := time.Now().Add(time.Duration(1+draw(1000)) * time.Minute)
		return w.change(ctx, draw, "agent.change", func(a *registry.Agent) error {
			a.Scopes, a.Labels, a.ExpiresAt, a.Description = scopes, labels, expires, Needle
			narrow(a, false)
			return nil
		})
	default:
		return w.change(ctx, draw, "agent.decommission", func(a *registry.Agent) error {
			a.Lifecycle, a.Published = registry.Decommissioned, nil
			return nil
		})
	}
}

func suspend(a *registry.Agent) error {
	if a.Suspended {
		return registry.ErrUnchanged
	}
	a.Suspended, a.SuspendReason, a.TokensValidAfter = true, Needle, time.Now()
	narrow(a, true)
	return nil
}

func resume(a *registry.Agent) error {
	if !a.Suspended {
		return registry.Conflict.Errorf("not_suspended", "the agent is not suspended")
	}
	a.Suspended, a.SuspendReason = false, ""
	a.Convergence.Renewal = registry.RenewAccess
	return nil
}

// narrow takes from what policy sees what the agent is no longer to have; what it
// is to have beside comes with the end of the pass.
func narrow(a *registry.Agent, suspended bool) {
	if a.Published == nil {
		return
	}
	seen := *a.Published
	seen.Suspended = seen.Suspended || suspended
	seen.Scopes = slices.DeleteFunc(slices.Clone(seen.Scopes), func(s string) bool { return !slices.Contains(a.Scopes, s) })
	seen.ValidAfter = a.TokensValidAfter
	a.Published = &seen
}

func (w *Writer) rules(ctx context.Context, environment string) (registry.Rules, error) {
	e, err := w.store.Environment(ctx, environment)
	if err != nil {
		return registry.Rules{}, err
	}
	agentType, err := w.store.AgentType(ctx, "assistant")
	if err != nil {
		return registry.Rules{}, err
	}
	team, err := w.store.Team(ctx, "support")
	if errors.Is(err, registry.NotFound) {
		team, err = registry.NewTeam("support"), nil
	}
	return registry.Rules{Team: team, AgentType: agentType, Environment: e}, err
}
