package feed

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// session is a snapshot.Session of a Client, for one goroutine.
type session struct {
	c    *Client
	said answer // what Head found out, for Changes
}

// Head returns up to which state the server has told everything: from what was
// heard if something was, else by asking.
func (s *session) Head(ctx context.Context) (registry.Head, error) {
	at, err := s.c.position()
	if err != nil {
		return registry.Head{}, err
	}
	var heard bool
	if s.said, heard = s.c.takeOver(); heard {
		return s.said.upTo, nil
	}
	s.said, err = s.ask(ctx, at, 0)
	return s.said.upTo, err
}

// Changes returns the changes that Head heard of.
func (s *session) Changes(_ context.Context, since registry.Head, _ int) ([]registry.Change, error) {
	if s.said.since != since {
		return nil, snapshot.ErrStartAgain // the follower has something else than we thought
	}
	s.c.advance(s.said.upTo)
	return s.said.changes, nil
}

// Load reads the scope's snapshot.
func (s *session) Load(ctx context.Context) (registry.Facts, error) {
	f, err := s.c.snapshot(ctx)
	if err != nil {
		return registry.Facts{}, err
	}
	s.c.loaded(f.Head)
	return f, nil
}

// Listen asks once, so that a server that is away is noticed.
func (s *session) Listen(ctx context.Context) error {
	at, err := s.c.position()
	if err != nil {
		return nil //nolint:nilerr // Wait waits until the follower has loaded
	}
	a, err := s.ask(ctx, at, 0)
	if err == nil {
		s.c.hear(a)
	}
	return unlessLost(err)
}

// Wait returns when the server has told something, or that nothing can be told to
// who has what we have.
func (s *session) Wait(ctx context.Context) error {
	at, err := s.c.newest(ctx)
	if err != nil {
		return err
	}
	asked := time.Now()
	a, err := s.ask(ctx, at, s.c.o.Wait)
	if err == nil {
		s.c.hear(a)
	}
	if len(a.changes) == 0 && time.Since(asked) < s.c.o.Wait/2 {
		s.pause(ctx, err)
	}
	return unlessLost(err)
}

// unlessLost is err but for what Head is to find out: that the follower has to load.
func unlessLost(err error) error {
	if errors.Is(err, snapshot.ErrStartAgain) {
		return nil
	}
	return err
}

// ask asks for what came after the state. Of a broken answer nothing is used, and
// what it was about is left out by loading.
func (s *session) ask(ctx context.Context, at registry.Head, wait time.Duration) (answer, error) {
	a, err := s.c.changes(ctx, at, wait)
	switch {
	case err == nil:
		s.c.confirm(at.Epoch)
	case errors.Is(err, registry.Gone), errors.Is(err, ErrBroken):
		err = s.c.lose(at, err)
	}
	return a, err
}

const (
	// longestPause is the longest time that a server can send us away for.
	longestPause = 30 * time.Second
	// breath is how long, at most, nothing is asked of a server that did not hold its
	// answer: it may be about to stop, or not hold answers at all.
	breath = time.Second
)

// pause pauses for as long as the server asks for, or for some moments.
func (s *session) pause(ctx context.Context, err error) {
	d := rand.N(breath)
	if e, ok := registry.AsError(err); ok {
		d += min(e.RetryAfter, longestPause)
	}
	if errors.Is(err, snapshot.ErrStartAgain) {
		return // it will be some time before that is so again
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Close ends the session. There is nothing to end.
func (s *session) Close() {}
