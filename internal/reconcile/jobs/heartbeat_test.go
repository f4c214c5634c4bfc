package jobs_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/postgres"
	"github.com/credenceproject/credence/internal/reconcile/jobs"
)

var _ jobs.Beater = (*postgres.Store)(nil)

// beater tells of each heartbeat, and fails the first.
type beater chan time.Duration

func (b beater) Heartbeat(_ context.Context, every time.Duration) (int, error) {
	b <- every
	if len(b) == 1 {
		return 0, errors.New("away")
	}
	return 1, nil
}

// A scope that is not yet stale when it is looked at is so before the period ends:
// it is looked at twice. One that failed is tried again by then.
func TestTheHeartIsAskedForTwiceAPeriod(t *testing.T) {
	t.Parallel()
	b := make(beater, 100)
	r := start(t, migrated(t), jobs.Heartbeat(b, 2*time.Second))
	if err := await(t, "the first heartbeat", r.ends); err == nil {
		t.Error("a heartbeat that failed was observed as a good one")
	}
	began := time.Now()
	for range 2 {
		if err := await(t, "another heartbeat", r.ends); err != nil {
			t.Errorf("a heartbeat: %v", err)
		}
	}
	if took := time.Since(began); took < time.Second || <-b != 2*time.Second {
		t.Errorf("two heartbeats within %v, of the wrong age or too often", took)
	}
}
