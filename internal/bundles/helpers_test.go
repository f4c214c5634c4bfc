package bundles_test

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/credenceproject/credence/internal/bundles"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// fatal is what a test and a rapid test have in common.
type fatal interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// fixed is a registry that stays at one view.
type fixed struct{ view *snapshot.View }

func (f *fixed) View() *snapshot.View                         { return f.view }
func (f *fixed) Changed() <-chan struct{}                     { return nil }
func (f *fixed) WaitFor(context.Context, registry.Head) error { return nil }

func newService(r bundles.Registry) *bundles.Service {
	return bundles.NewService(r, bundles.Options{Hold: time.Second, Log: slog.New(slog.DiscardHandler)})
}

// getter is a *bundles.Service.
type getter interface {
	Get(ctx context.Context, p bundles.Poll) (bundles.Answer, error)
}

// ask asks for the present bundle of the scope, as a caller that has these states.
func ask(ctx context.Context, s getter, scope string, have *registry.Tags) (bundles.Answer, error) {
	return s.Get(ctx, bundles.Poll{Name: of(scope, ""), Have: have})
}

// get returns the scope's present bundle.
func get(t fatal, s *bundles.Service, scope string) *bundles.Bundle {
	t.Helper()
	a, err := ask(context.Background(), s, scope, nil)
	if err != nil {
		t.Fatal(err)
	}
	if a.Bundle == nil {
		t.Fatal("no bundle for a caller that has none")
	}
	return a.Bundle
}

// expectScratch says that the bundle is, byte for byte, what somebody who never
// built one makes of the view.
func expectScratch(t fatal, v *snapshot.View, scope string, b *bundles.Bundle) {
	t.Helper()
	scratch := get(t, newService(&fixed{v}), scope)
	if scratch.Tag != b.Tag {
		t.Fatalf("tag %s, from scratch %s", b.Tag, scratch.Tag)
	}
	if bytesOf(t, scratch) != bytesOf(t, b) {
		t.Fatalf("%s: other bytes than from scratch", b.Tag)
	}
}

// bytesOf is the whole bundle, of the size that it says it has.
func bytesOf(t fatal, b *bundles.Bundle) string {
	t.Helper()
	all, err := io.ReadAll(b.Reader())
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(all)) != b.Size {
		t.Fatalf("%d bytes, Size = %d", len(all), b.Size)
	}
	return string(all)
}

// ledger holds tags against bytes: one of each for each of the other (invariant
// B1). It is safe for concurrent use.
type ledger struct {
	mu    sync.Mutex
	byTag map[string]string
	tagOf map[string]string
}

func (l *ledger) enter(tag, content string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byTag == nil {
		l.byTag, l.tagOf = map[string]string{}, map[string]string{}
	}
	if other, ok := l.byTag[tag]; ok && other != content {
		return fmt.Errorf("%s names two sequences of bytes", tag)
	}
	if other, ok := l.tagOf[content]; ok && other != tag {
		return fmt.Errorf("%s and %s name the same bytes", tag, other)
	}
	l.byTag[tag], l.tagOf[content] = content, tag
	return nil
}

// files takes a bundle apart as any tar would.
func files(t fatal, b *bundles.Bundle) map[string]string {
	t.Helper()
	unzipped, err := gzip.NewReader(b.Reader())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for r := tar.NewReader(unzipped); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := found[h.Name]; twice {
			t.Fatalf("%s is in the bundle twice", h.Name)
		}
		found[h.Name] = string(content)
	}
}

// code is the code of a registry error.
func code(err error) string {
	e, ok := registry.AsError(err)
	if !ok {
		return ""
	}
	return e.Code
}

// tags is an If-None-Match.
func tags(list ...string) *registry.Tags { return &registry.Tags{List: list} }
