package feed_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/credenceproject/credence/internal/feed"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

// scope is what tests follow.
const scope = "production"

// replica is a server with its own memory of the registry. Its link to the registry
// can be cut: then it lags, and does not know it.
type replica struct {
	*snapshot.Follower
	service *feed.Service
	handler http.Handler
	cut     atomic.Bool
	life    context.Context //nolint:containedctx // its end is the process's
	stop    func()          // ends it and waits
}

func start(m *registrytest.Memory, journal int) *replica {
	r := &replica{}
	r.Follower = snapshot.NewFollower(snapshot.Options{
		Connect: func(ctx context.Context) (snapshot.Session, error) {
			s, err := m.Connect(ctx)
			return linked{s, &r.cut}, err
		},
		Epochs: m, JournalChanges: journal, Log: slog.New(slog.DiscardHandler),
	})
	r.service = feed.NewService(r.Follower, feed.Options{})
	r.handler = handler(r.service)
	var kill context.CancelFunc
	r.life, kill = context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = r.Run(r.life) })
	r.stop = func() {
		kill()
		running.Wait()
	}
	return r
}

// linked is a session over a link that may be cut.
type linked struct {
	snapshot.Session
	cut *atomic.Bool
}

var errCut = errors.New("the link is cut")

func (l linked) Head(ctx context.Context) (registry.Head, error) {
	if l.cut.Load() {
		return registry.Head{}, errCut
	}
	return l.Session.Head(ctx)
}

func (l linked) Load(ctx context.Context) (registry.Facts, error) {
	if l.cut.Load() {
		return registry.Facts{}, errCut
	}
	return l.Session.Load(ctx)
}

func (l linked) Changes(ctx context.Context, since registry.Head, limit int) ([]registry.Change, error) {
	if l.cut.Load() {
		return nil, errCut
	}
	return l.Session.Changes(ctx, since, limit)
}

// handler serves the feed as package httpapi does, to anybody.
func handler(s *feed.Service) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /snapshot", func(w http.ResponseWriter, r *http.Request) {
		a, err := s.Snapshot(r.Context(), "follower", r.FormValue("scope"))
		respond(w, a, err)
	})
	mux.HandleFunc("GET /changes", func(w http.ResponseWriter, r *http.Request) {
		since, err := feed.ParseHead(r.FormValue("since"))
		if err != nil {
			respond(w, feed.Answer{}, err)
			return
		}
		wait, _ := strconv.Atoi(r.FormValue("wait"))
		a, err := s.Changes(r.Context(), "follower", r.FormValue("scope"), since, time.Duration(wait)*time.Second)
		respond(w, a, err)
	})
	return mux
}

func respond(w http.ResponseWriter, a feed.Answer, err error) {
	if err == nil {
		w.Header().Set("Content-Type", feed.MediaType)
		_ = a.Write(w) // a reader that is gone
		return
	}
	statuses := map[error]int{registry.NotFound: 404, registry.Gone: 410, registry.Invalid: 422, registry.TooManyRequests: 429, registry.Unavailable: 503}
	code, status := "internal", 500
	if e, ok := registry.AsError(err); ok {
		code, status = e.Code, statuses[e.Kind]
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"code": code, "status": status})
}

// network leads requests to one of the replicas, as a balancer does. It is safe for
// concurrent use.
type network struct {
	mu       sync.Mutex
	replicas []*replica // nil is one that is dead
	next     func(n int) int
	// spoil, if there is one, is what becomes of an answer on the way.
	spoil func(r *http.Request, body []byte) ([]byte, error)
	asked map[string]int // requests by path
}

// RoundTrip implements http.RoundTripper.
func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	n.mu.Lock()
	to, spoil := n.replicas[n.next(len(n.replicas))], n.spoil
	if n.asked == nil {
		n.asked = map[string]int{}
	}
	n.asked[r.URL.Path]++
	n.mu.Unlock()
	if to == nil {
		return nil, errors.New("connection refused")
	}
	ctx, cancel := context.WithCancel(r.Context())
	context.AfterFunc(to.life, cancel)
	read, write := io.Pipe()
	w := &pipeWriter{header: http.Header{}, body: write, begun: make(chan struct{})}
	go func() {
		defer cancel()
		to.handler.ServeHTTP(w, r.WithContext(ctx))
		w.WriteHeader(http.StatusOK)
		if err := ctx.Err(); err != nil {
			_ = write.CloseWithError(err)
		}
		_ = write.Close()
	}()
	select {
	case <-w.begun:
	case <-ctx.Done():
		_ = read.Close()
		return nil, errors.New("connection reset")
	}
	resp := &http.Response{StatusCode: w.status, Header: w.header, Body: read, Request: r}
	if spoil != nil && w.status == http.StatusOK {
		body, err := io.ReadAll(read)
		if err != nil {
			return nil, err
		}
		body, err = spoil(r, body)
		resp.Body = io.NopCloser(io.MultiReader(&text{body}, failing{err}))
	}
	return resp, nil
}

func (n *network) do(f func(*network)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f(n)
}

// count is how often the path was asked for.
func (n *network) count(path string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked[path]
}

// pipeWriter is a response that is read while it is written.
type pipeWriter struct {
	header http.Header
	body   *io.PipeWriter
	once   sync.Once
	begun  chan struct{}
	status int
}

func (w *pipeWriter) Header() http.Header { return w.header }

func (w *pipeWriter) WriteHeader(status int) {
	w.once.Do(func() {
		w.status = status
		close(w.begun)
	})
}

func (w *pipeWriter) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

type text struct{ rest []byte }

func (t *text) Read(b []byte) (int, error) {
	if len(t.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, t.rest)
	t.rest = t.rest[n:]
	return n, nil
}

// failing ends a body with the error, or as it should.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return 0, io.EOF
}

// connect returns a client of whoever the network leads to.
func connect(n *network) *feed.Client {
	c, err := feed.NewClient(feed.ClientOptions{
		URL: "http://localhost", Scope: scope, HTTP: &http.Client{Transport: n},
		Token: func(context.Context) (string, error) { return "token", nil },
	})
	if err != nil {
		panic(err)
	}
	return c
}

// checkEvery is how often the followers look at the head of their own accord.
const checkEvery = 10 * time.Second

// newFollower returns a follower of the feed.
func newFollower(n *network, observer snapshot.Observer, log *slog.Logger) *snapshot.Follower {
	return snapshot.NewFollower(snapshot.Options{Connect: connect(n).Connect, Scoped: true, CheckEvery: checkEvery, Observer: observer, Log: log})
}

// run runs the follower; stop ends it and waits.
func run(f *snapshot.Follower) (stop func()) {
	life, end := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = f.Run(life) })
	return func() {
		end()
		running.Wait()
	}
}

// scoped is what of the facts the scope's policy sees, as the feed shows it.
func scoped(f registry.Facts) registry.Facts {
	f = registrytest.Sorted(f)
	out := registry.Facts{Head: f.Head, Policy: f.Policy, Scopes: map[registry.ScopePart]registry.Touch{}}
	for p, t := range f.Scopes {
		if p.Scope == scope {
			out.Scopes[p] = t
		}
	}
	for _, e := range f.Environments {
		if e.Name == scope {
			e.ReservedNames = nil
			out.Environments = append(out.Environments, e)
		}
	}
	for _, a := range f.Agents {
		if a.Environment == scope {
			out.Agents = append(out.Agents, a)
		}
	}
	for _, l := range f.Layers {
		if l.Environment == "" || l.Environment == scope {
			out.Layers = append(out.Layers, l)
		}
	}
	out.Resources = f.Resources
	return registrytest.Sorted(out)
}
