package agents

import (
	"context"
	"errors"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// retryAfter is when a caller may repeat what a provider failed, unless the
// provider says otherwise.
const retryAfter = 5 * time.Second

// touched is what a registration may have made at the providers.
type touched struct{ client, entity bool }

// everything is what must be assumed of a registration that somebody else ran.
var everything = touched{client: true, entity: true}

// provision runs the steps in order; the agent is wholly there when it returns
// no error. The client's secret is held in this call alone. It notes in t what it
// may have made.
func (s *Service) provision(ctx context.Context, a registry.Agent, intentID string, actor registry.Actor, t *touched) (Registered, error) {
	var creds registry.Credentials
	err := s.step(ctx, a, registry.StepClient, func() (p registry.Progress, err error) {
		creds, err = s.identity.CreateClient(ctx, a, intentID)
		t.client = !errors.Is(err, registry.Refused) && !errors.Is(err, registry.ErrNotDone) // any other answer may have created it
		return registry.Progress{ClientID: creds.ClientID}, err
	})
	if err != nil {
		return Registered{}, err
	}
	err = s.step(ctx, a, registry.StepGrant, func() (p registry.Progress, err error) {
		p.GrantID, err = s.identity.EnsureGrant(ctx, creds.ClientID, a.Scopes)
		return p, err
	})
	if err != nil {
		return Registered{}, err
	}
	var entityID string
	err = s.step(ctx, a, registry.StepEntity, func() (p registry.Progress, err error) {
		t.entity = true
		entityID, err = s.secrets.EnsureEntity(ctx, a)
		return registry.Progress{EntityID: entityID}, err
	})
	if err != nil {
		return Registered{}, err
	}
	err = s.step(ctx, a, registry.StepAlias, func() (p registry.Progress, err error) {
		p.AliasID, err = s.secrets.EnsureAlias(ctx, entityID, registry.SubjectOf(creds.ClientID))
		return p, err
	})
	if err != nil {
		return Registered{}, err
	}
	began := time.Now()
	published, err := s.store.PublishAgent(ctx, a.ID, actor)
	s.observe(registry.StepPolicy, began, err)
	if err != nil {
		return Registered{}, err
	}
	return Registered{Agent: published, Credentials: creds}, nil
}

// step runs one step and records how it went. What a provider says of its own
// state is not the caller's conflict: to the caller it is a refusal.
func (s *Service) step(ctx context.Context, a registry.Agent, name registry.StepName, ensure func() (registry.Progress, error)) error {
	began := time.Now()
	p, err := ensure()
	s.observe(name, began, err)
	if e, ok := registry.AsError(err); ok && e.Kind == registry.Conflict {
		err = registry.Refused.Wrap(e.Err, e.Code, e.Message)
	}
	// The deadline that ends the step must not lose the note of it.
	noteCtx, cancel := detached(ctx, s.options.Teardown)
	defer cancel()
	p.Steps, p.State = []registry.StepName{name}, registry.StepDone
	if err != nil {
		p.State, p.Error = registry.StepFailed, publicText(err)
	}
	return errors.Join(err, s.store.RecordProgress(noteCtx, a.ID, p))
}

func (s *Service) observe(step registry.StepName, began time.Time, err error) {
	if s.observer != nil {
		s.observer.ObserveStep(step, time.Since(began), err)
	}
}
