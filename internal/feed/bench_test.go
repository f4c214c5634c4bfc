package feed_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/feed"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

var sizes = []int{1_000, 10_000, 100_000}

// large is a large registry that followers connect to, and that commits changes at
// once: what a database takes is not in the figures.
type large struct {
	facts registry.Facts

	mu      sync.Mutex
	head    registry.Head
	changes []registry.Change
	told    chan struct{}
}

func newLarge(agents int) *large {
	f := registrytest.Large(agents, 1000)
	return &large{facts: f, head: f.Head, told: make(chan struct{})}
}

// suspend commits a change of the agent.
func (l *large) suspend(i int) registry.Head {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.facts.Agents[i%len(l.facts.Agents)]
	a.Suspended = !a.Suspended
	l.head.Revision++
	l.changes = append(l.changes, registry.Change{
		Head: l.head, Kind: registry.AgentChange, ObjectID: a.ID, OldScope: scope, NewScope: scope, Agent: &a, At: time.Now(),
	})
	close(l.told)
	l.told = make(chan struct{})
	return l.head
}

// connect opens a session.
func (l *large) connect(context.Context) (snapshot.Session, error) { return largeSession{l}, nil }

type largeSession struct{ *large }

func (s largeSession) Head(context.Context) (registry.Head, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.head, nil
}

func (s largeSession) Load(context.Context) (registry.Facts, error) { return s.facts, nil }

func (s largeSession) Changes(_ context.Context, since registry.Head, _ int) ([]registry.Change, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.changes[since.Revision-s.facts.Revision:]), nil
}

func (s largeSession) Listen(context.Context) error { return nil }

func (s largeSession) Wait(ctx context.Context) error {
	s.mu.Lock()
	told := s.told
	s.mu.Unlock()
	select {
	case <-told:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (largeSession) Close() {}

// followLarge returns a follower of the feed of a server that follows l, over TCP on
// the loopback interface.
func followLarge(b *testing.B, l *large) *snapshot.Follower {
	b.Helper()
	log := slog.New(slog.DiscardHandler)
	server := snapshot.NewFollower(snapshot.Options{Connect: l.connect, Log: log})
	b.Cleanup(run(server))
	loaded(b, server, l.head)
	web := httptest.NewServer(handler(feed.NewService(server, feed.Options{})))
	b.Cleanup(web.Close)
	client, err := feed.NewClient(feed.ClientOptions{
		URL: web.URL, Scope: scope, HTTP: web.Client(), Token: func(context.Context) (string, error) { return "token", nil },
	})
	if err != nil {
		b.Fatal(err)
	}
	f := snapshot.NewFollower(snapshot.Options{Connect: client.Connect, Scoped: true, CheckEvery: checkEvery, Log: log})
	b.Cleanup(run(f))
	loaded(b, f, l.head)
	return f
}

// loaded waits until the follower shows the state, and asks nobody for it.
func loaded(b *testing.B, f *snapshot.Follower, h registry.Head) {
	b.Helper()
	for {
		changed := f.Changed()
		if v := f.View(); v != nil && v.Head().Revision >= h.Revision {
			return
		}
		select {
		case <-changed:
		case <-time.After(time.Minute):
			b.Fatal("not seen within a minute")
		}
	}
}

// How long from a commit until a follower of the feed shows it.
func BenchmarkCommitToFollower(b *testing.B) {
	for _, agents := range sizes {
		b.Run(fmt.Sprintf("agents=%d", agents), func(b *testing.B) {
			l := newLarge(agents)
			f := followLarge(b, l)
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				began := time.Now()
				loaded(b, f, l.suspend(i))
				took = append(took, time.Since(began))
				b.StopTimer()
				time.Sleep(20 * time.Millisecond) // a change after a quiet time
				b.StartTimer()
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}

// What an agent costs a follower in memory, beside nothing else of its process.
func BenchmarkFollowerMemory(b *testing.B) {
	for _, agents := range sizes {
		b.Run(fmt.Sprintf("agents=%d", agents), func(b *testing.B) {
			var text bytes.Buffer
			write(b, &text, agents)
			client, err := feed.NewClient(feed.ClientOptions{
				URL: "http://localhost", Scope: scope, HTTP: answering(text.Bytes()), Token: func(context.Context) (string, error) { return "token", nil },
			})
			if err != nil {
				b.Fatal(err)
			}
			var before, after runtime.MemStats
			for b.Loop() {
				runtime.GC()
				runtime.ReadMemStats(&before)
				v := load(b, client)
				runtime.GC()
				runtime.ReadMemStats(&after)
				runtime.KeepAlive(v)
			}
			b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/float64(agents), "bytes/agent")
			b.ReportMetric(float64(text.Len())/float64(agents), "wire-bytes/agent")
		})
	}
}

func load(b *testing.B, c *feed.Client) *snapshot.View {
	b.Helper()
	s, err := c.Connect(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	facts, err := s.Load(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return snapshot.New(facts)
}

// write writes a snapshot of so many agents and no resources.
func write(b *testing.B, w io.Writer, agents int) {
	b.Helper()
	l := &large{facts: registrytest.Large(agents, 0), told: make(chan struct{})}
	l.head = l.facts.Head
	f := snapshot.NewFollower(snapshot.Options{Connect: l.connect, Log: slog.New(slog.DiscardHandler)})
	stop := run(f)
	defer stop()
	loaded(b, f, l.head)
	a, err := feed.NewService(f, feed.Options{}).Snapshot(b.Context(), "follower", scope)
	if err != nil {
		b.Fatal(err)
	}
	if err := a.Write(w); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkWriteSnapshot(b *testing.B) {
	for _, agents := range sizes {
		b.Run(fmt.Sprintf("agents=%d", agents), func(b *testing.B) {
			l := newLarge(agents)
			f := snapshot.NewFollower(snapshot.Options{Connect: l.connect, Log: slog.New(slog.DiscardHandler)})
			b.Cleanup(run(f))
			loaded(b, f, l.head)
			s := feed.NewService(f, feed.Options{PerCaller: 1 << 30})
			b.ReportAllocs()
			for b.Loop() {
				a, err := s.Snapshot(b.Context(), "follower", scope)
				if err != nil {
					b.Fatal(err)
				}
				if err := a.Write(io.Discard); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
