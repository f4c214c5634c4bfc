package budget_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/auth0"
	"github.com/credenceproject/credence/internal/reconcile/budget"
	"github.com/credenceproject/credence/internal/registry"
)

var _ auth0.Budget = (*budget.Budget)(nil)

// bucket is a shared bucket that gains one token every half second.
type bucket struct {
	mu       sync.Mutex
	tokens   float64
	at       time.Time
	away     error
	hangs    bool
	asked    int
	most     int // callers that asked at once
	asking   int
	reserves []int
	reports  []string
}

func (b *bucket) BudgetTake(ctx context.Context, name string, n, reserve int, limit registry.RateLimit) (time.Duration, error) {
	b.mu.Lock()
	b.asked++
	b.asking++
	b.most = max(b.most, b.asking)
	b.reserves = append(b.reserves, reserve)
	b.mu.Unlock()
	if b.hangs {
		<-ctx.Done()
	}
	time.Sleep(time.Millisecond)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asking--
	if name != "auth0" || n != 1 {
		return 0, fmt.Errorf("asked for %d of %s", n, name)
	}
	if err := errors.Join(ctx.Err(), b.away); err != nil {
		return 0, err
	}
	now := time.Now()
	b.tokens = min(float64(limit.Burst), b.tokens+now.Sub(b.at).Seconds()*limit.PerSecond)
	b.at = now
	if lack := min(float64(limit.Burst), float64(n+reserve)) - b.tokens; lack > 1e-6 {
		return time.Duration(lack / limit.PerSecond * float64(time.Second)), nil
	}
	b.tokens -= float64(n)
	return 0, nil
}

// left is what the bucket held when it was asked last.
func (b *bucket) left() float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tokens
}

func (b *bucket) BudgetReport(_ context.Context, name string, limit, remaining int, _ time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reports = append(b.reports, fmt.Sprintf("%s %d/%d", name, remaining, limit))
	return b.away
}

// world is a replica at a bucket of 2 a second, of which 2 may come at once:
// Auth0's free plan.
type world struct {
	*bucket
	*budget.Budget
	log   bytes.Buffer
	waits []string
}

func (w *world) Waited(low bool, d time.Duration, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waits = append(w.waits, fmt.Sprint(low, " ", d.Round(100*time.Millisecond), " ", ok))
}

func newWorld(b *bucket) *world {
	w := &world{bucket: b}
	w.Budget = budget.New(budget.Options{
		Bucket: b, Name: "auth0", Limit: registry.RateLimit{PerSecond: 2, Burst: 2}, Observer: w,
		Log: slog.New(slog.NewTextHandler(&w.log, nil)),
	})
	return w
}

func full() *bucket { return &bucket{tokens: 2, at: time.Now()} }

// take takes n places one after the other and returns how long that took.
func (w *world) take(t *testing.T, n int) time.Duration {
	t.Helper()
	began := time.Now()
	for range n {
		if err := w.Take(t.Context(), false); err != nil {
			t.Fatal(err)
		}
	}
	return time.Since(began)
}

func TestPlacesComeAtTheRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(full())
		if took := w.take(t, 2); took > 10*time.Millisecond {
			t.Errorf("a burst took %s", took)
		}
		if took := w.take(t, 10).Round(100 * time.Millisecond); took != 5*time.Second {
			t.Errorf("ten places took %s, want 5s", took)
		}
		if want := "false 500ms true"; w.waits[5] != want || w.waits[0] != "false 0s true" {
			t.Errorf("waits = %v, want %s from the third on", w.waits, want)
		}
	})
}

// However many wait, the database is asked for each place about twice.
func TestThoseWhoWaitDoNotAllAsk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(full())
		var g sync.WaitGroup
		began := time.Now()
		for range 100 {
			g.Go(func() {
				if err := w.Take(t.Context(), false); err != nil {
					t.Error(err)
				}
			})
		}
		g.Wait()
		if took := time.Since(began).Round(time.Second); took != 49*time.Second {
			t.Errorf("100 places took %s, want 49s", took)
		}
		if w.asked > 200 || w.most != 1 {
			t.Errorf("the database was asked %d times for 100 places, by %d at once", w.asked, w.most)
		}
	})
}

func TestRegistrationsGoFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(full())
		sweep, stop := context.WithCancel(t.Context())
		var swept atomic.Int64
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for w.Take(sweep, true) == nil {
				swept.Add(1)
			}
		}()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		before := swept.Load()
		if before < 19 {
			t.Errorf("the sweep got %d places in 20 s while nobody else wanted any", before)
		}
		if left := w.left(); left < 0.999 {
			t.Errorf("the sweep left %.1f places for a registration, want one", left)
		}
		for range 30 { // the rate, and no more
			began := time.Now()
			w.take(t, 1)
			if took := time.Since(began); took > 510*time.Millisecond {
				t.Errorf("a registration waited %s behind the sweep", took)
			}
			time.Sleep(max(0, 500*time.Millisecond-time.Since(began)))
		}
		if got := swept.Load() - before; got > 2 {
			t.Errorf("the sweep got %d places while registrations wanted them all", got)
		}
		stop()
		<-ended
	})
}

func TestNobodyWaitsForAPlaceThatComesTooLate(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		patient time.Duration // of the caller
		ahead   int           // callers before it
		cancel  bool
		want    error
		within  time.Duration
	}{
		{"it is known at once", 300 * time.Millisecond, 0, false, registry.Unavailable, 10 * time.Millisecond},
		{"it turns out in the queue", 1200 * time.Millisecond, 5, false, registry.Unavailable, 1200 * time.Millisecond},
		{"the caller gave up", time.Minute, 0, true, context.Canceled, 100 * time.Millisecond},
		{"it comes in time", 600 * time.Millisecond, 0, false, nil, 510 * time.Millisecond},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(full())
				w.take(t, 2)
				others, stop := context.WithCancel(t.Context())
				var g sync.WaitGroup
				for range tc.ahead {
					g.Go(func() { _ = w.Take(others, false) })
				}
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), tc.patient)
				defer cancel()
				if tc.cancel {
					time.AfterFunc(100*time.Millisecond, cancel)
				}
				began := time.Now()
				err := w.Take(ctx, false)
				if !errors.Is(err, tc.want) {
					t.Errorf("Take() = %v, want %v", err, tc.want)
				}
				if took := time.Since(began); took > tc.within {
					t.Errorf("it took %s, want %s at most", took, tc.within)
				}
				if e, ok := registry.AsError(err); ok && (e.Code != "identity_provider_busy" || e.RetryAfter != time.Second) {
					t.Errorf("Take() = %s, to be repeated after %s", e.Code, e.RetryAfter)
				}
				stop()
				g.Wait()
			})
		})
	}
}

func TestWhileTheDatabaseIsAwayTheReplicaKeepsToTheRateByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := full()
		w := newWorld(b)
		b.away = errors.New("connection refused")
		if took := w.take(t, 12).Round(100 * time.Millisecond); took != 5*time.Second {
			t.Errorf("twelve places took %s, want 5s", took)
		}
		w.Report(t.Context(), 2, 0, time.Now().Add(10*time.Second))
		if took := w.take(t, 1).Round(100 * time.Millisecond); took != 10*time.Second {
			t.Errorf("a place took %s though the provider takes no call for 10s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		w.take(t, 2)
		if err := w.Take(ctx, false); !errors.Is(err, registry.Unavailable) {
			t.Errorf("Take() = %v, want that it is busy", err)
		}
		b.away = nil
		time.Sleep(time.Second)
		w.take(t, 1)
		if log := w.log.String(); strings.Count(log, "\n") != 2 || !strings.Contains(log, "by itself") || !strings.Contains(log, "shared again") {
			t.Errorf("an outage is told of when it begins and when it ends, not with:\n%s", log)
		}
	})
}

func TestADatabaseThatHangsCostsASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := full()
		b.hangs = true
		if took := newWorld(b).take(t, 1).Round(100 * time.Millisecond); took != time.Second {
			t.Errorf("a place took %s", took)
		}
	})
}

func TestWhatTheProviderSaysIsReportedWhenItMatters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(full())
		report := func(remaining int) {
			w.Report(t.Context(), 10, remaining, time.Now().Add(time.Second))
			synctest.Wait()
		}
		report(9) // plenty: now and then
		report(8)
		time.Sleep(6 * time.Second)
		report(8)
		report(3) // little: always
		report(2)
		report(0) // none: always
		want := []string{"auth0 9/10", "auth0 8/10", "auth0 3/10", "auth0 2/10", "auth0 0/10"}
		if diff := cmp.Diff(want, w.reports); diff != "" {
			t.Errorf("reports (-want +got):\n%s", diff)
		}
	})
}
