package jobs

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// quietFor is how long a warning of River's is not told again.
const quietFor = time.Minute

// quiet lets River's warnings and errors pass, each once a minute: while the
// database is away it complains every second, about each of its parts. What else
// it tells is of no use here.
type quiet struct {
	slog.Handler
	told *told // shared by all that were derived from one
}

func newQuiet(h slog.Handler) quiet {
	return quiet{Handler: h, told: &told{at: map[string]time.Time{}}}
}

// Enabled implements slog.Handler.
func (q quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && q.Handler.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	if !q.told.again(r.Message, r.Time) {
		return nil
	}
	return q.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quiet{q.Handler.WithAttrs(attrs), q.told}
}

// WithGroup implements slog.Handler.
func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name), q.told} }

// told remembers when a message was told last. River's messages are constants.
type told struct {
	mu sync.Mutex
	at map[string]time.Time
}

func (t *told) again(message string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last, ok := t.at[message]; ok && now.Sub(last) < quietFor {
		return false
	}
	t.at[message] = now
	return true
}
