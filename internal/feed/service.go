package feed

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// Registry is the registry in memory. *snapshot.Follower implements it.
type Registry interface {
	View() *snapshot.View
	Since(scope string, since registry.Head) (changes []registry.Change, upTo registry.Head, ok bool)
	Changed() <-chan struct{}
	WaitFor(ctx context.Context, h registry.Head) error
}

// Options of a Service. A zero field has the default.
type Options struct {
	// Hold is how long a caller that knows a newer state than we do is held until we
	// have caught up. Default 1 s.
	Hold time.Duration
	// Window is how long after one answer to what changed in a scope the next goes
	// out, at least: what comes in between goes out together. The first change after
	// a quiet time goes out at once. Default 5 ms.
	Window time.Duration
	// PerCaller is how many requests of one caller are under way at a time, at most.
	// Default 64.
	PerCaller int
}

// Service answers for the feed of all scopes. It is safe for concurrent use.
type Service struct {
	registry Registry
	hold     time.Duration
	holds    *holds
	pace     *pace
}

// NewService returns a Service of the registry.
func NewService(r Registry, o Options) *Service {
	return &Service{
		registry: r, hold: cmp.Or(o.Hold, time.Second),
		holds: newHolds(cmp.Or(o.PerCaller, 64)), pace: newPace(cmp.Or(o.Window, 5*time.Millisecond)),
	}
}

// Drain lets those go who are held, each at some moment within the time, and holds
// nobody any more: the process is about to stop. It does not wait.
func (s *Service) Drain(over time.Duration) { s.holds.drain(over) }

// Answer is what a caller gets. It holds on to the state that it shows, and copies
// none of it.
type Answer struct {
	// Last says that the connection should not be used again.
	Last bool

	write func(io.Writer) error
}

// Write writes the answer, of MediaType. What it wrote before an error has no end:
// no reader takes it for an answer.
func (a Answer) Write(w io.Writer) error { return a.write(w) }

// Snapshot answers with the scope as it is now. caller is who asks; ctx must end
// with the request. Snapshot returns NotFound when there is no such environment,
// TooManyRequests, and Unavailable before the registry was loaded.
func (s *Service) Snapshot(ctx context.Context, caller, scope string) (Answer, error) {
	if err := s.holds.enter(ctx, caller); err != nil {
		return Answer{}, err
	}
	v := s.registry.View()
	if v == nil {
		return Answer{}, snapshot.NotLoaded()
	}
	if _, ok := v.Environment(scope); !ok {
		return Answer{}, noEnvironment()
	}
	return Answer{Last: s.holds.isDraining(), write: func(w io.Writer) error { return writeSnapshot(w, v, scope) }}, nil
}

// Changes answers with what changed in the scope after the state since. While that
// is nothing the answer is held, for wait or MaxWait at most. caller is who asks;
// ctx must end with the request.
//
// It returns Gone (changes_gone) when since is older than what is kept, of another
// epoch, or ahead of us for longer than Options.Hold; NotFound when there is no such
// environment and nothing left to tell of it; TooManyRequests; Unavailable before
// the registry was loaded or, with Last, to one who wants to be held while the
// process is about to stop.
func (s *Service) Changes(ctx context.Context, caller, scope string, since registry.Head, wait time.Duration) (Answer, error) {
	if err := s.holds.enter(ctx, caller); err != nil {
		return Answer{}, err
	}
	if wait > 0 && s.holds.isDraining() {
		e := registry.Unavailable.Errorf("draining", "the process is about to stop; ask another one")
		e.RetryAfter = time.Second
		return Answer{Last: true}, e
	}
	if err := s.catchUp(ctx, since); err != nil {
		return Answer{}, err
	}
	a, err := s.await(ctx, scope, since, min(wait, MaxWait))
	if err != nil {
		return Answer{}, err
	}
	return Answer{Last: s.holds.isDraining(), write: func(w io.Writer) error { return writeChanges(w, scope, a.changes, a.upTo) }}, nil
}

// catchUp holds a caller that is ahead of us until we are not, or for a moment.
func (s *Service) catchUp(ctx context.Context, since registry.Head) error {
	v := s.registry.View()
	if v == nil {
		return snapshot.NotLoaded()
	}
	if since.Epoch != v.Head().Epoch || since.Revision <= v.Head().Revision {
		return nil
	}
	waitCtx, cancel := context.WithTimeout(ctx, s.hold)
	defer cancel()
	if s.registry.WaitFor(waitCtx, since) != nil && errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return nil
}

// await returns what is to be told once there is something, or when wait is over or
// the process is about to stop.
func (s *Service) await(ctx context.Context, scope string, since registry.Head, wait time.Duration) (answer, error) {
	end := time.Now().Add(wait)
	over := time.NewTimer(wait)
	defer over.Stop()
	draining := s.holds.draining
	for {
		changed := s.registry.Changed()
		a, err := s.now(scope, since)
		if err != nil || time.Until(end) <= 0 {
			return a, err
		}
		soon := over.C
		if n := len(a.changes); n > 0 {
			d := s.pace.next(scope, a.changes[n-1].Head)
			if d <= 0 {
				return a, nil
			}
			changed, soon = nil, time.After(min(d, time.Until(end)))
		}
		select {
		case <-changed:
		case <-soon:
		case <-draining:
			draining = nil
			end = time.Now().Add(min(s.holds.moment(), time.Until(end)))
			over.Reset(time.Until(end))
		case <-ctx.Done():
			return answer{}, ctx.Err()
		}
	}
}

// now is what there is to tell at present.
func (s *Service) now(scope string, since registry.Head) (answer, error) {
	changes, upTo, ok := s.registry.Since(scope, since)
	if !ok {
		return answer{}, registry.Gone.Errorf("changes_gone", "what changed since then is not known any more; start again from the snapshot")
	}
	if v := s.registry.View(); v != nil && !slices.ContainsFunc(changes, func(c registry.Change) bool { return c.Kind == registry.EnvironmentChange }) {
		if _, exists := v.Environment(scope); !exists { // nor did it while these came
			return answer{}, noEnvironment()
		}
	}
	return answer{since: since, changes: changes, upTo: upTo}, nil
}

func noEnvironment() error {
	return registry.NotFound.Errorf("not_found", "there is no environment of that name")
}
