package snapshot

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// Session is one connection to the registry. *postgres.Session implements it.
type Session interface {
	Head(ctx context.Context) (registry.Head, error)
	Load(ctx context.Context) (registry.Facts, error)
	Changes(ctx context.Context, since registry.Head, limit int) ([]registry.Change, error)
	Listen(ctx context.Context) error
	Wait(ctx context.Context) error
	Close()
}

// Epochs renews the registry's epoch. *postgres.Store implements it.
type Epochs interface {
	RenewEpoch(ctx context.Context, old, epoch string, by registry.Actor) (registry.Head, error)
}

// Observer hears how far the follower is. One goroutine calls it.
type Observer interface {
	// Checked says that the view was the newest state at the time.
	Checked(head registry.Head, at time.Time)
	// Followed says that so many changes were applied.
	Followed(changes int)
	// Reloaded says that everything was loaded, and why: one of the Reload
	// constants.
	Reloaded(why string)
}

// Why a follower loads everything.
const (
	ReloadFirst     = "first"      // it had nothing
	ReloadEpoch     = "epoch"      // the registry's epoch is another one
	ReloadWentBack  = "went_back"  // the head moved backwards within its epoch
	ReloadFarBehind = "far_behind" // there are too many changes to apply one by one
	ReloadGap       = "gap"        // the changes do not lead from the view to the head
)

// Options of a Follower.
type Options struct {
	// Connect opens a session.
	Connect func(ctx context.Context) (Session, error)
	Epochs  Epochs
	// CheckEvery is how often the head is looked at whether or not anybody told
	// of a change: a LISTEN session that died tells nobody. Default 1 s.
	CheckEvery time.Duration
	Observer   Observer // may be nil
	Log        *slog.Logger
}

// Follower keeps a View current. It is safe for concurrent use.
type Follower struct {
	o       Options
	current atomic.Pointer[state]
	wake    chan struct{} // somebody wants the head looked at now

	mu      sync.Mutex
	changed chan struct{} // closed when the view is replaced
}

// state is a view and when it was last known to be the newest.
type state struct {
	view    *View
	checked time.Time
}

// NewFollower returns a Follower that has no view until Run has loaded one.
func NewFollower(o Options) *Follower {
	if o.CheckEvery <= 0 {
		o.CheckEvery = time.Second
	}
	if o.Observer == nil {
		o.Observer = nobody{}
	}
	return &Follower{o: o, wake: make(chan struct{}, 1), changed: make(chan struct{})}
}

// View returns the present view, or nil before the first was loaded.
func (f *Follower) View() *View {
	if s := f.current.Load(); s != nil {
		return s.view
	}
	return nil
}

// Checked is when the view was last seen to be the newest state.
func (f *Follower) Checked() time.Time {
	if s := f.current.Load(); s != nil {
		return s.checked
	}
	return time.Time{}
}

// Ready returns an error before the first view was loaded.
func (f *Follower) Ready(context.Context) error {
	if f.View() == nil {
		return NotLoaded()
	}
	return nil
}

// NotLoaded is the error, Unavailable, of what needs a view before the first was
// loaded.
func NotLoaded() error {
	e := registry.Unavailable.Errorf("snapshot_missing", "the registry has not been loaded yet; repeat the call")
	e.RetryAfter = time.Second
	return e
}

// Changed returns a channel that is closed when the view is replaced by a newer
// one. Ask for it before looking at the view.
func (f *Follower) Changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

// Nudge has the head looked at without delay.
func (f *Follower) Nudge() {
	select {
	case f.wake <- struct{}{}:
	default: // it is about to be looked at
	}
}

// WaitFor returns once the view is at least at h, of h's epoch. It returns the
// error of ctx when that ends first.
func (f *Follower) WaitFor(ctx context.Context, h registry.Head) error {
	for {
		changed := f.Changed()
		v := f.View()
		if v != nil && (v.head.Epoch != h.Epoch || v.head.Revision >= h.Revision) {
			return nil
		}
		f.Nudge()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
