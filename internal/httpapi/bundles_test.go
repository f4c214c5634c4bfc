package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/credenceproject/credence/internal/bundles"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

// opas authenticates OPAs by their scope: the token production may read that scope.
type opas struct{}

func (opas) Authenticate(_ context.Context, token string) (registry.Principal, error) {
	p := registry.Principal{Subject: token + "@clients"}
	switch token {
	case "any":
		p.Permissions = []registry.Permission{registry.BundlesRead}
	default:
		p.Permissions = []registry.Permission{registry.BundlesRead + registry.Permission(":"+token)}
	}
	return p, nil
}

// depot is the API's bundles, of a registry in memory that changes.
type depot struct {
	*fixture
	memory  *registrytest.Memory
	service *bundles.Service
}

func newDepot(t testing.TB, o bundles.Options) *depot {
	t.Helper()
	d := &depot{memory: registrytest.NewMemory()}
	d.change(func(m *registrytest.Model) registry.Change { return m.PutPolicy(registrytest.Policy(1)) })
	d.change(func(m *registrytest.Model) registry.Change {
		return m.PutEnvironment(registry.EnvironmentFacts{Name: "staging", MaxStaleness: "15m"})
	})
	quiet := slog.New(slog.DiscardHandler)
	follower := snapshot.NewFollower(snapshot.Options{Connect: d.memory.Connect, Epochs: d.memory, Log: quiet})
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = follower.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
	if err := follower.WaitFor(t.Context(), d.memory.Head()); err != nil {
		t.Fatal(err)
	}
	o.Log = quiet
	d.service = bundles.NewService(follower, o)
	d.fixture = newFixture(t, func(o *Options) { o.Bundles, o.Freshness, o.Authenticator = d.service, follower, opas{} })
	return d
}

func (d *depot) change(f func(*registrytest.Model) registry.Change) { d.memory.Change(f) }

func (d *depot) addResource(name string) {
	d.change(func(m *registrytest.Model) registry.Change { return m.PutResource(registry.ResourceFacts{Name: name}) })
}

// get asks for a bundle of production; fields are of the header: name, value, ….
func (d *depot) get(path string, fields ...string) *httptest.ResponseRecorder {
	c := call{method: http.MethodGet, path: "/bundles/production" + path, as: "production", header: map[string]string{}}
	for i := 0; i < len(fields); i += 2 {
		c.header[fields[i]] = fields[i+1]
	}
	return d.do(c)
}

// bundlePaths are the forms of a scope's bundle, below its path.
var bundlePaths = []string{"", "/parts/policy", "/parts/resources", "/parts/agents-f", "/discovery", "/discovery/parts"}

func TestABundlesAnswer(t *testing.T) {
	t.Parallel()
	d := newDepot(t, bundles.Options{})
	for _, path := range bundlePaths {
		for prefer, media := range map[string]string{
			"":                             "application/gzip",
			"modes=snapshot,delta":         "application/gzip",
			"wait=x":                       "application/gzip",
			"modes=snapshot,delta;wait=30": "application/vnd.openpolicyagent.bundles",
			"wait=30":                      "application/vnd.openpolicyagent.bundles",
		} {
			w := d.get(path, "Prefer", prefer, "Accept-Encoding", "gzip")
			sum := sha256.Sum256(w.Body.Bytes())
			want := http.Header{
				"Age": w.Header()["Age"], "Cache-Control": {"no-cache, private"}, "Vary": {"Prefer"}, "Content-Type": {media},
				"Content-Length": {strconv.Itoa(w.Body.Len())}, "Repr-Digest": {"sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"},
				"Etag": w.Header()["Etag"], "X-Request-Id": w.Header()["X-Request-Id"],
			}
			wantEqual(t, path+" with "+prefer, want, w.Header())
			if w.Code != http.StatusOK || !bytes.HasPrefix(w.Body.Bytes(), []byte{0x1f, 0x8b}) || len(w.Header()["Etag"]) != 1 || len(w.Header()["Age"]) != 1 {
				t.Errorf("%s with %q: %d, %d bytes, ETag %q", path, prefer, w.Code, w.Body.Len(), w.Header()["Etag"])
			}
		}
	}
}

func TestWhoMayReadWhichBundle(t *testing.T) {
	t.Parallel()
	d := newDepot(t, bundles.Options{})
	for _, path := range bundlePaths {
		for as, status := range map[string]int{"production": 200, "any": 200, "staging": 403, "product": 403} {
			if w := d.do(call{method: http.MethodGet, path: "/bundles/production" + path, as: as}); w.Code != status {
				t.Errorf("%s as %s: %d, want %d", path, as, w.Code, status)
			}
		}
	}
	for _, path := range []string{"/parts/x", "/parts/discovery", "/parts/discovery-parts", "/parts/agents-g"} {
		wantProblem(t, d.get(path), http.StatusNotFound, "not_found")
	}
}

// A poll is held beyond what bounds other requests, its 304 carries the caller's own
// tag, and what comes meanwhile is answered at once.
func TestPollsAreHeld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDepot(t, bundles.Options{})
		etag := d.get("").Header().Get("ETag")
		began := time.Now()
		w := d.get("", "Prefer", "modes=snapshot,delta;wait=40", "If-None-Match", etag+`, "superseded"`)
		if took := time.Since(began); w.Code != http.StatusNotModified || w.Header().Get("ETag") != etag || took < 36*time.Second || took > 40*time.Second {
			t.Errorf("%d with ETag %s after %s, want 304 with %s", w.Code, w.Header().Get("ETag"), took, etag)
		}
		began = time.Now()
		time.AfterFunc(20*time.Second, func() { d.addResource("refunds") })
		w = d.get("", "Prefer", "modes=snapshot,delta;wait=40", "If-None-Match", etag)
		if took := time.Since(began); w.Code != http.StatusOK || took != 20*time.Second || w.Header().Get(echo.HeaderContentType) != polledBundle {
			t.Errorf("%d of type %s after %s", w.Code, w.Header().Get(echo.HeaderContentType), took)
		}
		began = time.Now()
		w = d.get("", "If-None-Match", w.Header().Get("ETag"))
		if took := time.Since(began); w.Code != http.StatusNotModified || took != 0 {
			t.Errorf("who does not poll: %d after %s", w.Code, took)
		}
	})
}

func TestBundlesByDigest(t *testing.T) {
	t.Parallel()
	d := newDepot(t, bundles.Options{})
	old := d.get("/parts/resources")
	sum := sha256.Sum256(old.Body.Bytes())
	digest := "sha-256:" + hex.EncodeToString(sum[:])
	d.addResource("refunds")
	w := d.get("/parts/resources?digest="+digest, "Prefer", "wait=30", "If-None-Match", old.Header().Get("ETag"))
	wantEqual(t, "the header", old.Header().Values("ETag"), w.Header().Values("ETag"))
	if w.Code != http.StatusOK || !bytes.Equal(w.Body.Bytes(), old.Body.Bytes()) || w.Header().Get(echo.HeaderContentType) != plainBundle {
		t.Errorf("%d of type %s with %d bytes", w.Code, w.Header().Get(echo.HeaderContentType), w.Body.Len())
	}
	wantProblem(t, d.get("?digest="+digest), http.StatusNotFound, "not_found") // of another bundle
	wantProblem(t, d.get("?digest=sha-256:"+hex.EncodeToString(make([]byte, 32))), http.StatusNotFound, "not_found")
	for _, wrong := range []string{"", "x", digest[8:], digest + "00", digest[:71] + "x", "sha-512:" + digest[8:]} {
		wantProblem(t, d.get("?digest="+wrong), http.StatusUnprocessableEntity, "invalid_parameter")
	}
	wantProblem(t, d.get("/discovery?digest="+digest), http.StatusBadRequest, "invalid_parameter")
}

// server serves the API over real connections.
func (d *depot) server(t *testing.T, change func(*http.Server)) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(d.handler)
	change(server.Config)
	server.Start()
	t.Cleanup(server.Close)
	return server
}

// fetched is an answer over a real connection.
type fetched struct {
	status int
	header http.Header
	length int64 // as the header says
	last   bool  // of its connection
	body   []byte
}

func fetch(ctx context.Context, server *httptest.Server, method, etag, prefer string) (fetched, error) {
	r, err := http.NewRequestWithContext(ctx, method, server.URL+"/bundles/production", http.NoBody)
	if err != nil {
		return fetched{}, err
	}
	r.Header = http.Header{"Authorization": {"Bearer production"}, "Prefer": {prefer}, "If-None-Match": {etag}}
	response, err := server.Client().Do(r)
	if err != nil {
		return fetched{}, err
	}
	body, err := io.ReadAll(response.Body)
	f := fetched{response.StatusCode, response.Header, response.ContentLength, response.Close, body}
	return f, errors.Join(err, response.Body.Close())
}

func TestHeadOfABundle(t *testing.T) {
	t.Parallel()
	d := newDepot(t, bundles.Options{})
	server := d.server(t, func(*http.Server) {})
	got, err := fetch(t.Context(), server, http.MethodGet, "", "wait=1")
	if err != nil {
		t.Fatal(err)
	}
	head, err := fetch(t.Context(), server, http.MethodHead, "", "wait=1")
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []http.Header{got.header, head.header} {
		for _, name := range []string{"Age", "Date", "X-Request-Id"} {
			h.Del(name)
		}
	}
	wantEqual(t, "the header", got.header, head.header)
	if head.status != http.StatusOK || head.length != int64(len(got.body)) || len(head.body) != 0 {
		t.Errorf("%d, length %d of %d, %d bytes", head.status, head.length, len(got.body), len(head.body))
	}
}

// What the server gives an answer is counted from when it is written: being held does
// not eat it up.
func TestAHeldPollIsNotCutByTheServersWriteTimeout(t *testing.T) {
	t.Parallel()
	d := newDepot(t, bundles.Options{})
	server := d.server(t, func(s *http.Server) { s.WriteTimeout = 50 * time.Millisecond })
	first, err := fetch(t.Context(), server, http.MethodGet, "", "wait=1")
	if err != nil {
		t.Fatal(err)
	}
	etag := first.header.Get("ETag")
	held, err := fetch(t.Context(), server, http.MethodGet, etag, "wait=1")
	if err != nil || held.status != http.StatusNotModified {
		t.Fatalf("%+v, %v", held, err)
	}
	stop := time.AfterFunc(200*time.Millisecond, func() { d.addResource("refunds") })
	defer stop.Stop()
	news, err := fetch(t.Context(), server, http.MethodGet, etag, "wait=5")
	if err != nil || news.status != http.StatusOK || int64(len(news.body)) != news.length {
		t.Errorf("%+v, %v", news, err)
	}
}

// waiting counts the polls that are held.
type waiting struct {
	changed chan int
	n       int
	mu      sync.Mutex
}

func (w *waiting) Held(more int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n += more
	w.changed <- w.n
}
func (*waiting) Built(time.Duration)    {}
func (*waiting) Released(time.Duration) {}
func (*waiting) Braked(time.Duration)   {}

// until waits until so many are held.
func (w *waiting) until(t *testing.T, n int) {
	t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		select {
		case held := <-w.changed:
			if held == n {
				return
			}
		case <-timeout:
			t.Fatalf("there are never %d polls", n)
		}
	}
}

// Who hangs up frees the place at once, and who finds none is told when to come back
// (invariant B9).
func TestInvariant_B9_WhoHangsUpFreesThePlace(t *testing.T) {
	t.Parallel()
	held := &waiting{changed: make(chan int, 100)}
	d := newDepot(t, bundles.Options{PerCaller: 1, Observer: held})
	server := d.server(t, func(*http.Server) {})
	etag := d.get("").Header().Get("ETag")
	ctx, hangUp := context.WithCancel(t.Context())
	var polls sync.WaitGroup
	polls.Go(func() { _, _ = fetch(ctx, server, http.MethodGet, etag, "wait=50") })
	held.until(t, 1)
	w := d.get("", "Prefer", "wait=50", "If-None-Match", etag)
	wantProblem(t, w, http.StatusTooManyRequests, "too_many_polls")
	if w.Header().Get("Retry-After") == "" {
		t.Error("it is not said when to come back")
	}
	hangUp()
	polls.Wait()
	held.until(t, 0)
	if w := d.get("", "Prefer", "wait=1", "If-None-Match", etag); w.Code != http.StatusNotModified {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
}

// During the drain polls end, and their connections with them (invariant B9).
func TestInvariant_B9_TheDrainEndsConnections(t *testing.T) {
	t.Parallel()
	held := &waiting{changed: make(chan int, 100)}
	d := newDepot(t, bundles.Options{Observer: held})
	server := d.server(t, func(*http.Server) {})
	etag := d.get("").Header().Get("ETag")
	var polls sync.WaitGroup
	polls.Go(func() {
		got, err := fetch(t.Context(), server, http.MethodGet, etag, "wait=50")
		if err != nil || got.status != http.StatusNotModified || !got.last || got.header.Get("ETag") != etag {
			t.Errorf("a held one: %+v, %v", got, err)
		}
	})
	held.until(t, 1)
	d.service.Drain(100 * time.Millisecond)
	polls.Wait()
	got, err := fetch(t.Context(), server, http.MethodGet, etag, "wait=50")
	if err != nil || got.status != http.StatusServiceUnavailable || !got.last || got.header.Get("Retry-After") == "" {
		t.Errorf("a new one: %+v, %v", got, err)
	}
	got, err = fetch(t.Context(), server, http.MethodGet, "", "")
	if err != nil || got.status != http.StatusOK || !got.last || len(got.body) == 0 {
		t.Errorf("one that is not to be held: %+v, %v", got, err)
	}
}
