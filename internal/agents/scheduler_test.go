package agents_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"

	"github.com/credenceproject/credence/internal/agents"
)

// scheduler lets several actors work on the registry side by side, of whom one
// moves at a time: before each operation an actor waits until it is told how that
// goes. So every interleaving of operations can be had, and had again.
type scheduler struct {
	w       *world
	actors  []*actor      // that have not ended, in the order in which they began
	arrived chan struct{} // the actor that was told to go on waits again, or has ended
	late    []func()      // creations that were sent, and of which nobody has heard
	answers []answer
	begun   int
}

// actor is a request, or a reconcile loop's claim, under way.
type actor struct {
	holder
	name  string
	at    string // the operation that it waits before
	ended bool
	tell  chan fate
}

// answer is what an actor was told in the end.
type answer struct {
	actor string
	got   agents.Registered
	err   error
}

// fate is how an operation goes.
type fate string

const (
	goes      fate = "goes well"
	fails     fate = "fails"
	loses     fate = "loses its answer"
	refuses   fate = "is refused"               // by a provider
	lingers   fate = "is answered by a timeout" // and done later; only creations
	dies      fate = "dies before it"
	diesAfter fate = "dies after it"
)

type actorKey struct{}

func newScheduler(w *world) *scheduler {
	s := &scheduler{w: w, arrived: make(chan struct{})}
	w.script.all = s.gate
	return s
}

// start begins an actor, which comes as far as its first operation.
func (s *scheduler) start(name string, do func(ctx context.Context) (agents.Registered, error)) {
	s.begun++
	a := &actor{name: fmt.Sprintf("%s (%d)", name, s.begun), tell: make(chan fate)}
	ctx := context.WithValue(context.WithValue(s.w.request(), actorKey{}, a), holderKey{}, &a.holder)
	s.actors = append(s.actors, a)
	go func() {
		defer func() { // also when it dies
			a.ended = true
			s.arrived <- struct{}{}
		}()
		got, err := do(ctx)
		s.answers = append(s.answers, answer{a.name, got, err})
	}()
	s.await()
}

func (s *scheduler) await() {
	<-s.arrived
	s.actors = slices.DeleteFunc(s.actors, func(a *actor) bool { return a.ended })
}

// move tells an actor how its operation goes, and waits until it is before the
// next, or has ended.
func (s *scheduler) move(a *actor, f fate) {
	a.tell <- f
	s.await()
}

// gate is where actors wait.
func (s *scheduler) gate(ctx context.Context, op string, call func() error) error {
	a, ok := ctx.Value(actorKey{}).(*actor)
	if !ok {
		return call()
	}
	a.at = op
	s.arrived <- struct{}{}
	failure := error(databaseAway)
	if ctx.Value(providerKey{}) != nil {
		failure = reset
	}
	switch <-a.tell {
	case fails:
		return failure
	case loses:
		return failAfter(failure)(ctx, call)
	case refuses:
		return refused("no")
	case lingers:
		s.late = append(s.late, func() {
			frozen := a.frozen.Swap(false) // it was sent before
			defer a.frozen.Store(frozen)
			_ = call()
		})
		return unavailable(context.DeadlineExceeded)
	case dies:
		runtime.Goexit()
	case diesAfter:
		_ = call()
		runtime.Goexit()
	}
	return call()
}

// fates are what may become of the actor's next operation.
func (a *actor) fates() []fate {
	all := append(slices.Repeat([]fate{goes}, 16), fails, loses, dies, diesAfter)
	switch {
	case a.frozen.Load():
		return []fate{goes, dies}
	case a.at == createClient:
		return append(all, refuses, lingers, lingers)
	case slices.Contains([]string{ensureClient, ensureGrant, ensureEntity, ensureAlias, rotateSecret}, a.at):
		return append(all, refuses)
	}
	return all
}

// freeze has all actors that are under way lose their leases: time passes, and
// they do not notice.
func (s *scheduler) freeze() {
	for _, a := range s.actors {
		a.frozen.Store(true)
	}
	s.w.lapse()
	s.w.due()
}

// land has the creations that were sent arrive.
func (s *scheduler) land() {
	for _, arrive := range s.late {
		arrive()
	}
	s.late = nil
}

// drain lets everybody end as it may, one after the other.
func (s *scheduler) drain(f fate) {
	for len(s.actors) > 0 {
		s.move(s.actors[0], f)
	}
}
