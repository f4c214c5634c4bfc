package bundles_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/bundles"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

// seen counts what an Observer hears. It is safe for concurrent use.
type seen struct {
	mu     sync.Mutex
	counts counts
}

// counts are how often each was heard; Held is the sum.
type counts struct{ Held, Built, Released, Braked int }

func (s *seen) count(field *int, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*field += n
}

func (s *seen) Held(more int)          { s.count(&s.counts.Held, more) }
func (s *seen) Built(time.Duration)    { s.count(&s.counts.Built, 1) }
func (s *seen) Released(time.Duration) { s.count(&s.counts.Released, 1) }
func (s *seen) Braked(time.Duration)   { s.count(&s.counts.Braked, 1) }

// take returns the counts since the last call of it; Held stays.
func (s *seen) take() counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counts
	s.counts = counts{Held: c.Held}
	return c
}

func (s *seen) held() int { return s.take().Held }

// Changes that come in a rush go out a window apart: the first at once, and the last
// too.
func TestChangesInARushArePublishedAWindowApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const window, changes = 20 * time.Millisecond, 100 // one each millisecond
		m := seeded()
		seen := &seen{}
		r := startWith(t, m, bundles.Options{Window: window, Observer: seen})
		have := present(t, r, of("production", ""))
		time.Sleep(time.Second)
		seen.take()
		began := time.Now()
		go func() {
			for i := range changes {
				m.Change(withResource(fmt.Sprintf("resource-%d", i)))
				time.Sleep(time.Millisecond)
			}
		}()
		var at []time.Duration
		for {
			a, err := r.Get(t.Context(), bundles.Poll{Name: of("production", ""), Have: tags(have), Wait: 10 * time.Second, Caller: "opa"})
			if err != nil {
				t.Fatal(err)
			}
			if a.Bundle == nil {
				break
			}
			have, at = a.Bundle.Tag.String(), append(at, time.Since(began).Round(time.Millisecond))
		}
		want := []time.Duration{0, 20 * time.Millisecond, 40 * time.Millisecond, 60 * time.Millisecond, 80 * time.Millisecond, 100 * time.Millisecond}
		if diff := cmp.Diff(want, at); diff != "" {
			t.Errorf("published after (-want +got):\n%s", diff)
		}
		if have != presentTag(t, m).String() {
			t.Errorf("the last is %s, the registry is at %d", have, m.Head().Revision)
		}
		if n := seen.take().Built; n != len(want) {
			t.Errorf("%d bundles were made for %d that went out", n, len(want))
		}
	})
}

// However many wait, or ask, a bundle is made once.
func TestABundleIsMadeOnceForAllWhoWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 1000
		m := seeded()
		seen := &seen{}
		r := startWith(t, m, bundles.Options{PerCaller: n, Observer: seen})
		own := present(t, r, of("production", ""))
		var polls sync.WaitGroup
		var made sync.Map
		for range n {
			polls.Go(func() {
				a, err := r.Get(t.Context(), bundles.Poll{Name: of("production", ""), Have: tags(own), Wait: 30 * time.Second, Caller: "opa"})
				if err != nil || a.Bundle == nil {
					t.Errorf("%+v, %v", a, err)
				}
				made.Store(a.Bundle, true)
			})
		}
		time.Sleep(time.Second)
		seen.take()
		m.Change(withResource("refunds"))
		polls.Wait()
		if diff := cmp.Diff(counts{Built: 1, Released: n}, seen.take()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		made.Range(func(b, _ any) bool {
			if b != any(get(t, r.Service, "production")) {
				t.Error("somebody got another bundle")
			}
			return true
		})
	})
}

// Nothing is made of what nobody waits for, until somebody asks.
func TestWhatNobodyWaitsForIsNotMade(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := seeded()
		seen := &seen{}
		r := startWith(t, m, bundles.Options{Observer: seen})
		change := func() int {
			m.Change(withResource("refunds"))
			time.Sleep(time.Second)
			return seen.take().Built
		}
		if n := change(); n != 0 {
			t.Errorf("nobody ever asked, and %d were made", n)
		}
		name := of("production", "resources")
		own := present(t, r, name)
		if n := seen.take().Built; n != 1 {
			t.Errorf("one was asked for, and %d were made", n)
		}
		if n := change(); n != 0 {
			t.Errorf("nobody waits, and %d were made", n)
		}
		own = present(t, r, name)
		seen.take()
		ctx, hangUp := context.WithCancel(t.Context())
		var polls sync.WaitGroup
		polls.Go(func() {
			_, _ = r.Get(ctx, bundles.Poll{Name: name, Have: tags(own), Wait: 30 * time.Second, Caller: "opa"})
		})
		synctest.Wait()
		if n := change(); n != 1 {
			t.Errorf("somebody waits, and %d were made", n)
		}
		hangUp()
		polls.Wait()
		if n := change(); n != 0 {
			t.Errorf("nobody waits any more, and %d were made", n)
		}
	})
}

// A new key makes new bundles, without any change of the registry.
func TestANewKeyLetsPollsGo(t *testing.T) {
	t.Parallel()
	dir := keyDir(t, map[string][]byte{"default.pem": edKey()})
	synctest.Test(t, func(t *testing.T) {
		keys, err := bundles.OpenKeys(t.Context(), dir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		m := seeded()
		r := startWith(t, m, bundles.Options{Maker: bundles.NewMaker(bundles.MakerOptions{Keys: keys})})
		own := present(t, r, of("production", "resources"))
		time.AfterFunc(7*time.Second, func() {
			write(t, dir, "default.pem", otherEdKey())
			keys.Reload(t.Context())
		})
		got, took := timed(t.Context(), r, bundles.Poll{Name: of("production", "resources"), Have: tags(own), Wait: 30 * time.Second, Caller: "opa"})
		if took != 7*time.Second || got.Bundle == "" || got.Bundle == own {
			t.Errorf("%+v after %s; before %s", got, took, own)
		}
	})
}

// Bundles that were made before are found by the digest of their bytes, whoever asked
// for them, and the present one even if nobody has.
func TestBundlesAreKeptByDigest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := seeded()
		r := start(t, m)
		first := get(t, r.Service, "production")
		m.Change(withResource("refunds"))
		synctest.Wait()
		var second *bundles.Bundle // as another replica makes it
		m.Do(func(m *registrytest.Memory) {
			second = get(t, newService(&fixed{snapshot.New(m.Model.Facts())}), "production")
		})
		for _, b := range []*bundles.Bundle{first, second} {
			kept, err := r.Kept(t.Context(), of("production", ""), b.Digest)
			if err != nil || kept.Tag != b.Tag || bytesOf(t, kept) != bytesOf(t, b) {
				t.Errorf("%s: %+v, %v", b.Tag, kept, err)
			}
		}
		for _, name := range []registry.ScopePart{of("staging", ""), of("production", "policy"), of("production", "x"), of("nowhere", "")} {
			if _, err := r.Kept(t.Context(), name, first.Digest); code(err) != "not_found" {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// Thousands may wait: they are woken for nothing but news.
func TestWhoWaitsIsWokenForNewsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := seeded()
		r := start(t, m)
		name := of("production", "")
		own := present(t, r, name)
		var polls sync.WaitGroup
		polls.Go(func() {
			if got, _ := timed(t.Context(), r, bundles.Poll{Name: name, Have: tags(own), Wait: 30 * time.Second, Caller: "opa"}); got.NotModified != own {
				t.Errorf("%+v", got)
			}
		})
		synctest.Wait()
		for what, change := range map[string]func(*registrytest.Model) registry.Change{
			"another environment's agent": withAgent("staging", "client-1@clients"),
			"another's heartbeat":         withBeat("staging"),
			"a team":                      func(m *registrytest.Model) registry.Change { return m.PutTeam("support") },
		} {
			if bundles.WokenBy(r.Service, name, func() { m.Change(change); synctest.Wait() }) {
				t.Errorf("woken by %s", what)
			}
		}
		polls.Wait()
	})
}
