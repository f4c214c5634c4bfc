package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"

	"github.com/credenceproject/credence/api"
)

func probe(err error) func(context.Context) error {
	return func(context.Context) error { return err }
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	away := errors.New("does not answer")
	ok := func(name string) api.Check { return api.Check{Name: api.CheckName(name), Ok: true} }
	amiss := func(name, reason string) api.Check {
		return api.Check{Name: api.CheckName(name), Reason: &reason}
	}
	for name, tc := range map[string]struct {
		database, schema error
		drain            bool
		status           int
		want             api.Readiness
	}{
		"all is well": {nil, nil, false, 200, api.Readiness{Ready: true, Checks: []api.Check{ok("database"), ok("schema")}}},
		"invariant F2: the database is a detail": {away, nil, false, 200, api.Readiness{
			Ready: true, Checks: []api.Check{amiss("database", "does not answer"), ok("schema")},
		}},
		"a vital check fails": {nil, away, false, 503, api.Readiness{
			Checks: []api.Check{ok("database"), amiss("schema", "does not answer")},
		}},
		"both fail": {away, away, false, 503, api.Readiness{
			Checks: []api.Check{amiss("database", "does not answer"), amiss("schema", "does not answer")},
		}},
		"draining": {nil, nil, true, 503, api.Readiness{
			Checks: []api.Check{ok("database"), ok("schema"), amiss("draining", "the process is about to stop")},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := NewHealth("v1", Check{Name: "database", Probe: probe(tc.database)}, Check{Name: "schema", Vital: true, Probe: probe(tc.schema)})
			if tc.drain {
				h.Drain()
			}
			w := newFixture(t, func(o *Options) { o.Health = h }).do(call{method: http.MethodGet, path: "/readyz"})
			if w.Code != tc.status {
				t.Errorf("status %d, want %d", w.Code, tc.status)
			}
			var got api.Readiness
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("readiness (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHealthzAnswersWhateverIsAmiss(t *testing.T) {
	t.Parallel()
	h := NewHealth("v1.2.3", Check{Name: "schema", Vital: true, Probe: probe(errors.New("wrong"))})
	h.Drain()
	w := newFixture(t, func(o *Options) { o.Health = h }).do(call{method: http.MethodGet, path: "/healthz"})
	if got := w.Body.String(); w.Code != http.StatusOK || got != `{"status":"ok","version":"v1.2.3"}`+"\n" {
		t.Errorf("%d %s", w.Code, got)
	}
}

// Probes run side by side, and one that hangs is given up.
func TestAProbeThatHangsDoesNotHangReadiness(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hangs := func(ctx context.Context) error {
			<-ctx.Done()
			return errors.New("does not answer")
		}
		h := NewHealth("v1", Check{Name: "database", Probe: hangs}, Check{Name: "secret_store", Probe: hangs}, Check{Name: "schema", Vital: true, Probe: probe(nil)})
		began := time.Now()
		r := h.readiness(t.Context())
		if took := time.Since(began); took != probeTimeout {
			t.Errorf("it took %s, want %s", took, probeTimeout)
		}
		if !r.Ready || r.Checks[0].Ok || r.Checks[1].Ok || !r.Checks[2].Ok {
			t.Errorf("readiness = %+v", r)
		}
	})
}

// Anybody may ask, as often as they like: the probes run once a second.
func TestReadinessIsFoundOutOnceASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var probes atomic.Int64
		h := NewHealth("v1", Check{Name: "database", Vital: true, Probe: func(ctx context.Context) error {
			if probes.Add(1) > 1 {
				return errors.New("does not answer")
			}
			return ctx.Err()
		}})
		hungUp, hangUp := context.WithCancel(t.Context())
		hangUp()
		for range 50 {
			if r := h.readiness(hungUp); !r.Ready { // its answer is for others too
				t.Errorf("readiness = %+v", r)
			}
		}
		if n := probes.Load(); n != 1 {
			t.Errorf("%d probes, want 1", n)
		}
		time.Sleep(probeLifetime)
		if r := h.readiness(t.Context()); r.Ready || probes.Load() != 2 {
			t.Errorf("a second later: %+v after %d probes", r, probes.Load())
		}
	})
}

func TestCallersAtOnceShareTheProbes(t *testing.T) {
	t.Parallel()
	var probes atomic.Int64
	h := NewHealth("v1", Check{Name: "database", Probe: func(context.Context) error { probes.Add(1); return nil }})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { h.readiness(t.Context()) })
	}
	wg.Wait()
	if n := probes.Load(); n != 1 {
		t.Errorf("%d probes, want 1", n)
	}
}

// Draining is no probe: it holds from the moment it is known.
func TestDrainingIsNotRemembered(t *testing.T) {
	t.Parallel()
	h := NewHealth("v1", Check{Name: "database", Probe: probe(nil)})
	if r := h.readiness(t.Context()); !r.Ready {
		t.Errorf("readiness = %+v", r)
	}
	h.Drain()
	if r := h.readiness(t.Context()); r.Ready || len(r.Checks) != 2 {
		t.Errorf("readiness = %+v", r)
	}
}

// HEAD is GET without the body (RFC 9110, section 9.3.2), on a real server.
func TestHeadAnswersLikeGet(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(newFixture(t).handler)
	t.Cleanup(server.Close)
	for _, path := range []string{"/healthz", "/readyz", "/openapi.yaml", "/agents", "/nowhere"} {
		var answers []string
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			answers = append(answers, answer.Status+" "+answer.Header.Get(echo.HeaderContentType))
			if body, err := io.ReadAll(answer.Body); err != nil || (len(body) > 0) != (method == http.MethodGet) {
				t.Errorf("%s %s has the body %q %v", method, path, body, err)
			}
		}
		wantEqual(t, path, answers[0], answers[1])
	}
}
