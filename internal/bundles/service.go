package bundles

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// Registry is the registry in memory. *snapshot.Follower implements it.
type Registry interface {
	View() *snapshot.View
	WaitFor(ctx context.Context, h registry.Head) error
}

// Service answers for the bundles of all scopes. It is safe for concurrent use.
type Service struct {
	registry Registry
	hold     time.Duration
	log      *slog.Logger

	mu     sync.Mutex
	scopes map[string]*scope
}

// scope is one environment's bundle.
type scope struct {
	mu      sync.Mutex
	builder builder
	last    *Bundle
	refused string // hash of the newest policy that we could not build
}

// NewService returns a Service. hold is how long a caller that knows a newer
// state than we do is held until we have caught up.
func NewService(r Registry, hold time.Duration, log *slog.Logger) *Service {
	return &Service{registry: r, hold: hold, log: log, scopes: map[string]*scope{}}
}

// Answer is what a caller gets: a bundle, or only the tag of the state that it
// has already.
type Answer struct {
	Bundle      *Bundle
	NotModified string // the tag, when Bundle is nil
}

// Get answers a caller who has the states in have (nil: none) with the present
// bundle of the scope, or says that it has it already.
//
// A caller that was given a newer state by another replica is never taken back
// (invariant B3): it is held until we have caught up, and after that told to keep
// what it has. Get returns NotFound when there is no such environment, and
// Unavailable before the registry was loaded or while the active policy is one
// that this binary cannot build.
func (s *Service) Get(ctx context.Context, name string, have *registry.Tags) (Answer, error) {
	if v := s.registry.View(); v != nil {
		ours := Tag{Scope: name, Epoch: v.Head().Epoch, Revision: v.Head().Revision}
		if newest, ok := newest(have, ours); ok {
			if caughtUp, err := s.waitFor(ctx, newest); !caughtUp {
				return Answer{NotModified: newest.String()}, err
			}
		}
	}
	v, err := s.view(name)
	if err != nil {
		return Answer{}, err
	}
	if tag := tagOf(v, name).String(); CanBuild(v.Policy()) && have.Has(tag) {
		return Answer{NotModified: tag}, nil // without a build
	}
	return s.present(ctx, name, have)
}

// newest returns the newest of the states in have that is newer than ours, of
// its scope and its epoch.
func newest(have *registry.Tags, ours Tag) (newest Tag, ok bool) {
	if have == nil {
		return Tag{}, false
	}
	newest = ours
	for _, text := range have.List {
		t, valid := ParseTag(text)
		if valid && t.Scope == ours.Scope && t.Epoch == ours.Epoch && t.Revision > newest.Revision {
			newest, ok = t, true
		}
	}
	return newest, ok
}

// waitFor holds a caller until we have come to the state that it knows, and
// reports whether we have. It returns an error only when the caller is gone; that
// the request's own bound comes before the hold's is none.
func (s *Service) waitFor(ctx context.Context, t Tag) (bool, error) {
	waitCtx, cancel := context.WithTimeout(ctx, s.hold)
	defer cancel()
	if s.registry.WaitFor(waitCtx, registry.Head{Epoch: t.Epoch, Revision: t.Revision}) == nil {
		return true, nil
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return false, ctx.Err()
	}
	s.log.WarnContext(ctx, "a caller knows a newer state than we have come to", "scope", t.Scope, "tag", t.String())
	return false, nil
}

// view returns the present view, in which there is an environment of that name.
func (s *Service) view(name string) (*snapshot.View, error) {
	v := s.registry.View()
	if v == nil {
		return nil, snapshot.NotLoaded()
	}
	if _, ok := v.Environment(name); !ok {
		s.forget(name)
		return nil, registry.NotFound.Errorf("not_found", "there is no environment of that name")
	}
	return v, nil
}

// present answers with the scope's present bundle, which one caller at a time
// builds when it has changed.
func (s *Service) present(ctx context.Context, name string, have *registry.Tags) (Answer, error) {
	sc := s.scope(name)
	sc.mu.Lock()
	defer sc.mu.Unlock()
	v, err := s.view(name) // again: it may have changed while we waited
	if err != nil {
		return Answer{}, err
	}
	if !CanBuild(v.Policy()) {
		return s.lastGood(ctx, sc, v, have)
	}
	if sc.last == nil || sc.last.Tag != tagOf(v, name) {
		b, err := sc.builder.build(v)
		if err != nil {
			return Answer{}, err
		}
		sc.last = b
	}
	if tag := sc.last.Tag.String(); have.Has(tag) {
		return Answer{NotModified: tag}, nil
	}
	return Answer{Bundle: sc.last}, nil
}

// lastGood answers while the active policy needs a data layout that this binary
// does not know (invariant B2). A caller that has a newer bundle, from a replica
// that knows the layout, keeps that.
func (s *Service) lastGood(ctx context.Context, sc *scope, v *snapshot.View, have *registry.Tags) (Answer, error) {
	p := v.Policy()
	if p.Hash == "" {
		return Answer{}, registry.Unavailable.Errorf("policy_missing", "no platform policy is active; run credence migrate")
	}
	if sc.refused != p.Hash { // once
		sc.refused = p.Hash
		s.log.ErrorContext(ctx, "the active platform policy needs a newer version of this server",
			"scope", sc.builder.scope, "policy_version", p.Version, "layout", p.Layout, "serving_an_older_bundle", sc.last != nil)
	}
	if sc.last == nil {
		return Answer{}, registry.Unavailable.Errorf("policy_unknown", "the active platform policy needs a newer version of this server")
	}
	ours := sc.last.Tag
	if epoch := v.Head().Epoch; ours.Epoch != epoch { // whatever bears the present epoch is newer
		ours.Epoch, ours.Revision = epoch, -1
	}
	if newest, ok := newest(have, ours); ok {
		return Answer{NotModified: newest.String()}, nil
	}
	if tag := sc.last.Tag.String(); have.Has(tag) {
		return Answer{NotModified: tag}, nil
	}
	return Answer{Bundle: sc.last}, nil
}

// CanBuild reports whether we know the data layout that the policy reads.
func CanBuild(p registry.PlatformPolicy) bool { return slices.Contains(supportedLayouts, p.Layout) }

func (s *Service) scope(name string) *scope {
	s.mu.Lock()
	defer s.mu.Unlock()
	sc := s.scopes[name]
	if sc == nil {
		sc = &scope{builder: builder{scope: name}}
		s.scopes[name] = sc
	}
	return sc
}

// forget drops what we kept of an environment that is gone: one of the same
// name that comes later has nothing to do with it.
func (s *Service) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.scopes, name)
}
