package agents_test

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/credenceproject/credence/internal/registry"
)

// The operations that a test can look at and interfere with: those of the
// providers, and those of the store that change it.
const (
	createClient = "create client"
	findClients  = "find clients"
	ensureClient = "ensure client"
	ensureGrant  = "ensure grant"
	deleteGrants = "delete grants"
	rotateSecret = "rotate secret"
	deleteClient = "delete client"

	ensureEntity  = "ensure entity"
	ensureAlias   = "ensure alias"
	enableEntity  = "enable entity"
	disableEntity = "disable entity"
	deleteEntity  = "delete entity"

	record   = "record"
	change   = "change"
	claim    = "claim"
	begin    = "begin client"
	end      = "end intents"
	forget   = "forget"
	issue    = "issue credentials"
	finish   = "finish"
	postpone = "postpone"
)

// progressOf is the operation that records how the step went.
func progressOf(step registry.StepName) string { return "record " + string(step) }

// registration is what one does when nothing goes wrong.
var registration = []string{
	record,
	createClient, progressOf(registry.StepClient), ensureGrant, progressOf(registry.StepGrant),
	ensureEntity, progressOf(registry.StepEntity), ensureAlias, progressOf(registry.StepAlias),
	finish,
}

// around is what a test puts around an operation: it may fail before or after
// the call, or do something else meanwhile.
type around func(ctx context.Context, call func() error) error

// script notes every operation in order and runs what a test put around it.
type script struct {
	t          tb
	pool       *pgxpool.Pool
	concurrent atomic.Bool // there are several calls at once, whose transactions cannot be told apart

	mu      sync.Mutex
	journal []string
	around  map[string]around
	all     func(ctx context.Context, op string, call func() error) error // around every operation; nil: nothing is
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
	s.journal, s.around, s.all = nil, map[string]around{}, nil
}

func (s *script) do(ctx context.Context, op string, call func() error) error {
	s.mu.Lock()
	s.journal = append(s.journal, op)
	a, all := s.around[op], s.all
	s.mu.Unlock()
	switch {
	case a != nil:
		return a(ctx, call)
	case all != nil:
		return all(ctx, op, call)
	}
	return call()
}

// operations returns what was done since the last call of it.
func (s *script) operations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	done := s.journal
	s.journal = nil
	return done
}

// atProvider is do for a call of a provider about an agent, and every such call
// of every test looks: no transaction may be open meanwhile (DESIGN section 4), and
// the call must end before the lease does (invariant C2).
func (s *script) atProvider(ctx context.Context, op, agentID string, call func() error) error {
	inTime := func() error {
		if err := timeIsOver(ctx); err != nil {
			return unavailable(err)
		}
		return call()
	}
	if ctx.Err() != nil {
		return unavailable(ctx.Err())
	}
	if timeIsOver(ctx) != nil {
		return inTime()
	}
	const lookSQL = `
		SELECT (SELECT count(*) FROM pg_stat_activity
		        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND xact_start IS NOT NULL),
		       COALESCE((SELECT lease_until FROM agents WHERE id = NULLIF($1, '')::uuid), now())`
	var open int
	var lease time.Time
	if err := s.pool.QueryRow(context.WithoutCancel(ctx), lookSQL, agentID).Scan(&open, &lease); err != nil {
		s.t.Errorf("look for open transactions and the lease: %v", err)
	}
	if open != 0 && !s.concurrent.Load() {
		s.t.Errorf("%d transactions are open during %q", open, op)
	}
	if deadline, ok := ctx.Deadline(); !ok || !deadline.Before(lease) {
		s.t.Errorf("%q may take until %s, the lease ends at %s", op, deadline, lease)
	}
	return s.do(context.WithValue(ctx, providerKey{}, true), op, inTime)
}

// providerKey marks the context of what is around a provider's call.
type providerKey struct{}

// holder is whoever makes a pass. While it is frozen its lease runs out, so what it
// asks of a provider from then on is not asked: its context has ended.
type holder struct{ frozen atomic.Bool }

type holderKey struct{}

// asHolder returns a context of somebody whom freeze can freeze.
func asHolder(ctx context.Context) context.Context {
	return context.WithValue(ctx, holderKey{}, &holder{})
}

func freeze(ctx context.Context) {
	if h, ok := ctx.Value(holderKey{}).(*holder); ok {
		h.frozen.Store(true)
	}
}

// timeIsOver says why no call can be made in ctx any more. A call that a test has
// held until its deadline was made in time.
func timeIsOver(ctx context.Context) error {
	if h, ok := ctx.Value(holderKey{}).(*holder); ok && h.frozen.Load() {
		return context.DeadlineExceeded
	}
	return nil
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

// before does something else first, and then what it should.
func before(f func()) around {
	return func(_ context.Context, call func() error) error {
		f()
		return call()
	}
}
