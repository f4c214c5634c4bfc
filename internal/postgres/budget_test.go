package postgres_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// slow is a bucket that does not fill in a test.
var slow = registry.RateLimit{PerSecond: 0.001, Burst: 10}

func (b *bundle) take(t *testing.T, reserve int, limit registry.RateLimit) time.Duration {
	t.Helper()
	wait, err := b.store.BudgetTake(t.Context(), "auth0", 1, reserve, limit)
	if err != nil {
		t.Fatal(err)
	}
	return wait
}

// past makes the bucket as if so much time had passed.
func (b *bundle) past(t *testing.T, d time.Duration) {
	t.Helper()
	if _, err := b.pool.Exec(t.Context(), `UPDATE provider_budgets SET refilled_at = refilled_at - $1::interval, blocked_until = blocked_until - $1::interval`, d); err != nil {
		t.Fatal(err)
	}
}

// However many replicas ask at once, no more is given than there is.
func TestReplicasTogetherTakeNoMoreThanTheBudget(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var taken atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				switch wait, err := b.store.BudgetTake(t.Context(), "auth0", 1, 0, slow); {
				case err != nil:
					t.Error(err)
				case wait == 0:
					taken.Add(1)
				case wait > 1000*time.Second:
					t.Errorf("a wait of %s for one token", wait)
				}
			}
		})
	}
	wg.Wait()
	if n := taken.Load(); n != 10 {
		t.Errorf("%d tokens were taken of 10", n)
	}
	if wait, err := b.store.BudgetTake(t.Context(), "vault", 1, 0, slow); err != nil || wait != 0 {
		t.Errorf("another provider's budget: wait %s, error %v", wait, err)
	}
}

func TestABudgetFillsWithTimeUpToItsBurst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	limit := registry.RateLimit{PerSecond: 0.1, Burst: 2}
	takes := func() (n int) {
		for b.take(t, 0, limit) == 0 {
			n++
		}
		return n
	}
	var got []int
	// The clock is put back by an hour in between.
	for _, passed := range []time.Duration{0, 11 * time.Second, 5 * time.Second, 5 * time.Second, time.Hour, -time.Hour, 11 * time.Second} {
		if passed != 0 {
			b.past(t, passed)
		}
		got = append(got, takes())
	}
	wantEqual(t, "tokens that could be had", []int{2, 1, 0, 1, 2, 0, 1}, got)
	b.past(t, 2*time.Second)
	if wait := b.take(t, 0, limit); wait < 6*time.Second || wait > 7*time.Second {
		t.Errorf("the wait for a token that is there in 7 s is %s", wait)
	}
}

// Sweeps leave registrations what they need, and have their turn when nobody else
// wants it.
func TestWhoLeavesAReserveTakesNoneOfIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	low, urgent := 0, 0
	for b.take(t, 4, slow) == 0 {
		low++
	}
	for b.take(t, 0, slow) == 0 {
		urgent++
	}
	wantEqual(t, "tokens that could be had", [2]int{6, 4}, [2]int{low, urgent})
	if wait := b.take(t, 4, slow); wait < 4900*time.Second || wait > 5000*time.Second {
		t.Errorf("who leaves 4 is told to wait %s for 5 tokens of 1000 s each", wait)
	}
	tight := registry.RateLimit{PerSecond: 0.001, Burst: 2}
	for range 2 { // the first time it is full because nobody asked before
		wait, err := b.store.BudgetTake(t.Context(), "tight", 1, 5, tight)
		if err != nil || wait != 0 {
			t.Errorf("a full bucket that is smaller than the reserve: wait %s, error %v", wait, err)
		}
		b.past(t, time.Hour)
	}
}

func TestAReportLowersTheBudgetAndNeverRaisesIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	report := func(limit, remaining int, reset time.Duration) {
		t.Helper()
		if err := b.store.BudgetReport(t.Context(), "auth0", limit, remaining, time.Now().Add(reset)); err != nil {
			t.Fatal(err)
		}
	}
	takes := func() string {
		n := 0
		for b.take(t, 0, slow) == 0 {
			n++
		}
		return fmt.Sprint(n)
	}
	b.take(t, 0, slow)
	report(0, 3, time.Minute)
	report(0, 50, time.Minute)
	wantEqual(t, "after what remains was reported", "3", takes())

	b.past(t, 100*time.Hour)
	report(10, 0, 30*time.Second)
	report(10, 0, time.Second) // an older answer
	fast := registry.RateLimit{PerSecond: 1000, Burst: 10}
	if wait := b.take(t, 0, fast); wait < 28*time.Second || wait > 30*time.Second {
		t.Errorf("nothing remains for 30 s, and the wait is %s", wait)
	}
	b.past(t, time.Minute)
	report(10, 0, 1000*time.Hour)
	if wait := b.take(t, 0, fast); wait < 4*time.Minute || wait > 5*time.Minute {
		t.Errorf("a clock that is wrong keeps everybody out for %s", wait)
	}
	b.past(t, 100*time.Hour)
	report(4, 4, 0)
	b.past(t, 100*time.Hour)
	wantEqual(t, "of a bucket that is smaller than we thought", "4", takes())
}

func TestAReportMayBeTheFirstThatIsHeardOfABudget(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if err := b.store.BudgetReport(t.Context(), "auth0", 2, 1, time.Now()); err != nil {
		t.Fatal(err)
	}
	if first, second := b.take(t, 0, slow), b.take(t, 0, slow); first != 0 || second <= 0 {
		t.Errorf("one remained, and the waits are %s and %s", first, second)
	}
}
