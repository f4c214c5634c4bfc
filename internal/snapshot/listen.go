package snapshot

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// listen nudges at each notification. Its session may die without telling;
// nothing depends on it but speed.
func (f *Follower) listen(ctx context.Context) {
	for attempt := 0; ctx.Err() == nil; attempt++ {
		err := f.listenOnce(ctx, func() { attempt = 0 })
		if ctx.Err() != nil {
			return
		}
		f.o.Log.DebugContext(ctx, "listening for changes was cut off", "error", err)
		pause(ctx, backoff(attempt))
	}
}

func (f *Follower) listenOnce(ctx context.Context, succeeded func()) error {
	session, err := f.o.Connect(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	if err := session.Listen(ctx); err != nil {
		return err
	}
	succeeded()
	for {
		f.Nudge() // also at first: something may have come before we listened
		if err := session.Wait(ctx); err != nil {
			return errors.Join(err, ctx.Err())
		}
	}
}

// backoff doubles from 50 ms to a second, less up to a half of it, so that many
// followers do not come back all at once: a follower that is back within a
// second of the database's return is within its promise.
func backoff(attempt int) time.Duration {
	d := min(50*time.Millisecond<<min(attempt, 10), time.Second)
	return d/2 + rand.N(d/2)
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
