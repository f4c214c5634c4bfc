package httpapi

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/credenceproject/credence/internal/feed"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

// engines are callers by token: each token is the permission that it carries, with
// dots for what no token has.
type engines struct{}

func (engines) Authenticate(_ context.Context, token string) (registry.Principal, error) {
	return registry.Principal{Subject: token, Permissions: []registry.Permission{registry.Permission(strings.ReplaceAll(token, ".", ":"))}}, nil
}

// feedSystem is the feed of a registry in memory.
type feedSystem struct {
	*fixture
	m       *registrytest.Memory
	service *feed.Service
}

// newFeed returns the feed of a registry that has two environments. In a bubble it
// stops with stop.
func newFeed(t *testing.T) (f *feedSystem, stop func()) {
	t.Helper()
	f = &feedSystem{m: registrytest.NewMemory()}
	f.m.Change(func(m *registrytest.Model) registry.Change {
		return m.PutEnvironment(registry.EnvironmentFacts{Name: "staging", Grants: "permissions"})
	})
	follower := snapshot.NewFollower(snapshot.Options{Connect: f.m.Connect, Epochs: f.m, Log: slog.New(slog.DiscardHandler)})
	stop = runFollower(follower)
	if err := follower.WaitFor(t.Context(), f.m.Head()); err != nil {
		t.Fatal(err)
	}
	f.service = feed.NewService(follower, feed.Options{})
	f.fixture = newFixture(t, func(o *Options) {
		o.Feed, o.Freshness, o.Authenticator = f.service, follower, engines{}
	})
	return f, stop
}

func runFollower(f *snapshot.Follower) (stop func()) {
	ctx, end := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = f.Run(ctx) })
	return func() {
		end()
		running.Wait()
	}
}

func TestInvariant_B7_AScopeIsReadByItsReadersOnly(t *testing.T) {
	t.Parallel()
	f, stop := newFeed(t)
	t.Cleanup(stop)
	for _, path := range []string{"/snapshot?scope=production", "/changes?scope=production&since=e1.2"} {
		for token, status := range map[string]int{
			"admin": 200, "bundles.read": 200, "bundles.read.production": 200,
			"bundles.read.staging": 403, "bundles.read.": 403, "agents.read": 403, "": 401,
		} {
			w := f.do(call{method: http.MethodGet, path: path, as: token})
			if w.Code != status {
				t.Errorf("%s with %q: %d, want %d: %s", path, token, w.Code, status, w.Body)
			}
			if leaks := strings.Contains(w.Body.String(), `"grants"`); leaks && status != 200 {
				t.Errorf("%s with %q: %s", path, token, w.Body)
			}
		}
	}
	// Who may read one scope does not get another by naming both.
	for _, query := range []string{"scope=staging&scope=production", "scope=production&scope=staging", "scope=production&Scope=staging", "scope=staging%00&scope=production"} {
		if w := f.do(call{method: http.MethodGet, path: "/snapshot?" + query, as: "bundles.read.staging"}); w.Code < 400 {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
}

func TestRequestsForTheFeedAreChecked(t *testing.T) {
	t.Parallel()
	f, stop := newFeed(t)
	t.Cleanup(stop)
	for path, want := range map[string]struct {
		status int
		code   string
	}{
		"/snapshot":                                            {400, "invalid_parameter"},
		"/snapshot?scope=nowhere":                              {404, "not_found"},
		"/snapshot?scope=":                                     {404, "not_found"},
		"/snapshot?scope=production&wait=1":                    {400, "invalid_parameter"},
		"/changes?scope=production":                            {400, "invalid_parameter"},
		"/changes?since=e1.1":                                  {400, "invalid_parameter"},
		"/changes?scope=production&since=1":                    {422, "invalid_parameter"},
		"/changes?scope=production&since=e1.-1":                {422, "invalid_parameter"},
		"/changes?scope=production&since=e1.2&wait=x":          {400, "invalid_parameter"},
		"/changes?scope=production&since=e1.2&wait=-1":         {422, "invalid_parameter"},
		"/changes?scope=nowhere&since=e1.2":                    {404, "not_found"},
		"/changes?scope=production&since=e1.1":                 {410, "changes_gone"}, // from before the load
		"/changes?scope=production&since=e0.2&wait=30":         {410, "changes_gone"},
		"/changes?scope=production&since=e1.99999999999999999": {410, "changes_gone"},
	} {
		w := f.do(call{method: http.MethodGet, path: path, as: "bundles.read"})
		if p := wantProblem(t, w, want.status, want.code); want.status == 410 && !strings.Contains(*p.Detail, "start again") {
			t.Errorf("%s: %q says nothing of what to do", path, *p.Detail)
		}
	}
	w := f.do(call{method: http.MethodGet, path: "/changes?scope=production&since=e1.2", as: "bundles.read"})
	wantEqual(t, "body", `{"kind":"end","epoch":"e1","revision":2,"count":0}`+"\n", w.Body.String())
	for name, want := range map[string]string{"Content-Type": "application/x-ndjson", "Cache-Control": "no-store"} {
		wantEqual(t, name, want, w.Header().Get(name))
	}
	if w.Header().Get("Age") == "" {
		t.Error("there is no Age")
	}
}

// The real server, over TCP, and the real client.
func TestTheFeedIsFollowedOverHTTP(t *testing.T) {
	t.Parallel()
	f, stop := newFeed(t)
	t.Cleanup(stop)
	server := httptest.NewServer(f.handler)
	t.Cleanup(server.Close)
	client, err := feed.NewClient(feed.ClientOptions{
		URL: server.URL, Scope: "production", HTTP: server.Client(),
		Token: func(context.Context) (string, error) { return "bundles.read.production", nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	remote := snapshot.NewFollower(snapshot.Options{Connect: client.Connect, Scoped: true, CheckEvery: time.Hour, Log: slog.New(slog.DiscardHandler)})
	stopRemote := runFollower(remote)
	t.Cleanup(stopRemote)
	var head registry.Head
	for i := range 50 {
		head = f.m.Change(func(m *registrytest.Model) registry.Change {
			return m.PutAgent(registry.AgentFacts{
				ID: "0197c000-0000-7000-8000-000000000001", Name: "triage", Environment: "production", Subject: "a@clients", Suspended: i%2 == 0, Scopes: []string{"data:read"},
			})
		})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if err := waitFor(ctx, remote, head); err != nil {
			t.Fatalf("change %d: %v", i, err)
		}
		cancel()
	}
	var want registry.Facts
	f.m.Do(func(m *registrytest.Memory) { want = m.Model.Facts() })
	got := registrytest.FactsOf(remote.View())
	if diff := cmp.Diff(want.Agents, got.Agents, cmpopts.EquateEmpty()); diff != "" || got.Head != head {
		t.Errorf("at %v (-registry +follower):\n%s", got.Head, diff)
	}
}

// waitFor waits for the state without asking for it.
func waitFor(ctx context.Context, f *snapshot.Follower, h registry.Head) error {
	for {
		changed := f.Changed()
		if v := f.View(); v != nil && v.Head() == h {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func TestInvariant_B9_AHeldAnswerIsTheLastOfItsConnectionInADrain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, stop := newFeed(t)
		defer stop()
		const held = "/changes?scope=production&since=e1.2&wait=60"
		answers := make(chan *httptest.ResponseRecorder, 1)
		began := time.Now()
		go func() { answers <- f.do(call{method: http.MethodGet, path: held, as: "bundles.read"}) }()
		time.Sleep(5 * time.Second)
		f.service.Drain(2 * time.Second)
		w := f.do(call{method: http.MethodGet, path: held, as: "bundles.read"})
		wantProblem(t, w, 503, "draining")
		wantEqual(t, "Connection of a new one", "close", w.Header().Get("Connection"))
		wantEqual(t, "Retry-After of a new one", "1", w.Header().Get("Retry-After"))
		w = <-answers
		if took := time.Since(began); w.Code != 200 || w.Header().Get("Connection") != "close" || took > 7*time.Second {
			t.Errorf("the one that was held: %d, Connection: %s, after %s", w.Code, w.Header().Get("Connection"), took)
		}
		wantEqual(t, "what it was told", `{"kind":"end","epoch":"e1","revision":2,"count":0}`+"\n", w.Body.String())
	})
}

// A wait is held for as long as it asks, and no longer than a proxy lets it.
func TestAWaitIsHeldToItsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, stop := newFeed(t)
		defer stop()
		for wait, want := range map[string]time.Duration{"0": 0, "1": time.Second, "55": feed.MaxWait, "4000000000": feed.MaxWait} {
			began := time.Now()
			w := f.do(call{method: http.MethodGet, path: "/changes?scope=production&since=e1.2&wait=" + wait, as: "bundles.read"})
			if took := time.Since(began); w.Code != 200 || took != want {
				t.Errorf("wait=%s: %d after %s, want %s: %s", wait, w.Code, took, want, w.Body)
			}
		}
	})
}

// A reader that is slow has so long for each piece, and so long for all.
func TestASlowReaderIsBoundedByDeadlines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, stop := newFeed(t)
		defer stop()
		r := call{method: http.MethodGet, path: "/snapshot?scope=production", as: "bundles.read"}.request(t.Context())
		w := &slow{ResponseRecorder: httptest.NewRecorder()}
		f.handler.ServeHTTP(w, r)
		if len(w.deadlines) == 0 || w.deadlines[0] != stall {
			t.Errorf("deadlines of a response: %v, want %s from then on", w.deadlines, stall)
		}

		w = &slow{ResponseRecorder: httptest.NewRecorder()}
		p := newPatient(w)
		for range 8 {
			_, _ = io.WriteString(p, "x")
			time.Sleep(18 * time.Second)
		}
		s := time.Second
		wantEqual(t, "deadlines", []time.Duration{20 * s, 20 * s, 20 * s, 20 * s, 20 * s, 20 * s, 12 * s, -6 * s}, w.deadlines)
	})
}

// slow records how long it is waited for.
type slow struct {
	*httptest.ResponseRecorder
	deadlines []time.Duration
}

func (s *slow) SetWriteDeadline(t time.Time) error {
	s.deadlines = append(s.deadlines, time.Until(t))
	return nil
}
