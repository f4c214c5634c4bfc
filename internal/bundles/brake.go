package bundles

import (
	"maps"
	"sync"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// A caller that asks again as soon as it is answered, though the answers tell it
// nothing new, would keep us busy: an OPA whose activation fails, or one that does
// not know that it is to wait. The brake delays such answers: there is a token
// bucket for each caller and bundle. It never delays a poll that is let go, nor a
// state that it has not seen given to the caller before, and a delayed answer gives
// way to a new state.
const (
	// brakePause is how long one answer is delayed at most, and how long the bucket
	// takes for one more token.
	brakePause = time.Second
	// brakeBurst is how many tokens there are to begin with.
	brakeBurst = 10
	// brakeForget is after how long a bucket that nobody takes from is forgotten.
	brakeForget = 5 * time.Minute
)

// brake delays answers. It is safe for concurrent use.
type brake struct {
	mu      sync.Mutex
	buckets map[brakeKey]*bucket
	swept   time.Time
}

type brakeKey struct {
	caller string
	name   registry.ScopePart
}

// bucket is of all who ask for one bundle with the same token. They cannot be told
// apart, but as many polls as are held at once, so many OPAs there are, to each of
// which a state is new: the bucket has room for them.
type bucket struct {
	tokens float64 // less than 0: owed
	at     time.Time
	tag    Tag // of the bundle that was given last
	held   int // polls
	most   int // that were held at once
}

func newBrake() *brake { return &brake{buckets: map[brakeKey]*bucket{}} }

// holds says that one more poll of the bundle is held for the caller, or with -1 that
// one is not any more.
func (b *brake) holds(caller string, name registry.ScopePart, more int) {
	if caller == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.bucket(brakeKey{caller, name}, time.Now())
	k.held += more
	k.most = max(k.most, k.held)
}

// pause returns how long the answer is to be delayed.
func (b *brake) pause(caller string, name registry.ScopePart, a Answer) time.Duration {
	if caller == "" {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.bucket(brakeKey{caller, name}, time.Now())
	if a.Bundle != nil && a.Bundle.Tag != k.tag {
		k.tag, k.tokens = a.Bundle.Tag, k.room()
		return 0
	}
	k.tokens = max(k.tokens-1, -1) // no answer waits for another's
	return max(0, time.Duration(-k.tokens*float64(brakePause)))
}

func (k *bucket) room() float64 { return float64(brakeBurst + k.most) }

// bucket returns the bucket as it is now. The caller has the lock.
func (b *brake) bucket(key brakeKey, now time.Time) *bucket {
	k := b.buckets[key]
	if k == nil {
		b.sweep(now)
		k = &bucket{tokens: brakeBurst}
		b.buckets[key] = k
	} else {
		k.tokens = min(k.room(), k.tokens+float64(now.Sub(k.at))/float64(brakePause))
	}
	k.at = now
	return k
}

// sweep forgets, now and then, what has not been used for long.
func (b *brake) sweep(now time.Time) {
	if now.Sub(b.swept) < brakeForget {
		return
	}
	b.swept = now
	maps.DeleteFunc(b.buckets, func(_ brakeKey, k *bucket) bool { return k.held == 0 && now.Sub(k.at) >= brakeForget })
}
