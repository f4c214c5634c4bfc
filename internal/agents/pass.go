package agents

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/credenceproject/credence/internal/crash"
	"github.com/credenceproject/credence/internal/registry"
)

const (
	// leaseReserve is what a call to a provider leaves of the lease, for the
	// answer to be written down.
	leaseReserve = time.Second
	// noteTimeout is how long writing down what a step came to may take.
	noteTimeout = 5 * time.Second
)

// pass is one attempt to bring an agent to its desired state, under its lease. It
// works by the agent as it was read when the pass began; that more changed since
// is found out at the end (invariant F5).
type pass struct {
	s     *Service
	agent registry.Agent
	lease registry.Lease

	intentID string                // of the client, noted with the registration; "" when none is fresh
	issued   *registry.Credentials // made in this pass; the only copy
	rotate   bool                  // the client gets a new secret before the pass ends
	key      *registry.IdempotencyKey
}

// Reconcile makes one pass over an agent that the caller has claimed, within ctx.
// It returns an error when the agent is not as desired after it; the next pass is
// due then.
func (s *Service) Reconcile(ctx context.Context, c registry.Claim) error {
	p := &pass{s: s, agent: c.Agent, lease: c.Lease}
	return p.run(ctx)
}

// run makes the pass, and ends the lease. When it returns no error the providers
// agree with the registry on the agent, and p.agent is what was published.
func (p *pass) run(ctx context.Context) error {
	finish, err := p.work(ctx)
	if err == nil {
		crash.At("finish")
		noteCtx, cancel := detached(ctx, noteTimeout)
		defer cancel()
		began := time.Now()
		var published registry.Agent
		if published, err = p.s.store.FinishPass(noteCtx, p.lease, finish); err == nil {
			p.agent = published
			if !published.Convergence.Converged() {
				err = errOvertaken
			}
		}
		p.s.observe(registry.StepPolicy, began, err)
	}
	if err != nil && !errors.Is(err, errOvertaken) {
		p.postpone(ctx, err)
	}
	if err != nil {
		p.issued = nil // who could not finish hands out nothing
	}
	return err
}

// errOvertaken says that the desired state changed while a pass worked on it: the
// next pass is due at once.
var errOvertaken = registry.Conflict.Errorf("overtaken", "the agent was changed meanwhile")

// work brings the providers to the desired state and says how the pass ends.
func (p *pass) work(ctx context.Context) (registry.Finish, error) {
	switch a := p.agent; {
	case a.Lifecycle == registry.Decommissioned:
		return p.retire(ctx)
	case a.Convergence.Renewal == registry.RenewIdentity:
		if err := p.withdraw(ctx); err != nil {
			return registry.Finish{}, err
		}
	}
	if p.agent.Suspended {
		return p.suspend(ctx)
	}
	return p.provide(ctx)
}

// postpone writes down how the pass failed and when the next is due.
func (p *pass) postpone(ctx context.Context, cause error) {
	if errors.Is(cause, registry.ErrLeaseLost) {
		return // somebody else has it in hand
	}
	noteCtx, cancel := detached(ctx, noteTimeout)
	defer cancel()
	after := p.s.retryIn(p.agent.Convergence.Attempts, cause)
	err := p.s.store.PostponePass(noteCtx, p.lease, publicText(cause), after)
	switch {
	case errors.Is(err, registry.ErrLeaseLost):
	case err != nil: // the lease runs out, and the agent is due then
		p.s.log.ErrorContext(ctx, "a pass failed and could not be postponed", "agent_id", p.agent.ID, "error", errors.Join(cause, err))
	default:
		p.s.log.WarnContext(ctx, "a pass failed", "agent_id", p.agent.ID, "attempt", p.agent.Convergence.Attempts+1, "next_in", after, "error", cause)
	}
}

// retryIn is how long to wait before the next pass, after attempts that failed
// and one more that failed with cause: twice as long each time, with jitter so
// that agents which failed together do not come back together.
func (s *Service) retryIn(attempts int64, cause error) time.Duration {
	pause := s.options.RetryMax
	if !errors.Is(cause, registry.Refused) && attempts < 20 {
		pause = min(s.options.RetryBase<<attempts, pause)
	}
	pause = pause/2 + rand.N(pause/2+1) //nolint:gosec // jitter
	if e, ok := registry.AsError(cause); ok && e.RetryAfter > pause {
		pause = e.RetryAfter
	}
	return pause
}

// call makes one call to a provider within the lease (invariant C2): its
// context ends before the lease does, so that no successor finds it under way.
func (p *pass) call(ctx context.Context, f func(context.Context) error) error {
	left := time.Until(p.lease.Expires) - min(leaseReserve, p.s.options.Lease/4)
	if left <= 0 {
		return registry.ErrLeaseLost
	}
	callCtx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	return f(callCtx)
}

// step makes one step and writes down how it went.
func (p *pass) step(ctx context.Context, name registry.StepName, ensure func(context.Context) (registry.Progress, error)) error {
	crash.At(string(name))
	began := time.Now()
	var progress registry.Progress
	err := p.call(ctx, func(ctx context.Context) (err error) {
		progress, err = ensure(ctx)
		return err
	})
	p.s.observe(name, began, err)
	if errors.Is(err, registry.ErrLeaseLost) {
		return err
	}
	err = refusal(err)
	progress.Steps, progress.State = []registry.StepName{name}, registry.StepDone
	if err != nil {
		progress.State, progress.Error = registry.StepFailed, publicText(err)
	}
	crash.At(string(name) + "-done")
	return errors.Join(err, p.record(ctx, progress))
}

// refusal makes of what a provider says of its own state a refusal: it is no
// conflict of the caller's, and nothing that the caller has named is not found.
func refusal(err error) error {
	if e, ok := registry.AsError(err); ok && (e.Kind == registry.Conflict || e.Kind == registry.NotFound) {
		return registry.Refused.Wrap(e.Err, e.Code, e.Message)
	}
	return err
}

// record writes progress down, and with it makes the lease last. The deadline
// that ended a step must not lose the note of it.
func (p *pass) record(ctx context.Context, progress registry.Progress) error {
	noteCtx, cancel := detached(ctx, noteTimeout)
	defer cancel()
	lease, err := p.s.store.RecordProgress(noteCtx, p.lease, progress, p.s.options.Lease)
	if err != nil {
		return err
	}
	p.lease = lease
	return nil
}

func (s *Service) observe(step registry.StepName, began time.Time, err error) {
	if s.observer != nil {
		s.observer.ObserveStep(step, time.Since(began), err)
	}
}

// publicText is what may be said of err outside the log.
func publicText(err error) string {
	if e, ok := registry.AsError(err); ok {
		return e.Message
	}
	return "an internal error"
}
