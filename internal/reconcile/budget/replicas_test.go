package budget_test

import (
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/postgres"
	"github.com/credenceproject/credence/internal/reconcile/budget"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/testdb"
)

// Together the replicas make no more calls than the limit allows, whatever window
// one looks at, and hardly fewer.
func TestReplicasShareTheRate(t *testing.T) {
	t.Parallel()
	const rate, burst, places = 50, 5, 80
	store := postgres.NewStore(testdb.New(t))
	var mu sync.Mutex
	var taken []time.Time
	var g sync.WaitGroup
	began := time.Now()
	for range 2 {
		replica := budget.New(budget.Options{
			Bucket: store, Name: "shared", Limit: registry.RateLimit{PerSecond: rate, Burst: burst}, Log: slog.New(slog.DiscardHandler),
		})
		for range places / 2 {
			g.Go(func() {
				if err := replica.Take(t.Context(), false); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				taken = append(taken, time.Now())
			})
		}
	}
	g.Wait()
	if took, least := time.Since(began), time.Duration(places-burst)*time.Second/rate; took < least-20*time.Millisecond || took > 3*least {
		t.Errorf("%d places took %s, want %s or somewhat more", places, took, least)
	}
	slices.SortFunc(taken, time.Time.Compare)
	for i := range taken {
		j := i
		for j < len(taken) && taken[j].Sub(taken[i]) < time.Second/2 {
			j++
		}
		if n := j - i; n > rate/2+burst+3 { // answers bunch a little
			t.Errorf("%d places within half a second, want %d at most", n, rate/2+burst)
		}
	}
}
