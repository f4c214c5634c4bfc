package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/registry"
)

// oneAgent is a registry with one agent, which gets ready at some time.
type oneAgent struct {
	agents.Store
	readyAt time.Time
	gone    atomic.Bool
}

func (o *oneAgent) Agent(ctx context.Context, _ string, _ bool) (registry.Agent, error) {
	if err := ctx.Err(); err != nil {
		return registry.Agent{}, registry.Unavailable.Wrap(err, "unavailable", "the registry does not answer")
	}
	if o.gone.Load() {
		return registry.Agent{}, registry.NotFound.Errorf("not_found", "there is no agent of that name")
	}
	a := registry.Agent{ID: agentID, Name: "support-triage", Lifecycle: registry.Active, Convergence: registry.Convergence{Generation: 1}}
	for _, name := range registry.Steps {
		a.Steps = append(a.Steps, registry.Step{Name: name, State: registry.StepDone, At: noon})
	}
	if !time.Now().Before(o.readyAt) {
		a.Convergence.Observed = 1
	}
	return a, nil
}

// waitingFor is an API whose only agent gets ready after a while.
func waitingFor(t *testing.T, after time.Duration) (*fixture, *oneAgent, *Health) {
	t.Helper()
	store, health := &oneAgent{readyAt: time.Now().Add(after)}, NewHealth("v1")
	return newFixture(t, func(o *Options) {
		o.Agents = agents.NewService(store, nil, nil, nil, slog.New(slog.DiscardHandler), agents.Options{})
		o.Health = health
	}), store, health
}

func TestAnAnswerIsHeldUntilTheAgentIsReady(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		query       string
		readyAfter  time.Duration
		least, most time.Duration
		retryAfter  bool
	}{
		"ready":                         {"?wait=ready", 0, 0, 0, false},
		"ready later":                   {"?wait=ready", 12 * time.Second, 12 * time.Second, 13 * time.Second, false},
		"not within the default":        {"?wait=ready", time.Hour, 30 * time.Second, 30 * time.Second, true},
		"not within what was asked for": {"?wait=ready&timeout=5s", time.Hour, 5 * time.Second, 5 * time.Second, true},
		"longer than any other request": {"?wait=ready&timeout=1m", time.Hour, time.Minute, time.Minute, true},
		"not asked for":                 {"", time.Hour, 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f, _, _ := waitingFor(t, tc.readyAfter)
				began := time.Now()
				w := f.do(call{method: http.MethodGet, path: "/agents/support-triage" + tc.query, as: "reader"})
				if took := time.Since(began); took < tc.least || took > tc.most {
					t.Errorf("it took %s, want %s to %s", took, tc.least, tc.most)
				}
				if w.Code != http.StatusOK || (w.Header().Get(echo.HeaderRetryAfter) != "") != tc.retryAfter {
					t.Errorf("%d with Retry-After %q: %s", w.Code, w.Header().Get(echo.HeaderRetryAfter), w.Body)
				}
			})
		})
	}
}

func TestWaitingForAnAgentThatIsDeletedEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, store, _ := waitingFor(t, time.Hour)
		time.AfterFunc(3*time.Second, func() { store.gone.Store(true) })
		began := time.Now()
		wantProblem(t, f.do(call{method: http.MethodGet, path: "/agents/support-triage?wait=ready", as: "reader"}), http.StatusNotFound, "not_found")
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

// A process that is about to stop lets go who waits: they ask the next one.
func TestDrainingEndsTheWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, _, health := waitingFor(t, time.Hour)
		time.AfterFunc(3*time.Second, health.Drain)
		began := time.Now()
		w := f.do(call{method: http.MethodGet, path: "/agents/support-triage?wait=ready", as: "reader"})
		if took := time.Since(began); took != 3*time.Second || w.Code != http.StatusOK || w.Header().Get(echo.HeaderRetryAfter) == "" {
			t.Errorf("after %s: %d with Retry-After %q", took, w.Code, w.Header().Get(echo.HeaderRetryAfter))
		}
	})
}

func TestOneCallerWaitsForSoManyAgentsOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, _, _ := waitingFor(t, time.Hour)
		wait := func(as string) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			f.handler.ServeHTTP(w, call{method: http.MethodGet, path: "/agents/support-triage?wait=ready", as: as}.request(t.Context()))
			return w
		}
		var held sync.WaitGroup
		for range maxWaiting {
			held.Go(func() {
				if w := wait("reader"); w.Code != http.StatusOK {
					t.Errorf("%d: %s", w.Code, w.Body)
				}
			})
		}
		synctest.Wait()
		refused := wait("reader")
		wantProblem(t, refused, http.StatusTooManyRequests, "too_many_waits")
		if refused.Header().Get(echo.HeaderRetryAfter) == "" {
			t.Error("there is no Retry-After")
		}
		held.Go(func() {
			if w := wait("ana"); w.Code != http.StatusOK {
				t.Errorf("another caller is answered %d: %s", w.Code, w.Body)
			}
		})
		held.Wait()
		if w := wait("reader"); w.Code != http.StatusOK {
			t.Errorf("later the caller is answered %d: %s", w.Code, w.Body)
		}
	})
}
