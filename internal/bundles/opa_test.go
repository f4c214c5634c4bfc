package bundles_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/bundles"
	"github.com/credenceproject/credence/internal/local"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// origin serves bundles to a real OPA, as far as that needs it, and holds its polls.
type origin struct {
	mu      sync.Mutex
	maker   *bundles.Maker
	view    *snapshot.View
	changed chan struct{}
	has     map[string]string // by the path of a bundle, the tag of the one that OPA has activated
	answers map[string]int    // by the same, how many bundles it was given
	asked   chan struct{}     // gets something after each poll
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	scope, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/bundles/"), "/")
	name := of(scope, strings.ReplaceAll(strings.TrimPrefix(rest, "parts/"), "/", "-"))
	has := strings.Trim(strings.Split(r.Header.Get("If-None-Match"), ",")[0], `"`)
	for end := time.After(10 * time.Second); ; {
		o.mu.Lock()
		o.has[r.URL.Path] = has
		maker, view, changed := o.maker, o.view, o.changed
		o.mu.Unlock()
		select {
		case o.asked <- struct{}{}:
		default:
		}
		b, err := maker.Bundle(view, name)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		if b.Tag.String() != has {
			w.Header().Set("Content-Type", "application/vnd.openpolicyagent.bundles")
			w.Header().Set("ETag", `"`+b.Tag.String()+`"`)
			o.mu.Lock()
			o.answers[r.URL.Path]++
			o.mu.Unlock()
			_, _ = io.Copy(w, b.Reader())
			return
		}
		select {
		case <-changed:
		case <-end:
			w.Header().Set("ETag", `"`+has+`"`)
			w.WriteHeader(http.StatusNotModified)
			return
		case <-r.Context().Done():
			return
		}
	}
}

func newOrigin(m *bundles.Maker, v *snapshot.View) *origin {
	return &origin{maker: m, view: v, changed: make(chan struct{}), has: map[string]string{}, answers: map[string]int{}, asked: make(chan struct{}, 1)}
}

// serve serves what the maker makes of the view.
func (o *origin) serve(m *bundles.Maker, v *snapshot.View) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.maker, o.view = m, v
	close(o.changed)
	o.changed = make(chan struct{})
}

// awaitActive waits until OPA says that it has the bundles of the present view that
// are at these paths.
func (o *origin) awaitActive(t *testing.T, paths ...string) {
	t.Helper()
	o.await(t, func() bool { return slices.IndexFunc(paths, func(p string) bool { return !o.active(t, p) }) < 0 })
}

// await waits until it is done, which it can be after each poll.
func (o *origin) await(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.After(30 * time.Second); !done(); {
		select {
		case <-o.asked:
		case <-end:
			o.mu.Lock()
			defer o.mu.Unlock()
			t.Fatalf("waited in vain; OPA has %v and was given %v", o.has, o.answers)
		}
	}
}

// given is how many bundles OPA was given at the path.
func (o *origin) given(path string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.answers[path]
}

func (o *origin) active(t *testing.T, path string) bool {
	t.Helper()
	scope, rest, _ := strings.Cut(strings.TrimPrefix(path, "/bundles/"), "/")
	o.mu.Lock()
	defer o.mu.Unlock()
	tag, err := o.maker.Tag(o.view, of(scope, strings.TrimPrefix(rest, "parts/")))
	if err != nil {
		t.Fatal(err)
	}
	return o.has[path] == tag.String()
}

// start starts an OPA that has in its own configuration the service, the key, and
// where the rest is.
func (o *origin) start(t *testing.T, discovery string, key []byte) *local.OPA {
	t.Helper()
	tools, err := local.FindTools("")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(o)
	t.Cleanup(server.Close)
	resource := "bundles/production/" + strings.ReplaceAll(discovery, "-", "/")
	options := local.OPAOptions{Tools: tools, Dir: t.TempDir(), ControlURL: server.URL, Discovery: resource, LongPoll: 30 * time.Second}
	if key != nil {
		k := parseKey(t, key)
		public, err := k.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		options.Keys = map[string]local.OPAKey{k.KeyID(): {Algorithm: k.Algorithm(), Key: public}}
		options.Signing = &local.OPASigning{KeyID: k.KeyID(), Scope: "production/" + discovery}
	}
	opa, err := local.StartOPA(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opa.Stop() })
	return opa
}

// A real OPA needs a few lines of its own to load a scope, whole or in parts: the
// service, the key, and where the rest of its configuration is. A change moves what it
// is in. What is not signed as it should be is not loaded, and what was there stays.
func TestOPALoadsAScopeByItsDiscoveryBundle(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts OPA")
	}
	whole, parts := []string{"/bundles/production"}, []string{}
	for _, part := range registry.Parts {
		parts = append(parts, "/bundles/production/parts/"+part)
	}
	for _, tt := range []struct {
		name      string
		key       []byte
		discovery string
		paths     []string
		moved     string // where the agent is
	}{
		{"whole, unsigned", nil, bundles.Discovery, whole, whole[0]},
		{"whole, by RS256", rsaKey(), bundles.Discovery, whole, whole[0]},
		{"in parts, by RS256", rsaKey(), bundles.DiscoveryOfParts, parts, "/bundles/production/parts/" + registry.AgentsPart("client-1@clients")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, keys := layered(), map[string][]byte{}
			if tt.key != nil {
				keys["default.pem"] = tt.key
			}
			maker := bundles.NewMaker(bundles.MakerOptions{Layers: accepting(), Keys: openKeys(t, keys)})
			from := newOrigin(maker, snapshot.New(m.Facts()))
			opa := from.start(t, tt.discovery, tt.key)
			from.awaitActive(t, tt.paths...)
			expectLoaded(t, opa, from.view)

			agent, _ := from.view.Agents("production").Get("client-1@clients")
			agent.Suspended = true
			m.PutAgent(agent)
			from.serve(maker, snapshot.New(m.Facts()))
			from.awaitActive(t, tt.paths...)
			expectLoaded(t, opa, from.view)
			if tt.key == nil {
				return
			}
			good, given := from.view, from.given(tt.moved)
			agent.Suspended = false
			m.PutAgent(agent)
			from.serve(bundles.NewMaker(bundles.MakerOptions{Layers: accepting()}), snapshot.New(m.Facts()))
			from.await(t, func() bool { return from.given(tt.moved) >= given+2 }) // it asks again for what it refused
			if from.active(t, tt.moved) {
				t.Errorf("%s is active, and unsigned", tt.moved)
			}
			expectLoaded(t, opa, good)
			from.serve(maker, from.view)
			from.awaitActive(t, tt.paths...)
			expectLoaded(t, opa, from.view)
		})
	}
}

// expectLoaded says that OPA has the agents, the resources and the layers of the view.
func expectLoaded(t *testing.T, opa *local.OPA, v *snapshot.View) {
	t.Helper()
	tag := bundles.Tag{Scope: "production"}
	want := dataOf(t, v, tag)
	got := map[string]any{}
	for _, document := range []string{"agents", "resources", "layers", "environment"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, opa.Address+"/v1/data/registry/"+document, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var answer struct{ Result any }
		err = json.NewDecoder(resp.Body).Decode(&answer)
		if closed := resp.Body.Close(); err != nil || closed != nil {
			t.Fatal(err, closed)
		}
		got[document] = answer.Result
	}
	delete(want, "meta")
	if diff := cmp.Diff(any(want), any(got)); diff != "" {
		t.Errorf("OPA has (-want +got):\n%s", diff)
	}
}
