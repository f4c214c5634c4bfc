package httpapi

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/credenceproject/credence/internal/auth0/emulator"
	"github.com/credenceproject/credence/internal/authn"
	"github.com/credenceproject/credence/internal/registry"
)

const benchAudience = "https://credence.example.com/"

// BenchmarkAuthenticatedCached is one request whose token was verified before:
// the whole chain of middleware around a handler that does next to nothing. The
// same handler on a bare echo is measured beside it.
func BenchmarkAuthenticatedCached(b *testing.B) { benchmarkAuthenticated(b, 1, 10_000) }

// BenchmarkAuthenticatedUncached is one request whose token is verified anew:
// tokens take turns in a cache that has room for one.
func BenchmarkAuthenticatedUncached(b *testing.B) { benchmarkAuthenticated(b, 8, 1) }

func benchmarkAuthenticated(b *testing.B, tokens, cacheSize int) {
	b.Helper()
	issuer := newBenchIssuer(b)
	verifier, err := authn.New(authn.Config{Issuer: issuer.url, Audience: benchAudience, CacheSize: cacheSize}, noAgents{}, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	f := newFixture(b, func(o *Options) { o.Authenticator, o.Log = verifier, slog.New(slog.DiscardHandler) })
	pass := gate{authenticator: verifier, auditor: f.audits, log: slog.New(slog.DiscardHandler)}.pass(reads(registry.AgentsRead))
	f.handler.GET("/bench", echoes, pass)
	bare := echo.New()
	bare.GET("/bench", echoes)

	requests := make([]*http.Request, tokens)
	for i := range requests {
		requests[i] = call{method: http.MethodGet, path: "/bench", as: issuer.token(b, i)}.request(b.Context())
		if w := recorded(f, requests[i]); w.Code != http.StatusOK {
			b.Fatalf("%d: %s", w.Code, w.Body)
		}
	}
	unauthenticated := perRequest(bare, requests)

	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		serve(f.handler, requests[i%tokens])
	}
	authenticated := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
	b.ReportMetric(unauthenticated, "bare-ns/op")
	b.ReportMetric(authenticated/unauthenticated, "times-bare")
	b.ReportMetric((authenticated-unauthenticated)/1000, "added-µs/op")
}

// echoes is the least that a handler does.
func echoes(c echo.Context) error { return c.String(http.StatusOK, "ok") }

// perRequest measures the handler for a while, in nanoseconds.
func perRequest(h http.Handler, requests []*http.Request) float64 {
	const n = 20_000
	for i := range n / 10 { // warm up
		serve(h, requests[i%len(requests)])
	}
	began := time.Now()
	for i := range n {
		serve(h, requests[i%len(requests)])
	}
	return float64(time.Since(began).Nanoseconds()) / n
}

func serve(h http.Handler, r *http.Request) { h.ServeHTTP(httptest.NewRecorder(), r) }

// noAgents is a registry without agents: the look-up of the token's client has a
// memory of its own, so that a database would be asked every ten seconds.
type noAgents struct{}

func (noAgents) IsAgentClient(context.Context, string) (bool, error) { return false, nil }

// benchIssuer is an emulated tenant that issues callers' tokens.
type benchIssuer struct {
	url    string
	tenant *emulator.Emulator
}

func newBenchIssuer(b *testing.B) benchIssuer {
	b.Helper()
	server := httptest.NewUnstartedServer(nil)
	url := "http://" + server.Listener.Addr().String() + "/"
	tenant, err := emulator.New(emulator.Options{Issuer: url})
	if err != nil {
		b.Fatal(err)
	}
	server.Config.Handler = tenant
	server.Start()
	b.Cleanup(server.Close)
	return benchIssuer{url: url, tenant: tenant}
}

// token is that of caller i, with what real ones carry.
func (s benchIssuer) token(b *testing.B, i int) string {
	b.Helper()
	token, err := s.tenant.MintUserToken(emulator.UserToken{
		Subject: fmt.Sprintf("auth0|%d", i), Audience: benchAudience, Permissions: []string{"agents:read", "agents:register", "agents:write"},
		Claims: map[string]any{benchAudience + "teams": []string{"customer-success", "platform"}},
	})
	if err != nil {
		b.Fatal(err)
	}
	return token
}
