package vault

import (
	"context"
	"fmt"
)

// turn lets one at a time do something, and those who wait give up in time,
// which no mutex does. It is safe for concurrent use.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

// take returns when it is the caller's turn. When ctx ends first it fails with
// registry.Unavailable.
func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return unavailable(fmt.Errorf("wait for a call of the same subject: %w", ctx.Err()))
	}
}

func (t turn) give() { <-t }
