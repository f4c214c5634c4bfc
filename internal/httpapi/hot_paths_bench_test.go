package httpapi

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/credenceproject/credence/internal/bundles"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/resources"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

// still is a registry in memory that does not change.
type still struct{ view *snapshot.View }

func (s still) View() *snapshot.View                       { return s.view }
func (still) Checked() time.Time                           { return time.Now() }
func (still) Changed() <-chan struct{}                     { return nil }
func (still) WaitFor(context.Context, registry.Head) error { return nil }

// The hot paths are measured on 10,000 agents and 10,000 resources.
const large = 10_000

// BenchmarkMetadata looks up one resource.
func BenchmarkMetadata(b *testing.B) {
	hotPath{
		path: "/resources/resource-4711/metadata?environment=production", status: http.StatusOK, op: reads(registry.ResourcesRead),
	}.compare(b)
}

// BenchmarkBundleNotModified asks for the bundle of an OPA that has it.
func BenchmarkBundleNotModified(b *testing.B) {
	hotPath{path: "/bundles/production", status: http.StatusNotModified, op: operations["getBundle"]}.compare(b)
}

// crowd authenticates each caller as somebody else, up to many: one who asks as fast
// as a benchmark does would be braked.
type crowd struct{ n atomic.Int64 }

func (c *crowd) Authenticate(context.Context, string) (registry.Principal, error) {
	return registry.Principal{Subject: strconv.FormatInt(c.n.Add(1)%200_000, 10), Permissions: []registry.Permission{registry.Admin}}, nil
}

// hotPath is a call that is answered from memory.
type hotPath struct {
	path   string
	status int // of the answer; with StatusNotModified the caller has the state
	op     operation
}

// compare makes the call over HTTP on loopback, behind all middleware. Beside it the
// same answer is fetched from a handler that has it already, behind the same
// middleware. of-bare is the one's calls a second as a fraction of the other's, by
// the medians.
func (h hotPath) compare(b *testing.B) {
	b.Helper()
	memory := still{snapshot.New(registrytest.Large(large, large))}
	quiet := slog.New(slog.DiscardHandler)
	f := newFixture(b, func(o *Options) {
		o.Resources, o.Bundles, o.Freshness, o.Log = resources.NewService(nil, memory), bundles.NewService(memory, bundles.Options{Log: quiet}), memory, quiet
		o.Authenticator = &crowd{}
	})
	known := f.do(call{method: http.MethodGet, path: h.path, as: "admin"})
	if known.Code != http.StatusOK {
		b.Fatalf("%d: %s", known.Code, known.Body)
	}
	etag := ""
	if h.status == http.StatusNotModified {
		etag = known.Header().Get("ETag")
		known = f.do(call{method: http.MethodGet, path: h.path, as: "admin", header: map[string]string{"If-None-Match": etag}})
	}
	pass := gate{authenticator: &crowd{}, auditor: f.audits, log: quiet}.pass(h.op)
	f.handler.GET("/bare/:scope", func(c echo.Context) error {
		maps.Copy(c.Response().Header(), known.Header())
		if h.status == http.StatusNotModified {
			return c.NoContent(h.status)
		}
		return c.Blob(h.status, echo.MIMEApplicationJSON, known.Body.Bytes())
	}, pass)
	server := httptest.NewServer(f.handler)
	defer server.Close()

	get, getBare := h.fetcher(b, server, h.path, etag), h.fetcher(b, server, "/bare/production", etag)
	took, bare := make([]time.Duration, 0, b.N), make([]time.Duration, 0, b.N)
	for range 1000 { // warm up
		get()
		getBare()
	}
	b.ResetTimer()
	for range b.N { // in turn, so that both meet the same machine
		took, bare = append(took, get()), append(bare, getBare())
	}
	b.StopTimer()
	slices.Sort(bare)
	slices.Sort(took)
	b.ReportMetric(float64(bare[len(bare)/2])/float64(took[len(took)/2]), "of-bare")
	b.ReportMetric(float64(bare[len(bare)*99/100].Microseconds()), "bare-p99-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// fetcher returns a function that gets the path over a kept connection and returns
// how long that took.
func (h hotPath) fetcher(b *testing.B, server *httptest.Server, path, etag string) func() time.Duration {
	b.Helper()
	request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, server.URL+path, nil)
	if err != nil {
		b.Fatal(err)
	}
	request.Header.Set(echo.HeaderAuthorization, "Bearer admin")
	if etag != "" {
		request.Header.Set("If-None-Match", etag)
	}
	return func() time.Duration {
		began := time.Now()
		response, err := server.Client().Do(request)
		if err != nil {
			b.Fatal(err)
		}
		_, err = io.Copy(io.Discard, response.Body)
		if err := errors.Join(err, response.Body.Close()); err != nil || response.StatusCode != h.status {
			b.Fatalf("status %d, error %v", response.StatusCode, err)
		}
		return time.Since(began)
	}
}
