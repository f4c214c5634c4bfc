package snapshot

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// Run follows the registry until ctx ends. Whatever fails is tried again.
func (f *Follower) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { f.listen(ctx) })

	for attempt := 0; ctx.Err() == nil; attempt++ {
		err := f.follow(ctx, func() { attempt = 0 })
		if ctx.Err() != nil {
			return nil
		}
		level := slog.LevelDebug
		if attempt == 0 { // once an outage
			level = slog.LevelWarn
		}
		f.o.Log.Log(ctx, level, "the registry cannot be followed, trying again", "error", err)
		pause(ctx, backoff(attempt))
	}
	return nil
}

// follow keeps the view current over one session, until that fails.
func (f *Follower) follow(ctx context.Context, succeeded func()) error {
	session, err := f.o.Connect(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	tick := time.NewTicker(f.o.CheckEvery)
	defer tick.Stop()
	for {
		if err := f.catchUp(ctx, session); err != nil {
			return err
		}
		succeeded()
		select {
		case <-tick.C:
		case <-f.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// What bounds a question to a database that may have gone silent: one about the
// head and what led to it, and one about everything.
const (
	callTimeout = 5 * time.Second
	loadTimeout = 2 * time.Minute
)

// maxChanges is how many changes are read at once; a follower that is further
// behind loads everything anew.
const maxChanges = 2000

// catchUp brings the view to the head.
func (f *Follower) catchUp(ctx context.Context, session Session) error {
	headCtx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	asked := time.Now()
	head, err := session.Head(headCtx)
	v := f.View()
	switch {
	case v == nil && (err == nil || errors.Is(err, ErrStartAgain)):
		return f.reload(ctx, session, ReloadFirst)
	case errors.Is(err, ErrStartAgain):
		return f.startAgain(ctx, session, err)
	case err != nil:
		return err
	case v.head.Epoch != head.Epoch:
		return f.reload(ctx, session, ReloadEpoch)
	case head.Revision < v.head.Revision:
		return f.renew(ctx, session, v.head, head)
	case head.Revision == v.head.Revision:
		f.current.Store(&state{view: v, journal: f.current.Load().journal, checked: asked})
		f.o.Observer.Checked(v.head, asked)
		return nil
	case !f.o.Scoped && head.Revision-v.head.Revision > maxChanges:
		return f.reload(ctx, session, ReloadFarBehind)
	}
	changes, err := session.Changes(headCtx, v.head, maxChanges)
	if errors.Is(err, ErrStartAgain) {
		return f.startAgain(ctx, session, err)
	}
	if err != nil {
		return err
	}
	next, err := f.applied(v, changes, head)
	if err != nil || next.head.Revision < head.Revision {
		return f.startAgain(ctx, session, err)
	}
	f.publish(next, f.current.Load().journal.with(changes, bounds{f.o.JournalChanges, f.o.JournalBytes}), asked)
	f.o.Observer.Followed(len(changes))
	return nil
}

// startAgain loads everything, since changes do not lead from the view to the head.
func (f *Follower) startAgain(ctx context.Context, session Session, why error) error {
	f.o.Log.WarnContext(ctx, "the changes have a gap, loading everything", "error", why)
	return f.reload(ctx, session, ReloadGap)
}

// applied is the view after the changes, which are known to lead to head.
func (f *Follower) applied(v *View, changes []registry.Change, head registry.Head) (*View, error) {
	if f.o.Scoped {
		return v.ApplyScoped(changes, head)
	}
	return v.Apply(changes)
}

// renew answers a head that went backwards within its epoch: the database was
// restored without credence restore. What we and others have handed out since
// then must not be taken for what comes now, so the epoch is renewed.
func (f *Follower) renew(ctx context.Context, session Session, seen, head registry.Head) error {
	if f.o.Scoped {
		return wentBack(seen, head)
	}
	f.o.Log.ErrorContext(ctx, "the registry went back in time: its database was restored without credence restore; its epoch is renewed",
		"seen_revision", seen.Revision, "head_revision", head.Revision, "epoch", head.Epoch)
	renewCtx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if _, err := f.o.Epochs.RenewEpoch(renewCtx, head.Epoch, NewEpoch(), registry.Actor{Subject: "credence"}); err != nil {
		return fmt.Errorf("renew the epoch: %w", err)
	}
	return f.reload(ctx, session, ReloadWentBack)
}

// wentBack is the error, Unavailable, of a registry that is older than what it has
// told before: one that lags behind, most likely. What was seen is kept until it is
// there again.
func wentBack(seen, head registry.Head) error {
	return registry.Unavailable.Errorf("registry_behind", "the registry is at revision %d, and was at %d before", head.Revision, seen.Revision)
}

// NewEpoch makes an epoch: 16 random hex digits.
func NewEpoch() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func (f *Follower) reload(ctx context.Context, session Session, why string) error {
	loadCtx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	asked := time.Now()
	facts, err := session.Load(loadCtx)
	if err != nil {
		return err
	}
	if v := f.View(); v != nil && v.head.Epoch == facts.Epoch && facts.Revision < v.head.Revision {
		return wentBack(v.head, facts.Head)
	}
	f.publish(New(facts), newJournal(facts.Head), asked)
	f.o.Observer.Reloaded(why)
	f.o.Log.InfoContext(ctx, "registry loaded", "why", why, "epoch", facts.Epoch, "revision", facts.Revision,
		"agents", len(facts.Agents), "resources", len(facts.Resources))
	return nil
}

func (f *Follower) publish(v *View, j *journal, checked time.Time) {
	f.current.Store(&state{view: v, journal: j, checked: checked})
	f.o.Observer.Checked(v.head, checked)
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.changed)
	f.changed = make(chan struct{})
}

// nobody is the Observer of a follower that has none.
type nobody struct{}

func (nobody) Checked(registry.Head, time.Time) {}
func (nobody) Followed(int)                     {}
func (nobody) Reloaded(string)                  {}
