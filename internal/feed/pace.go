package feed

import (
	"sync"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// pace says when what changed in a scope is told. It is safe for concurrent use.
type pace struct {
	window time.Duration

	mu   sync.Mutex
	told map[string]told // by scope
}

// told is what was told last, and when.
type told struct {
	change registry.Head
	at     time.Time
}

func newPace(window time.Duration) *pace { return &pace{window: window, told: map[string]told{}} }

// next returns how long from now on the scope's newest change is to be told: 0 for
// now, as also to everybody else who has yet to hear of it.
func (p *pace) next(scope string, newest registry.Head) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	last, now := p.told[scope], time.Now()
	if last.change.Epoch == newest.Epoch && newest.Revision <= last.change.Revision {
		return 0
	}
	if rest := p.window - now.Sub(last.at); rest > 0 {
		return rest
	}
	p.told[scope] = told{newest, now}
	return 0
}
