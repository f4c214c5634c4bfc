package bundles

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// publisher makes one bundle's editions, one after another, whoever asks. It is safe
// for concurrent use.
type publisher struct {
	service *Service
	name    registry.ScopePart
	current atomic.Pointer[current]

	turn chan struct{} // full while somebody looks whether there is another edition, or makes it
	// For who has the turn:
	last  *Bundle   // the newest that could be made
	ready time.Time // no edition is made before it

	mu      sync.Mutex
	awaited int    // by so many
	rest    func() // ends run, which goes on while it is awaited
}

// current is an edition, and what it is the present one of.
type current struct {
	edition *edition
	view    *snapshot.View
	rekeyed <-chan struct{} // closed when a key is another one than it was
}

// edition is what there is to be had of a bundle from one moment to another.
type edition struct {
	bundle    *Bundle
	tag       string // of bundle
	floor     *Tag   // states that are newer are better than bundle, which could not be made anew; nil: none is
	err       error  // why there is no bundle
	published time.Time
	next      chan struct{} // closed once there is another
}

// answer is the answer to a caller that has these states. It has no bundle when the
// caller is to keep what it has.
func (e *edition) answer(have *registry.Tags) Answer {
	if e.floor != nil {
		if newest, ok := newest(have, *e.floor); ok {
			return Answer{NotModified: newest.String()}
		}
	}
	if have.Has(e.tag) {
		return Answer{NotModified: e.tag}
	}
	return Answer{Bundle: e.bundle}
}

func newPublisher(s *Service, name registry.ScopePart) *publisher {
	return &publisher{service: s, name: name, turn: make(chan struct{}, 1)}
}

// present returns the edition of the registry's present state. Where that has none
// yet, one caller at a time makes it, for all.
func (p *publisher) present(ctx context.Context) (*edition, error) {
	if c := p.current.Load(); c.isPresent(p.service) {
		return c.edition, c.edition.err
	}
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return nil, late(ctx.Err())
	}
	return p.advance(ctx)
}

// latest returns the edition that was made last, which may have been overtaken by the
// registry: whoever waited for it is not to wait for the next. There is one once
// present has returned one.
func (p *publisher) latest() *edition { return p.current.Load().edition }

// isPresent reports whether the registry is as it was then. The nil current is not.
func (c *current) isPresent(s *Service) bool {
	if c == nil || c.view != s.registry.View() {
		return false
	}
	select {
	case <-c.rekeyed:
		return false
	default:
		return true
	}
}

// advance makes the present edition when its time has come. The caller has the turn.
func (p *publisher) advance(ctx context.Context) (*edition, error) {
	for {
		now := current{rekeyed: p.service.maker.o.Keys.Changed(), view: p.service.registry.View()}
		last := p.current.Load()
		if last.isPresent(p.service) {
			return last.edition, last.edition.err
		}
		if now.view == nil {
			return nil, snapshot.NotLoaded()
		}
		tag, err := p.service.maker.Tag(now.view, p.name)
		if err == nil && (p.last == nil || p.last.Tag != tag) {
			if early := time.Until(p.ready); early > 0 {
				if err := sleep(ctx, early); err != nil {
					return nil, late(err)
				}
				continue // with all that came in meanwhile
			}
			err = p.build(now.view)
		}
		now.edition = p.editionOf(ctx, now.view, err)
		e := p.publish(now)
		return e, e.err
	}
}

// build makes the bundle at v. After it there is a pause of as long as that took, so
// that a large bundle that always changes does not keep a processor busy.
func (p *publisher) build(v *snapshot.View) error {
	began := time.Now()
	b, err := p.service.maker.Bundle(v, p.name)
	took := time.Since(began)
	p.ready = began.Add(max(p.service.window, 2*took))
	if err != nil {
		return err
	}
	p.last = b
	p.service.observer.Built(took)
	return nil
}

// editionOf is the edition at v, of which err says why no bundle could be made of it:
// what was good stays (invariants B2, B6).
func (p *publisher) editionOf(ctx context.Context, v *snapshot.View, err error) *edition {
	e := &edition{published: time.Now(), next: make(chan struct{})}
	if errors.Is(err, registry.NotFound) {
		p.service.forget(p.name.Scope)
		e.err = err
		return e
	}
	if err != nil {
		p.service.tellRefused(ctx, v, p.name, p.last != nil, err)
		if p.last == nil {
			e.err = err
			return e
		}
		floor := p.last.Tag
		if epoch := v.Head().Epoch; floor.Epoch != epoch { // whatever bears the present epoch is newer
			floor.Epoch, floor.Revision = epoch, beforeAll
		}
		e.floor = &floor
	}
	e.bundle, e.tag = p.last, p.last.Tag.String()
	return e
}

// publish makes c current, and wakes those who wait when its edition is another one
// than before. It returns the edition that is current then.
func (p *publisher) publish(c current) *edition {
	last := p.current.Load()
	if last != nil && last.edition.says(c.edition) {
		c.edition = last.edition
	}
	p.current.Store(&c)
	if last != nil && last.edition != c.edition {
		close(last.edition.next)
	}
	return c.edition
}

// says reports whether callers get the same of both, whatever they have.
func (e *edition) says(other *edition) bool {
	if e.err != nil || other.err != nil || e.bundle != other.bundle {
		return false
	}
	return e.floor == other.floor || e.floor != nil && other.floor != nil && *e.floor == *other.floor
}

// await returns once there is another edition than e, and then reports true, or when
// ctx ends. As long as somebody waits, editions are made as the registry changes.
func (p *publisher) await(ctx context.Context, e *edition) bool {
	p.attend()
	defer p.leave()
	select {
	case <-e.next:
		return true
	case <-ctx.Done():
	}
	select {
	case <-e.next: // both at once
		return true
	default:
		return false
	}
}

func (p *publisher) attend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.awaited++; p.awaited == 1 {
		ctx, rest := context.WithCancel(context.Background()) // no one request's
		p.rest = rest
		go p.run(ctx)
	}
}

func (p *publisher) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.awaited--; p.awaited == 0 {
		p.rest()
	}
}

// run makes editions as the registry changes, until ctx ends.
func (p *publisher) run(ctx context.Context) {
	for {
		changed, rekeyed := p.service.registry.Changed(), p.service.maker.o.Keys.Changed()
		_, _ = p.present(ctx) // an edition says itself what is amiss with it
		select {
		case <-changed:
		case <-rekeyed:
		case <-ctx.Done():
			return
		}
	}
}

// late is the error, Unavailable, of a request whose bound came before the bundle.
func late(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return registry.Unavailable.Wrap(err, "bundle_late", "the bundle is being made; repeat the call")
	}
	return err
}

// sleep returns the error of ctx when that ends first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
