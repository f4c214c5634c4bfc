package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/reconcile"
	"github.com/credenceproject/credence/internal/registry"
)

func TestAnIdleRegistryCostsOneQueryAnInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		_, stop := w.run(t, 8)
		after(1000 * time.Second)
		stop()
		if n := len(w.seen().looks); n < 980 || n > 1020 {
			t.Errorf("%d queries in 1000 intervals", n)
		}
		steps := map[time.Duration]bool{}
		for i := 1; i < len(w.seen().looks); i++ {
			gap := w.seen().looks[i].at.Sub(w.seen().looks[i-1].at)
			if gap < 900*time.Millisecond || gap > 1100*time.Millisecond {
				t.Errorf("look %d came %s after the one before, want one second give or take a tenth", i, gap)
			}
			steps[gap] = true
		}
		if len(steps) < 10 {
			t.Errorf("only %d different gaps: replicas would look in step", len(steps))
		}
	})
}

func TestItClaimsAsManyAsItHasWorkersFree(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{state: state{due: agents(5)}, work: takes(3 * time.Second)}
		_, stop := w.run(t, 2)
		if got := w.seen().looks; len(got) != 1 || got[0].limit != 2 {
			t.Errorf("looks = %v, want one for the 2 workers", got)
		}
		after(2500 * time.Millisecond)
		if len(w.seen().looks) != 1 {
			t.Errorf("it looked %d times while no worker was free", len(w.seen().looks))
		}
		after(time.Minute)
		stop()
		if w.seen().most != 2 {
			t.Errorf("%d agents were worked on at once, want 2", w.seen().most)
		}
		if diff := cmp.Diff(agents(5), slices.Sorted(slices.Values(w.seen().done))); diff != "" {
			t.Errorf("agents worked on (-want +got):\n%s", diff)
		}
	})
}

func TestAFullBatchIsFollowedByTheNextAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{state: state{due: agents(1000)}}
		began := time.Now()
		_, stop := w.run(t, 8)
		if left := len(w.seen().due); left != 0 || time.Since(began) != 0 {
			t.Errorf("%d of 1000 agents are left after %s", left, time.Since(began))
		}
		after(2 * time.Second)
		if last := len(w.seen().more) - 1; w.seen().more[last] || !w.seen().dueSince[last].IsZero() {
			t.Errorf("the last look found more, due since %s; want none", w.seen().dueSince[last])
		}
		if want := began.Add(-8 * time.Second); !w.seen().more[0] || !w.seen().dueSince[0].Equal(want) {
			t.Errorf("the first look: more = %v, due since %s; want the longest due, %s", w.seen().more[0], w.seen().dueSince[0], want)
		}
		stop()
	})
}

func TestItIsWokenForWhatCannotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		l, stop := w.run(t, 8)
		after(100 * time.Millisecond)
		w.set(func() { w.due = agents(1) })
		l.Wake()
		l.Wake() // nobody waits
		synctest.Wait()
		if len(w.seen().done) != 1 {
			t.Errorf("%d agents were worked on after the wake-up, want 1", len(w.seen().done))
		}
		stop()
	})
}

// A wake-up that comes while the loop looks may be about an agent that the look
// missed.
func TestInvariant_F5_AWakeUpDuringALookIsNotLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{query: 50 * time.Millisecond}
		l, stop := w.run(t, 8)
		l.Wake()
		after(99 * time.Millisecond)
		if len(w.seen().looks) != 2 || w.seen().looks[1].at.Sub(w.seen().looks[0].at) != 50*time.Millisecond {
			t.Errorf("looks = %v, want a second one as soon as the first has ended", w.seen().looks)
		}
		stop()
	})
}

// Invariant C2: no call of a pass may be under way when a successor can have the
// lease.
func TestInvariant_C2_APassEndsBeforeItsLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{state: state{due: agents(1)}, work: func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }}
		began := time.Now()
		_, stop := w.run(t, 8)
		after(13999 * time.Millisecond)
		if len(w.seen().done) != 0 {
			t.Errorf("the pass ended early, after %s", time.Since(began))
		}
		after(2 * time.Millisecond)
		if len(w.seen().done) != 1 {
			t.Error("the pass is under way though its lease of 15 s is about to end")
		}
		stop()
	})
}

func TestAnOutageOfTheDatabaseIsSurvived(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{state: state{away: errAway}}
		l, stop := w.run(t, 8)
		for range 600 {
			after(time.Second)
			l.Wake()
		}
		if n := len(w.seen().looks); n < 40 || n > 50 {
			t.Errorf("%d looks in ten minutes of an outage, want one each quarter of a minute", n)
		}
		w.set(func() { w.away, w.due = nil, agents(1) })
		after(20 * time.Second)
		if len(w.seen().done) != 1 {
			t.Error("nothing was worked on after the outage")
		}
		looks := len(w.seen().looks)
		after(10 * time.Second)
		if n := len(w.seen().looks) - looks; n < 9 || n > 12 {
			t.Errorf("%d looks in ten seconds after the outage", n)
		}
		stop()
		if log := w.log.String(); strings.Count(log, "\n") != 2 || !strings.Contains(log, "cannot be claimed") || !strings.Contains(log, "claimed again") {
			t.Errorf("an outage is told of when it begins and when it ends, not with:\n%s", log)
		}
	})
}

func TestWhenToldToStopItEndsWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{state: state{due: agents(5)}, work: takes(4 * time.Second)}
		_, stop := w.run(t, 2)
		after(time.Second)
		told := time.Now()
		stop()
		if took := time.Since(told); took != 3*time.Second {
			t.Errorf("it stopped after %s, want as soon as the passes had ended", took)
		}
		if w.seen().outcomes[reconcile.Converged] != 2 || len(w.seen().due) != 3 {
			t.Errorf("outcomes = %v, %d agents left; want 2 converged and none claimed since", w.seen().outcomes, len(w.seen().due))
		}
	})
}

func TestWhenTheGraceIsOverPassesAreCutShort(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{state: state{due: agents(1)}, work: takes(13 * time.Second)}
		_, stop := w.run(t, 2)
		told := time.Now()
		stop()
		if took := time.Since(told); took != 10*time.Second {
			t.Errorf("it stopped after %s, want the grace", took)
		}
		if w.seen().outcomes[reconcile.Failed] != 1 {
			t.Errorf("outcomes = %v", w.seen().outcomes)
		}
	})
}

// The query may have claimed agents when we are told to stop: nobody else works
// on them until their leases end.
func TestAgentsThatWereClaimedAsItWasToldToStopAreWorkedOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{state: state{due: agents(3)}, query: time.Second}
		_, stop := w.run(t, 8)
		stop()
		if w.seen().outcomes[reconcile.Converged] != 3 {
			t.Errorf("outcomes = %v, want 3 converged", w.seen().outcomes)
		}
	})
}

func TestAPanicTakesOneAgentDownAndNotTheReplica(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{state: state{due: agents(3)}, work: func(_ context.Context, id string) error {
			switch id {
			case "agent-000":
				panic("hvs.a-secret")
			case "agent-001":
				var nobody *world
				_ = nobody.due
			}
			return nil
		}}
		_, stop := w.run(t, 1)
		stop()
		if diff := cmp.Diff(map[string]int{reconcile.Panicked: 2, reconcile.Converged: 1}, w.seen().outcomes); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
		log := w.log.String()
		for _, want := range []string{"agent_id=agent-000 panic=string", "agent_id=agent-001 panic=\"runtime error: invalid memory address"} {
			if !strings.Contains(log, want) {
				t.Errorf("the log lacks %s", want)
			}
		}
		if strings.Contains(log, "hvs.") { // invariant D2
			t.Error("the log quotes what somebody panicked with")
		}
	})
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err  error
		want string
	}{
		{nil, reconcile.Converged},
		{fmt.Errorf("note the step: %w", registry.ErrLeaseLost), reconcile.LeaseLost},
		{registry.Conflict.Errorf("overtaken", "the agent was changed"), reconcile.Overtaken},
		{registry.Conflict.Errorf("vault_alias_taken", "the alias is another's"), reconcile.Failed},
		{registry.Unavailable.Errorf("identity_provider_unavailable", "away"), reconcile.Failed},
		{errors.New("anything else"), reconcile.Failed},
	} {
		t.Run(fmt.Sprint(tc.err), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := &world{state: state{due: agents(1)}, work: func(context.Context, string) error { return tc.err }}
				_, stop := w.run(t, 1)
				stop()
				if diff := cmp.Diff(map[string]int{tc.want: 1}, w.seen().outcomes); diff != "" {
					t.Errorf("outcomes (-want +got):\n%s", diff)
				}
			})
		})
	}
}
