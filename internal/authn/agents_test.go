package authn

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
)

// testAgents is a registry that knows which clients are agents'.
type testAgents struct {
	mu    sync.Mutex
	known map[string]bool
	err   error
	asked []string
}

func (a *testAgents) IsAgentClient(_ context.Context, id string) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, id)
	return a.known[id], a.err
}

func (a *testAgents) set(err error, known ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err, a.known = err, map[string]bool{}
	for _, id := range known {
		a.known[id] = true
	}
}

func (a *testAgents) takeAsked() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	asked := a.asked
	a.asked = nil
	return asked
}

// The first half: what an agent's token carries, another audience, is 401.
func TestInvariant_A2_AgentsAudienceOpensNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, audience := range []any{"https://mcp.example.com/", []string{"https://mcp.example.com/", "https://credence.example"}, []string{}, ""} {
		token := b.token(t, map[string]any{"aud": audience, "sub": "bot@clients", "azp": "bot", "permissions": []string{"admin"}})
		_, err := b.Authenticate(t.Context(), token)
		wantError(t, err, registry.Unauthenticated, "wrong_audience")
	}
	if n := b.issuer.requests.Load(); n != 0 {
		t.Errorf("tokens for somebody else made us ask the issuer %d times", n)
	}
}

// The second half: with the right audience the client decides, wherever the
// token names it and whatever else it claims.
func TestInvariant_A2_AgentsClientIsForbidden(t *testing.T) {
	t.Parallel()
	rows := map[string]map[string]any{
		"azp":              {"azp": "bot"},
		"client_id":        {"azp": nil, "client_id": "bot"},
		"sub":              {"azp": nil, "sub": "bot@clients"},
		"azp, not sub":     {"azp": "bot", "sub": "console@clients"},
		"sub, not azp":     {"azp": "console", "sub": "bot@clients"},
		"client_id beside": {"azp": "console", "client_id": "bot"},
		"an admin":         {"azp": "bot", "permissions": []string{"admin"}, testAudience + "teams": []string{"platform"}},
	}
	for name, change := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.agents.set(nil, "bot")
			token := b.token(t, change)
			for range 2 { // verified, then remembered
				p, err := b.Authenticate(t.Context(), token)
				wantError(t, err, registry.Forbidden, "agent_client")
				// Who was refused, for the audit log (invariant C6).
				want, ok := change["sub"]
				if !ok {
					want = "auth0|ana"
				}
				if p.Subject != want {
					t.Errorf("the refused caller is %q, want %q", p.Subject, want)
				}
			}
		})
	}
}

func TestAgentClients_EachIsAskedOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	token := b.token(t, map[string]any{"azp": "one", "client_id": "two", "sub": "one@clients"})
	mustAuthenticate(t, b, token)
	if diff := cmp.Diff([]string{"one", "two"}, b.agents.takeAsked()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func TestAgentClients_AdoptedClientIsNoticedWithinTenSeconds(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	token := b.token(t, nil)
	mustAuthenticate(t, b, token)
	b.agents.set(nil, "console")
	b.clock.advance(agentDoubt - time.Nanosecond)
	mustAuthenticate(t, b, token)
	b.clock.advance(time.Nanosecond)
	_, err := b.Authenticate(t.Context(), token)
	wantError(t, err, registry.Forbidden, "agent_client")
}

func TestAgentClients_OnceAnAgentsAlwaysAnAgents(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.agents.set(nil, "console")
	_, err := b.Authenticate(t.Context(), b.token(t, nil))
	wantError(t, err, registry.Forbidden, "agent_client")
	b.agents.set(errors.New("no connection"))
	b.clock.advance(1000 * time.Hour)
	b.agents.takeAsked()
	_, err = b.Authenticate(t.Context(), b.token(t, nil))
	wantError(t, err, registry.Forbidden, "agent_client")
	if asked := b.agents.takeAsked(); len(asked) != 0 {
		t.Errorf("asked again about a known agent's client: %q", asked)
	}
}

func TestAgentClients_NotKnownMeansNotAdmitted(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	token := b.token(t, nil)
	mustAuthenticate(t, b, token)
	b.agents.set(errors.New("no connection"))
	mustAuthenticate(t, b, token) // the answer no still stands
	b.clock.advance(agentDoubt)
	for range 2 { // and a failure is not remembered as an answer
		_, err := b.Authenticate(t.Context(), token)
		wantError(t, err, registry.Unavailable, "registry_unavailable")
	}
	b.agents.set(nil)
	mustAuthenticate(t, b, token)
}

// wantError compares what callers see of err.
func wantError(tb testing.TB, err error, kind registry.Kind, code string) {
	tb.Helper()
	e, ok := registry.AsError(err)
	if !ok {
		tb.Fatalf("got error %v, want one of kind %q with code %s", err, kind, code)
	}
	if e.Kind != kind || e.Code != code || e.Message == "" {
		tb.Fatalf("got kind %q, code %s, message %q (cause %v); want kind %q, code %s", e.Kind, e.Code, e.Message, e.Err, kind, code)
	}
	if kind == registry.Unavailable && e.RetryAfter <= 0 {
		tb.Errorf("%s does not say when to try again", code)
	}
}

func mustAuthenticate(tb testing.TB, b *bench, token string) registry.Principal {
	tb.Helper()
	p, err := b.Authenticate(tb.Context(), token)
	if err != nil {
		tb.Fatalf("Authenticate: %v", err)
	}
	return p
}
