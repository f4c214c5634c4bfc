package agents

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/credenceproject/credence/internal/registry"
)

// Registration is what a caller asks for: a document that its schemas have
// accepted.
type Registration struct {
	// TypeRevision is that of the agent type whose schema accepted Config.
	TypeRevision int64

	Name, Team, AgentType, Environment, Owner, Description string

	Scopes       *[]string // nil: the type's default
	Capabilities []registry.Capability
	Labels       map[string]string
	Config       json.RawMessage
	Quota        registry.Quota
}

// Registered is a working agent with what it was given.
type Registered struct {
	Agent       registry.Agent
	Credentials registry.Credentials // the only copy
}

// Register records the agent that r describes and provisions it at every
// provider. When it returns no error they all agree on the agent.
//
// It returns Forbidden when the caller may not act for the team or the agent
// type, the environment or the team does not allow what r asks for; Invalid when
// r names a type or an environment that does not exist; Conflict when the name
// is taken, or with code rules_changed when the agent type is no longer the one
// that accepted r (validate it again); Refused when a provider said no; and
// Unavailable when a provider or the registry did not answer. What was made is
// taken back in the last two cases, and the name is free again; where that is
// not certain, Unavailable has the code registration_incomplete and says how to
// finish it.
func (s *Service) Register(ctx context.Context, by registry.Principal, r Registration) (Registered, error) {
	if !by.ActsFor(r.Team) {
		return Registered{}, registry.Forbidden.Errorf("team_not_allowed", "you are not a member of team %q", r.Team).
			With(registry.FieldError{Pointer: "/team", Code: "team_not_allowed", Detail: "is not one of your teams"})
	}
	actor := by.Actor(ctx)
	intent, err := uuid.NewV7()
	if err != nil {
		return Registered{}, fmt.Errorf("make an intent id: %w", err)
	}
	a, err := s.record(ctx, r, intent.String(), actor)
	if err != nil {
		return Registered{}, err
	}
	workCtx, cancel := detached(ctx, s.options.Provisioning)
	defer cancel()
	var made touched
	done, err := s.provision(workCtx, a, intent.String(), actor, &made)
	if err != nil {
		return Registered{}, s.takeBack(ctx, a, made, err, actor)
	}
	return done, nil
}

// maxRuleChanges is how often an admin may change the rules under a
// registration before it gives up.
const maxRuleChanges = 5

// record judges r by the rules and records the agent, on condition that the
// rules still hold when the row is written.
func (s *Service) record(ctx context.Context, r Registration, intentID string, actor registry.Actor) (registry.Agent, error) {
	for attempt := 1; ; attempt++ {
		rules, err := s.rules(ctx, r)
		if err != nil {
			return registry.Agent{}, err
		}
		a, err := admit(r, rules)
		if err != nil {
			return registry.Agent{}, err
		}
		id, err := uuid.NewV7()
		if err != nil {
			return registry.Agent{}, fmt.Errorf("make an agent id: %w", err)
		}
		a.ID = id.String()
		// A caller who hangs up while the row is written must not leave one that
		// nobody carries on.
		writeCtx, cancel := detached(ctx, s.options.Teardown)
		recorded, err := s.store.CreateAgent(writeCtx, registry.NewAgent{Agent: a, IntentID: intentID, Rules: rules}, actor)
		cancel()
		switch e, ok := registry.AsError(err); {
		case err == nil:
			return recorded, nil
		case ok && e.Code == "rules_changed" && attempt < maxRuleChanges:
			continue
		case wasNotRecorded(err):
			return registry.Agent{}, err
		default:
			return registry.Agent{}, s.takeBack(ctx, a, touched{}, err, actor)
		}
	}
}

// wasNotRecorded reports whether err is the registry's own refusal. After any
// other error the row may be there: a connection can break when the commit is
// done and its answer is not here.
func wasNotRecorded(err error) bool {
	return errors.Is(err, registry.Conflict) || errors.Is(err, registry.Forbidden) || errors.Is(err, registry.Invalid)
}

// takeBack undoes a registration that failed with cause, and returns what the
// caller is to be told. Authority leaves first: the row, then the providers.
func (s *Service) takeBack(ctx context.Context, a registry.Agent, made touched, cause error, actor registry.Actor) error {
	const action = "agent.register"
	ctx, cancel := detached(ctx, s.options.Teardown)
	defer cancel()

	gone, did, err := s.store.DecommissionAgent(ctx, a.ID, registry.Precondition{}, "agent.take_back", actor)
	if errors.Is(err, registry.NotFound) {
		return cause // it was never recorded
	}
	if err != nil {
		s.log.ErrorContext(ctx, "registration failed and could not be taken back", "agent_id", a.ID, "error", errors.Join(cause, err))
		return leftBehind(cause, err, a.ID)
	}
	if !did { // a DELETE was faster; what a provider then said is its consequence
		cause = registry.Conflict.Wrap(cause, "deleted_meanwhile", "the agent was deleted while it was being registered")
	}
	progress, err := s.teardown(ctx, gone, made, s.secrets.DeleteEntity)
	detail := "taken back: " + publicText(cause)
	if err != nil {
		detail = "not wholly taken back: " + publicText(cause)
	}
	noteCtx, cancelNote := detached(ctx, s.options.Teardown) // a provider that hangs must not use up the note's time
	defer cancelNote()
	if recordErr := s.store.RecordTeardown(noteCtx, gone, progress, action, registry.Failure, detail, actor); recordErr != nil {
		err = errors.Join(err, recordErr)
	}
	if err != nil {
		s.log.ErrorContext(ctx, "registration failed and was not wholly taken back", "agent_id", a.ID, "error", errors.Join(cause, err))
		return leftBehind(cause, err, a.ID)
	}
	return cause
}

// leftBehind adds to the failure of a registration, of which left could not be
// taken back, how to remove what there may be of it.
func leftBehind(cause, left error, agentID string) error {
	e := registry.Unavailable.Wrap(cause, "registration_incomplete", fmt.Sprintf(
		"the registration failed and what it made could not be wholly taken back; it has no authority, and DELETE /agents/%s removes the rest", agentID))
	e.RetryAfter = retryHint(left)
	return e
}

// retryHint is when to repeat what failed with err.
func retryHint(err error) time.Duration {
	if e, ok := registry.AsError(err); ok && e.RetryAfter > 0 {
		return e.RetryAfter
	}
	return retryAfter
}

// publicText is what may be said of err outside the log.
func publicText(err error) string {
	if e, ok := registry.AsError(err); ok {
		return e.Message
	}
	return "an internal error"
}
