package bundles

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// MaxPoll is how long a poll is held, at most.
const MaxPoll = 55 * time.Second

// spread is the part of a wait by which it may be shorter than it was asked for:
// polls that began together do not end together.
const spread = 10

// holds counts the polls that are held, and ends them when the process is about to
// stop (invariant B9). It is safe for concurrent use.
type holds struct {
	most     int // of one caller
	observer Observer

	drained context.Context //nolint:containedctx // it ends with drain; a context is the signal that waits take
	end     context.CancelFunc

	mu   sync.Mutex
	of   map[string]int // by caller
	over time.Duration  // of the drain; set before drained ends
}

func newHolds(most int, o Observer) *holds {
	h := &holds{most: most, observer: o, of: map[string]int{}}
	h.drained, h.end = context.WithCancel(context.Background())
	return h
}

// Drain lets the polls that are held go, each at some moment within the time, and
// holds none any more: the process is about to stop. It does not wait for them.
func (s *Service) Drain(over time.Duration) { s.holds.drain(over) }

func (h *holds) drain(over time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = max(over, 1)
	h.end()
}

func (h *holds) isDraining() bool { return h.drained.Err() != nil }

// hold is one request. Its ctx ends when it is to be answered with what there is.
type hold struct {
	ctx   context.Context //nolint:containedctx // it is that of one request, made from its context
	polls bool            // it waits for news
	end   func()
}

// begin begins a request that waits for so long at most; 0: not at all. ctx is that
// of the request. It returns TooManyRequests and, during the drain, Unavailable.
func (h *holds) begin(ctx context.Context, caller string, wait time.Duration) (hold, error) {
	if wait <= 0 {
		return hold{ctx: ctx, end: func() {}}, nil
	}
	if h.isDraining() {
		e := registry.Unavailable.Errorf("draining", "the process is about to stop; ask another one")
		e.RetryAfter = time.Second
		return hold{}, e
	}
	if !h.enter(caller) {
		e := registry.TooManyRequests.Errorf("too_many_polls", "%d polls are held for this caller already; let an OPA have a token of its own, or poll fewer bundles", h.most)
		e.RetryAfter = 5 * time.Second
		return hold{}, e
	}
	h.observer.Held(1)
	holdCtx, cancel := context.WithTimeout(ctx, wait-rand.N(wait/spread))
	stop := context.AfterFunc(h.drained, func() { time.AfterFunc(h.moment(), cancel) })
	return hold{ctx: holdCtx, polls: true, end: func() {
		stop()
		cancel()
		h.leave(caller)
		h.observer.Held(-1)
	}}, nil
}

// moment is after how much of the drain somebody may go.
func (h *holds) moment() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return rand.N(h.over)
}

// enter reports whether one more poll may be held for the caller; leave ends it.
func (h *holds) enter(caller string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if caller != "" && h.of[caller] >= h.most {
		return false
	}
	h.of[caller]++
	return true
}

func (h *holds) leave(caller string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.of[caller]--; h.of[caller] == 0 {
		delete(h.of, caller)
	}
}

// behind returns the newest of the states that the caller has, if it is newer than
// ours.
func (s *Service) behind(p Poll) (Tag, bool) {
	v := s.registry.View()
	if v == nil {
		return Tag{}, false
	}
	return newest(p.Have, Tag{Scope: p.Name.Scope, Part: p.Name.Part, Epoch: v.Head().Epoch, Revision: v.Head().Revision})
}

// newest returns the newest of the states in have that is newer than ours, of
// its bundle and its epoch.
func newest(have *registry.Tags, ours Tag) (newest Tag, ok bool) {
	if have == nil {
		return Tag{}, false
	}
	newest = ours
	for _, text := range have.List {
		t, valid := ParseTag(text)
		if valid && t.Name() == ours.Name() && t.Epoch == ours.Epoch && t.Revision > newest.Revision {
			newest, ok = t, true
		}
	}
	return newest, ok
}

// catchUp holds a caller until we have come to the state that it knows, and reports
// whether we have. It returns an error only when the caller is gone; that the
// request's own bound comes before the hold's is none.
func (s *Service) catchUp(ctx context.Context, t Tag, h hold) (bool, error) {
	waitCtx, cancel := h.ctx, context.CancelFunc(func() {})
	if !h.polls {
		waitCtx, cancel = context.WithTimeout(ctx, s.hold)
	}
	defer cancel()
	if s.registry.WaitFor(waitCtx, registry.Head{Epoch: t.Epoch, Revision: t.Revision}) == nil {
		return true, nil
	}
	if err := hungUp(ctx); err != nil {
		return false, err
	}
	s.log.WarnContext(ctx, "a caller knows a newer state than we have come to", "scope", t.Scope, "tag", t.String())
	return false, nil
}

// slow delays an answer that tells nothing new, unless there is something meanwhile.
func (s *Service) slow(ctx context.Context, h hold, pub *publisher, e *edition, pause time.Duration) error {
	s.observer.Braked(pause)
	pauseCtx, cancel := context.WithTimeout(h.ctx, pause)
	defer cancel()
	pub.await(pauseCtx, e)
	return hungUp(ctx)
}
