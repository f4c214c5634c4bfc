package bundles

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// Keys are the keys of a directory: `<environment>.pem` signs that environment's
// bundles, `default.pem` those of each that has no file of its own. An environment
// for which there is neither is not signed.
//
// The files are read again as they change (Run, Reload). One that becomes broken or
// is gone, or a directory that cannot be read, changes nothing but the log: the last
// good key signs on, and nothing that was signed is served unsigned. A file that was
// broken at the start already leaves its environments without bundles until it is
// mended. It takes a restart to sign no longer.
//
// A nil *Keys has no keys. Keys are safe for concurrent use.
type Keys struct {
	dir string
	log *slog.Logger

	mu      sync.Mutex
	keys    map[string]*Key   // by scope, or defaultKey; nil where it was broken at the start
	faults  map[string]string // by path, as they were logged
	changed chan struct{}     // closed when a key changes
}

// OpenKeys reads the keys of the directory. It returns an error when it cannot list
// them; what is wrong with one of them it logs.
func OpenKeys(ctx context.Context, dir string, log *slog.Logger) (*Keys, error) {
	k := &Keys{dir: dir, log: log, keys: map[string]*Key{}, faults: map[string]string{}, changed: make(chan struct{})}
	names, others, err := listKeys(dir)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		k.keys[name] = nil
	}
	k.read(ctx, names, others)
	return k, nil
}

// Signer returns what signs the bundles of the scope, nil where they are not signed.
// It returns Unavailable when it is a key that could not be used yet.
func (k *Keys) Signer(scope string) (Signer, error) {
	if k == nil {
		return nil, nil //nolint:nilnil // not to sign is no error
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, name := range []string{scope, defaultKey} {
		switch key, ok := k.keys[name]; {
		case ok && key == nil:
			return nil, registry.Unavailable.Errorf("signing_key_unusable", "the key that signs the bundles of this environment cannot be used")
		case ok:
			return key, nil
		}
	}
	return nil, nil //nolint:nilnil // not to sign is no error
}

// Changed returns a channel that is closed once a key is another one than now.
func (k *Keys) Changed() <-chan struct{} {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.changed
}

// Run reloads the keys every so often until ctx ends.
func (k *Keys) Run(ctx context.Context, every time.Duration) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			k.Reload(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// Reload reads the keys again.
func (k *Keys) Reload(ctx context.Context) {
	k.mu.Lock()
	defer k.mu.Unlock()
	names, others, err := listKeys(k.dir)
	k.note(ctx, k.dir, err)
	if err != nil {
		return
	}
	if k.read(ctx, names, others) {
		close(k.changed)
		k.changed = make(chan struct{})
	}
	for name := range k.keys {
		if !slices.Contains(names, name) {
			k.note(ctx, keyPath(k.dir, name), errors.New("it is gone; what it signed it signs until the next start"))
		}
	}
}

// read reads the keys of these names and reports whether one is another now.
func (k *Keys) read(ctx context.Context, names, others []string) (changed bool) {
	for _, name := range names {
		path := keyPath(k.dir, name)
		key, err := readKey(path)
		k.note(ctx, path, err)
		if old := k.keys[name]; err != nil || old != nil && old.id == key.id {
			continue
		}
		k.keys[name], changed = key, true
		k.log.InfoContext(ctx, "bundles are signed with a new key", "file", path, "key_id", key.id, "algorithm", key.Algorithm())
		if !key.opaTakesIt() {
			k.log.WarnContext(ctx, "no OPA can be configured with this key: only programs that verify by its Go library can load what it signs", "file", path)
		}
	}
	for _, name := range others {
		k.note(ctx, filepath.Join(k.dir, name), errors.New("there can be no environment of that name"))
	}
	return changed
}

// note logs what is wrong with a file, once.
func (k *Keys) note(ctx context.Context, path string, err error) {
	if err == nil {
		delete(k.faults, path)
		return
	}
	if fault := err.Error(); k.faults[path] != fault {
		k.faults[path] = fault
		k.log.ErrorContext(ctx, "a key for signing bundles cannot be used", "file", path, "error", err)
	}
}
