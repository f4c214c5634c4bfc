package authn

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// keyRefresh is the age at which keys are fetched again in the background.
	keyRefresh = 5 * time.Minute
	// keyLifetime is how long keys verify tokens while the issuer is away. It is
	// the most that Auth0's tokens live by default, so that waiting longer would
	// help nobody.
	keyLifetime = 24 * time.Hour
	// keyRetry is how soon after a failure we ask again while there are no keys
	// at all, when KeyRefetch is longer.
	keyRetry = time.Second
	// fetchTimeout bounds discovery and keys together.
	fetchTimeout = 10 * time.Second
)

// keyring holds the issuer's keys and fetches them when they are missing or
// old: one fetch at a time, and one in refetch at most. It is safe for concurrent
// use.
type keyring struct {
	fetch   func(context.Context) (*keySet, error)
	refetch time.Duration
	now     func() time.Time
	log     *slog.Logger

	current atomic.Pointer[keySet] // nil before the issuer's first answer

	mu   sync.Mutex
	last *flight // the fetch under way, or else the last one
}

// flight is one fetch and its outcome, which is set, under keyring.mu, before
// done is closed and never again.
type flight struct {
	done  chan struct{}
	keys  *keySet
	err   error
	until time.Time // how long the outcome stands; zero while under way
}

// cached returns the keys at hand without waiting for anything, or nil when
// there are none that may still be used. It has old ones fetched again.
func (r *keyring) cached(ctx context.Context) *keySet {
	keys := r.usable()
	if keys != nil && r.now().Sub(keys.fetched) >= keyRefresh {
		r.start(ctx)
	}
	return keys
}

// usable returns the keys that may verify tokens now, or nil.
func (r *keyring) usable() *keySet {
	keys := r.current.Load()
	if keys == nil || r.now().Sub(keys.fetched) >= keyLifetime {
		return nil
	}
	return keys
}

// ask returns the issuer's newest answer: that of a fetch that is under way or
// ended less than refetch ago, or else of a new one. It returns Unavailable when
// the issuer cannot be asked, or ctx ends first; the fetch itself goes on, since
// others may wait for it.
func (r *keyring) ask(ctx context.Context) (*keySet, error) {
	f := r.start(ctx)
	select {
	case <-ctx.Done():
		return nil, errNoKeys(context.Cause(ctx), keyRetry)
	case <-f.done:
	}
	if f.err != nil {
		return nil, errNoKeys(f.err, f.until.Sub(r.now()))
	}
	return f.keys, nil
}

// start begins a fetch, unless one is under way or the last one's outcome still
// stands; it returns whichever it is.
func (r *keyring) start(ctx context.Context) *flight {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.last; f != nil && (f.until.IsZero() || r.now().Before(f.until)) {
		return f
	}
	f := &flight{done: make(chan struct{})}
	r.last = f
	// Whoever started it may hang up; the others still want the answer.
	go r.run(context.WithoutCancel(ctx), f)
	return f
}

func (r *keyring) run(ctx context.Context, f *flight) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	started := r.now()
	keys, err := r.fetch(ctx)
	stands := r.refetch
	if err != nil {
		r.log.WarnContext(ctx, "could not fetch the issuer's keys", slog.Any("error", err))
		if r.usable() == nil {
			stands = min(stands, keyRetry)
		}
	} else {
		keys.fetched = started
		r.current.Store(keys)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	f.keys, f.err, f.until = keys, err, r.now().Add(stands)
	close(f.done)
}
