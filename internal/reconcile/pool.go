package reconcile

import (
	"context"
	"sync"
)

// pool runs a bounded number of functions at once. One goroutine starts them.
type pool struct {
	slots chan struct{} // one in it for each that runs
	wg    sync.WaitGroup
}

func newPool(size int) *pool { return &pool{slots: make(chan struct{}, size)} }

// waitFree waits until one more may run, and returns how many may; 0 says that
// ctx ended first.
func (p *pool) waitFree(ctx context.Context) int {
	select {
	case p.slots <- struct{}{}:
		<-p.slots
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return 0
	}
	return cap(p.slots) - len(p.slots)
}

// start runs f; there must be a free slot.
func (p *pool) start(f func()) {
	p.slots <- struct{}{}
	p.wg.Go(func() {
		defer func() { <-p.slots }()
		f()
	})
}

func (p *pool) wait() { p.wg.Wait() }
