package reconcile_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/credenceproject/credence/internal/reconcile"
	"github.com/credenceproject/credence/internal/registry"
)

// look is one query for agents that are due.
type look struct {
	at    time.Time
	limit int
}

// world is a database with agents that are due, and the service that works on
// them.
type world struct {
	query time.Duration // how long a look takes
	work  func(ctx context.Context, id string) error
	log   bytes.Buffer

	mu sync.Mutex
	state
}

// state is what changes while the loop runs.
type state struct {
	due     []string // ids, the longest due first
	away    error    // what the database answers
	looks   []look
	running int
	most    int // that ran at once
	done    []string

	outcomes map[string]int
	more     []bool
	dueSince []time.Time
}

// seen is the state as it is now.
func (w *world) seen() state {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.state
	s.outcomes = maps.Clone(s.outcomes)
	return s
}

func (w *world) ClaimAgents(ctx context.Context, lease time.Duration, limit int) ([]registry.Claim, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks = append(w.looks, look{time.Now(), limit})
	if w.query > 0 {
		w.mu.Unlock()
		time.Sleep(w.query)
		w.mu.Lock()
	}
	if w.away != nil {
		return nil, w.away
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n := min(limit, len(w.due))
	claims := make([]registry.Claim, n)
	for i, id := range w.due[:n] {
		claims[i].Agent.ID = id
		claims[i].Agent.Convergence.DueAt = time.Now().Add(-time.Duration(n-i) * time.Second)
		claims[i].Lease = registry.Lease{AgentID: id, Epoch: 1, Expires: time.Now().Add(lease)}
	}
	w.due = w.due[n:]
	return claims, nil
}

func (w *world) Reconcile(ctx context.Context, c registry.Claim) error {
	w.mu.Lock()
	w.running++
	w.most = max(w.most, w.running)
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.running--
		w.done = append(w.done, c.Agent.ID)
	}()
	if w.work == nil {
		return nil
	}
	return w.work(ctx, c.Agent.ID)
}

func (w *world) Claimed(_ int, due time.Time, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.more, w.dueSince = append(w.more, more), append(w.dueSince, due)
}

func (*world) Began() {}

func (w *world) Ended(o string, _ time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.outcomes == nil {
		w.outcomes = map[string]int{}
	}
	w.outcomes[o]++
}

// set changes the world while the loop runs.
func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// run starts the loop, with a lease of 15 s, an interval of 1 s and a grace of
// 10 s. The function it returns tells it to stop and waits until it has.
func (w *world) run(t *testing.T, workers int) (l *reconcile.Loop, stop func()) {
	t.Helper()
	l = reconcile.NewLoop(reconcile.Options{
		Claimer: w, Reconciler: w, Observer: w, Workers: workers,
		Log: slog.New(slog.NewTextHandler(&w.log, nil)),
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- l.Run(ctx) }()
	synctest.Wait()
	return l, func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run() = %v", err)
		}
	}
}

// after lets d pass, and everything happen that happens then.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func agents(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("agent-%03d", i)
	}
	return ids
}

func takes(d time.Duration) func(context.Context, string) error {
	return func(ctx context.Context, _ string) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

var errAway = errors.New("the database is away")
