package snapshot_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// events records what a follower tells.
type events struct {
	mu       sync.Mutex
	checked  registry.Head
	at       time.Time
	followed int
	reloads  []string
}

func (e *events) Checked(h registry.Head, at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.checked, e.at = h, at
}

func (e *events) Followed(changes int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.followed += changes
}

func (e *events) Reloaded(why string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.reloads = append(e.reloads, why)
}

// last is what was told of last, and of how many changes in all.
func (e *events) last() (checked registry.Head, at time.Time, followed int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.checked, e.at, e.followed
}

func (e *events) reloaded() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.reloads)
}

// logged records the messages of warnings and errors.
type logged struct {
	mu       sync.Mutex
	messages []string
}

func (l *logged) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }
func (l *logged) WithAttrs([]slog.Attr) slog.Handler               { return l }
func (l *logged) WithGroup(string) slog.Handler                    { return l }
func (l *logged) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages = append(l.messages, r.Message)
	return nil
}

func (l *logged) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.messages)
}

// run runs the follower for the test's life.
func run(t testing.TB, f *snapshot.Follower) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run() error = %v", err)
		}
	})
}
