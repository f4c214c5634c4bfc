package httpapi

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/resources"
	"github.com/credenceproject/credence/internal/snapshot"
)

// still is a registry in memory that does not change.
type still struct{ view *snapshot.View }

func (s still) View() *snapshot.View { return s.view }
func (still) Checked() time.Time     { return time.Now() }

// manyResources is a registry with n resources.
func manyResources(n int) still {
	facts := registry.Facts{Head: registry.Head{Epoch: "0123456789abcdef", Revision: int64(n)}}
	for i := range n {
		facts.Resources = append(facts.Resources, registry.ResourceFacts{
			Name: fmt.Sprintf("skill-%d", i), Type: registry.Skill, Team: "platform", DataClassification: "low",
			RequiredPermissions: []string{"skills:invoke"}, Access: registry.Access{Visibility: registry.VisibleToTeam, Teams: []string{"customer-success"}},
			Environments: []string{"production", "staging"}, Labels: map[string]string{"tier": "1"}, Revision: int64(i),
		})
	}
	return still{snapshot.New(facts)}
}

// BenchmarkMetadata looks up one of 10,000 resources over HTTP on loopback, behind
// all middleware. Beside it the same bytes are fetched from a handler that has them
// already, behind the same middleware.
func BenchmarkMetadata(b *testing.B) {
	memory := manyResources(10_000)
	f := newFixture(b, func(o *Options) {
		o.Resources, o.Freshness, o.Log = resources.NewService(nil, memory), memory, slog.New(slog.DiscardHandler)
	})
	const path = "/resources/skill-4711/metadata?environment=production"
	known := f.do(call{method: http.MethodGet, path: path, as: "gateway"})
	if known.Code != http.StatusOK {
		b.Fatalf("%d: %s", known.Code, known.Body)
	}
	pass := gate{authenticator: knownCallers{}, auditor: f.audits, log: slog.New(slog.DiscardHandler)}.pass(reads(registry.ResourcesRead))
	f.handler.GET("/bare", func(c echo.Context) error {
		maps.Copy(c.Response().Header(), known.Header())
		return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, known.Body.Bytes())
	}, pass)
	server := httptest.NewServer(f.handler)
	defer server.Close()

	get, getBare := fetcher(b, server, path), fetcher(b, server, "/bare")
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
	b.ReportMetric(float64(bare[len(bare)/2])/float64(took[len(took)/2]), "of-bare") // by the medians
	b.ReportMetric(float64(bare[len(bare)*99/100].Microseconds()), "bare-p99-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// fetcher returns a function that gets the path over a kept connection and returns
// how long that took.
func fetcher(b *testing.B, server *httptest.Server, path string) func() time.Duration {
	b.Helper()
	request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, server.URL+path, nil)
	if err != nil {
		b.Fatal(err)
	}
	request.Header.Set(echo.HeaderAuthorization, "Bearer gateway")
	return func() time.Duration {
		began := time.Now()
		response, err := server.Client().Do(request)
		if err != nil {
			b.Fatal(err)
		}
		_, err = io.Copy(io.Discard, response.Body)
		if err := errors.Join(err, response.Body.Close()); err != nil || response.StatusCode != http.StatusOK {
			b.Fatalf("status %d, error %v", response.StatusCode, err)
		}
		return time.Since(began)
	}
}
