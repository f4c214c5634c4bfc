package authn

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
)

func TestIssuer_AnswersThatAreNotTrusted(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{jwk(testKeyID, testKey().Public())}})
	}))
	t.Cleanup(elsewhere.Close)
	rows := map[string]func(i *testIssuer){
		"another issuer's document":    func(i *testIssuer) { i.describe(map[string]any{"issuer": "https://evil.example/"}) },
		"the issuer without its slash": func(i *testIssuer) { i.describe(map[string]any{"issuer": strings.TrimSuffix(i.url, "/")}) },
		"no key set":                   func(i *testIssuer) { i.describe(map[string]any{"jwks_uri": nil}) },
		"keys in a file":               func(i *testIssuer) { i.describe(map[string]any{"jwks_uri": "file:///etc/keys.json"}) },
		"keys at no address":           func(i *testIssuer) { i.describe(map[string]any{"jwks_uri": "%zz"}) },
		"algorithms of a wrong type": func(i *testIssuer) {
			i.describe(map[string]any{"id_token_signing_alg_values_supported": "RS256"})
		},
		"an outage":      (*testIssuer).goAway,
		"no JSON":        func(i *testIssuer) { i.publishRaw("keys") },
		"no keys at all": func(i *testIssuer) { i.publishRaw(map[string]any{"Keys2": []string{}}) },
		"keys null":      func(i *testIssuer) { i.publishRaw(map[string]any{"keys": nil}) },
		"endless keys": func(i *testIssuer) {
			i.publish(slices.Repeat([]jose.JSONWebKey{jwk(testKeyID, testKey().Public())}, maxKeys+1)...)
		},
		"a huge body": func(i *testIssuer) {
			i.publishRaw(map[string]any{"padding": strings.Repeat("x", maxBody), "keys": []any{jwk(testKeyID, testKey().Public())}})
		},
		"discovery elsewhere": redirectTo("/.well-known/openid-configuration", elsewhere.URL),
		"keys elsewhere":      redirectTo("/.well-known/jwks.json", elsewhere.URL),
	}
	for name, spoil := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			spoil(b.issuer)
			_, err := b.Authenticate(t.Context(), b.token(t, nil))
			wantError(t, err, registry.Unavailable, "identity_provider_unavailable")
			if strings.Contains(err.Error(), "an outage page") || len(err.Error()) > 1000 {
				t.Errorf("the error repeats what the issuer sent: %.1000v", err)
			}
		})
	}
}

func redirectTo(path, target string) func(*testIssuer) {
	return func(i *testIssuer) {
		i.answer(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == path {
				http.Redirect(w, r, target, http.StatusFound)
				return
			}
			i.serve(w, r)
		})
	}
}

func TestIssuer_KeysInTheClearAreNotFetched(t *testing.T) {
	t.Parallel()
	issuer := &testIssuer{}
	issuer.init("https://issuer.example")
	issuer.describe(map[string]any{"jwks_uri": "http://issuer.example/.well-known/jwks.json"})
	b := newBenchWith(t, issuer, func(c *Config) { c.HTTPClient = &http.Client{Transport: inProcess{issuer}} })
	_, err := b.Authenticate(t.Context(), b.token(t, nil))
	wantError(t, err, registry.Unavailable, "identity_provider_unavailable")
	if n := issuer.fetches.Load(); n != 0 {
		t.Errorf("the keys were fetched %d times over plain http", n)
	}
}

func TestIssuer_RedirectLoopIsLeftSoon(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	redirectTo("/.well-known/jwks.json", "/.well-known/jwks.json")(b.issuer)
	_, err := b.Authenticate(t.Context(), b.token(t, nil))
	wantError(t, err, registry.Unavailable, "identity_provider_unavailable")
	if n := b.issuer.fetches.Load(); n != 1+maxRedirects {
		t.Errorf("followed the loop to the %dth request, want %d", n, 1+maxRedirects)
	}
}

func TestIssuer_MayRedirectWithinItsOrigin(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.issuer.describe(map[string]any{"jwks_uri": b.issuer.url + "keys?tenant=1"})
	redirectTo("/keys", "/.well-known/jwks.json")(b.issuer)
	mustAuthenticate(t, b, b.token(t, nil))
}

// Keys count only for what their type, the issuer and the key itself say.
func TestKeySet_KeysCountForWhatIsSaidOfThem(t *testing.T) {
	t.Parallel()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edPublic, edPrivate, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	with := func(key any, use, algorithm string) []jose.JSONWebKey {
		return []jose.JSONWebKey{{Key: key, KeyID: "k", Use: use, Algorithm: algorithm}}
	}
	all := []string{"HS256", "none", "RS256", "RS512", "PS256", "ES256", "ES384", "EdDSA"}
	rows := map[string]struct {
		keys      []jose.JSONWebKey
		announced []string
		want      []jose.SignatureAlgorithm // what a key "k" verifies
	}{
		"RSA, nothing announced":     {with(testKey().Public(), "sig", ""), nil, []jose.SignatureAlgorithm{jose.RS256}},
		"RSA, all announced":         {with(testKey().Public(), "", ""), all, []jose.SignatureAlgorithm{jose.RS256, jose.PS256}},
		"RSA for PS256":              {with(testKey().Public(), "sig", "PS256"), all, []jose.SignatureAlgorithm{jose.PS256}},
		"RSA for PS256, unannounced": {with(testKey().Public(), "sig", "PS256"), []string{"RS256"}, nil},
		"RSA for RS512":              {with(testKey().Public(), "sig", "RS512"), all, nil},
		"RSA that says HS256":        {with(testKey().Public(), "sig", "HS256"), all, nil},
		"RSA for encryption":         {with(testKey().Public(), "enc", ""), all, nil},
		"RSA of 1024 bits":           {with(small.Public(), "sig", ""), all, nil},
		"P-256":                      {with(p256.Public(), "sig", ""), all, []jose.SignatureAlgorithm{jose.ES256}},
		"P-256, unannounced":         {with(p256.Public(), "sig", ""), []string{"RS256"}, nil},
		"P-384":                      {with(p384.Public(), "sig", ""), all, nil},
		"Ed25519":                    {with(edPublic, "sig", "EdDSA"), all, nil},
		"a private key":              {with(testKey(), "sig", ""), all, nil},
		"a private Ed25519 key":      {with(edPrivate, "sig", ""), all, nil},
		"a secret":                   {with([]byte("0123456789abcdef0123456789abcdef"), "sig", "HS256"), all, nil},
		"no kid":                     {[]jose.JSONWebKey{{Key: testKey().Public()}}, all, nil},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			good := jwk(testKeyID, otherKey().Public())
			body := mustJSON(t, jose.JSONWebKeySet{Keys: append(row.keys, good)})
			set, skipped, err := parseKeySet([]byte(body), row.announced)
			if err != nil {
				t.Fatalf("parseKeySet: %v", err)
			}
			var got []jose.SignatureAlgorithm
			for _, key := range set.keys["k"] {
				got = append(got, key.algorithms...)
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("algorithms (-want +got):\n%s", diff)
			}
			if (row.want == nil) != (len(skipped) == 1) {
				t.Errorf("skipped %v", skipped)
			}
			if !set.has(testKeyID) {
				t.Errorf("the good key beside it was lost: %v", slices.Collect(maps.Keys(set.keys)))
			}
		})
	}
}

func TestKeySet_KeysThatCannotBeReadAreLeftOut(t *testing.T) {
	t.Parallel()
	good := mustJSON(t, jwk(testKeyID, testKey().Public()))
	for _, bad := range []string{
		`null`, `7`, `"key"`, `[]`, `{}`, `{"kty":"RSA","kid":"k"}`, `{"kty":"RSA","kid":"k","n":"","e":""}`, `{"kty":"RSA","kid":"k","n":"AQAB","e":"AQAB"}`,
		`{"kty":"EC","kid":"k","crv":"P-256","x":"AA","y":"AA"}`, `{"kty":"EC","kid":"k","crv":"secp256k1","x":"AA","y":"AA"}`,
		`{"kty":"OKP","kid":"k","crv":"Ed448","x":"AA"}`, `{"kty":"OKP","kid":"k","crv":"Ed25519","x":"AA"}`, `{"kty":"new","kid":"k"}`,
		`{"kty":"RSA","kid":7}`,
	} {
		set, skipped, err := parseKeySet([]byte(`{"keys":[`+bad+`,`+good+`]}`), []string{"RS256", "ES256", "EdDSA"})
		if err != nil {
			t.Errorf("%s: parseKeySet: %v", bad, err)
			continue
		}
		if len(skipped) != 1 || len(set.keys) != 1 || !set.has(testKeyID) {
			t.Errorf("%s: skipped %v, kept %v", bad, skipped, slices.Collect(maps.Keys(set.keys)))
		}
	}
}

// From end to end, with real keys of each kind.
func TestAuthenticate_AcceptsAnnouncedAlgorithmsThatWeKnow(t *testing.T) {
	t.Parallel()
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edPublic, edPrivate, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t)
	b.issuer.describe(map[string]any{"id_token_signing_alg_values_supported": []string{"RS256", "PS256", "ES256", "EdDSA"}})
	b.issuer.publish(jwk("rsa", testKey().Public()), jwk("ec", p256.Public()), jwk("ed", edPublic))
	for _, token := range []string{
		sign(t, jose.RS256, "rsa", testKey(), b.claims(nil)),
		sign(t, jose.PS256, "rsa", testKey(), b.claims(nil)),
		sign(t, jose.ES256, "ec", p256, b.claims(nil)),
	} {
		mustAuthenticate(t, b, token)
	}
	for _, token := range []string{
		sign(t, jose.RS256, "ec", testKey(), b.claims(nil)),
		sign(t, jose.EdDSA, "ed", edPrivate, b.claims(nil)),
	} {
		_, err := b.Authenticate(t.Context(), token)
		wantError(t, err, registry.Unauthenticated, "invalid_token")
	}
}

// Two keys of one name are unusual, and each counts.
func TestKeySet_TwoKeysOfOneName(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.issuer.publish(jwk(testKeyID, otherKey().Public()), jwk(testKeyID, testKey().Public()))
	mustAuthenticate(t, b, b.token(t, nil))
	mustAuthenticate(t, b, sign(t, jose.RS256, testKeyID, otherKey(), b.claims(nil)))
}
