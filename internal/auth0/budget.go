package auth0

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// Budget shares Auth0's rate limit, which the tenant has as a whole, among all
// who call the Management API. It must be safe for concurrent use.
type Budget interface {
	// Take waits for a place within the rate limit; low says that others may go
	// first. It returns no later than ctx ends, and then with an error.
	Take(ctx context.Context, low bool) error
	// Report tells what Auth0 said with an answer: the size of the bucket (0 is
	// unknown), how many requests remain in it, and when there will be more.
	Report(ctx context.Context, limit, remaining int, reset time.Time)
}

type lowPriorityKey struct{}

// LowPriority returns a context whose calls let those of other contexts go
// first where the Budget is short: sweeps yield to registrations.
func LowPriority(ctx context.Context) context.Context {
	return context.WithValue(ctx, lowPriorityKey{}, true)
}

func isLowPriority(ctx context.Context) bool {
	low, _ := ctx.Value(lowPriorityKey{}).(bool)
	return low
}

// admit waits until a call may be made. The wait is bounded by ctx alone, not by
// the timeout of the call. Its errors are ErrNotDone.
func (c *Client) admit(ctx context.Context) error {
	err := ctx.Err()
	if err == nil && c.config.Budget != nil {
		err = c.config.Budget.Take(ctx, isLowPriority(ctx))
	}
	if err != nil {
		return fmt.Errorf("%w: wait for a place within the rate limit: %w", registry.ErrNotDone, err)
	}
	return nil
}

// meter reports to the budget what Auth0 says of the rate limit with each answer
// of the Management API. The limit of the token endpoint is another one.
type meter struct {
	budget Budget
	base   http.RoundTripper
}

func (m *meter) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := m.base.RoundTrip(req)
	if err == nil {
		m.report(req.Context(), resp, time.Now())
	}
	return resp, err
}

func (m *meter) report(ctx context.Context, resp *http.Response, now time.Time) {
	limit := max(0, number(resp.Header, "X-Ratelimit-Limit"))
	if resp.StatusCode == http.StatusTooManyRequests {
		m.budget.Report(ctx, limit, 0, now.Add(max(retryAfter(resp.Header, now), minRateWait)))
		return
	}
	remaining, reset := number(resp.Header, "X-Ratelimit-Remaining"), number(resp.Header, "X-Ratelimit-Reset")
	if remaining >= 0 && reset >= 0 {
		m.budget.Report(ctx, limit, remaining, time.Unix(int64(reset), 0))
	}
}

// number reads a header that is a whole number; -1 is anything else.
func number(h http.Header, name string) int {
	n, err := strconv.Atoi(h.Get(name))
	if err != nil || n < 0 {
		return -1
	}
	return n
}
