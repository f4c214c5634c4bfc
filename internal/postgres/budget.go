package postgres

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/registry"
)

const (
	// A bucket is full when it is first asked for. Later callers wait for each
	// other at its row, and read the clock when it is their turn. One that was put
	// back costs what would have been filled meanwhile, no more. What is written as
	// wait is for the answer alone.
	takeTokensSQL = `
	INSERT INTO provider_budgets AS b (name, tokens, refilled_at, wait)
	VALUES (@name, @burst::float8 - @n::float8, clock_timestamp(), 0)
	ON CONFLICT (name) DO UPDATE
	SET (tokens, refilled_at, wait) = (
	    SELECT judged.tokens - CASE WHEN judged.wait > 0 THEN 0 ELSE @n END, judged.at, judged.wait
	    FROM (
	        SELECT filled.at, filled.tokens, GREATEST(
	                   0, (LEAST(filled.size, @n + @reserve::float8) - filled.tokens) / @per_second::float8,
	                   extract(epoch FROM b.blocked_until - filled.at)::float8) AS wait
	        FROM (
	            SELECT bucket.at, bucket.size,
	                   LEAST(bucket.size, b.tokens + @per_second * GREATEST(0, extract(epoch FROM bucket.at - b.refilled_at)::float8)) AS tokens
	            FROM (SELECT clock_timestamp() AS at, LEAST(@burst, b.capacity) AS size) bucket) filled) judged)
	RETURNING wait`

	// capacity is the size of the provider's own bucket; null is unknown.
	reportTokensSQL = `
	INSERT INTO provider_budgets AS b (name, tokens, refilled_at, capacity, blocked_until)
	VALUES (@name, @remaining::float8, clock_timestamp(), NULLIF(@limit::float8, 0),
	        CASE WHEN @remaining <= 0 THEN clock_timestamp() + @reset::interval END)
	ON CONFLICT (name) DO UPDATE
	SET tokens = LEAST(b.tokens, excluded.tokens),
	    refilled_at = CASE WHEN excluded.tokens < b.tokens THEN GREATEST(b.refilled_at, excluded.refilled_at) ELSE b.refilled_at END,
	    capacity = COALESCE(excluded.capacity, b.capacity),
	    blocked_until = GREATEST(b.blocked_until, excluded.blocked_until)`
)

// leastWait is the shortest wait that a caller is told: what rounding makes of a
// token that is nearly there must not read as one that was taken.
const leastWait = time.Millisecond

// BudgetTake takes n tokens from the named bucket, which all replicas share, and
// returns 0, or else how long to wait before it is worth asking again. It leaves
// reserve tokens in the bucket, for callers that are more urgent and leave fewer;
// from a full bucket anybody may take. The bucket is filled as limit says, and
// holds no more than BudgetReport said that the provider's does. n is not above
// limit.Burst.
func (s *Store) BudgetTake(ctx context.Context, name string, n, reserve int, limit registry.RateLimit) (wait time.Duration, err error) {
	var seconds float64
	err = s.pool.QueryRow(ctx, takeTokensSQL, pgx.NamedArgs{
		"name": name, "n": n, "reserve": reserve, "per_second": limit.PerSecond, "burst": limit.Burst,
	}).Scan(&seconds)
	if err != nil {
		return 0, fmt.Errorf("take from the budget: %w", translate(err))
	}
	if seconds <= 0 {
		return 0, nil
	}
	return max(leastWait, time.Duration(math.Ceil(seconds*1e3))*time.Millisecond), nil
}

// maxBlock bounds how long one report can keep everybody from a provider: its
// clock may be wrong.
const maxBlock = 5 * time.Minute

// BudgetReport takes note of what the provider says of its own bucket: how large
// it is (0 is unknown), how much remains in it, and when there will be more. It
// only ever lowers what we think is left; when nothing is, nobody takes anything
// until reset, a time of this process.
func (s *Store) BudgetReport(ctx context.Context, name string, limit, remaining int, reset time.Time) error {
	_, err := s.pool.Exec(ctx, reportTokensSQL, pgx.NamedArgs{
		"name": name, "limit": limit, "remaining": max(0, remaining), "reset": min(max(0, time.Until(reset)), maxBlock),
	})
	if err != nil {
		return fmt.Errorf("report to the budget: %w", translate(err))
	}
	return nil
}
