package authn

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
)

func TestAuthenticate_PrincipalIsWhatTheTokenSays(t *testing.T) {
	t.Parallel()
	many := make([]string, maxTeams+1)
	for i := range many {
		many[i] = fmt.Sprintf("team-%d", i)
	}
	rows := map[string]struct {
		change map[string]any
		want   registry.Principal
	}{
		"as issued": {nil, registry.Principal{
			Subject: "auth0|ana", ClientID: "console", Permissions: []registry.Permission{"agents:register"},
		}},
		"audience among others": {
			map[string]any{"aud": []string{"https://tenant.example/userinfo", testAudience}},
			registry.Principal{Subject: "auth0|ana", ClientID: "console", Permissions: []registry.Permission{"agents:register"}},
		},
		"permissions and scope together, each once, none but ours": {
			map[string]any{
				"permissions": []string{"resources:read", "admin:all", "", "skills:invoke", "agents:read"},
				"scope":       "openid agents:read  policies:write ADMIN agents:* admin\u00a0",
			},
			registry.Principal{Subject: "auth0|ana", ClientID: "console", Permissions: []registry.Permission{"agents:read", "policies:write", "resources:read"}},
		},
		"bundle scopes must be names": {
			map[string]any{"permissions": nil, "scope": "bundles:read:production bundles:read: bundles:read:* bundles:read:a/b bundles:read:Production bundles:write:production"},
			registry.Principal{Subject: "auth0|ana", ClientID: "console", Permissions: []registry.Permission{"bundles:read:production"}},
		},
		"no permission at all": {
			map[string]any{"permissions": nil},
			registry.Principal{Subject: "auth0|ana", ClientID: "console"},
		},
		"teams that are names, each once, in order": {
			map[string]any{"permissions": nil, testAudience + "teams": []any{
				"platform", "customer-success", "platform", "Platform", "a/b", "../x", "", 7, nil, []string{"x"},
				"0197d1f0-0000-7000-8000-000000000000", "plаtform", "{{x}}", "*",
			}},
			registry.Principal{Subject: "auth0|ana", ClientID: "console", Teams: []string{"platform", "customer-success"}},
		},
		"at most 200 teams": {
			map[string]any{"permissions": nil, testAudience + "teams": many},
			registry.Principal{Subject: "auth0|ana", ClientID: "console", Teams: many[:maxTeams]},
		},
		"teams that are no array": {
			map[string]any{"permissions": nil, testAudience + "teams": "platform"},
			registry.Principal{Subject: "auth0|ana", ClientID: "console"},
		},
		"teams of another claim": {
			map[string]any{"permissions": nil, "teams": []string{"platform"}, "https://mcp.example.com/teams": []string{"platform"}},
			registry.Principal{Subject: "auth0|ana", ClientID: "console"},
		},
		"client by client_id (RFC 9068)": {
			map[string]any{"permissions": nil, "azp": nil, "client_id": "ci"},
			registry.Principal{Subject: "auth0|ana", ClientID: "ci"},
		},
		"client by its own subject": {
			map[string]any{"permissions": nil, "azp": nil, "sub": "ci@clients"},
			registry.Principal{Subject: "ci@clients", ClientID: "ci"},
		},
		"no client": {
			map[string]any{"permissions": nil, "azp": nil},
			registry.Principal{Subject: "auth0|ana"},
		},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			token := b.token(t, row.change)
			for range 2 { // verified, then remembered
				if diff := cmp.Diff(row.want, mustAuthenticate(t, b, token)); diff != "" {
					t.Errorf("principal (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestAuthenticate_TimesThatStillCount(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	now := b.clock.now().Unix()
	rows := map[string]map[string]any{
		"a second to live":        {"exp": now + 1},
		"a fraction to live":      {"exp": float64(now) + 0.5},
		"the end of time":         {"exp": int64(maxDate)},
		"nbf within the skew":     {"nbf": now + 30},
		"iat within the skew":     {"iat": now + 30},
		"neither iat nor nbf":     {"iat": nil},
		"an nbf long in the past": {"nbf": 0},
	}
	for name, change := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mustAuthenticate(t, b, b.token(t, change))
		})
	}
}

func TestAuthenticate_TeamsClaimIsConfigurable(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.TeamsClaim = "groups" })
	p := mustAuthenticate(t, b, b.token(t, map[string]any{"groups": []string{"platform"}, testAudience + "teams": []string{"other"}}))
	if diff := cmp.Diff([]string{"platform"}, p.Teams); diff != "" {
		t.Errorf("teams (-want +got):\n%s", diff)
	}
}

func TestAuthenticate_IgnoredTeamsAreLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	b := newBench(t)
	b.log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	token := b.token(t, map[string]any{testAudience + "teams": []any{"platform", "No Name", 7}})
	mustAuthenticate(t, b, token)
	if !bytes.Contains(log.Bytes(), []byte("ignored=2")) {
		t.Errorf("log does not count the two entries that are no team:\n%s", &log)
	}
}

func TestCache_ExpiryIsCheckedOutsideIt(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	token := b.token(t, map[string]any{"exp": b.clock.now().Unix() + 60})
	mustAuthenticate(t, b, token)
	b.clock.advance(60*time.Second - time.Nanosecond)
	mustAuthenticate(t, b, token)
	b.clock.advance(time.Nanosecond)
	_, err := b.Authenticate(t.Context(), token)
	wantError(t, err, registry.Unauthenticated, "token_expired")
}

// The clock passes the expiry while the issuer, or the registry, thinks.
func TestAuthenticate_ExpiryIsCheckedAfterWaiting(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	token := b.token(t, map[string]any{"exp": b.clock.now().Unix() + 1})
	b.issuer.answer(func(w http.ResponseWriter, r *http.Request) {
		b.issuer.answer(nil)
		b.clock.advance(time.Second)
		b.issuer.serve(w, r)
	})
	_, err := b.Authenticate(t.Context(), token)
	wantError(t, err, registry.Unauthenticated, "token_expired")
}

func TestCache_HoldsNoTokenAndNoMoreThanItsSize(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.CacheSize = 3 })
	tokens := make([]string, 5)
	for i := range tokens {
		tokens[i] = b.token(t, map[string]any{"sub": fmt.Sprintf("auth0|%d", i)})
		mustAuthenticate(t, b, tokens[i])
		mustAuthenticate(t, b, tokens[0]) // used all the time, so it stays
	}
	if n := len(b.verified.items); n != 3 {
		t.Errorf("%d verdicts are kept, want 3", n)
	}
	kept := fmt.Sprintf("%v", b.verified.items)
	for i, token := range tokens {
		_, ok := b.verified.get(sha256.Sum256([]byte(token)))
		if want := i == 0 || i >= 3; ok != want {
			t.Errorf("token %d is kept: %v, want %v", i, ok, want)
		}
		if bytes.Contains([]byte(kept), []byte(token)) {
			t.Errorf("the cache holds token %d itself", i)
		}
	}
}

func TestCache_RefusalsAreNotKept(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, f := range forgeries(t, b) {
		_, _ = b.Authenticate(t.Context(), f.token)
	}
	if n := len(b.verified.items); n != 0 {
		t.Errorf("%d refused tokens are remembered, want 0", n)
	}
}

func TestAuthenticate_PrincipalIsTheCallersToKeep(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	token := b.token(t, map[string]any{testAudience + "teams": []string{"platform"}})
	for range 2 {
		p := mustAuthenticate(t, b, token)
		p.Teams[0], p.Permissions[0] = "other", registry.Admin
	}
	want := registry.Principal{
		Subject: "auth0|ana", ClientID: "console",
		Permissions: []registry.Permission{"agents:register"}, Teams: []string{"platform"},
	}
	if diff := cmp.Diff(want, mustAuthenticate(t, b, token)); diff != "" {
		t.Errorf("one caller changed another's principal (-want +got):\n%s", diff)
	}
}

func TestAuthenticate_ManyAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.CacheSize = 2 })
	var group sync.WaitGroup
	for i := range 8 {
		token := b.token(t, map[string]any{"sub": fmt.Sprintf("auth0|%d", i%4)})
		want := fmt.Sprintf("auth0|%d", i%4)
		group.Go(func() {
			for range 20 {
				p, err := b.Authenticate(t.Context(), token)
				if err != nil || p.Subject != want {
					t.Errorf("got %q, %v; want %q", p.Subject, err, want)
				}
			}
		})
	}
	group.Wait()
}
