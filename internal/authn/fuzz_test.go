package authn

import (
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/credenceproject/credence/internal/registry"
)

// FuzzAuthenticate feeds whole tokens: nothing but the genuine one gets in.
func FuzzAuthenticate(f *testing.F) {
	b := newBench(f)
	genuine := b.token(f, nil)
	mustAuthenticate(f, b, genuine)
	for _, forged := range forgeries(f, b) {
		f.Add(forged.token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if token == genuine {
			return
		}
		p, err := b.Authenticate(t.Context(), token)
		wantRefusal(t, p, err)
	})
}

// FuzzAuthenticate_SignedByTheIssuer feeds headers and claims under a good
// signature, so that parsing is reached: whoever gets in has a subject.
func FuzzAuthenticate_SignedByTheIssuer(f *testing.F) {
	b := newBench(f)
	header := `{"alg":"RS256","kid":"key-1"}`
	f.Add(header, mustJSON(f, b.claims(nil)))
	f.Add(header, mustJSON(f, b.claims(map[string]any{"aud": []string{testAudience}, "nbf": 1.5, testAudience + "teams": []any{"a", 1}})))
	for _, forged := range forgeries(f, b) {
		if jws, err := jose.ParseSignedCompact(forged.token, algorithms); err == nil {
			f.Add(header, string(jws.UnsafePayloadWithoutVerification()))
		}
	}
	f.Fuzz(func(t *testing.T, header, payload string) {
		p, err := b.Authenticate(t.Context(), signRaw(t, testKey(), header, payload))
		if err != nil {
			wantRefusal(t, p, err)
			return
		}
		if !isIdentifier(p.Subject) || len(p.Teams) > maxTeams {
			t.Errorf("let in as %+v", p)
		}
		for _, permission := range p.Permissions {
			if !isPermission(string(permission)) {
				t.Errorf("holds %q, which is no permission", permission)
			}
		}
	})
}

func wantRefusal(tb testing.TB, p registry.Principal, err error) {
	tb.Helper()
	e, ok := registry.AsError(err)
	if !ok || e.Kind != registry.Unauthenticated || p.Subject != "" {
		tb.Errorf("got %+v, %v; want nobody, unauthenticated", p, err)
	}
}
