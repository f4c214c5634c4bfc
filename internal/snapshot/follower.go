package snapshot

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// Session is one connection to the registry. *postgres.Session implements it, and
// that of feed.Client for one scope of somebody else's registry.
type Session interface {
	Head(ctx context.Context) (registry.Head, error)
	Load(ctx context.Context) (registry.Facts, error)
	// Changes returns what came after since, in order: at least up to what Head
	// returned before, and up to limit changes.
	Changes(ctx context.Context, since registry.Head, limit int) ([]registry.Change, error)
	Listen(ctx context.Context) error
	Wait(ctx context.Context) error
	Close()
}

// ErrStartAgain is what Head and Changes of a Session return when no changes lead on
// from what its follower has: it has to load everything.
var ErrStartAgain = errors.New("what changed since is not known any more")

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
	// Epochs is required unless Scoped.
	Epochs Epochs
	// Scoped says that the sessions are of one scope of a registry that is not ours:
	// its changes leave out the revisions of others, and its epoch is not ours to
	// renew. The view is then of that scope.
	Scoped bool
	// CheckEvery is how often the head is looked at whether or not anybody told
	// of a change: a LISTEN session that died tells nobody. Default 1 s.
	CheckEvery time.Duration
	// JournalChanges is how many changes Since can go back, at least, as long as they
	// have no more than about JournalBytes. Default 10,000 and 64 MiB.
	JournalChanges, JournalBytes int
	Observer                     Observer // may be nil
	Log                          *slog.Logger
}

// Follower keeps a View current. It is safe for concurrent use.
type Follower struct {
	o       Options
	current atomic.Pointer[state]
	wake    chan struct{} // somebody wants the head looked at now

	mu      sync.Mutex
	changed chan struct{} // closed when the view is replaced
}

// state is a view, what led to it, and when it was last known to be the newest.
type state struct {
	view    *View
	journal *journal
	checked time.Time
}

// NewFollower returns a Follower that has no view until Run has loaded one.
func NewFollower(o Options) *Follower {
	if o.CheckEvery <= 0 {
		o.CheckEvery = time.Second
	}
	o.JournalChanges = cmp.Or(o.JournalChanges, defaultJournalChanges)
	o.JournalBytes = cmp.Or(o.JournalBytes, defaultJournalBytes)
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

// Since returns the changes that the scope's policy sees after the state since, in
// order, and up to which state these are all: that of the present view. They are
// none where nothing changed. ok is false, and the rest empty, when since is older
// than what is kept, ahead of the view or of another epoch, or when there is no
// view. The caller does not change what it gets.
func (f *Follower) Since(scope string, since registry.Head) (changes []registry.Change, upTo registry.Head, ok bool) {
	s := f.current.Load()
	if s == nil || since.Epoch != s.view.head.Epoch || since.Revision > s.view.head.Revision {
		return nil, registry.Head{}, false
	}
	if changes, ok = s.journal.since(scope, since.Revision); !ok {
		return nil, registry.Head{}, false
	}
	return changes, s.view.head, true
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
