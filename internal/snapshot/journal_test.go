package snapshot_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

// keeping is a follower whose journal has these bounds.
func keeping(t *testing.T, m *registrytest.Memory, changes, bytes int) *snapshot.Follower {
	t.Helper()
	f := snapshot.NewFollower(snapshot.Options{
		Connect: m.Connect, Epochs: m, JournalChanges: changes, JournalBytes: bytes, Log: slog.New(slog.DiscardHandler),
	})
	run(t, f)
	synctest.Wait()
	return f
}

// of are the changes of the registry's that a scope sees, by the changes alone.
func of(m *registrytest.Memory, scope string, since, upTo int64) []registry.Change {
	var changes []registry.Change
	m.Do(func(m *registrytest.Memory) {
		for _, c := range m.Changes {
			seen := c.Kind != registry.TeamChange && (c.OldScope == scope || c.NewScope == scope || c.OldScope == registry.AllScopes || c.NewScope == registry.AllScopes)
			if seen && c.Revision > since && c.Revision <= upTo {
				changes = append(changes, c)
			}
		}
	})
	return changes
}

func TestSinceIsWhatTheScopeSaw(t *testing.T) {
	t.Parallel()
	const kept = 20
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) {
			m := registrytest.NewMemory()
			f := keeping(t, m, kept, 1<<30)
			draw := chance(seed)
			for range 12 {
				for range draw(15) {
					m.Change(func(m *registrytest.Model) registry.Change { return m.Change(draw) })
				}
				synctest.Wait()
				head := m.Head()
				for revision := int64(1); revision <= head.Revision; revision++ {
					for _, scope := range []string{"production", "staging", "test", "nowhere"} {
						got, upTo, ok := f.Since(scope, registry.Head{Epoch: "e1", Revision: revision})
						if !ok {
							if head.Revision-revision <= kept {
								t.Fatalf("seed %d: %d of %d is not kept", seed, revision, head.Revision)
							}
							continue
						}
						if diff := cmp.Diff(of(m, scope, revision, head.Revision), got, cmpopts.EquateEmpty()); diff != "" || upTo != head {
							t.Fatalf("seed %d: %s since %d up to %v (-want +got):\n%s", seed, scope, revision, upTo, diff)
						}
					}
				}
			}
			if _, _, ok := f.Since("production", registry.Head{Epoch: "e1", Revision: 1}); ok && m.Head().Revision > 3*kept {
				t.Errorf("seed %d: everything is kept", seed)
			}
		})
	}
}

func TestSinceRefusesWhatItCannotContinue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := registrytest.NewMemory()
		changes(m, 5) // before the follower begins
		loaded := m.Head()
		if _, _, ok := snapshot.NewFollower(snapshot.Options{}).Since("production", loaded); ok {
			t.Error("a follower without a view knows what changed")
		}
		f := keeping(t, m, 0, 0)
		changes(m, 3)
		synctest.Wait()
		for name, tc := range map[string]struct {
			since registry.Head
			want  bool
		}{
			"what was loaded":    {loaded, true},
			"the present":        {m.Head(), true},
			"before the load":    {registry.Head{Epoch: "e1", Revision: loaded.Revision - 1}, false},
			"the future":         {registry.Head{Epoch: "e1", Revision: m.Head().Revision + 1}, false},
			"another epoch":      {registry.Head{Epoch: "e2", Revision: loaded.Revision}, false},
			"the zero head":      {registry.Head{}, false},
			"before the changes": {registry.Head{Epoch: "e1"}, false},
		} {
			if _, upTo, ok := f.Since("production", tc.since); ok != tc.want || (upTo != m.Head()) == ok {
				t.Errorf("%s: Since() = up to %v, %t; want %t", name, upTo, ok, tc.want)
			}
		}
		before := m.Head()
		m.Do(func(m *registrytest.Memory) { m.Model.SetHead(registry.Head{Epoch: "e2", Revision: before.Revision}) })
		time.Sleep(time.Second)
		synctest.Wait()
		for _, since := range []registry.Head{before, {Epoch: "e2", Revision: before.Revision - 1}} {
			if _, _, ok := f.Since("production", since); ok {
				t.Errorf("in another epoch what changed since %v is known", since)
			}
		}
		if got, _, ok := f.Since("production", m.Head()); !ok || len(got) > 0 {
			t.Errorf("Since(the present) = %v, %t", got, ok)
		}
	})
}

// Modules are large: the journal is bounded in bytes too.
func TestTheJournalIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size = 1000
		m := registrytest.NewMemory()
		f := keeping(t, m, 1000, 10*size)
		for i := range 50 {
			m.Change(func(m *registrytest.Model) registry.Change {
				return m.PutPolicy(registry.PlatformPolicy{Hash: fmt.Sprint(i), Modules: map[string]string{"a.rego": strings.Repeat("x", size)}})
			})
			synctest.Wait()
			kept := int64(0)
			for head := m.Head(); kept < head.Revision; kept++ {
				if _, _, ok := f.Since("production", registry.Head{Epoch: "e1", Revision: head.Revision - kept - 1}); !ok {
					break
				}
			}
			if i > 10 && (kept < 3 || kept > 9) {
				t.Fatalf("after %d changes %d are kept", i, kept)
			}
		}
		m.Change(func(m *registrytest.Model) registry.Change {
			return m.PutPolicy(registry.PlatformPolicy{Hash: "large", Modules: map[string]string{"a.rego": strings.Repeat("x", 20*size)}})
		})
		synctest.Wait()
		head := m.Head()
		if _, _, ok := f.Since("production", registry.Head{Epoch: "e1", Revision: head.Revision - 1}); ok {
			t.Error("a change that is larger than the journal is kept")
		}
		if got, upTo, ok := f.Since("production", head); !ok || len(got) > 0 || upTo != head {
			t.Errorf("Since(the present) = %v, %v, %t", got, upTo, ok)
		}
	})
}

// Readers and the follower share slices; the race detector says whether they may.
func TestSinceIsReadWhileTheRegistryChanges(t *testing.T) {
	t.Parallel()
	m := registrytest.NewMemory()
	f := snapshot.NewFollower(snapshot.Options{Connect: m.Connect, Epochs: m, JournalChanges: 16, Log: slog.New(slog.DiscardHandler)})
	run(t, f)
	if err := f.WaitFor(t.Context(), m.Head()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for since := m.Head(); ctx.Err() == nil; {
				got, upTo, ok := f.Since("production", since)
				if !ok {
					since = f.View().Head()
					continue
				}
				for _, c := range got {
					if c.Revision <= since.Revision {
						t.Errorf("%d comes after %d", c.Revision, since.Revision)
					}
					since = c.Head
				}
				since = upTo
			}
		})
	}
	if err := f.WaitFor(t.Context(), changes(m, 2000)); err != nil {
		t.Error(err)
	}
	stop()
	readers.Wait()
}

// The view of one scope, of which only the scope's changes are told, is what a view
// of all shows of it.
func TestApplyScopedEqualsApply(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := registrytest.NewModel("e1")
		draw := drawing(t)
		for range draw(20) {
			m.Change(draw)
		}
		all := snapshot.New(m.Facts())
		one := snapshot.New(m.Facts())
		for range 1 + draw(3) {
			var changes, own []registry.Change
			for range draw(10) {
				c := m.Change(draw)
				changes = append(changes, c)
				if c.Kind != registry.TeamChange {
					own = append(own, c)
				}
			}
			var err error
			if all, err = all.Apply(changes); err != nil {
				t.Fatal(err)
			}
			if one, err = one.ApplyScoped(own, m.Head()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(registrytest.FactsOf(all), registrytest.FactsOf(one)); diff != "" {
				t.Fatalf("(-all +scoped):\n%s", diff)
			}
		}
	})
}

func TestApplyScopedRefusesWhatDoesNotFollow(t *testing.T) {
	t.Parallel()
	m := registrytest.NewModel("e1")
	m.PutEnvironment(registry.EnvironmentFacts{Name: "production"})
	m.PutTeam("support")
	v := snapshot.New(m.Facts())
	three, five := m.PutPolicy(registrytest.Policy(1)), change(m.PutPolicy(registrytest.Policy(2)), 5)
	at := func(epoch string, revision int64) registry.Head {
		return registry.Head{Epoch: epoch, Revision: revision}
	}
	other := three
	other.Epoch = "e2"
	for name, tc := range map[string]struct {
		changes []registry.Change
		upTo    registry.Head
		want    int64 // 0: refused
	}{
		"with a gap":          {[]registry.Change{three, five}, at("e1", 9), 9},
		"nothing":             {nil, at("e1", 9), 9},
		"nothing at all":      {nil, at("e1", 2), 2},
		"more than is told":   {[]registry.Change{three, five}, at("e1", 4), 5},
		"out of order":        {[]registry.Change{five, three}, at("e1", 9), 0},
		"the same again":      {[]registry.Change{three, three}, at("e1", 9), 0},
		"what it has already": {[]registry.Change{change(three, 2)}, at("e1", 9), 0},
		"another epoch":       {[]registry.Change{other}, at("e1", 9), 0},
		"up to another epoch": {[]registry.Change{three}, at("e2", 9), 0},
		"up to the past":      {nil, at("e1", 1), 0},
	} {
		next, err := v.ApplyScoped(tc.changes, tc.upTo)
		if got := int64(0); err == nil {
			if got = next.Head().Revision; got != tc.want {
				t.Errorf("%s: a view at %d, want %d", name, got, tc.want)
			}
		} else if tc.want != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}
