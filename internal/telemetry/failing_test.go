package telemetry_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/credenceproject/credence/internal/telemetry"
)

// However often somebody scrapes, the database is asked now and then; what it does
// not answer is not made up.
func TestAgentsThatFailAreCountedNowAndThen(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	var n int64
	var away error
	asked := 0
	reg := prometheus.NewPedanticRegistry()
	telemetry.RegisterFailing(reg, func(ctx context.Context) (int64, error) {
		asked++
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("a database that has gone silent would hold scrapes up")
		}
		return n, away
	}, func() time.Time { return now })
	for _, step := range []struct {
		when  string
		after time.Duration
		n     int64
		away  error
		want  map[string]float64
		asked int
	}{
		{"at first", 0, 3, nil, map[string]float64{"credence_agents_failing": 3}, 1},
		{"soon after", 14 * time.Second, 5, nil, map[string]float64{"credence_agents_failing": 3}, 1},
		{"later", time.Second, 5, nil, map[string]float64{"credence_agents_failing": 5}, 2},
		{"in an outage", 15 * time.Second, 5, errors.New("away"), map[string]float64{}, 3},
		{"later in the outage", 14 * time.Second, 5, errors.New("away"), map[string]float64{}, 3},
		{"after it", time.Second, 0, nil, map[string]float64{"credence_agents_failing": 0}, 4},
	} {
		now, n, away = now.Add(step.after), step.n, step.away
		expectValues(t, reg, step.when, step.want)
		if asked != step.asked {
			t.Errorf("%s: %d questions, want %d", step.when, asked, step.asked)
		}
	}
}
