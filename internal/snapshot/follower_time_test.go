package snapshot_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

// virtual is a follower of a registry in memory, in a bubble's virtual time: a
// deadline that is met there is met on any machine.
type virtual struct {
	*snapshot.Follower
	m      *registrytest.Memory
	events *events
	logged *logged
}

func follow(t *testing.T, m *registrytest.Memory) *virtual {
	t.Helper()
	v := &virtual{m: m, events: &events{}, logged: &logged{}}
	v.Follower = snapshot.NewFollower(snapshot.Options{Connect: m.Connect, Epochs: m, Observer: v.events, Log: slog.New(v.logged)})
	run(t, v.Follower)
	return v
}

// changes makes n changes.
func changes(m *registrytest.Memory, n int) registry.Head {
	draw := chance(1)
	for range n {
		m.Change(func(m *registrytest.Model) registry.Change { return m.Change(draw) })
	}
	return m.Head()
}

// expect says that the view is at the head no later than after d, and equal to
// one that is loaded anew.
func (v *virtual) expect(t *testing.T, d time.Duration) {
	t.Helper()
	time.Sleep(d)
	synctest.Wait()
	var facts registry.Facts
	v.m.Do(func(m *registrytest.Memory) { facts = m.Model.Facts() })
	if v.View() == nil {
		t.Fatalf("no view %s later", d)
	}
	if diff := cmp.Diff(registrytest.Sorted(facts), registrytest.FactsOf(v.View(), facts.AgentClients...)); diff != "" {
		t.Errorf("%s later the view is not the registry (-registry +view):\n%s", d, diff)
	}
	if checked, at, _ := v.events.last(); checked != facts.Head || !at.Equal(v.Checked()) {
		t.Errorf("the observer knows of %v at %s, want %v at %s", checked, at, facts.Head, v.Checked())
	}
}

func (v *virtual) expectReloads(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, v.events.reloaded()); diff != "" {
		t.Errorf("reloads (-want +got):\n%s", diff)
	}
}

func TestFollowerIsReadyOnceItHasLoaded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := registrytest.NewMemory()
		m.Away = true
		f := follow(t, m)
		synctest.Wait()
		if err := f.Ready(t.Context()); !errors.Is(err, registry.Unavailable) || f.View() != nil || !f.Checked().IsZero() {
			t.Errorf("before the first load: Ready() = %v, view %v, checked %s", err, f.View(), f.Checked())
		} else if e, ok := registry.AsError(err); !ok || e.RetryAfter != time.Second {
			t.Errorf("Ready() = %#v, want one that says when to come back", err)
		}
		m.Do(func(m *registrytest.Memory) { m.Away = false })
		f.expect(t, time.Second)
		if err := f.Ready(t.Context()); err != nil {
			t.Errorf("after the first load: Ready() = %v", err)
		}
		f.expectReloads(t, snapshot.ReloadFirst)
	})
}

func TestAChangeIsSeen(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		fault  func(*registrytest.Memory)
		within time.Duration
	}{
		{"at once when we are told", func(*registrytest.Memory) {}, 0},
		{"within a second when nobody tells", func(m *registrytest.Memory) { m.Deaf = true }, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := registrytest.NewMemory()
				f := follow(t, m)
				f.expect(t, 0)
				m.Do(tt.fault)
				time.Sleep(300 * time.Millisecond) // somewhere between two checks
				changed := f.Changed()
				changes(m, 3)
				f.expect(t, tt.within)
				select {
				case <-changed:
				default:
					t.Error("Changed() was not closed")
				}
				if _, _, followed := f.events.last(); followed != 3 {
					t.Errorf("%d changes followed, want 3", followed)
				}
				f.expectReloads(t, snapshot.ReloadFirst)
			})
		})
	}
}

// A registry in which nothing happens is checked all the same: its age says how
// long ago somebody looked, not how old the last change is.
func TestAnIdleRegistryIsNotStale(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := follow(t, registrytest.NewMemory())
		f.expect(t, 0)
		view := f.View()
		f.expect(t, time.Hour)
		if age := time.Since(f.Checked()); age > time.Second || f.View() != view {
			t.Errorf("checked %s ago, replaced = %t", age, f.View() != view)
		}
	})
}

// However long the registry is away: what is known keeps being answered, with
// its age, and a second after the return it is up to date. It is logged once.
func TestAnOutageIsSurvived(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		away   func(*registrytest.Memory)
		back   func(*registrytest.Memory)
		within time.Duration
	}{
		{"refused", func(m *registrytest.Memory) { m.Away = true }, func(m *registrytest.Memory) { m.Away = false }, 1100 * time.Millisecond},
		{"silent", func(m *registrytest.Memory) { m.Silent = make(chan struct{}) }, func(m *registrytest.Memory) { close(m.Silent); m.Silent = nil }, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := registrytest.NewMemory()
				f := follow(t, m)
				f.expect(t, 0)
				m.Do(tt.away)
				view, checked := f.View(), f.Checked()
				changes(m, 5)
				time.Sleep(time.Minute + 77*time.Millisecond)
				if f.View() != view || f.Ready(t.Context()) != nil {
					t.Error("the view is gone")
				}
				if f.Checked().After(checked.Add(time.Second)) {
					t.Errorf("a view of %s says that it was checked at %s", checked, f.Checked())
				}
				m.Do(tt.back)
				f.expect(t, tt.within)
				f.expectReloads(t, snapshot.ReloadFirst)
				if n := len(f.logged.all()); n != 1 {
					t.Errorf("%d warnings, want 1: %q", n, f.logged.all())
				}
			})
		})
	}
}

func TestWhatCannotBeAppliedIsLoaded(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		happen func(*registrytest.Memory)
		why    string
	}{
		{"a gap", func(m *registrytest.Memory) { m.Changes = m.Changes[:len(m.Changes)-2] }, snapshot.ReloadGap},
		{"a gap in the middle", func(m *registrytest.Memory) { m.Changes = append(m.Changes[:2], m.Changes[3:]...) }, snapshot.ReloadGap},
		{"another epoch", func(m *registrytest.Memory) {
			m.Model.SetHead(registry.Head{Epoch: "e2", Revision: m.Model.Head().Revision})
		}, snapshot.ReloadEpoch},
		{"another epoch further back", func(m *registrytest.Memory) { m.Model.SetHead(registry.Head{Epoch: "e2", Revision: 1}) }, snapshot.ReloadEpoch},
		{"far behind", func(m *registrytest.Memory) {
			for range 2001 {
				m.Changes = append(m.Changes, m.Model.PutTeam("support"))
			}
		}, snapshot.ReloadFarBehind},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := registrytest.NewMemory()
				m.Deaf = true
				f := follow(t, m)
				f.expect(t, 0)
				changes(m, 4)
				m.Do(tt.happen)
				f.expect(t, time.Second)
				f.expectReloads(t, snapshot.ReloadFirst, tt.why)
			})
		})
	}
}

// A database that was restored without credence restore: what was handed out
// since is another history. All replicas see it; one renews the epoch.
func TestInvariant_B1_AHeadThatWentBackRenewsTheEpochOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := registrytest.NewMemory()
		m.Deaf = true
		replicas := []*virtual{follow(t, m), follow(t, m), follow(t, m)}
		changes(m, 4)
		time.Sleep(time.Second)
		m.Do(func(m *registrytest.Memory) { m.Model.SetHead(registry.Head{Epoch: "e1", Revision: 2}) })
		for _, f := range replicas {
			f.expect(t, time.Second)
		}
		m.Do(func(m *registrytest.Memory) {
			if epoch := m.Model.Head().Epoch; m.Renewed != 1 || epoch == "e1" || len(epoch) != 16 {
				t.Errorf("the epoch was renewed %d times and is %q", m.Renewed, epoch)
			}
		})
		alarms := 0
		for _, f := range replicas {
			alarms += len(f.logged.all())
		}
		if alarms == 0 {
			t.Error("no alarm in the log")
		}
	})
}

func TestWaitForReturnsWhenTheStateIsThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := registrytest.NewMemory()
		f := follow(t, m)
		f.expect(t, 0)
		here := m.Head()
		for _, h := range []registry.Head{here, {Epoch: "e1", Revision: 0}, {Epoch: "another", Revision: 99}} {
			if err := f.WaitFor(t.Context(), h); err != nil {
				t.Errorf("WaitFor(%v) error = %v", h, err)
			}
		}
		m.Do(func(m *registrytest.Memory) { m.Silent, m.Deaf = make(chan struct{}), true })
		next := changes(m, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if err := f.WaitFor(ctx, next); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("WaitFor() of a state that does not come: error = %v", err)
		}
		m.Do(func(m *registrytest.Memory) { close(m.Silent); m.Silent = nil })
		f.expect(t, 1100*time.Millisecond) // between two checks
		next = changes(m, 1)
		start := time.Now()
		if err := f.WaitFor(t.Context(), next); err != nil || time.Since(start) != 0 {
			t.Errorf("WaitFor() = %v after %s; it should have the head looked at", err, time.Since(start))
		}
	})
}

// A load that hangs is given up, or the replica would never come up.
func TestALoadThatHangsIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := registrytest.NewMemory()
		var loads atomic.Int64
		f := &virtual{m: m, events: &events{}, logged: &logged{}}
		connect := func(ctx context.Context) (snapshot.Session, error) {
			s, err := m.Connect(ctx)
			return firstLoadHangs{s, &loads}, err
		}
		f.Follower = snapshot.NewFollower(snapshot.Options{Connect: connect, Epochs: m, Observer: f.events, Log: slog.New(f.logged)})
		run(t, f.Follower)
		f.expect(t, 2*time.Minute+time.Second)
		if loads.Load() != 2 {
			t.Errorf("%d loads, want 2", loads.Load())
		}
	})
}

type firstLoadHangs struct {
	snapshot.Session
	loads *atomic.Int64
}

func (s firstLoadHangs) Load(ctx context.Context) (registry.Facts, error) {
	if s.loads.Add(1) == 1 {
		<-ctx.Done()
		return registry.Facts{}, ctx.Err()
	}
	return s.Session.Load(ctx)
}

// sessions is a registry whose sessions say what a test wants of them.
type sessions struct {
	head, loads registry.Head
	err         error // of Head
}

func (s *sessions) connect(context.Context) (snapshot.Session, error) { return s, nil }
func (s *sessions) Head(context.Context) (registry.Head, error)       { return s.head, s.err }
func (s *sessions) Load(context.Context) (registry.Facts, error) {
	return registry.Facts{Head: s.loads}, nil
}
func (*sessions) Listen(context.Context) error { return nil }
func (*sessions) Close()                       {}
func (s *sessions) Changes(context.Context, registry.Head, int) ([]registry.Change, error) {
	return nil, nil
}

func (*sessions) Wait(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// A follower of somebody else's registry has no epoch to renew: it keeps what it has
// until the registry knows that too.
func TestAScopedFollowerIsNotTakenBack(t *testing.T) {
	t.Parallel()
	at := func(epoch string, revision int64) registry.Head {
		return registry.Head{Epoch: epoch, Revision: revision}
	}
	for name, tc := range map[string]struct {
		then sessions
		want registry.Head
		why  []string
	}{
		"the head goes back":              {sessions{head: at("e1", 3), loads: at("e1", 3)}, at("e1", 5), nil},
		"the head and more go back":       {sessions{err: snapshot.ErrStartAgain, loads: at("e1", 3)}, at("e1", 5), nil},
		"the changes are gone":            {sessions{err: snapshot.ErrStartAgain, loads: at("e1", 8)}, at("e1", 8), []string{snapshot.ReloadGap}},
		"the changes are gone, no others": {sessions{err: snapshot.ErrStartAgain, loads: at("e1", 5)}, at("e1", 5), []string{snapshot.ReloadGap}},
		"another epoch":                   {sessions{head: at("e2", 1), loads: at("e2", 1)}, at("e2", 1), []string{snapshot.ReloadEpoch}},
		"the head moves on":               {sessions{head: at("e1", 9999), loads: at("e1", 9999)}, at("e1", 9999), nil},
		"it is away":                      {sessions{err: errors.New("away")}, at("e1", 5), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &sessions{head: at("e1", 5), loads: at("e1", 5)}
				seen := &events{}
				f := snapshot.NewFollower(snapshot.Options{Connect: s.connect, Scoped: true, Observer: seen, Log: slog.New(slog.DiscardHandler)})
				ctx, stop := context.WithTimeout(t.Context(), 500*time.Millisecond)
				defer stop()
				_ = f.Run(ctx)
				*s = tc.then
				ctx, stop = context.WithTimeout(t.Context(), 500*time.Millisecond)
				defer stop()
				_ = f.Run(ctx)
				if got := f.View().Head(); got != tc.want {
					t.Errorf("it shows %v, want %v", got, tc.want)
				}
				if diff := cmp.Diff(append([]string{snapshot.ReloadFirst}, tc.why...), slices.Compact(seen.reloaded())); diff != "" {
					t.Errorf("reloads (-want +got):\n%s", diff)
				}
			})
		})
	}
}
