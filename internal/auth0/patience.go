package auth0

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// How patiently we wait for a free place within the rate limit. A free tenant
// allows two calls a second, and Setup makes a dozen.
const (
	maxRateWaits = 10
	minRateWait  = time.Second
)

// patientCall is call, made again after a wait where Auth0 refused it for its
// rate: such a call was not carried out. Each of them is bounded in time; how
// long they may take in all is for ctx to say.
func (c *Client) patientCall(ctx context.Context, op operation, f func(context.Context) error) error {
	for waits := 0; ; waits++ {
		var raw error
		err := c.call(ctx, op, func(ctx context.Context) error {
			raw = f(ctx)
			return raw
		})
		if !isStatus(raw, http.StatusTooManyRequests) || waits == maxRateWaits {
			return err
		}
		known, _ := registry.AsError(err)
		if waitErr := wait(ctx, max(known.RetryAfter, minRateWait)); waitErr != nil {
			return err
		}
	}
}

// wait returns after d, or earlier with the reason why ctx ended.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("wait for Auth0: %w", context.Cause(ctx))
	case <-timer.C:
		return nil
	}
}
