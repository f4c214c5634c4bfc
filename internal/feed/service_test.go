package feed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/credenceproject/credence/internal/feed"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

// served is a replica in a bubble that has loaded the registry.
func served(t *testing.T, journal int) (*registrytest.Memory, *replica) {
	t.Helper()
	m := registrytest.NewMemory()
	r := start(m, journal)
	t.Cleanup(r.stop)
	synctest.Wait()
	return m, r
}

// suspend makes one change of the scope.
func suspend(m *registrytest.Memory, environment string) registry.Head {
	return m.Change(func(m *registrytest.Model) registry.Change { return m.Beat(environment) })
}

// told is what an answer said, and when.
type told struct {
	lines string // the revisions of its changes, and of its end
	last  bool
	err   error
	after time.Duration
}

// ask asks for changes as a caller does whose request ends with the answer.
func ask(ctx context.Context, r *replica, caller string, since registry.Head, wait time.Duration) told {
	began := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a, err := r.service.Changes(ctx, caller, scope, since, wait)
	x := told{last: a.Last, err: err, after: time.Since(began)}
	if err == nil {
		var b bytes.Buffer
		x.err = a.Write(&b)
		for line := range strings.Lines(b.String()) {
			var revision int64
			_, rest, _ := strings.Cut(line, `"revision":`)
			_, _ = fmt.Sscan(rest, &revision)
			x.lines += fmt.Sprintf("%d ", revision)
		}
	}
	return x
}

func TestAnAnswerIsHeldUntilSomethingOfTheScopeChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := served(t, 100)
		m.Change(func(m *registrytest.Model) registry.Change {
			return m.PutEnvironment(registry.EnvironmentFacts{Name: "staging", Grants: "permissions"})
		})
		synctest.Wait()
		since := m.Head()
		time.AfterFunc(3*time.Second, func() { suspend(m, "staging") })
		time.AfterFunc(4*time.Second, func() { m.Change(func(m *registrytest.Model) registry.Change { return m.PutTeam("support") }) })
		time.AfterFunc(7*time.Second, func() { suspend(m, scope) })
		if got, want := ask(t.Context(), r, "a", since, 30*time.Second), (told{lines: "5 5 ", after: 7 * time.Second}); got != want {
			t.Errorf("held: %+v, want %+v", got, want)
		}
		if got, want := ask(t.Context(), r, "a", m.Head(), 30*time.Second), (told{lines: "5 ", after: 30 * time.Second}); got != want {
			t.Errorf("when nothing changes: %+v, want %+v", got, want)
		}
		if got, want := ask(t.Context(), r, "a", m.Head(), time.Hour), (told{lines: "5 ", after: feed.MaxWait}); got != want {
			t.Errorf("for too long: %+v, want %+v", got, want)
		}
		if got, want := ask(t.Context(), r, "a", since, 30*time.Second), (told{lines: "5 5 "}); got != want {
			t.Errorf("when there is something: %+v, want %+v", got, want)
		}
		if got, want := ask(t.Context(), r, "a", m.Head(), 0), (told{lines: "5 "}); got != want {
			t.Errorf("without wait: %+v, want %+v", got, want)
		}
		ctx, hangUp := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, hangUp)
		if got := ask(ctx, r, "a", m.Head(), 30*time.Second); !errors.Is(got.err, context.Canceled) || got.after != time.Second {
			t.Errorf("after hanging up: %+v", got)
		}
	})
}

func TestInvariant_B5_WhoCannotBeLedOnIsToldToStartAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const kept = 4
		m, r := served(t, kept)
		for range 20 {
			suspend(m, scope)
			synctest.Wait()
		}
		head := m.Head()
		for name, tc := range map[string]struct {
			since registry.Head
			after time.Duration
		}{
			"older than what is kept": {registry.Head{Epoch: "e1", Revision: head.Revision - 10}, 0},
			"another epoch":           {registry.Head{Epoch: "e0", Revision: head.Revision}, 0},
			"ahead of us":             {registry.Head{Epoch: "e1", Revision: head.Revision + 2}, time.Second},
		} {
			got := ask(t.Context(), r, "a", tc.since, 30*time.Second)
			if e, ok := registry.AsError(got.err); !ok || e.Kind != registry.Gone || e.Code != "changes_gone" || got.after != tc.after {
				t.Errorf("%s: %+v, want Gone after %s", name, got, tc.after)
			}
		}
		r.cut.Store(true)
		ahead := suspend(m, scope)
		time.AfterFunc(300*time.Millisecond, func() { r.cut.Store(false) })
		if got := ask(t.Context(), r, "a", ahead, 0); got.err != nil || got.lines != "22 " || got.after > time.Second {
			t.Errorf("one who is ahead for a moment: %+v", got)
		}
	})
}

func TestAScopeThatIsNotThereIsNotFound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := served(t, 100)
		was := m.Head()
		m.Change(func(m *registrytest.Model) registry.Change { return m.DeleteEnvironment(scope) })
		synctest.Wait()
		if got := ask(t.Context(), r, "a", was, time.Minute); got.lines != "2 2 " {
			t.Errorf("that it is gone: %+v", got)
		}
		if got := ask(t.Context(), r, "a", m.Head(), time.Minute); !errors.Is(got.err, registry.NotFound) || got.after != 0 {
			t.Errorf("after that: %+v, want NotFound at once", got)
		}
		if _, err := r.service.Snapshot(t.Context(), "a", scope); !errors.Is(err, registry.NotFound) {
			t.Errorf("its snapshot: %v, want NotFound", err)
		}
		m.Do(func(m *registrytest.Memory) { m.Away = true })
		empty := start(m, 0)
		defer empty.stop()
		if got := ask(t.Context(), empty, "a", was, time.Minute); !errors.Is(got.err, registry.Unavailable) {
			t.Errorf("before the registry was loaded: %+v", got)
		}
		if _, err := empty.service.Snapshot(t.Context(), "b", scope); !errors.Is(err, registry.Unavailable) {
			t.Errorf("the snapshot before that: %v", err)
		}
	})
}

// The first change goes out at once; what comes in quick succession goes out
// together, and to all alike.
func TestAnswersAreCoalesced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := served(t, 1000)
		ctx, stop := context.WithCancel(t.Context())
		var mu sync.Mutex
		var all []string
		var followers sync.WaitGroup
		for i := range 10 {
			followers.Go(func() {
				since, heard := m.Head(), ""
				for ctx.Err() == nil {
					got := ask(ctx, r, fmt.Sprint("follower-", i), since, 30*time.Second)
					if got.err != nil {
						break
					}
					heard += fmt.Sprintf("%s| ", got.lines)
					fields := strings.Fields(got.lines)
					_, _ = fmt.Sscan(fields[len(fields)-1], &since.Revision)
				}
				mu.Lock()
				defer mu.Unlock()
				all = append(all, heard)
			})
		}
		synctest.Wait()
		for range 12 { // and 5 ms are the window
			suspend(m, scope)
			time.Sleep(1100 * time.Microsecond)
		}
		time.Sleep(time.Second)
		stop()
		followers.Wait()
		for _, heard := range all {
			if want := "2 2 | 3 4 5 6 6 | 7 8 9 10 11 11 | 12 13 13 | "; heard != want {
				t.Errorf("a follower heard %q, want %q", heard, want)
			}
		}
	})
}

func TestInvariant_B9_OneCallerHoldsABoundedNumberOfRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := served(t, 100)
		const most = 64
		ctx, hangUp := context.WithCancel(t.Context())
		var held sync.WaitGroup
		for range most {
			held.Go(func() { ask(ctx, r, "a", m.Head(), 30*time.Second) })
		}
		synctest.Wait()
		got := ask(t.Context(), r, "a", m.Head(), 30*time.Second)
		if e, ok := registry.AsError(got.err); !ok || e.Kind != registry.TooManyRequests || e.RetryAfter == 0 || got.after != 0 {
			t.Errorf("one more: %+v, want TooManyRequests and when to come back", got)
		}
		if _, err := r.service.Snapshot(t.Context(), "a", scope); !errors.Is(err, registry.TooManyRequests) {
			t.Errorf("a snapshot beside them: %v, want TooManyRequests", err)
		}
		if got := ask(t.Context(), r, "b", m.Head(), 0); got.err != nil {
			t.Errorf("another caller: %+v", got)
		}
		hangUp()
		held.Wait()
		synctest.Wait()
		if got := ask(t.Context(), r, "a", m.Head(), 0); got.err != nil {
			t.Errorf("after they hung up: %+v", got)
		}
	})
}

func TestInvariant_B9_ADrainLetsThemGoOneAfterTheOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := served(t, 100)
		const n = 200
		answers := make(chan told, n)
		for i := range n {
			go func() { answers <- ask(t.Context(), r, fmt.Sprint(i%10), m.Head(), 50*time.Second) }()
		}
		time.Sleep(time.Second)
		r.service.Drain(4 * time.Second)
		r.service.Drain(time.Hour) // the first counts
		if got := ask(t.Context(), r, "a", m.Head(), 50*time.Second); !errors.Is(got.err, registry.Unavailable) || !got.last {
			t.Errorf("a new one: %+v, want Unavailable and the last", got)
		}
		if got := ask(t.Context(), r, "a", m.Head(), 0); got.err != nil || !got.last {
			t.Errorf("one that is not to be held: %+v", got)
		}
		quarters := make([]int, 4)
		for range n {
			got := <-answers
			if got.err != nil || !got.last || got.lines != "1 " || got.after < time.Second || got.after >= 5*time.Second {
				t.Fatalf("one that was held: %+v", got)
			}
			quarters[int(got.after/time.Second)-1]++
		}
		for i, n := range quarters {
			if n < 20 || n > 80 {
				t.Errorf("second %d of the drain: %d of 200 are let go: %v", i, n, quarters)
			}
		}
	})
}
