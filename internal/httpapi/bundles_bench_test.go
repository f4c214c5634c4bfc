package httpapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/bundles"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

// stepping is a registry in memory that goes from view to view.
type stepping struct {
	mu      sync.Mutex
	view    *snapshot.View
	changed chan struct{}
}

func (s *stepping) View() *snapshot.View {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view
}

func (s *stepping) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

func (*stepping) Checked() time.Time                           { return time.Now() }
func (*stepping) WaitFor(context.Context, registry.Head) error { return nil }

// step changes an agent.
func (s *stepping) step(b *testing.B, a registry.AgentFacts) {
	b.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	c := registry.Change{Kind: registry.AgentChange, Head: s.view.Head(), ObjectID: a.ID, OldScope: a.Environment, NewScope: a.Environment, Agent: &a}
	c.Revision++
	next, err := s.view.Apply([]registry.Change{c})
	if err != nil {
		b.Fatal(err)
	}
	s.view = next
	close(s.changed)
	s.changed = make(chan struct{})
}

// BenchmarkFanOut says how long after a change the OPAs that poll have their new
// bundle, over as many connections on loopback, and how long those of a handler take
// that does nothing but hold them and write as many bytes. Servers and OPAs share
// this process.
func BenchmarkFanOut(b *testing.B) {
	for _, tt := range []struct {
		polls, agents int
		path          string
	}{
		{1000, 1000, "/parts/agents-0"}, {5000, 1000, "/parts/agents-0"}, {5000, 1000, ""}, {2000, 10_000, ""},
	} {
		b.Run(fmt.Sprintf("polls=%d,agents=%d,path=%s", tt.polls, tt.agents, tt.path), func(b *testing.B) {
			facts := registrytest.Large(tt.agents, 100)
			memory := &stepping{view: snapshot.New(facts), changed: make(chan struct{})}
			agent := facts.Agents[slices.IndexFunc(facts.Agents, func(a registry.AgentFacts) bool {
				return a.Environment == "production" && registry.AgentsPart(a.Subject) == "agents-0"
			})]
			held := &gauge{full: make(chan struct{}, 1), most: int64(tt.polls)}
			f := newFixture(b, func(o *Options) {
				quiet := slog.New(slog.DiscardHandler)
				o.Bundles = bundles.NewService(memory, bundles.Options{PerCaller: tt.polls, Log: quiet, Observer: held})
				o.Freshness, o.Log = memory, quiet
			})
			path := "/bundles/production" + tt.path
			first := f.do(call{method: http.MethodGet, path: path, as: "admin"})
			fanOut{f.handler, held, tt.polls, path, first.Header().Get("ETag")}.measure(b, "", func() {
				agent.Suspended = !agent.Suspended
				memory.step(b, agent)
			})
			bare := &bareHolds{gauge: gauge{full: make(chan struct{}, 1), most: int64(tt.polls)}, body: first.Body.Bytes(), next: make(chan struct{})}
			fanOut{bare, &bare.gauge, tt.polls, path, ""}.measure(b, "bare-", bare.publish)
			b.ReportMetric(float64(first.Body.Len()), "bundle-bytes")
		})
	}
}

// fanOut is a server that polls wait at.
type fanOut struct {
	handler http.Handler
	held    *gauge
	polls   int
	path    string
	etag    string // that they have at first
}

// measure has everybody wait, publishes, and waits until all have what was published,
// again and again.
func (f fanOut) measure(b *testing.B, prefix string, publish func()) {
	b.Helper()
	server := httptest.NewServer(f.handler)
	defer server.Close()
	ctx, stop := context.WithCancel(b.Context())
	got := make(chan time.Time, f.polls)
	var opas sync.WaitGroup
	for range f.polls {
		opas.Go(func() { f.poll(ctx, b, server.Listener.Addr().String(), got) })
	}
	var all, last []time.Duration
	for range b.N {
		f.held.await()
		began := time.Now()
		publish()
		for range f.polls {
			all = append(all, (<-got).Sub(began))
		}
		last = append(last, slices.Max(all[len(all)-f.polls:]))
	}
	f.held.await()
	stop()
	opas.Wait()
	for name, of := range map[string][]time.Duration{"": all, "last-": last} {
		slices.Sort(of)
		b.ReportMetric(float64(of[len(of)/2].Microseconds())/1000, prefix+name+"p50-ms")
	}
}

// gauge is an Observer that says when as many polls are held as there can be.
type gauge struct {
	held atomic.Int64
	most int64
	full chan struct{}
}

func (g *gauge) Held(more int) {
	if g.held.Add(int64(more)) == g.most {
		select {
		case g.full <- struct{}{}:
		default: // it says so already
		}
	}
}

// await waits until as many are held as there can be. Some that are let go may be back
// before others have gone, so that full says so too early.
func (g *gauge) await() {
	for g.held.Load() != g.most {
		<-g.full
	}
}

func (*gauge) Built(time.Duration)    {}
func (*gauge) Released(time.Duration) {}
func (*gauge) Braked(time.Duration)   {}

// bareHolds holds every request until the next time that something is published.
type bareHolds struct {
	gauge
	body []byte
	mu   sync.Mutex
	next chan struct{}
}

func (h *bareHolds) publish() {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.next)
	h.next = make(chan struct{})
}

func (h *bareHolds) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	next := h.next
	h.mu.Unlock()
	h.Held(1)
	select {
	case <-next:
	case <-r.Context().Done():
	}
	h.Held(-1)
	w.Header().Set("Content-Length", strconv.Itoa(len(h.body)))
	_, _ = w.Write(h.body)
}

// poll polls as an OPA does, over one connection, and tells when it has got a bundle.
func (f fanOut) poll(ctx context.Context, b *testing.B, address string, got chan<- time.Time) {
	b.Helper()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		b.Error(err)
		return
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	r := bufio.NewReader(conn)
	for etag := f.etag; ; got <- time.Now() {
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer admin\r\nPrefer: modes=snapshot,delta;wait=50\r\nIf-None-Match: %s\r\n\r\n", f.path, etag)
		response, err := http.ReadResponse(r, nil)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			b.Error(err)
			return
		}
		etag = response.Header.Get("ETag")
		_, err = io.Copy(io.Discard, response.Body)
		if err := errors.Join(err, response.Body.Close()); err != nil || response.StatusCode != http.StatusOK {
			b.Errorf("%d, %v", response.StatusCode, err)
			return
		}
	}
}
