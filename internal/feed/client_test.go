package feed_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
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

const agentID = "0197c000-0000-7000-8000-000000000001"

// events records why a follower loaded, and how much it followed.
type events struct {
	mu       sync.Mutex
	reloads  []string
	followed int
}

func (*events) Checked(registry.Head, time.Time) {}

func (e *events) Followed(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.followed += n
}

func (e *events) Reloaded(why string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.reloads = append(e.reloads, why)
}

func (e *events) loads() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.reloads)
}

// followed is a follower in a bubble of replicas of one registry, of which the
// first is asked unless the test says otherwise.
type followed struct {
	*snapshot.Follower
	m      *registrytest.Memory
	net    *network
	events *events
}

func newFollowed(t *testing.T, replicas int) *followed {
	t.Helper()
	f := &followed{m: registrytest.NewMemory(), net: &network{next: func(int) int { return 0 }}, events: &events{}}
	for range replicas {
		r := start(f.m, 100)
		t.Cleanup(r.stop)
		f.net.replicas = append(f.net.replicas, r)
	}
	synctest.Wait()
	f.Follower = newFollower(f.net, f.events, slog.New(slog.DiscardHandler))
	t.Cleanup(run(f.Follower))
	f.expect(t, time.Second)
	return f
}

// expect says that d later the follower shows what the registry is, as far as the
// scope's policy sees it.
func (f *followed) expect(t *testing.T, d time.Duration) {
	t.Helper()
	time.Sleep(d)
	synctest.Wait()
	var want registry.Facts
	f.m.Do(func(m *registrytest.Memory) { want = scoped(m.Model.Facts()) })
	if f.View() == nil {
		t.Fatalf("no view %s later", d)
	}
	if diff := cmp.Diff(want, registrytest.FactsOf(f.View()), cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("%s later (-registry +follower):\n%s", d, diff)
	}
}

func (f *followed) expectLoads(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, f.events.loads()); diff != "" {
		t.Errorf("loads (-want +got):\n%s", diff)
	}
}

// instead has the network answer by itself.
func (f *followed) instead(answer http.HandlerFunc) {
	f.net.do(func(n *network) { n.replicas = []*replica{{handler: answer, life: context.Background()}} })
}

func TestAChangeComesAtOnceAndWithOneAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFollowed(t, 1)
		before := f.net.count("/changes")
		const n = 20
		for i := range n {
			f.m.Change(func(m *registrytest.Model) registry.Change {
				return m.PutAgent(registry.AgentFacts{ID: agentID, Name: "a", Environment: scope, Subject: "a@clients", Scopes: []string{}, Suspended: i%2 == 0})
			})
			f.expect(t, 0)
			time.Sleep(100 * time.Millisecond)
		}
		if asked := f.net.count("/changes") - before; asked != n {
			t.Errorf("%d requests for %d changes", asked, n)
		}
		f.expectLoads(t, snapshot.ReloadFirst)
	})
}

// What other scopes do moves the head: however much that was, one change is one.
func TestManyChangesElsewhereAreNoReasonToLoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFollowed(t, 1)
		f.m.Change(func(m *registrytest.Model) registry.Change {
			return m.PutEnvironment(registry.EnvironmentFacts{Name: "staging", Grants: "permissions"})
		})
		for range 3000 {
			f.m.Change(func(m *registrytest.Model) registry.Change { return m.PutTeam("support") })
			synctest.Wait()
		}
		suspend(f.m, scope)
		f.expect(t, 0)
		f.expectLoads(t, snapshot.ReloadFirst)
	})
}

func TestAnIdleFollowerAsksLittle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFollowed(t, 1)
		before := f.net.count("/changes")
		f.expect(t, time.Hour)
		if asked := f.net.count("/changes") - before; asked > 3600/10+3600/50+2 {
			t.Errorf("%d requests in an hour", asked)
		}
		if age := time.Since(f.Checked()); age > checkEvery {
			t.Errorf("checked %s ago", age)
		}
		f.expectLoads(t, snapshot.ReloadFirst)
	})
}

// Whatever a server does wrong, it is not asked in a hot loop; once it is well the
// follower is current soon.
func TestAServerInTroubleIsLeftAlone(t *testing.T) {
	t.Parallel()
	refuse := func(status int, header map[string]string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			for k, v := range header {
				w.Header().Set(k, v)
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"code": "in_trouble"}`)
		}
	}
	answer := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", feed.MediaType)
			_, _ = io.WriteString(w, body)
		}
	}
	holdsNothing := func(w http.ResponseWriter, r *http.Request) {
		since, err := feed.ParseHead(r.FormValue("since"))
		if err != nil {
			refuse(422, nil)(w, r)
			return
		}
		answer(fmt.Sprintf(`{"kind":"end","epoch":"e1","revision":%d,"count":0}`+"\n", since.Revision))(w, r)
	}
	unlessHeld := func(refusal http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.FormValue("wait") == "" {
				holdsNothing(w, r)
				return
			}
			refusal(w, r)
		}
	}
	tests := map[string]struct {
		answer http.HandlerFunc
		most   int // requests a minute, to everything
	}{
		"it does not hold":          {holdsNothing, 180},
		"it goes back":              {answer(`{"kind":"end","epoch":"e1","revision":0,"count":0}` + "\n"), 250},
		"it is another server":      {answer("<html>"), 250},
		"it redirects":              {refuse(302, map[string]string{"Location": "http://localhost/elsewhere"}), 250},
		"it fails":                  {refuse(500, nil), 250},
		"it sends us away":          {refuse(503, map[string]string{"Retry-After": "5"}), 170},
		"it has too much of us":     {refuse(429, map[string]string{"Retry-After": "5"}), 170},
		"it holds none of ours":     {unlessHeld(refuse(429, map[string]string{"Retry-After": "5"})), 40},
		"it fails to hold":          {unlessHeld(refuse(500, nil)), 300},
		"it does not know us":       {refuse(401, nil), 250},
		"it does not let us":        {refuse(403, nil), 250},
		"it has no such scope":      {refuse(404, nil), 250},
		"it has us start again":     {refuse(410, nil), 250},
		"its answers are not ours":  {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }, 250},
		"it answers with no end":    {answer(""), 250},
		"it holds answers for ever": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, 30},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFollowed(t, 1)
				well := f.net.replicas
				before := f.net.count("/changes") + f.net.count("/snapshot")
				view := f.View()
				f.instead(tc.answer)
				suspend(f.m, scope) // ends the answer that is held
				time.Sleep(time.Minute)
				if asked := f.net.count("/changes") + f.net.count("/snapshot") - before; asked > tc.most {
					t.Errorf("%d requests in a minute", asked)
				}
				if f.View().Head().Revision > view.Head().Revision+1 {
					t.Errorf("it shows %v", f.View().Head())
				}
				f.net.do(func(n *network) { n.replicas = well })
				suspend(f.m, scope)
				f.expect(t, checkEvery+2*time.Second)
			})
		})
	}
}

// Of two servers the one that lags does not take the follower back.
func TestAFollowerIsNotTakenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFollowed(t, 2)
		lags := f.net.replicas[1]
		lags.cut.Store(true)
		suspend(f.m, scope)
		f.expect(t, 0)
		f.net.do(func(n *network) { n.next = func(int) int { return 1 } })
		f.net.replicas[0].stop()
		head := f.View().Head()
		time.Sleep(5 * time.Minute)
		if f.View().Head() != head {
			t.Errorf("it was taken from %v to %v", head, f.View().Head())
		}
		f.expectLoads(t, snapshot.ReloadFirst)
		lags.cut.Store(false)
		f.expect(t, 2*time.Second)
		suspend(f.m, scope)
		f.expect(t, 0)
	})
}

// A server that still has the epoch before is not listened to while another one
// knows the present epoch; when none does, the other is the present one.
func TestAnEpochThatWasLeftIsNotGoneBackTo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFollowed(t, 2)
		f.net.replicas[1].cut.Store(true)
		f.m.Do(func(m *registrytest.Memory) { m.Model.SetHead(registry.Head{Epoch: "e2", Revision: 1}) })
		f.expect(t, checkEvery+2*time.Second)
		n := 0
		f.net.do(func(net *network) {
			net.next = func(int) int { // in turn
				n++
				return n % 2
			}
		})
		for range 60 {
			time.Sleep(5 * time.Second)
			if got := f.View().Head().Epoch; got != "e2" {
				t.Fatalf("it went back to %s", got)
			}
		}
		if n := len(f.events.loads()); n > 10 {
			t.Errorf("%d loads in five minutes, because of a server that lags", n)
		}
		f.net.do(func(net *network) { net.next = func(int) int { return 1 } })
		time.Sleep(time.Minute + checkEvery)
		if got := f.View().Head().Epoch; got != "e1" {
			t.Errorf("it is still at %s, which no server knows", got)
		}
	})
}

func TestAFollowerOutlivesItsServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFollowed(t, 1)
		view := f.View()
		f.net.replicas[0].stop()
		f.net.do(func(n *network) { n.replicas[0] = nil })
		time.Sleep(10 * time.Minute)
		if f.View() != view {
			t.Error("the view is gone")
		}
		again := start(f.m, 100)
		t.Cleanup(again.stop)
		f.net.do(func(n *network) { n.replicas[0] = again })
		time.Sleep(2 * time.Second)
		suspend(f.m, scope)
		f.expect(t, 0)
		f.expectLoads(t, snapshot.ReloadFirst) // it goes on where it was
	})
}

func TestAClientNeedsToKnowWhereToAsk(t *testing.T) {
	t.Parallel()
	good := feed.ClientOptions{URL: "https://credence.example.com/base", Scope: scope, HTTP: &http.Client{}, Token: func(context.Context) (string, error) { return "t", nil }}
	if _, err := feed.NewClient(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*feed.ClientOptions){
		"a token in the clear": func(o *feed.ClientOptions) { o.URL = "http://credence.example.com" },
		"no address":           func(o *feed.ClientOptions) { o.URL = "" },
		"no scope":             func(o *feed.ClientOptions) { o.Scope = "" },
		"an odd scope":         func(o *feed.ClientOptions) { o.Scope = "a/b" },
		"no token":             func(o *feed.ClientOptions) { o.Token = nil },
		"no HTTP client":       func(o *feed.ClientOptions) { o.HTTP = nil },
	} {
		o := good
		change(&o)
		if _, err := feed.NewClient(o); err == nil {
			t.Errorf("%s: a client", name)
		}
	}
}

// Each request has the token of the moment, and what the API asks for.
func TestRequestsHaveATokenAndASince(t *testing.T) {
	t.Parallel()
	var asked []string
	transport := roundTrip(func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.Method+" "+r.URL.String()+" "+r.Header.Get("Authorization"))
		return nil, errors.New("nobody is there")
	})
	tokens := 0
	c, err := feed.NewClient(feed.ClientOptions{
		URL: "https://credence.example.com/base", Scope: scope, HTTP: &http.Client{Transport: transport},
		Token: func(context.Context) (string, error) {
			tokens++
			return strings.Repeat("t", tokens), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Head(t.Context()); !errors.Is(err, snapshot.ErrStartAgain) {
		t.Errorf("Head() of one who has nothing: %v, want ErrStartAgain", err)
	}
	for range 2 {
		if _, err := s.Load(t.Context()); !errors.Is(err, registry.Unavailable) || strings.Contains(err.Error(), "ttt") {
			t.Errorf("Load() = %v, want Unavailable", err)
		}
	}
	want := []string{
		"GET https://credence.example.com/base/snapshot?scope=production Bearer t",
		"GET https://credence.example.com/base/snapshot?scope=production Bearer tt",
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answering is a client whose every answer is the body.
func answering(body []byte) *http.Client {
	return &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {feed.MediaType}}, Body: io.NopCloser(&text{body}), Request: r}, nil
	})}
}
