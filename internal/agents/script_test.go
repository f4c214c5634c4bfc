package agents_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/registry"
)

// The operations that a test can look at and interfere with: those of the
// providers, and those of the store that change it.
const (
	createClient  = "create client"
	findClients   = "find clients"
	ensureGrant   = "ensure grant"
	deleteClient  = "delete client"
	ensureEntity  = "ensure entity"
	ensureAlias   = "ensure alias"
	disableEntity = "disable entity"
	deleteEntity  = "delete entity"

	record         = "record"
	publish        = "publish"
	decommission   = "decommission"
	recordTeardown = "record teardown"
)

// around is what a test puts around an operation: it may fail before or after
// the call, or do something else meanwhile.
type around func(ctx context.Context, call func() error) error

// script notes every operation in order and runs what a test put around it.
type script struct {
	t          testing.TB
	pool       *pgxpool.Pool
	concurrent atomic.Bool // there are several calls at once, whose transactions cannot be told apart

	mu      sync.Mutex
	journal []string
	around  map[string]around
}

// on puts a around the next calls of op.
func (s *script) on(op string, a around) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.around[op] = a
}

// once puts a around the next call of op alone.
func (s *script) once(op string, a around) {
	s.on(op, func(ctx context.Context, call func() error) error {
		s.on(op, nil)
		return a(ctx, call)
	})
}

// forget drops what was noted and what was put around.
func (s *script) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.journal, s.around = nil, map[string]around{}
}

func (s *script) do(ctx context.Context, op string, call func() error) error {
	s.mu.Lock()
	s.journal = append(s.journal, op)
	a := s.around[op]
	s.mu.Unlock()
	if a == nil {
		return call()
	}
	return a(ctx, call)
}

// operations returns what was done since the last call of it.
func (s *script) operations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	done := s.journal
	s.journal = nil
	return done
}

// atProvider is do for a call of a provider: no transaction may be open
// meanwhile (DESIGN section 4), and every such call of every test looks.
func (s *script) atProvider(ctx context.Context, op string, call func() error) error {
	if s.concurrent.Load() {
		return s.do(ctx, op, call)
	}
	const openSQL = `
		SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND xact_start IS NOT NULL`
	var open int
	if err := s.pool.QueryRow(context.WithoutCancel(ctx), openSQL).Scan(&open); err != nil {
		s.t.Errorf("look for open transactions: %v", err)
	}
	if open != 0 {
		s.t.Errorf("%d transactions are open during %q", open, op)
	}
	return s.do(ctx, op, call)
}

// failBefore fails without having done anything.
func failBefore(err error) around {
	return func(context.Context, func() error) error { return err }
}

// failAfter does what it should and then loses the answer.
func failAfter(err error) around {
	return func(_ context.Context, call func() error) error {
		if callErr := call(); callErr != nil {
			return callErr
		}
		return err
	}
}

// before and after do something else on the way, and then what they should.
func before(f func()) around {
	return func(_ context.Context, call func() error) error {
		f()
		return call()
	}
}

func after(f func()) around {
	return func(_ context.Context, call func() error) error {
		err := call()
		f()
		return err
	}
}

// scriptedStore is the real store with the script around its writes.
type scriptedStore struct {
	agents.Store
	script *script
}

func (s scriptedStore) CreateAgent(ctx context.Context, n registry.NewAgent, by registry.Actor) (a registry.Agent, err error) {
	err = s.script.do(ctx, record, func() (err error) {
		a, err = s.Store.CreateAgent(ctx, n, by)
		return err
	})
	return a, err
}

func (s scriptedStore) RecordProgress(ctx context.Context, agentID string, p registry.Progress) error {
	return s.script.do(ctx, progressOf(p.Steps[0]), func() error { return s.Store.RecordProgress(ctx, agentID, p) })
}

// progressOf is the operation that records how the step went.
func progressOf(step registry.StepName) string { return "record " + string(step) }

func (s scriptedStore) PublishAgent(ctx context.Context, agentID string, by registry.Actor) (a registry.Agent, err error) {
	err = s.script.do(ctx, publish, func() (err error) {
		a, err = s.Store.PublishAgent(ctx, agentID, by)
		return err
	})
	return a, err
}

func (s scriptedStore) DecommissionAgent(ctx context.Context, agentID string, pre registry.Precondition, action string, by registry.Actor) (a registry.Agent, did bool, err error) {
	err = s.script.do(ctx, decommission, func() (err error) {
		a, did, err = s.Store.DecommissionAgent(ctx, agentID, pre, action, by)
		return err
	})
	return a, did, err
}

func (s scriptedStore) RecordTeardown(ctx context.Context, a registry.Agent, p []registry.Progress, action string, outcome registry.Outcome, detail string, by registry.Actor) error {
	return s.script.do(ctx, recordTeardown, func() error {
		return s.Store.RecordTeardown(ctx, a, p, action, outcome, detail, by)
	})
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
