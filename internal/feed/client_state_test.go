package feed

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

func head(epoch string, revision int64) registry.Head {
	return registry.Head{Epoch: epoch, Revision: revision}
}

func TestAnAnswerLeadsOnFromWhatItCovers(t *testing.T) {
	t.Parallel()
	beat := func(revision int64) registry.Change {
		return registry.Change{Head: head("e1", revision), Kind: registry.HeartbeatChange}
	}
	a := answer{since: head("e1", 3), changes: []registry.Change{beat(5), beat(7)}, upTo: head("e1", 9)}
	for at, want := range map[registry.Head][]registry.Change{
		head("e1", 3): a.changes, head("e1", 4): a.changes, head("e1", 5): a.changes[1:], head("e1", 7): {}, head("e1", 9): {},
		head("e1", 2): nil, head("e1", 10): nil, head("e2", 5): nil, {}: nil,
	} {
		rest, ok := a.after(at)
		if ok != (want != nil) {
			t.Errorf("from %v: ok = %t", at, ok)
		}
		if diff := cmp.Diff(want, rest.changes); ok && (diff != "" || rest.since != at || rest.upTo != a.upTo) {
			t.Errorf("from %v: %v to %v (-want +got):\n%s", at, rest.since, rest.upTo, diff)
		}
	}
}

func newTestClient(t *testing.T) *Client {
	t.Helper()
	c, err := NewClient(ClientOptions{
		URL: "http://localhost", Scope: "production", HTTP: &http.Client{}, Token: func(context.Context) (string, error) { return "t", nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestOnlyNewerStatesAreAcceptable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newTestClient(t)
		expect := func(what string, h registry.Head, want bool) {
			t.Helper()
			if err := c.acceptable(h); (err == nil) != want || (err != nil && !errors.Is(err, registry.Unavailable)) {
				t.Errorf("%s: %v is acceptable: %v, want %t", what, h, err, want)
			}
		}
		expect("at first", head("e1", 7), true)
		c.loaded(head("e1", 7))
		expect("after e1.7", head("e1", 6), false)
		expect("after e1.7", head("e1", 7), true)
		expect("after e1.7", head("e2", 1), true)
		c.loaded(head("e2", 1))
		expect("just after e2.1", head("e1", 99), false)
		time.Sleep(confirmedFor - time.Second)
		c.confirm("e1") // an answer that comes late
		expect("while e2 is known", head("e1", 99), false)
		c.confirm("e2")
		time.Sleep(confirmedFor - time.Second)
		expect("while e2 is known", head("e1", 99), false)
		time.Sleep(time.Second)
		expect("when nobody knows e2", head("e1", 99), true)
		expect("when nobody knows e2", head("e2", 0), false)
		c.loaded(head("e1", 99))
		expect("once e1 is back", head("e1", 100), true)
		expect("once e1 is back", head("e2", 5), false)
	})
}

// What was heard is taken over once, and only by who has what it follows.
func TestWhatWasHeardIsTakenOverOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newTestClient(t)
		c.hear(answer{since: head("e1", 1), upTo: head("e1", 2)})
		if _, ok := c.takeOver(); ok {
			t.Error("one who has nothing takes over what others heard")
		}
		c.loaded(head("e1", 5))
		for _, to := range []int64{7, 9} {
			c.hear(answer{since: head("e1", to-2), changes: []registry.Change{{Head: head("e1", to)}}, upTo: head("e1", to)})
		}
		if at, err := c.newest(t.Context()); err != nil || at != head("e1", 9) {
			t.Errorf("newest() = %v, %v, want what was heard last", at, err)
		}
		if a, ok := c.takeOver(); !ok || len(a.changes) != 2 || a.since != head("e1", 5) || a.upTo != head("e1", 9) {
			t.Errorf("takeOver() = %+v, %t, want both answers", a, ok)
		}
		if _, ok := c.takeOver(); ok {
			t.Error("the same is taken over twice")
		}
		c.hear(answer{since: head("e1", 9), upTo: head("e1", 11)})
		if a, ok := c.takeOver(); ok {
			t.Errorf("takeOver() = %+v, which does not follow e1.5", a)
		}
	})
}

func TestWhoWasJustLedOnIsNotLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newTestClient(t)
		why := errors.New("410")
		c.loaded(head("e1", 5))
		if err := c.lose(head("e1", 5), why); !errors.Is(err, registry.Unavailable) || errors.Is(err, snapshot.ErrStartAgain) {
			t.Errorf("at once: %v, want Unavailable", err)
		}
		time.Sleep(doubtFor)
		if err := c.lose(head("e1", 5), why); !errors.Is(err, snapshot.ErrStartAgain) || !errors.Is(err, why) {
			t.Errorf("after a while: %v, want ErrStartAgain and why", err)
		}
		if _, err := c.position(); !errors.Is(err, snapshot.ErrStartAgain) || !errors.Is(err, why) {
			t.Errorf("position() after that: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if at, err := c.newest(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("newest() = %v, %v, want to wait until the follower has loaded", at, err)
		}
		c.loaded(head("e1", 8))
		time.Sleep(doubtFor)
		_ = c.lose(head("e1", 5), why) // an answer that comes late
		if at, err := c.position(); err != nil || at != head("e1", 8) {
			t.Errorf("position() = %v, %v, want what was loaded since", at, err)
		}
	})
}
