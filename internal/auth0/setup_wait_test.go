package auth0

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/credenceproject/credence/internal/auth0/emulator"
	"github.com/credenceproject/credence/internal/registry"
)

// offline returns the configuration of a tenant that is reached without a
// network, for tests on synctest's clock.
func offline(t *testing.T, change func(*emulator.Options), wrap func(http.Handler) http.Handler) (*emulator.Emulator, SetupConfig) {
	t.Helper()
	options := emulator.Options{Issuer: "http://127.0.0.1:8085/"}
	if change != nil {
		change(&options)
	}
	e, err := emulator.New(options)
	if err != nil {
		t.Fatal(err)
	}
	id, secret := e.ManagementCredentials()
	return e, SetupConfig{APIAudience: testAPIAudience, Config: Config{
		Domain: "http://127.0.0.1:8085", ClientID: id, ClientSecret: func() (string, error) { return secret, nil },
		Audience: testAudience, Installation: "test", Transport: inProcess{wrap(e)},
	}}
}

func unchanged(h http.Handler) http.Handler { return h }

func TestSetupWaitsForTheRateLimitOfAFreeTenant(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e, c := offline(t, func(o *emulator.Options) { o.ManagementRate = emulator.Rate{PerSecond: 2, Burst: 2} }, unchanged)
		if _, err := Setup(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		limited := slices.ContainsFunc(e.Calls(), func(call emulator.Call) bool { return call.Status == http.StatusTooManyRequests })
		if !limited {
			t.Error("the limit was never reached, so nothing was shown")
		}
	})
}

func TestSetupStopsWaitingWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limited := func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == tokenPath {
					answer(200, `{"access_token":"t","token_type":"Bearer","expires_in":3600}`)(w, r, nil)
					return
				}
				answer(429, `{}`, "Retry-After", "60")(w, r, nil)
			})
		}
		_, c := offline(t, nil, limited)
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		start := time.Now()
		_, err := Setup(ctx, c)
		if known, ok := registry.AsError(err); !ok || known.Kind != registry.Unavailable || !strings.Contains(known.Message, "rate limit") || known.RetryAfter != time.Minute {
			t.Errorf("%v", err)
		}
		if took := time.Since(start); took != 90*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestSetupWaitsForTheBuildOnlySoLong(t *testing.T) {
	t.Parallel()
	for status, row := range map[string]struct {
		kind    registry.Kind
		atLeast time.Duration
	}{
		"building": {registry.Unavailable, buildTimeout},
		"failed":   {registry.Refused, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			stuck := func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if id, ok := strings.CutPrefix(r.URL.Path, "/api/v2/actions/actions/"); ok && r.Method == "GET" {
						answer(200, fmt.Sprintf(`{"id":%q,"status":%q}`, id, status))(w, r, nil)
						return
					}
					next.ServeHTTP(w, r)
				})
			}
			_, c := offline(t, nil, stuck)
			start := time.Now()
			_, err := Setup(t.Context(), c)
			if !errors.Is(err, row.kind) || !strings.Contains(err.Error(), "written so far") {
				t.Errorf("%s: %v", status, err)
			}
			if took := time.Since(start); took < row.atLeast || took > row.atLeast+2*maxBuildInterval {
				t.Errorf("%s: took %s", status, took)
			}
		})
	}
}

// A registration that is taken back must not fail for want of a free place.
func TestFindClientsWaitsForTheRateLimit(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		refusals int
		within   time.Duration
		want     error
		took     time.Duration
	}{
		"a place becomes free":   {2, time.Minute, nil, 14 * time.Second},
		"none does, in the time": {1000, 20 * time.Second, registry.Unavailable, 20 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			refused := 0
			limited := func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == clientsPath && r.Method == http.MethodGet && refused < row.refusals {
						refused++
						answer(429, `{}`, "Retry-After", "7")(w, r, nil)
						return
					}
					next.ServeHTTP(w, r)
				})
			}
			_, config := offline(t, nil, limited)
			c, err := New(t.Context(), config.Config, nil)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), row.within)
			defer cancel()
			start := time.Now()
			if _, err := c.FindClients(ctx, newAgent().ID); !errors.Is(err, row.want) {
				t.Errorf("%s: %v, want %v", name, err, row.want)
			}
			if took := time.Since(start); took != row.took {
				t.Errorf("%s: took %s, want %s", name, took, row.took)
			}
		})
	}
}
