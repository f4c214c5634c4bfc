package bundles_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/credenceproject/credence/internal/bundles"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

const minute = time.Minute

// hotly asks again as soon as it is answered, for a minute, and counts the answers.
func hotly(t *testing.T, s getter, p bundles.Poll) (answers int) {
	t.Helper()
	for began := time.Now(); time.Since(began) < minute; answers++ {
		if answers > 100_000 {
			t.Fatal("nothing brakes it")
		}
		if _, err := s.Get(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	return answers
}

// Whoever asks again at once, and is told nothing new, is soon answered once a
// second, whatever it has and whether or not it would wait.
func TestHotLoopsAreBraked(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		has  bool // the present state
		wait time.Duration
		most int // answers in a minute
	}{
		{"an OPA that polls, where nothing changes", true, time.Second, 67},
		{"one that does not wait", true, 0, 71},
		{"one whose activation fails", false, 0, 72},
		{"one that polls and whose activation fails", false, 30 * time.Second, 72},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := seeded()
				r := start(t, m)
				have := present(t, r, of("production", ""))
				if !tt.has {
					m.Change(withResource("refunds"))
					synctest.Wait()
				}
				if n := hotly(t, r, bundles.Poll{Name: of("production", ""), Have: tags(have), Wait: tt.wait, Caller: "opa"}); n > tt.most || n < 55 {
					t.Errorf("%d answers in a minute, want at most %d", n, tt.most)
				}
			})
		})
	}
}

// Haste in one bundle, or of one caller, is nobody else's.
func TestTheBrakeIsOfOneCallerAndBundle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := seeded()
		r := start(t, m)
		own := present(t, r, of("production", ""))
		hasty := bundles.Poll{Name: of("production", ""), Have: tags(own), Caller: "opa"}
		hotly(t, r, hasty)
		if _, took := timed(t.Context(), r, hasty); took == 0 {
			t.Error("the caller itself is not braked; the test says nothing")
		}
		other, elsewhere := hasty, hasty
		other.Caller, elsewhere.Name = "another", of("production", "policy")
		for _, p := range []bundles.Poll{other, elsewhere} {
			if _, took := timed(t.Context(), r, p); took != 0 {
				t.Errorf("%+v: delayed by %s", p, took)
			}
		}
		time.Sleep(minute)
		if _, took := timed(t.Context(), r, hasty); took != 0 {
			t.Errorf("a minute later: delayed by %s", took)
		}
	})
}

// A delayed answer gives way to what is new.
func TestABrakedAnswerGivesWayToNews(t *testing.T) {
	t.Parallel()
	for name, has := range map[string]bool{"has the state": true, "has an older one": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := seeded()
				r := start(t, m)
				have := present(t, r, of("production", ""))
				if !has {
					m.Change(withResource("billing"))
					synctest.Wait()
				}
				p := bundles.Poll{Name: of("production", ""), Have: tags(have), Caller: "opa"}
				hotly(t, r, p)
				time.AfterFunc(300*time.Millisecond, func() { m.Change(withResource("refunds")) })
				got, took := timed(t.Context(), r, p)
				if got.Bundle != presentTag(t, m).String() || took != 300*time.Millisecond {
					t.Errorf("%+v after %s", got, took)
				}
			})
		})
	}
}

// OPAs that share a token, on a registry that changes fifty times a second, load
// state after state and are never delayed.
func TestHealthyOPAsOnABusyRegistryAreNotBraked(t *testing.T) {
	t.Parallel()
	for _, opas := range []int{1, 40} {
		synctest.Test(t, func(t *testing.T) {
			m := seeded()
			seen := &seen{}
			r := startWith(t, m, bundles.Options{Observer: seen})
			first := present(t, r, of("production", ""))
			ctx, stop := context.WithCancel(t.Context())
			var fleet sync.WaitGroup
			loaded := make([]int, opas)
			for i := range opas {
				fleet.Go(func() {
					activation := 30*time.Millisecond + time.Duration(i)*7*time.Millisecond
					for have := first; ; loaded[i]++ {
						a, err := r.Get(ctx, bundles.Poll{Name: of("production", ""), Have: tags(have), Wait: 30 * time.Second, Caller: "opas"})
						if err != nil {
							return
						}
						have = a.Bundle.Tag.String()
						time.Sleep(activation)
					}
				})
			}
			time.Sleep(time.Second)
			rush(m, 20*time.Millisecond, 10*time.Second)
			stop()
			fleet.Wait()
			if n := seen.take().Braked; n != 0 {
				t.Errorf("%d OPAs: %d answers were delayed", opas, n)
			}
			for i, n := range loaded {
				activation := 30*time.Millisecond + time.Duration(i)*7*time.Millisecond
				if least := int(10*time.Second/(activation+20*time.Millisecond)) - 1; n < least {
					t.Errorf("%d OPAs: the one that activates in %s loaded %d states, want %d", opas, activation, n, least)
				}
			}
		})
	}
}

// rush changes the registry again and again.
func rush(m *registrytest.Memory, every, during time.Duration) {
	for began := time.Now(); time.Since(began) < during; time.Sleep(every) {
		m.Change(withResource("refunds"))
	}
}

// What nobody asks for any more is forgotten.
func TestTheBrakeForgets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := seeded()
		r := start(t, m)
		own := present(t, r, of("production", ""))
		for _, caller := range []string{"a", "b"} {
			if _, err := r.Get(t.Context(), bundles.Poll{Name: of("production", ""), Have: tags(own), Caller: caller}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * minute)
		if _, err := r.Get(t.Context(), bundles.Poll{Name: registry.ScopePart{Scope: "production"}, Have: tags(own), Caller: "c"}); err != nil {
			t.Fatal(err)
		}
		if n := bundles.Braked(r.Service); n != 1 {
			t.Errorf("%d callers are remembered, want 1", n)
		}
	})
}

// However many ask at once, none waits for another's turn.
func TestTheBrakeDelaysNobodyByMoreThanASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := seeded()
		r := start(t, m)
		own := present(t, r, of("production", ""))
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if _, took := timed(t.Context(), r, bundles.Poll{Name: of("production", ""), Have: tags(own), Caller: "opas"}); took > time.Second {
					t.Errorf("delayed by %s", took)
				}
			})
		}
		all.Wait()
	})
}
