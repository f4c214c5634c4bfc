package emulator_test

import (
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/credenceproject/credence/internal/auth0/emulator"
	"github.com/google/go-cmp/cmp"
)

// verifier checks tokens as our own API does: by discovery.
func (tn *tenant) verifier(t testing.TB, audience string) *oidc.IDTokenVerifier {
	t.Helper()
	provider, err := oidc.NewProvider(t.Context(), tn.url)
	if err != nil {
		t.Fatal(err)
	}
	return provider.Verifier(&oidc.Config{ClientID: audience})
}

func TestTokensAreVerifiedByDiscovery(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, options{})
	ask := tn.withAgent(t)
	token := accessToken(t, ask())
	verified, err := tn.verifier(t, testAudience).Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if id := tn.Clients()[0].ID; verified.Subject != id+"@clients" {
		t.Errorf("subject %q", verified.Subject)
	}
	if _, err := tn.verifier(t, "urn:other").Verify(t.Context(), token); err == nil {
		t.Error("another audience accepted the token")
	}
	if _, err := newTenant(t, options{}).verifier(t, testAudience).Verify(t.Context(), token); err == nil {
		t.Error("another tenant accepted the token")
	}
}

func TestTokensOutliveTheirSigningKey(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, options{})
	ask := tn.withAgent(t)
	verifier := tn.verifier(t, testAudience)
	before := accessToken(t, ask())
	if err := tn.RotateSigningKey(); err != nil {
		t.Fatal(err)
	}
	after := accessToken(t, ask())
	for when, token := range map[string]string{"before": before, "after": after} {
		if _, err := verifier.Verify(t.Context(), token); err != nil {
			t.Errorf("a token from %s the rotation: %v", when, err)
		}
	}
	oldHeader, _ := claimsOf(t, before)
	newHeader, _ := claimsOf(t, after)
	if oldHeader["kid"] == newHeader["kid"] {
		t.Error("the rotation kept the kid")
	}
	// The management token is from before the rotation too.
	tn.must(t, "POST", "clients", `{"name":"after"}`)
}

func TestMintUserToken(t *testing.T) {
	t.Parallel()
	now := time.Now().Truncate(time.Second)
	tn := newTenant(t, options{Now: func() time.Time { return now }})
	token, err := tn.MintUserToken(emulator.UserToken{
		Subject: "auth0|dev", Audience: "urn:credence", Permissions: []string{"admin"}, Scope: "openid",
		Claims: map[string]any{"urn:credence/teams": []string{"a", "b"}}, Lifetime: 12 * time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tn.verifier(t, "urn:credence").Verify(t.Context(), token); err != nil {
		t.Errorf("verifying: %v", err)
	}
	_, claims := claimsOf(t, token)
	if claims["azp"] == "" {
		t.Error("no azp")
	}
	delete(claims, "azp")
	want := map[string]any{
		"iss": tn.url, "sub": "auth0|dev", "aud": "urn:credence", "permissions": []any{"admin"}, "scope": "openid",
		"iat": float64(now.Unix()), "exp": float64(now.Add(12 * time.Hour).Unix()), "urn:credence/teams": []any{"a", "b"},
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	for name, bad := range map[string]emulator.UserToken{
		"no subject":          {Audience: "a"},
		"no audience":         {Subject: "s"},
		"a standard claim":    {Subject: "s", Audience: "a", Claims: map[string]any{"iss": "x"}},
		"a negative lifetime": {Subject: "s", Audience: "a", Lifetime: -1},
		"a claim not of JSON": {Subject: "s", Audience: "a", Claims: map[string]any{"x": func() {}}},
	} {
		if _, err := tn.MintUserToken(bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
