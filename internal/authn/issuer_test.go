package authn

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	testAudience = "https://credence.example/"
	testKeyID    = "key-1"
)

// testKey and otherKey are the issuer's and somebody else's. Making one takes a
// while, so each is made once.
var (
	testKey  = sync.OnceValue(newRSAKey)
	otherKey = sync.OnceValue(newRSAKey)
)

func newRSAKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

// testIssuer is an OpenID Connect issuer. It serves whatever keys it is given
// and counts who asks.
type testIssuer struct {
	url      string
	fetches  atomic.Int64 // of the key set
	requests atomic.Int64 // of anything

	mu        sync.Mutex
	document  map[string]any
	keys      any
	intercept http.HandlerFunc // answers instead, when set
}

// newTestIssuer starts an issuer that signs with testKey under testKeyID.
func newTestIssuer(tb testing.TB) *testIssuer {
	tb.Helper()
	i := &testIssuer{}
	server := httptest.NewServer(i)
	tb.Cleanup(server.Close)
	i.init(server.URL)
	return i
}

func (i *testIssuer) init(base string) {
	i.url = base + "/"
	i.document = map[string]any{
		"issuer":                                i.url,
		"jwks_uri":                              base + "/.well-known/jwks.json",
		"id_token_signing_alg_values_supported": []string{"HS256", "RS256"},
	}
	i.publish(jwk(testKeyID, testKey().Public()))
}

// jwk is a public key as issuers publish it.
func jwk(kid string, key any) jose.JSONWebKey {
	return jose.JSONWebKey{Key: key, KeyID: kid, Use: "sig"}
}

func (i *testIssuer) publish(keys ...jose.JSONWebKey) {
	i.publishRaw(jose.JSONWebKeySet{Keys: keys})
}

func (i *testIssuer) publishRaw(keys any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = keys
}

// describe changes members of the discovery document.
func (i *testIssuer) describe(members map[string]any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	maps.Copy(i.document, members)
}

// answer makes h answer every request; nil makes it an issuer again.
func (i *testIssuer) answer(h http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.intercept = h
}

func (i *testIssuer) goAway() {
	i.answer(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "an outage page", http.StatusBadGateway)
	})
}

func (i *testIssuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.requests.Add(1)
	if r.URL.Path == "/.well-known/jwks.json" {
		i.fetches.Add(1)
	}
	i.mu.Lock()
	answer := i.intercept
	i.mu.Unlock()
	if answer == nil {
		answer = i.serve
	}
	answer(w, r)
}

// serve is what an issuer answers.
func (i *testIssuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	document, keys := maps.Clone(i.document), i.keys
	i.mu.Unlock()
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		writeJSON(w, document)
	case "/.well-known/jwks.json":
		writeJSON(w, keys)
	default:
		http.NotFound(w, r)
	}
}

func writeJSON(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(body); err != nil {
		panic(err)
	}
}

// testClock is a clock that stands still until it is told otherwise.
type testClock struct{ nanos atomic.Int64 }

func newTestClock() *testClock {
	c := &testClock{}
	c.nanos.Store(time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC).UnixNano())
	return c
}

func (c *testClock) now() time.Time          { return time.Unix(0, c.nanos.Load()) }
func (c *testClock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

// bench is one test's issuer, clock, registry and verifier.
type bench struct {
	*Verifier
	issuer *testIssuer
	clock  *testClock
	agents *testAgents
}

func newBench(tb testing.TB, change ...func(*Config)) *bench {
	tb.Helper()
	return newBenchWith(tb, newTestIssuer(tb), change...)
}

func newBenchWith(tb testing.TB, issuer *testIssuer, change ...func(*Config)) *bench {
	tb.Helper()
	b := &bench{issuer: issuer, clock: newTestClock(), agents: &testAgents{}}
	config := Config{Issuer: issuer.url, Audience: testAudience, Now: b.clock.now}
	for _, f := range change {
		f(&config)
	}
	v, err := New(config, b.agents, slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatalf("New: %v", err)
	}
	b.Verifier = v
	return b
}

// claims are those of a valid token that lives an hour, with the given ones
// changed; nil removes one.
func (b *bench) claims(change map[string]any) map[string]any {
	now := b.clock.now().Unix()
	claims := map[string]any{
		"iss": b.issuer.url, "aud": testAudience, "sub": "auth0|ana", "azp": "console",
		"iat": now, "exp": now + 3600, "permissions": []string{"agents:register"},
	}
	for name, value := range change {
		if value == nil {
			delete(claims, name)
			continue
		}
		claims[name] = value
	}
	return claims
}

// token is signed by go-jose, as the issuer would.
func (b *bench) token(tb testing.TB, change map[string]any) string {
	tb.Helper()
	return sign(tb, jose.RS256, testKeyID, testKey(), b.claims(change))
}

func sign(tb testing.TB, algorithm jose.SignatureAlgorithm, kid string, key, claims any) string {
	tb.Helper()
	options := (&jose.SignerOptions{}).WithType("JWT")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, options)
	if err != nil {
		tb.Fatalf("make signer: %v", err)
	}
	jws, err := signer.Sign([]byte(mustJSON(tb, claims)))
	if err != nil {
		tb.Fatalf("sign: %v", err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		tb.Fatalf("serialize: %v", err)
	}
	return token
}

// signRaw signs exactly these bytes with RS256, whatever they say.
func signRaw(tb testing.TB, key *rsa.PrivateKey, header, payload string) string {
	tb.Helper()
	input := encode(header) + "." + encode(payload)
	sum := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		tb.Fatalf("sign: %v", err)
	}
	return input + "." + encode(string(signature))
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func mustJSON(tb testing.TB, v any) string {
	tb.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		tb.Fatalf("marshal: %v", err)
	}
	return string(b)
}

// inProcess is a transport to a handler in this process, for tests whose time
// is synthetic: they cannot wait for sockets.
type inProcess struct{ handler http.Handler }

func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		t.handler.ServeHTTP(w, r)
	}()
	select {
	case <-r.Context().Done():
		return nil, r.Context().Err()
	case <-answered:
		return w.Result(), nil
	}
}
