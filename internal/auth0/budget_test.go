package auth0

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/auth0/emulator"
	"github.com/credenceproject/credence/internal/registry"
)

// ledger is a Budget that remembers.
type ledger struct {
	mu      sync.Mutex
	taken   []bool // low
	reports []report
	take    func(context.Context) error
}

type report struct {
	Limit, Remaining int
	Reset            time.Time
}

func (l *ledger) Take(ctx context.Context, low bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken = append(l.taken, low)
	if l.take != nil {
		return l.take(ctx)
	}
	return nil
}

func (l *ledger) Report(_ context.Context, limit, remaining int, reset time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reports = append(l.reports, report{limit, remaining, reset})
}

func TestEachManagementCallTakesFromTheBudget(t *testing.T) {
	t.Parallel()
	tn := prepared(t, nil)
	setup := tn.client(t, nil)
	budget := &ledger{}
	c := tn.client(t, func(c *Config) { c.Budget = budget })
	if err := c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(budget.taken) != 0 {
		t.Errorf("the token endpoint took %v", budget.taken)
	}
	agent, _ := made(t, setup, "A")
	for _, low := range []bool{false, true} {
		ctx := t.Context()
		if low {
			ctx = LowPriority(ctx)
		}
		for name, call := range callsOf(withKeys(t, agent, map[bool]string{false: "B", true: "C"}[low])) {
			budget.taken = nil
			before := len(tn.Calls())
			err := call(ctx, c)
			if err != nil && !errors.Is(err, registry.Refused) && !errors.Is(err, registry.NotFound) {
				t.Errorf("%s: %v", name, err)
			}
			want := make([]bool, len(tn.Calls())-before)
			for i := range want {
				want[i] = low
			}
			if diff := cmp.Diff(want, budget.taken); diff != "" {
				t.Errorf("%s: priorities -want +got:\n%s", name, diff)
			}
		}
	}
	if len(budget.reports) != 0 {
		t.Errorf("a tenant without a limit was reported: %v", budget.reports)
	}
}

func TestWhatAuth0SaysOfItsLimitIsReported(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	tn := newTenant(t, func(o *emulator.Options) {
		o.Now = func() time.Time { return now }
		o.ManagementRate = emulator.Rate{PerSecond: 2, Burst: 2}
		o.TokenRate = emulator.Rate{PerSecond: 30, Burst: 30}
	})
	budget := &ledger{}
	c := tn.client(t, func(c *Config) { c.Budget = budget })
	for i := range 3 {
		_, err := c.InspectClient(t.Context(), "abc")
		if kind := []registry.Kind{registry.NotFound, registry.NotFound, registry.Unavailable}[i]; !errors.Is(err, kind) {
			t.Errorf("call %d: %v, want %s", i, err, kind)
		}
	}
	reset := now.Add(time.Second) // rounded up to a second, as the header is
	want := []report{{2, 1, reset}, {2, 0, reset}}
	if diff := cmp.Diff(want, budget.reports[:2]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	last := budget.reports[2]
	if last.Limit != 2 || last.Remaining != 0 || !last.Reset.After(time.Now()) {
		t.Errorf("the refusal was reported as %+v", last)
	}
}

func TestEveryDialectOfTheHeadersIsReported(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	for name, row := range map[string]struct {
		status int
		header []string
		want   []report
	}{
		"nothing":                 {200, nil, nil},
		"all":                     {200, []string{"X-Ratelimit-Limit", "50", "X-Ratelimit-Remaining", "49", "X-Ratelimit-Reset", "1800000001"}, []report{{50, 49, now.Add(time.Second)}}},
		"no limit":                {201, []string{"X-Ratelimit-Remaining", "0", "X-Ratelimit-Reset", "1800000001"}, []report{{0, 0, now.Add(time.Second)}}},
		"no reset":                {200, []string{"X-Ratelimit-Limit", "50", "X-Ratelimit-Remaining", "49"}, nil},
		"rubbish":                 {200, []string{"X-Ratelimit-Limit", "x", "X-Ratelimit-Remaining", "-1", "X-Ratelimit-Reset", "soon"}, nil},
		"a failure":               {500, []string{"X-Ratelimit-Limit", "50", "X-Ratelimit-Remaining", "3", "X-Ratelimit-Reset", "1800000001"}, []report{{50, 3, now.Add(time.Second)}}},
		"a refusal":               {429, nil, []report{{0, 0, now.Add(time.Second)}}},
		"a refusal with a reset":  {429, []string{"X-Ratelimit-Limit", "2", "X-Ratelimit-Remaining", "0", "X-Ratelimit-Reset", "1800000007"}, []report{{2, 0, now.Add(7 * time.Second)}}},
		"a refusal with Retry":    {429, []string{"Retry-After", "9"}, []report{{0, 0, now.Add(9 * time.Second)}}},
		"a refusal that is stale": {429, []string{"X-Ratelimit-Reset", "1700000000"}, []report{{0, 0, now.Add(time.Second)}}},
	} {
		header := http.Header{}
		for i := 0; i+1 < len(row.header); i += 2 {
			header.Set(row.header[i], row.header[i+1])
		}
		budget := &ledger{}
		(&meter{budget: budget}).report(t.Context(), &http.Response{StatusCode: row.status, Header: header}, now)
		if diff := cmp.Diff(row.want, budget.reports); diff != "" {
			t.Errorf("%s -want +got:\n%s", name, diff)
		}
	}
}

func TestACallWithoutAPlaceInTheBudgetIsNotMade(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, nil)
	busy := registry.Unavailable.Errorf("busy", "the budget is spent")
	for name, row := range map[string]struct {
		take  func(context.Context) error
		cause error
	}{
		"the context ends in the wait": {func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, context.DeadlineExceeded},
		"the budget has a word for it": {func(context.Context) error { return busy }, busy},
		"the budget is broken":         {func(context.Context) error { return errors.New("no database") }, registry.Unavailable},
	} {
		c := tn.client(t, func(c *Config) { c.Budget = &ledger{take: row.take} })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		_, err := c.CreateClient(ctx, newAgent(), "intent")
		cancel()
		if !errors.Is(err, registry.ErrNotDone) || !errors.Is(err, registry.Unavailable) || !errors.Is(err, row.cause) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if calls := tn.Calls(); len(calls) != 0 {
		t.Errorf("calls were made: %v", calls)
	}
}
