package emulator_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/credenceproject/credence/internal/auth0/emulator"
)

func TestRateLimitsTellTheirState(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		opts options
		ask  func(*testing.T, *tenant) answer
		code func(map[string]any) any
		// spent counts the requests that newTenant made.
		spent int
	}{
		{
			name: "management",
			opts: options{ManagementRate: emulator.Rate{PerSecond: 2, Burst: 3}},
			ask:  func(t *testing.T, tn *tenant) answer { return tn.manage(t, "GET", "clients", "") },
			code: func(doc map[string]any) any { return doc["errorCode"] },
		},
		{
			name: "token endpoint",
			opts: options{TokenRate: emulator.Rate{PerSecond: 2, Burst: 3}},
			ask: func(t *testing.T, tn *tenant) answer {
				id, secret := tn.ManagementCredentials()
				return tn.exchange(t, credentialsForm(id, secret, tn.url+"api/v2/"))
			},
			code: func(doc map[string]any) any { return doc["error"] },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			tt.opts.Now = clock.now
			tn := newTenant(t, tt.opts)
			for left := 2; left >= 0; left-- {
				a := tt.ask(t, tn)
				if a.status != http.StatusOK || a.header.Get("x-ratelimit-remaining") != strconv.Itoa(left) || a.header.Get("x-ratelimit-limit") != "3" {
					t.Fatalf("%d left: %d %v", left, a.status, a.header)
				}
			}
			a := tt.ask(t, tn)
			if a.status != http.StatusTooManyRequests || tt.code(a.json(t)) != "too_many_requests" {
				t.Fatalf("got %d %s", a.status, a.body)
			}
			reset, err := strconv.ParseInt(a.header.Get("x-ratelimit-reset"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			wait := time.Unix(reset, 0).Sub(clock.now())
			if wait <= 0 || wait > time.Second {
				t.Errorf("reset is in %v", wait)
			}
			clock.advance(wait)
			if a := tt.ask(t, tn); a.status != http.StatusOK {
				t.Errorf("at the reset: %d %s", a.status, a.body)
			}
		})
	}
}

func TestNoRateMeansNoHeaders(t *testing.T) {
	t.Parallel()
	a := newTenant(t, options{})
	if h := a.manage(t, "GET", "clients", "").header; h.Get("x-ratelimit-limit") != "" {
		t.Errorf("headers %v", h)
	}
}

func TestEntityLimits(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, options{MaxClients: 2, MaxGrants: 1})
	tn.withAPI(t, "")
	one, _ := tn.agent(t, "")
	two, _ := tn.agent(t, "")
	grantID := tn.grantAll(t, one)
	second := `{"client_id":"` + two + `","audience":"` + testAudience + `","scope":[]}`
	for path, body := range map[string]string{"clients": `{"name":"third"}`, "client-grants": second} {
		a := tn.manage(t, "POST", path, body)
		if a.status != http.StatusForbidden || a.json(t)["errorCode"] != "too_many_entities" {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	tn.must(t, "DELETE", "client-grants/"+grantID, "")
	tn.must(t, "POST", "client-grants", second)
	tn.must(t, "DELETE", "clients/"+one, "")
	tn.must(t, "POST", "clients", `{"name":"third"}`)
}

func TestLatencyDelaysManagementRequestsOnly(t *testing.T) {
	t.Parallel()
	e, err := emulator.New(options{Issuer: "http://localhost/", Latency: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		for path, want := range map[string]time.Duration{"/api/v2/clients": time.Minute, "/.well-known/jwks.json": 0} {
			began := time.Now()
			e.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", "http://localhost"+path, nil))
			if took := time.Since(began); took != want {
				t.Errorf("%s took %v, want %v", path, took, want)
			}
		}
	})
}
