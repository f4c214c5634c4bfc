// Package budget shares a provider's rate limit among all replicas: Auth0 counts
// the calls of a tenant, whoever makes them. A bucket in the registry's database
// says who may call next, and is told what the provider itself says.
package budget

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/credenceproject/credence/internal/registry"
)

// Bucket is the bucket that the replicas share. *postgres.Store implements it.
type Bucket interface {
	// BudgetTake takes n tokens of the named bucket and returns 0, or how long to
	// wait before it is worth asking again. It leaves reserve tokens.
	BudgetTake(ctx context.Context, name string, n, reserve int, limit registry.RateLimit) (wait time.Duration, err error)
	// BudgetReport takes note of what the provider says.
	BudgetReport(ctx context.Context, name string, limit, remaining int, reset time.Time) error
}

// Observer hears how long callers waited. It must be safe for concurrent use.
type Observer interface {
	// Waited says that a caller, of low priority or not, waited for its place, and
	// whether it got one.
	Waited(low bool, d time.Duration, ok bool)
}

// Options of a Budget.
type Options struct {
	Bucket   Bucket
	Name     string // of the bucket
	Limit    registry.RateLimit
	Observer Observer // may be nil
	Log      *slog.Logger
}

// Budget hands out places within the rate limit. It is safe for concurrent use.
//
// Callers of low priority leave half of the bucket to the others, so that a sweep
// takes what is over and a registration finds a place at once. While the database
// is away each replica keeps to the limit by itself: the calls of several may then
// be more than the provider takes, which it says.
type Budget struct {
	o     Options
	lanes [2]chan struct{} // one caller of each priority asks at a time, the others queue
	local *rate.Limiter    // while the database is away

	away      atomic.Bool  // the database was, when it was asked last
	blocked   atomic.Int64 // Unix nanoseconds: until then the provider takes no call
	reporting chan struct{}
	reported  atomic.Int64 // Unix nanoseconds of the last report
}

// New returns a Budget whose bucket is full when it is first asked for.
func New(o Options) *Budget {
	return &Budget{
		o: o, lanes: [2]chan struct{}{make(chan struct{}, 1), make(chan struct{}, 1)},
		local:     rate.NewLimiter(rate.Limit(o.Limit.PerSecond), o.Limit.Burst),
		reporting: make(chan struct{}, 1),
	}
}

const (
	// askTimeout bounds a question to a database that may have gone silent.
	askTimeout = time.Second
	// reportTimeout is the same for a report, which nobody waits for.
	reportTimeout = 2 * time.Second
	// reportEvery is how often is reported that there is plenty.
	reportEvery = 5 * time.Second
)

// Take waits for a place within the rate limit, as long as ctx lives. It fails
// with Unavailable, code identity_provider_busy, when there is none in time, and as
// soon as that is certain; RetryAfter says when there may be one.
func (b *Budget) Take(ctx context.Context, low bool) error {
	began := time.Now()
	err := b.take(ctx, low)
	if b.o.Observer != nil {
		b.o.Observer.Waited(low, time.Since(began), err == nil)
	}
	return err
}

func (b *Budget) take(ctx context.Context, low bool) error {
	lane := b.lanes[0]
	if low {
		lane = b.lanes[1]
	}
	select {
	case lane <- struct{}{}:
	case <-ctx.Done():
		return busy(ctx, 0)
	}
	defer func() { <-lane }()
	for {
		wait, err := b.ask(ctx, low)
		if err != nil {
			wait, err = b.alone(ctx)
		}
		if err != nil || wait == 0 {
			return err
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// ask asks the shared bucket. Its error is that of the database.
func (b *Budget) ask(ctx context.Context, low bool) (wait time.Duration, err error) {
	reserve := 0
	if low {
		reserve = max(1, b.o.Limit.Burst/2)
	}
	askCtx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	wait, err = b.o.Bucket.BudgetTake(askCtx, b.o.Name, 1, reserve, b.o.Limit)
	if ctx.Err() == nil {
		b.note(ctx, err)
	}
	return wait, err
}

// note tells the log when the database goes, and when it is back.
func (b *Budget) note(ctx context.Context, err error) {
	switch before := b.away.Swap(err != nil); {
	case err != nil && !before:
		b.o.Log.WarnContext(ctx, "the shared rate limit cannot be asked for, each replica keeps to it by itself", "bucket", b.o.Name, "error", err)
	case err == nil && before:
		b.o.Log.InfoContext(ctx, "the rate limit is shared again", "bucket", b.o.Name)
	}
}

// alone is the answer while the database is away.
func (b *Budget) alone(ctx context.Context) (wait time.Duration, err error) {
	if ctx.Err() != nil {
		return 0, busy(ctx, 0)
	}
	if wait := time.Until(time.Unix(0, b.blocked.Load())); wait > 0 {
		return wait, nil
	}
	if err := b.local.Wait(ctx); err != nil {
		return 0, busy(ctx, time.Duration(float64(time.Second)/b.o.Limit.PerSecond))
	}
	return 0, nil
}

// sleep waits for d; it fails at once when ctx does not live as long.
func sleep(ctx context.Context, d time.Duration) error {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < d {
		return busy(ctx, d)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return busy(ctx, d)
	}
}

// busy says that there was no place in time. Who gave up waiting is told just
// that.
func busy(ctx context.Context, wait time.Duration) error {
	if err := ctx.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	e := registry.Unavailable.Errorf("identity_provider_busy", "the identity provider's rate limit is in use by others just now; repeat the call")
	e.RetryAfter = max(wait, time.Second)
	return e
}

// Report tells what the provider said with an answer: the size of its bucket (0 is
// unknown), how many calls remain in it, and when there will be more. That none
// remains is written down before it returns; the rest now and then, behind the
// caller's back.
func (b *Budget) Report(ctx context.Context, limit, remaining int, reset time.Time) {
	ctx = context.WithoutCancel(ctx)
	if remaining <= 0 {
		b.block(reset)
		b.report(ctx, limit, 0, reset)
		return
	}
	now := time.Now()
	plenty := remaining > max(limit, b.o.Limit.Burst)/2
	if plenty && now.Sub(time.Unix(0, b.reported.Load())) < reportEvery {
		return
	}
	select {
	case b.reporting <- struct{}{}:
		b.reported.Store(now.UnixNano())
		go func() {
			defer func() { <-b.reporting }()
			b.report(ctx, limit, remaining, reset)
		}()
	default: // one is on its way
	}
}

// block notes until when the provider takes no call, should we be on our own.
func (b *Budget) block(reset time.Time) {
	for {
		old := b.blocked.Load()
		if until := reset.UnixNano(); until <= old || b.blocked.CompareAndSwap(old, until) {
			return
		}
	}
}

func (b *Budget) report(ctx context.Context, limit, remaining int, reset time.Time) {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	if err := b.o.Bucket.BudgetReport(ctx, b.o.Name, limit, remaining, reset); err != nil {
		b.note(ctx, err)
	}
}
