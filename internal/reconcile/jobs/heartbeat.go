package jobs

import (
	"context"
	"time"
)

// Beater says of what has not changed for a while that it is still current.
// *postgres.Store implements it.
type Beater interface {
	// Heartbeat does so where that was last said longer ago than every, and returns
	// of how many scopes it did.
	Heartbeat(ctx context.Context, every time.Duration) (beaten int, err error)
}

// Heartbeat is the job by which no scope is older than half as long again as every,
// while some replica leads. It looks twice in that time: it would find a scope that
// is nearly that old only the next time. Environments whose max_staleness is not well
// above every have calls denied in between.
func Heartbeat(b Beater, every time.Duration) Job {
	return Job{Name: "heartbeat", Every: every / 2, Do: func(ctx context.Context) error {
		_, err := b.Heartbeat(ctx, every)
		return err
	}}
}
