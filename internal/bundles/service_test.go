package bundles_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/bundles"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

// outcome is an answer as data.
type outcome struct {
	Bundle      string // its tag
	NotModified string
	Code        string // of the error
}

func outcomeOf(a bundles.Answer, err error) outcome {
	o := outcome{NotModified: a.NotModified, Code: code(err)}
	if a.Bundle != nil {
		o.Bundle = a.Bundle.Tag.String()
	}
	if err != nil && o.Code == "" {
		o.Code = err.Error()
	}
	return o
}

func TestIfNoneMatch(t *testing.T) {
	t.Parallel()
	v := snapshot.New(small().Facts())
	s := newService(&fixed{v})
	now := get(t, s, "production").Tag
	older, elsewhere, epoch, rego := now, now, now, now
	older.Revision--
	elsewhere.Scope = "staging"
	epoch.Epoch = "e0"
	epoch.Revision += 100
	rego.Hash = "00000000"
	modified, unmodified := outcome{Bundle: now.String()}, outcome{NotModified: now.String()}
	tests := []struct {
		name  string
		scope string
		have  *registry.Tags
		want  outcome
	}{
		{"none", "production", nil, modified},
		{"an empty list", "production", tags(), modified},
		{"the present state", "production", tags(now.String()), unmodified},
		{"the present state and superseded ones", "production", tags("x", older.String(), now.String(), epoch.String()), unmodified},
		{"any", "production", &registry.Tags{Any: true}, unmodified},
		{"an older state", "production", tags(older.String()), modified},
		{"a later revision of an earlier epoch", "production", tags(epoch.String()), modified},
		{"the same revision with other Rego", "production", tags(rego.String()), modified},
		{"the state of another scope", "production", tags(elsewhere.String()), modified},
		{"what is no tag", "production", tags("", "production", "production.e1.x.y", "W/x"), modified},
		{"an unknown scope", "nowhere", nil, outcome{Code: "not_found"}},
		{"an unknown scope with any", "nowhere", &registry.Tags{Any: true}, outcome{Code: "not_found"}},
		{"a path for a scope", "../production", nil, outcome{Code: "not_found"}},
	}
	for _, tt := range tests {
		got := outcomeOf(ask(t.Context(), s, tt.scope, tt.have))
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestBeforeTheRegistryWasLoaded(t *testing.T) {
	t.Parallel()
	_, err := ask(t.Context(), newService(&fixed{}), "production", tags("production.e1.7.abcdef01"))
	if !errors.Is(err, registry.Unavailable) || code(err) != "snapshot_missing" {
		t.Errorf("Get() error = %v, want Unavailable", err)
	}
}

func TestWithoutAPolicyThereIsNoBundle(t *testing.T) {
	t.Parallel()
	v := snapshot.New(registry.Facts{Environments: []registry.EnvironmentFacts{{Name: "production"}}})
	_, err := ask(t.Context(), newService(&fixed{v}), "production", nil)
	if !errors.Is(err, registry.Unavailable) || code(err) != "policy_missing" {
		t.Errorf("Get() error = %v, want Unavailable", err)
	}
}

// An environment that was deleted has no bundle, whatever was built of it, and
// one of the same name that comes later has nothing of it.
func TestADeletedEnvironmentTakesItsBundleAlong(t *testing.T) {
	t.Parallel()
	m := small()
	current := &fixed{snapshot.New(m.Facts())}
	s := newService(current)
	old := get(t, s, "staging")
	elsewhere := "0197c000-0000-7000-8000-000000000003"
	m.DeleteAgent(elsewhere)
	m.DeleteEnvironment("staging")
	current.view = snapshot.New(m.Facts())
	for _, have := range []*registry.Tags{nil, tags(old.Tag.String())} {
		if _, err := ask(t.Context(), s, "staging", have); !errors.Is(err, registry.NotFound) {
			t.Errorf("Get() of a deleted environment: error = %v, want NotFound", err)
		}
	}
	m.PutEnvironment(registry.EnvironmentFacts{Name: "staging"})
	m.PutPolicy(unknown(2))
	current.view = snapshot.New(m.Facts())
	if _, err := ask(t.Context(), s, "staging", nil); code(err) != "policy_unknown" {
		t.Errorf("Get() of another environment of that name: error = %v, want none of the old bundle", err)
	}
}

// The environment may be deleted while a caller waits for its turn to build.
func TestADeletedEnvironmentIsNotBuilt(t *testing.T) {
	t.Parallel()
	m := small()
	before := snapshot.New(m.Facts())
	m.DeleteAgent("0197c000-0000-7000-8000-000000000003")
	m.DeleteEnvironment("staging")
	s := newService(&inTurn{views: []*snapshot.View{before, before, snapshot.New(m.Facts())}})
	if a, err := ask(t.Context(), s, "staging", nil); !errors.Is(err, registry.NotFound) {
		t.Errorf("Get() = %+v, %v; want NotFound", a, err)
	}
}

// inTurn shows one view after another, and the last for good.
type inTurn struct {
	fixed
	views []*snapshot.View
}

func (r *inTurn) View() *snapshot.View {
	v := r.views[0]
	if len(r.views) > 1 {
		r.views = r.views[1:]
	}
	return v
}

func TestASecondCallerGetsTheSameBundle(t *testing.T) {
	t.Parallel()
	s := newService(&fixed{snapshot.New(small().Facts())})
	if first, second := get(t, s, "production"), get(t, s, "production"); first != second {
		t.Error("it was put together twice")
	}
}

// Many OPAs that ask at once get one bundle, while the registry goes on.
func TestBundlesAreSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	m := registrytest.NewMemory()
	m.Change(withPolicy(registrytest.Policy(1)))
	f := snapshot.NewFollower(snapshot.Options{Connect: m.Connect, Epochs: m, Log: slog.New(slog.DiscardHandler)})
	s := newService(f)
	ctx, stop := context.WithCancel(t.Context())
	var follower, opas sync.WaitGroup
	follower.Go(func() { _ = f.Run(ctx) })
	if err := f.WaitFor(t.Context(), m.Head()); err != nil {
		t.Fatal(err)
	}
	var seen ledger
	for range 8 {
		opas.Go(func() {
			for last, at := "", int64(-1); ctx.Err() == nil; {
				a, err := ask(ctx, s, "production", tags(last))
				if err != nil {
					if ctx.Err() == nil {
						t.Error(err)
					}
					return
				}
				if a.Bundle == nil {
					continue
				}
				if a.Bundle.Tag.Revision <= at {
					t.Errorf("%s after revision %d", a.Bundle.Tag, at)
				}
				last, at = a.Bundle.Tag.String(), a.Bundle.Tag.Revision
				content, err := io.ReadAll(a.Bundle.Reader())
				if err := errors.Join(err, seen.enter(last, string(content))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 200 {
		h := m.Change(withResource("refunds"))
		if err := f.WaitFor(t.Context(), h); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	opas.Wait()
	follower.Wait()
}
