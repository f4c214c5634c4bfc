// Package reconcile works on agents that are not as desired at the providers. A
// Loop, one in each replica, claims those that are due, whoever left them so: a
// request that ended before its pass did, a pass that failed, a process that was
// killed. It calls the service for each and knows nothing of what that does.
//
// There is no queue beside the rows: what is to be done follows from the agent
// as it is when somebody gets to it. A claim comes with a lease, so no two work
// on one agent, and one whose holder died is due again when its lease has run out.
package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// Claimer hands out agents that are due, with their leases. *postgres.Store
// implements it.
type Claimer interface {
	// ClaimAgents takes the leases of up to limit agents, the longest due first.
	ClaimAgents(ctx context.Context, lease time.Duration, limit int) ([]registry.Claim, error)
}

// Reconciler makes one pass over a claimed agent. *agents.Service implements it.
// It writes down itself how the pass went, and when the next is due; the loop
// only counts what it returns. It returns when ctx ends, which is before the lease
// does.
type Reconciler interface {
	Reconcile(ctx context.Context, c registry.Claim) error
}

// Observer hears how the work goes. It must be safe for concurrent use.
type Observer interface {
	// Claimed says that n agents were claimed, the longest due of them since
	// due, and whether there may be more. With none, due is zero.
	Claimed(n int, due time.Time, more bool)
	// Began says that a pass begins.
	Began()
	// Ended says how a pass went: one of the outcomes.
	Ended(outcome string, took time.Duration)
}

// How a pass went.
const (
	Converged = "converged" // the agent is as desired
	Failed    = "failed"    // it is not; the next pass is due later
	Overtaken = "overtaken" // it was changed meanwhile; the next pass is due at once
	LeaseLost = "lease_lost"
	Panicked  = "panicked"
)

// Options of a Loop. What is zero has its default.
type Options struct {
	Claimer    Claimer
	Reconciler Reconciler
	Observer   Observer // may be nil
	Log        *slog.Logger

	// Lease is what a claim asks for.
	Lease time.Duration // default 15 s
	// Interval is how often is looked for agents that are due, give or take a
	// tenth. While none is, each look is one query, and nothing else.
	Interval time.Duration // default 1 s
	// Workers is how many agents are worked on at once.
	Workers int // default 8
	// Grace is how long passes that are under way may take to end once the loop is
	// told to stop; then they are cut short. What they leave is due again.
	Grace time.Duration // default 10 s
}

func (o Options) withDefaults() Options {
	o.Lease = cmp.Or(o.Lease, 15*time.Second)
	o.Interval = cmp.Or(o.Interval, time.Second)
	o.Workers = cmp.Or(o.Workers, 8)
	o.Grace = cmp.Or(o.Grace, 10*time.Second)
	if o.Observer == nil {
		o.Observer = nobody{}
	}
	return o
}

const (
	// claimTimeout bounds one look at a database that may have gone silent.
	claimTimeout = 5 * time.Second
	// maxPause is the longest pause between two looks while the database is away.
	maxPause = 15 * time.Second
	// leaseReserve is what a pass leaves of its lease, so that nothing it has
	// begun is under way when the lease ends.
	leaseReserve = time.Second
)

// Loop claims agents and has them worked on. It is safe for concurrent use.
type Loop struct {
	o    Options
	wake chan struct{} // somebody knows of an agent that is due
}

// NewLoop returns a Loop that does nothing until Run.
func NewLoop(o Options) *Loop {
	return &Loop{o: o.withDefaults(), wake: make(chan struct{}, 1)}
}

// Wake has the loop look for agents that are due without delay.
func (l *Loop) Wake() {
	select {
	case l.wake <- struct{}{}:
	default: // it is about to look
	}
}

// Run works until ctx ends. Then it claims nothing more, and returns when the
// passes that are under way have ended, within the grace. It always returns nil:
// whatever fails is tried again.
func (l *Loop) Run(ctx context.Context) error {
	passes, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	p := newPool(l.o.Workers)
	failures := 0
	for ctx.Err() == nil {
		free := p.waitFree(ctx)
		if free == 0 {
			break
		}
		claims, err := l.claim(ctx, free, &failures)
		for _, c := range claims {
			p.start(func() { l.pass(passes, c) })
		}
		if err == nil && len(claims) == free {
			continue // there may be more
		}
		l.pause(ctx, failures)
	}
	end := time.AfterFunc(l.o.Grace, cut)
	defer end.Stop()
	p.wait()
	return nil
}

// claim takes up to limit agents. It tells the log of the first failure of an
// outage, and of its end.
func (l *Loop) claim(ctx context.Context, limit int, failures *int) ([]registry.Claim, error) {
	// The query is not cut off when the loop is told to stop: agents could have
	// been claimed that nobody works on.
	claimCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimTimeout)
	defer cancel()
	claims, err := l.o.Claimer.ClaimAgents(claimCtx, l.o.Lease, limit)
	if err != nil {
		if *failures == 0 {
			l.o.Log.WarnContext(ctx, "agents that are due cannot be claimed, trying again", "error", err)
		}
		*failures++
		return nil, err
	}
	if *failures > 0 {
		l.o.Log.InfoContext(ctx, "agents that are due can be claimed again", "failures", *failures)
	}
	*failures = 0
	l.o.Observer.Claimed(len(claims), longestDue(claims), len(claims) == limit)
	return claims, nil
}

func longestDue(claims []registry.Claim) time.Time {
	var due time.Time
	for _, c := range claims {
		if at := c.Agent.Convergence.DueAt; due.IsZero() || (!at.IsZero() && at.Before(due)) {
			due = at
		}
	}
	return due
}

// pause waits for the next look: an interval, or longer after failures.
func (l *Loop) pause(ctx context.Context, failures int) {
	d := min(l.o.Interval<<min(failures, 10), max(maxPause, l.o.Interval))
	t := time.NewTimer(jitter(d))
	defer t.Stop()
	wake := l.wake
	if failures > 0 {
		wake = nil // who wakes us does not know that the database is away
	}
	select {
	case <-t.C:
	case <-wake:
	case <-ctx.Done():
	}
}

// jitter is d, give or take a tenth, so that replicas do not look in step.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1) //nolint:gosec // nothing depends on it being unpredictable
}

// pass has one agent worked on.
func (l *Loop) pass(ctx context.Context, c registry.Claim) {
	ctx, cancel := context.WithDeadline(ctx, c.Lease.Expires.Add(-min(leaseReserve, l.o.Lease/4)))
	defer cancel()
	began := time.Now()
	l.o.Observer.Began()
	outcome := Panicked
	defer func() { l.o.Observer.Ended(outcome, time.Since(began)) }()
	defer l.recover(ctx, c)
	outcome = outcomeOf(l.o.Reconciler.Reconcile(ctx, c))
}

// recover keeps an agent that makes a pass panic from taking every replica down,
// one after the other. It is due again when its lease has run out.
func (l *Loop) recover(ctx context.Context, c registry.Claim) {
	if r := recover(); r != nil {
		l.o.Log.ErrorContext(ctx, "a pass panicked", "agent_id", c.Agent.ID, "panic", panicText(r), "stack", string(debug.Stack()))
	}
}

// panicText is what may be said of a panic: its own words, only where they are
// the runtime's. Anybody else's could quote a secret (invariant D2).
func panicText(r any) string {
	if err, ok := r.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("%T", r)
}

func outcomeOf(err error) string {
	switch {
	case err == nil:
		return Converged
	case errors.Is(err, registry.ErrLeaseLost):
		return LeaseLost
	}
	if e, ok := registry.AsError(err); ok && e.Kind == registry.Conflict && e.Code == "overtaken" {
		return Overtaken
	}
	return Failed
}

type nobody struct{}

func (nobody) Claimed(int, time.Time, bool) {}
func (nobody) Began()                       {}
func (nobody) Ended(string, time.Duration)  {}
