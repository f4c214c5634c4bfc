package feed

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// holds bounds the requests that are under way for each caller, and lets those go
// that are held when the process is about to stop (invariant B9). It is safe for
// concurrent use.
type holds struct {
	perCaller int

	mu       sync.Mutex
	underWay map[string]int
	over     time.Duration
	draining chan struct{} // closed once over is set
}

func newHolds(perCaller int) *holds {
	return &holds{perCaller: perCaller, underWay: map[string]int{}, draining: make(chan struct{})}
}

// enter counts a request of the caller until ctx, the request's, ends. It returns
// TooManyRequests.
func (h *holds) enter(ctx context.Context, caller string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.underWay[caller] >= h.perCaller {
		e := registry.TooManyRequests.Errorf("too_many_waits", "%d requests for the feed are under way with your token already; make fewer at a time", h.perCaller)
		e.RetryAfter = time.Second
		return e
	}
	h.underWay[caller]++
	context.AfterFunc(ctx, func() { h.leave(caller) })
	return nil
}

func (h *holds) leave(caller string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.underWay[caller]--; h.underWay[caller] == 0 {
		delete(h.underWay, caller)
	}
}

func (h *holds) drain(over time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.isDraining() {
		h.over = over
		close(h.draining)
	}
}

func (h *holds) isDraining() bool {
	select {
	case <-h.draining:
		return true
	default:
		return false
	}
}

// moment is when one that was held is let go, after draining is closed: some time
// within the drain, so that not all come to the others at once.
func (h *holds) moment() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over <= 0 {
		return 0
	}
	return rand.N(h.over)
}
