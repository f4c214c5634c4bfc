package agents_test

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/registry"
)

// scriptedStore is the real store with the script around its writes.
type scriptedStore struct {
	agents.Store
	script *script
}

func (s scriptedStore) CreateAgent(ctx context.Context, n registry.NewAgent, by registry.Actor) (a registry.Agent, l registry.Lease, err error) {
	err = s.script.do(ctx, record, func() (err error) {
		a, l, err = s.Store.CreateAgent(ctx, n, by)
		return err
	})
	return a, l, err
}

func (s scriptedStore) UpdateAgent(ctx context.Context, agentID string, u registry.AgentUpdate) (a registry.Agent, l *registry.Lease, err error) {
	err = s.script.do(ctx, change, func() (err error) {
		a, l, err = s.Store.UpdateAgent(ctx, agentID, u)
		return err
	})
	return a, l, err
}

func (s scriptedStore) ClaimAgents(ctx context.Context, lease time.Duration, limit int) (claims []registry.Claim, err error) {
	err = s.script.do(ctx, claim, func() (err error) {
		claims, err = s.Store.ClaimAgents(ctx, lease, limit)
		return err
	})
	return claims, err
}

func (s scriptedStore) BeginClient(ctx context.Context, l registry.Lease, intentID string) error {
	return s.script.do(ctx, begin, func() error { return s.Store.BeginClient(ctx, l, intentID) })
}

func (s scriptedStore) EndIntents(ctx context.Context, l registry.Lease, intentIDs []string) error {
	return s.script.do(ctx, end, func() error { return s.Store.EndIntents(ctx, l, intentIDs) })
}

func (s scriptedStore) RecordProgress(ctx context.Context, l registry.Lease, p registry.Progress, lease time.Duration) (next registry.Lease, err error) {
	op := progressOf(p.Steps[0])
	if len(p.Forget) > 0 {
		op = forget
	}
	err = s.script.do(ctx, op, func() (err error) {
		next, err = s.Store.RecordProgress(ctx, l, p, lease)
		return err
	})
	return next, err
}

func (s scriptedStore) FinishPass(ctx context.Context, l registry.Lease, f registry.Finish) (a registry.Agent, err error) {
	err = s.script.do(ctx, finish, func() (err error) {
		a, err = s.Store.FinishPass(ctx, l, f)
		return err
	})
	return a, err
}

func (s scriptedStore) PostponePass(ctx context.Context, l registry.Lease, lastError string, after time.Duration) error {
	return s.script.do(ctx, postpone, func() error { return s.Store.PostponePass(ctx, l, lastError, after) })
}

func (s scriptedStore) IssueCredentials(ctx context.Context, l registry.Lease, key *registry.IdempotencyKey) error {
	return s.script.do(ctx, issue, func() error { return s.Store.IssueCredentials(ctx, l, key) })
}

// observed notes the steps that were timed.
type observed struct {
	mu    sync.Mutex
	steps []string
}

func (o *observed) ObserveStep(step registry.StepName, d time.Duration, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	note := string(step)
	if err != nil {
		note += " failed"
	}
	if d < 0 {
		note += " before it began"
	}
	o.steps = append(o.steps, note)
}

func (o *observed) all() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.steps)
}
