package httpapi

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/authn"
	"github.com/credenceproject/credence/internal/registry"
)

const (
	// defaultWait and minWait bound, with MaxWait, how long an answer is held for an
	// agent to become ready.
	defaultWait = 30 * time.Second
	minWait     = time.Second
	// MaxWait is how long a handler works before it answers, at most.
	MaxWait = time.Minute
	// maxWaiting is how many answers are held for one caller at a time: each looks at
	// the database a few times a second.
	maxWaiting = 16
)

// awaitReady returns the agent once it is ready, or as it is when the time is over
// or the process is about to stop.
func (s *Server) awaitReady(ctx context.Context, ref string, p api.GetAgentParams) (registry.Agent, error) {
	if *p.Wait != api.GetAgentParamsWaitReady {
		return registry.Agent{}, registry.Invalid.Errorf(codeParameter, "wait may be ready")
	}
	if p.Include != nil {
		return registry.Agent{}, registry.Invalid.Errorf(codeParameter, "wait and include exclude each other: what is decommissioned never gets ready")
	}
	limit, err := waitLimit(p.Timeout)
	if err != nil {
		return registry.Agent{}, err
	}
	caller := authn.PrincipalFrom(ctx).Subject
	if !s.waiting.enter(caller) {
		e := registry.TooManyRequests.Errorf("too_many_waits", "you wait for %d agents already; wait for fewer at a time", maxWaiting)
		e.RetryAfter = time.Second
		return registry.Agent{}, e
	}
	defer s.waiting.leave(caller)
	waitCtx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer context.AfterFunc(s.health.drained, cancel)()
	a, err := s.agents.WaitReady(waitCtx, ref)
	if err != nil && waitCtx.Err() != nil && !errors.Is(err, registry.NotFound) { // the time was over while the registry was asked
		return s.agents.Get(ctx, authn.PrincipalFrom(ctx), ref, false)
	}
	return a, err
}

// waitLimit reads the parameter timeout.
func waitLimit(asked *string) (time.Duration, error) {
	if asked == nil {
		return defaultWait, nil
	}
	d, err := time.ParseDuration(*asked)
	if err != nil || d < minWait || d > MaxWait {
		return 0, registry.Invalid.Errorf(codeParameter, "timeout must be a duration from %s to %s, such as 30s", minWait, MaxWait)
	}
	return d, nil
}

// waiters counts the answers that are held for each caller. It is safe for
// concurrent use; the zero value holds none.
type waiters struct {
	mu   sync.Mutex
	held map[string]int
}

// enter reports whether one more answer may be held for the caller; leave ends it.
func (w *waiters) enter(caller string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held[caller] >= maxWaiting {
		return false
	}
	if w.held == nil {
		w.held = map[string]int{}
	}
	w.held[caller]++
	return true
}

func (w *waiters) leave(caller string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held[caller]--; w.held[caller] == 0 {
		delete(w.held, caller)
	}
}
