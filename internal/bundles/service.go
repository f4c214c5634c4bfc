package bundles

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// Registry is the registry in memory. *snapshot.Follower implements it.
type Registry interface {
	View() *snapshot.View
	Changed() <-chan struct{}
	WaitFor(ctx context.Context, h registry.Head) error
}

// Options of a Service. A zero field has the default.
type Options struct {
	// Maker makes the bundles. Default: one that leaves out layers' own modules, and
	// signatures.
	Maker *Maker
	// Hold is how long a caller that knows a newer state than we do, and does not poll,
	// is held until we have caught up. Default 10 s.
	Hold time.Duration
	// Window is how long after one state of a bundle the next goes out, at least: what
	// changes in between goes out as one. The first change after a quiet time goes out
	// at once, and the last always does. Default 10 ms.
	Window time.Duration
	// PerCaller is how many polls of one caller are held at a time, at most, of all
	// bundles together (invariant B9). Default 64.
	PerCaller int
	Observer  Observer // may be nil
	Log       *slog.Logger
}

// Observer hears how bundles are served. Many goroutines call it.
type Observer interface {
	// Held says that so many more polls are held; fewer, where it is negative.
	Held(more int)
	// Built says that a bundle was made, and how long that took.
	Built(took time.Duration)
	// Released says that a poll was let go with a new state, so long after that had been
	// published.
	Released(after time.Duration)
	// Braked says that an answer which told nothing new is delayed by so long.
	Braked(by time.Duration)
}

// Service answers for the bundles of all scopes, and for their parts. It is safe for
// concurrent use.
//
// A bundle that polls wait for is made as soon as it changes, once for all of them;
// one that nobody waits for is made when somebody asks.
type Service struct {
	registry Registry
	maker    *Maker
	hold     time.Duration
	window   time.Duration
	holds    *holds
	brake    *brake
	observer Observer
	log      *slog.Logger

	mu         sync.Mutex
	publishers map[registry.ScopePart]*publisher
	refused    map[string]string // by scope: the newest policy that we could not build
}

// NewService returns a Service of the registry.
func NewService(r Registry, o Options) *Service {
	if o.Maker == nil {
		o.Maker = NewMaker(MakerOptions{})
	}
	if o.Observer == nil {
		o.Observer = nobody{}
	}
	return &Service{
		registry: r, maker: o.Maker, hold: cmp.Or(o.Hold, 10*time.Second), window: cmp.Or(o.Window, 10*time.Millisecond),
		holds: newHolds(cmp.Or(o.PerCaller, 64), o.Observer), brake: newBrake(), observer: o.Observer, log: o.Log,
		publishers: map[registry.ScopePart]*publisher{}, refused: map[string]string{},
	}
}

// Poll is a request for a bundle.
type Poll struct {
	Name   registry.ScopePart
	Have   *registry.Tags // the states that the caller has; nil: none
	Wait   time.Duration  // how long the answer may be held, MaxPoll at most; 0: not at all
	Caller string         // who asks: whose polls are counted, and whose haste is braked; "": neither
}

// Answer is what a caller gets: a bundle, or only the tag of the state that it
// has already.
type Answer struct {
	Bundle      *Bundle
	NotModified string // the tag, when Bundle is nil
	// Last says, beside an error too, that the connection should not be used again.
	Last bool
}

// Get answers with the present bundle, or says that the caller has it already; who
// polls is told that only when the wait is over, less up to a tenth of it, and gets
// a new state as soon as there is one. ctx must end with the request.
//
// A caller that was given a newer state by another replica is never taken back
// (invariant B3): it is held until we have caught up, and after that told to keep
// what it has. One that asks again and again for what tells it nothing new is
// answered once a second; a new state is never kept from anybody.
//
// Get returns NotFound when there is no such environment or part; TooManyRequests to
// who holds too many polls; and Unavailable before the registry was loaded, to who
// polls while the process is about to stop (draining), or when the bundle cannot be
// made, as Maker.Tag says, and never could.
func (s *Service) Get(ctx context.Context, p Poll) (Answer, error) {
	h, err := s.holds.begin(ctx, p.Caller, min(p.Wait, MaxPoll))
	if err != nil {
		return Answer{Last: s.holds.isDraining()}, err
	}
	defer h.end()
	a, err := s.answer(ctx, p, h)
	a.Last = s.holds.isDraining()
	return a, err
}

// Kept returns the bundle of that digest, if it is the present one or among those
// that were made last. It returns NotFound, and Unavailable before the registry was
// loaded.
func (s *Service) Kept(ctx context.Context, name registry.ScopePart, d Digest) (*Bundle, error) {
	_, _, err := s.present(ctx, name)
	if errors.Is(err, registry.NotFound) || s.registry.View() == nil {
		return nil, err
	}
	if b, ok := s.maker.Kept(name, d); ok {
		return b, nil
	}
	return nil, registry.NotFound.Errorf("not_found", "a bundle of that digest is not kept, or there never was one")
}

// answer answers within the hold.
func (s *Service) answer(ctx context.Context, p Poll, h hold) (Answer, error) {
	if newest, behind := s.behind(p); behind {
		if caughtUp, err := s.catchUp(ctx, newest, h); !caughtUp {
			return Answer{NotModified: newest.String()}, err
		}
	}
	if h.polls {
		s.brake.holds(p.Caller, p.Name, 1)
		defer s.brake.holds(p.Caller, p.Name, -1)
	}
	pub, e, err := s.present(ctx, p.Name)
	if err != nil {
		return Answer{}, err
	}
	for waited, braked := false, false; e.err == nil; e = pub.latest() {
		a := e.answer(p.Have)
		if a.Bundle == nil && h.polls {
			if waited = pub.await(h.ctx, e); waited {
				continue
			}
			return a, hungUp(ctx)
		}
		if waited { // it is news, or e would not have been waited for
			s.observer.Released(time.Since(e.published))
			return a, nil
		}
		var pause time.Duration
		if !braked {
			pause = s.brake.pause(p.Caller, p.Name, a)
		}
		if braked = true; pause == 0 {
			return a, nil
		}
		if err := s.slow(ctx, h, pub, e, pause); err != nil {
			return Answer{}, err
		}
	}
	return Answer{}, e.err
}

// hungUp returns an error when the caller is gone.
func hungUp(ctx context.Context) error {
	if err := ctx.Err(); errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// present returns the present edition of a bundle, and who publishes it.
func (s *Service) present(ctx context.Context, name registry.ScopePart) (*publisher, *edition, error) {
	p, err := s.publisher(name)
	if err != nil {
		return nil, nil, err
	}
	e, err := p.present(ctx)
	return p, e, err
}

// publisher returns who publishes the bundle. It returns NotFound when there is no
// such bundle.
func (s *Service) publisher(name registry.ScopePart) (*publisher, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.publishers[name]; p != nil {
		return p, nil
	}
	v := s.registry.View()
	if v == nil {
		return nil, snapshot.NotLoaded()
	}
	if _, err := s.maker.Tag(v, name); errors.Is(err, registry.NotFound) {
		return nil, err
	}
	p := newPublisher(s, name)
	s.publishers[name] = p
	return p, nil
}

// forget drops what we kept of an environment that is gone: one of the same
// name that comes later has nothing to do with it.
func (s *Service) forget(scope string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.publishers {
		if name.Scope == scope {
			delete(s.publishers, name)
		}
	}
	delete(s.refused, scope)
	s.maker.Forget(scope)
}

// tellRefused logs once that a scope's bundles cannot be made of the view.
func (s *Service) tellRefused(ctx context.Context, v *snapshot.View, name registry.ScopePart, older bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := v.Policy()
	if what := p.Hash + err.Error(); s.refused[name.Scope] != what {
		s.refused[name.Scope] = what
		s.log.ErrorContext(ctx, "a bundle cannot be made", "bundle", name.String(), "error", err,
			"policy_version", p.Version, "layout", p.Layout, "serving_an_older_bundle", older)
	}
}

// CanBuild reports whether we know the data layout that the policy reads.
func CanBuild(p registry.PlatformPolicy) bool { return slices.Contains(supportedLayouts, p.Layout) }

// beforeAll is a revision before every other.
const beforeAll = math.MinInt64

// nobody is the Observer of a service that has none.
type nobody struct{}

func (nobody) Held(int)               {}
func (nobody) Built(time.Duration)    {}
func (nobody) Released(time.Duration) {}
func (nobody) Braked(time.Duration)   {}
