package authn

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/credenceproject/credence/internal/registry"
)

// forgery is a token that nobody may get in with.
type forgery struct {
	name  string
	token string
	code  string
}

// forgeries lists them, made against b's issuer.
func forgeries(tb testing.TB, b *bench) []forgery {
	tb.Helper()
	return append(append(forgedSignatures(tb, b), forgedHeaders(tb, b)...), append(forgedShapes(tb, b), forgedClaims(tb, b)...)...)
}

// forgedSignatures are not of the issuer.
func forgedSignatures(tb testing.TB, b *bench) []forgery {
	tb.Helper()
	claims := mustJSON(tb, b.claims(nil))
	forged := []forgery{}
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "", "null"} {
		header := fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"JWT"}`, alg, testKeyID)
		unsigned := encode(header) + "." + encode(claims) + "."
		forged = append(forged,
			forgery{"alg " + alg + " without a signature", unsigned, "invalid_token"},
			forgery{"alg " + alg + " with a signature", unsigned + encode("x"), "invalid_token"})
	}
	public, err := x509.MarshalPKIXPublicKey(testKey().Public())
	if err != nil {
		tb.Fatal(err)
	}
	secrets := map[string]string{
		"PKIX PEM":   string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
		"PKCS#1 PEM": string(pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&testKey().PublicKey)})),
		"DER":        string(public),
		"JWK":        mustJSON(tb, jwk(testKeyID, testKey().Public())),
		"modulus":    string(testKey().N.Bytes()),
		"nothing":    "",
	}
	for name, secret := range secrets {
		input := encode(fmt.Sprintf(`{"alg":"HS256","kid":%q}`, testKeyID)) + "." + encode(claims)
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(input))
		forged = append(forged, forgery{"HS256 keyed with the public key as " + name, input + "." + encode(string(mac.Sum(nil))), "invalid_token"})
	}
	genuine := b.token(tb, nil)
	other := sign(tb, jose.RS256, testKeyID, otherKey(), b.claims(nil))
	return append(forged,
		forgery{"another key under the right kid", other, "invalid_token"},
		forgery{"RS384, which we do not accept", sign(tb, jose.RS384, testKeyID, testKey(), b.claims(nil)), "invalid_token"},
		forgery{"PS256, which the issuer does not announce", sign(tb, jose.PS256, testKeyID, testKey(), b.claims(nil)), "invalid_token"},
		forgery{"the signature of other claims", withPart(genuine, 1, encode(mustJSON(tb, b.claims(map[string]any{"sub": "auth0|eve"})))), "invalid_token"},
		forgery{"RS256 said to be ES256", withPart(genuine, 0, encode(fmt.Sprintf(`{"alg":"ES256","kid":%q}`, testKeyID))), "invalid_token"},
	)
}

// forgedHeaders name keys that are not the issuer's, or ask for things.
func forgedHeaders(tb testing.TB, b *bench) []forgery {
	tb.Helper()
	claims := mustJSON(tb, b.claims(nil))
	eve := mustJSON(tb, jwk(testKeyID, otherKey().Public()))
	forged := []forgery{}
	for _, kid := range []string{
		"key-2", "KEY-1", "key-1 ", "../key-1", "../../../../dev/null", "/dev/null", "key-1\x00", "key-1' OR '1'='1",
		"https://evil.example/jwks.json", strings.Repeat("k", maxKeyID+1), "*", "0",
	} {
		forged = append(forged, forgery{fmt.Sprintf("kid %.30q", kid), sign(tb, jose.RS256, kid, otherKey(), b.claims(nil)), "invalid_token"},
			forgery{fmt.Sprintf("kid %.30q on a genuine signature", kid), sign(tb, jose.RS256, kid, testKey(), b.claims(nil)), "invalid_token"})
	}
	byEve := map[string]string{
		"jwk": fmt.Sprintf(`{"alg":"RS256","kid":%q,"jwk":%s}`, testKeyID, eve),
		"jku": fmt.Sprintf(`{"alg":"RS256","kid":%q,"jku":"%sevil.json"}`, testKeyID, b.issuer.url),
		"x5u": fmt.Sprintf(`{"alg":"RS256","kid":%q,"x5u":"%sevil.pem"}`, testKeyID, b.issuer.url),
	}
	for name, header := range byEve {
		forged = append(forged, forgery{"a key of its own by " + name, signRaw(tb, otherKey(), header, claims), "invalid_token"})
	}
	genuine := map[string]string{
		"no kid":          `{"alg":"RS256"}`,
		"a numeric kid":   `{"alg":"RS256","kid":1}`,
		"no alg":          `{"kid":"key-1"}`,
		"crit exp":        `{"alg":"RS256","kid":"key-1","crit":["exp"],"exp":1}`,
		"crit b64":        `{"alg":"RS256","kid":"key-1","crit":["b64"],"b64":true}`,
		"empty crit":      `{"alg":"RS256","kid":"key-1","crit":[]}`,
		"b64":             `{"alg":"RS256","kid":"key-1","b64":true}`,
		"two algs":        `{"alg":"none","alg":"RS256","kid":"key-1"}`,
		"two kids":        `{"alg":"RS256","kid":"key-2","kid":"key-1"}`,
		"ALG":             `{"ALG":"RS256","kid":"key-1"}`,
		"a logout token":  `{"alg":"RS256","kid":"key-1","typ":"logout+jwt"}`,
		"a numeric typ":   `{"alg":"RS256","kid":"key-1","typ":1}`,
		"an array":        `["RS256"]`,
		"a string":        `"RS256"`,
		"null":            `null`,
		"trailing data":   `{"alg":"RS256","kid":"key-1"} {}`,
		"a private jwk":   fmt.Sprintf(`{"alg":"RS256","kid":"key-1","jwk":%s}`, mustJSON(tb, jose.JSONWebKey{Key: otherKey()})),
		"a symmetric jwk": `{"alg":"RS256","kid":"key-1","jwk":{"kty":"oct","k":"AAAA"}}`,
	}
	for name, header := range genuine {
		forged = append(forged, forgery{"header with " + name, signRaw(tb, testKey(), header, claims), "invalid_token"})
	}
	return forged
}

// forgedShapes are no JWTs.
func forgedShapes(tb testing.TB, b *bench) []forgery {
	tb.Helper()
	genuine := b.token(tb, nil)
	header, rest, _ := strings.Cut(genuine, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	flat := fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, header, payload, signature)
	two := fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q},{"protected":%q,"signature":%q}]}`,
		payload, header, signature, header, signature)
	forged := []forgery{
		{"nothing", "", "missing_token"},
		{"flattened JSON serialization", flat, "invalid_token"},
		{"JSON serialization with two signatures", two, "invalid_token"},
		{"a detached payload", header + ".." + signature, "invalid_token"},
		{"no signature", header + "." + payload, "invalid_token"},
		{"an empty signature", header + "." + payload + ".", "invalid_token"},
		{"four parts", genuine + "." + signature, "invalid_token"},
		{"five parts, a JWE", genuine + "." + signature + "." + signature, "invalid_token"},
		{"padding", genuine + "=", "invalid_token"},
		{"standard base64", strings.NewReplacer("-", "+", "_", "/").Replace(genuine) + "+", "invalid_token"},
		{"a line break", header + ".\n" + payload + "." + signature, "invalid_token"},
		{"a leading space", " " + genuine, "invalid_token"},
		{"another spelling of the same signature", otherSpelling(genuine), "invalid_token"},
		{"oversized", b.token(tb, map[string]any{"nickname": strings.Repeat("a", maxToken)}), "invalid_token"},
		{"dots", "..", "invalid_token"},
		{"a word", "token", "invalid_token"},
		{"NUL", "\x00.\x00.\x00", "invalid_token"},
	}
	for _, n := range []int{1, 2, len(signature), len(genuine) / 2} {
		forged = append(forged, forgery{fmt.Sprintf("truncated by %d", n), genuine[:len(genuine)-n], "invalid_token"})
	}
	return forged
}

// forgedClaims are signed by the issuer, and still no token for us.
func forgedClaims(tb testing.TB, b *bench) []forgery {
	tb.Helper()
	now := b.clock.now().Unix()
	changed := []struct {
		name   string
		change map[string]any
		code   string
	}{
		{"expired by 1 s", map[string]any{"exp": now - 1}, "token_expired"},
		{"expiring now", map[string]any{"exp": now}, "token_expired"},
		{"expiry at 0", map[string]any{"exp": 0}, "token_expired"},
		{"no expiry", map[string]any{"exp": nil}, "invalid_token"},
		{"expiry as a string", map[string]any{"exp": fmt.Sprint(now + 60)}, "invalid_token"},
		{"expiry as true", map[string]any{"exp": true}, "invalid_token"},
		{"expiry as an array", map[string]any{"exp": []int64{now + 60}}, "invalid_token"},
		{"negative expiry", map[string]any{"exp": -1}, "invalid_token"},
		{"expiry after the year 9999", map[string]any{"exp": int64(maxDate + 1)}, "invalid_token"},
		{"expiry at 1e300", map[string]any{"exp": 1e300}, "invalid_token"},
		{"nbf beyond the skew", map[string]any{"nbf": now + 31}, "invalid_token"},
		{"nbf as a string", map[string]any{"nbf": fmt.Sprint(now)}, "invalid_token"},
		{"iat beyond the skew", map[string]any{"iat": now + 31}, "invalid_token"},
		{"issuer without its slash", map[string]any{"iss": strings.TrimSuffix(b.issuer.url, "/")}, "wrong_issuer"},
		{"issuer with two slashes", map[string]any{"iss": b.issuer.url + "/"}, "wrong_issuer"},
		{"issuer in upper case", map[string]any{"iss": strings.ToUpper(b.issuer.url)}, "wrong_issuer"},
		{"no issuer", map[string]any{"iss": nil}, "wrong_issuer"},
		{"issuer in an array", map[string]any{"iss": []string{b.issuer.url}}, "invalid_token"},
		{"audience without its slash", map[string]any{"aud": strings.TrimSuffix(testAudience, "/")}, "wrong_audience"},
		{"audience in other case", map[string]any{"aud": strings.ToUpper(testAudience)}, "wrong_audience"},
		{"no audience", map[string]any{"aud": nil}, "wrong_audience"},
		{"audience in an object", map[string]any{"aud": map[string]any{testAudience: true}}, "invalid_token"},
		{"audience among numbers", map[string]any{"aud": []any{1, testAudience}}, "invalid_token"},
		{"no subject", map[string]any{"sub": nil}, "invalid_token"},
		{"empty subject", map[string]any{"sub": ""}, "invalid_token"},
		{"numeric subject", map[string]any{"sub": 7}, "invalid_token"},
		{"NUL in the subject", map[string]any{"sub": "a\x00b"}, "invalid_token"},
		{"line break in the subject", map[string]any{"sub": "a\nb"}, "invalid_token"},
		{"endless subject", map[string]any{"sub": strings.Repeat("a", 256)}, "invalid_token"},
		{"client in an array", map[string]any{"azp": []string{"console"}}, "invalid_token"},
		{"client_id as a number", map[string]any{"client_id": 7}, "invalid_token"},
		{"line break in the client", map[string]any{"azp": "console\n"}, "invalid_token"},
		{"permissions as a string", map[string]any{"permissions": "admin"}, "invalid_token"},
		{"scope as an array", map[string]any{"scope": []string{"admin"}}, "invalid_token"},
	}
	forged := []forgery{}
	for _, c := range changed {
		forged = append(forged, forgery{c.name, b.token(tb, c.change), c.code})
	}
	header := fmt.Sprintf(`{"alg":"RS256","kid":%q}`, testKeyID)
	body := strings.TrimSuffix(mustJSON(tb, b.claims(nil)), "}")
	raw := map[string]string{
		"duplicated exp":         body + `,"exp":99999999999}`,
		"duplicated aud":         body + `,"aud":"https://mcp.example.com/"}`,
		"duplicated azp":         body + `,"azp":"innocent"}`,
		"duplicated sub":         body + `,"\u0073ub":"auth0|eve"}`,
		"expiry null":            strings.Replace(body, `"exp":`, `"exp":null,"was":`, 1) + `}`,
		"expiry at 1e9999999":    strings.Replace(body, `"exp":`, `"exp":1e9999999,"was":`, 1) + `}`,
		"expiry at EXP":          strings.Replace(body, `"exp":`, `"EXP":`, 1) + `}`,
		"a lone surrogate":       strings.Replace(body, `auth0|ana`, `auth0|\ud800`, 1) + `}`,
		"bytes that are no text": body + ",\"nickname\":\"\xff\"}",
		"trailing data":          body + `} {}`,
		"half an object":         body,
		"an array":               "[" + body + "}]",
		"null":                   "null",
		"deep nesting":           `{"a":` + strings.Repeat("[", 2500) + strings.Repeat("]", 2500) + `}`,
		"empty":                  " ",
	}
	for name, payload := range raw {
		code := "invalid_token"
		if name == "null" || name == "deep nesting" {
			code = "wrong_issuer"
		}
		forged = append(forged, forgery{"claims with " + name, signRaw(tb, testKey(), header, payload), code})
	}
	return forged
}

func TestAuthenticate_RefusesForgeries(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if err := b.Ready(t.Context()); err != nil {
		t.Fatalf("Ready: %v", err)
	}
	for _, f := range forgeries(t, b) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			for range 2 { // a refusal is not remembered as anything else
				_, err := b.Authenticate(t.Context(), f.token)
				wantError(t, err, registry.Unauthenticated, f.code)
				wantNoTokenIn(t, err, f.token)
			}
		})
	}
}

// What no key could make good does not make us ask for keys.
func TestAuthenticate_HopelessTokensCostTheIssuerNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	hopeless := append(forgedShapes(t, b), forgedClaims(t, b)...)
	for _, f := range append(forgedSignatures(t, b), forgedHeaders(t, b)...) {
		alg := strings.HasPrefix(f.name, "alg ") || strings.HasPrefix(f.name, "HS256 ") || strings.HasPrefix(f.name, "RS384")
		if alg || strings.HasPrefix(f.name, "header with ") {
			hopeless = append(hopeless, f)
		}
	}
	for _, f := range hopeless {
		if strings.HasPrefix(f.name, "truncated") {
			continue // only a key can tell
		}
		_, err := b.Authenticate(t.Context(), f.token)
		wantError(t, err, registry.Unauthenticated, f.code)
		if n := b.issuer.requests.Swap(0); n != 0 {
			t.Errorf("%s: the issuer was asked %d times", f.name, n)
		}
	}
}

// A header may carry keys; what it carries is not used, be the token genuine.
func TestAuthenticate_KeysInTheHeaderAreIgnored(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	header := fmt.Sprintf(`{"alg":"RS256","kid":%q,"typ":"at+jwt","jku":"%[2]sevil.json","x5u":"%[2]sevil.pem","jwk":%[3]s}`,
		testKeyID, b.issuer.url, mustJSON(t, jwk(testKeyID, otherKey().Public())))
	mustAuthenticate(t, b, signRaw(t, testKey(), header, mustJSON(t, b.claims(nil))))
	if n := b.issuer.requests.Load(); n != 2 {
		t.Errorf("the issuer was asked %d times, want 2: discovery and keys", n)
	}
}

func wantNoTokenIn(tb testing.TB, err error, token string) {
	tb.Helper()
	for part := range strings.SplitSeq(token, ".") {
		if len(part) > 8 && strings.Contains(err.Error(), part) {
			tb.Errorf("the error repeats a part of the token: %v", err)
		}
	}
	e, _ := registry.AsError(err)
	for _, said := range []string{"auth0|", "console", "eve"} {
		if strings.Contains(e.Message, said) {
			tb.Errorf("the message repeats a claim: %s", e.Message)
		}
	}
}

// withPart replaces one of a token's three parts.
func withPart(token string, n int, part string) string {
	parts := strings.Split(token, ".")
	parts[n] = part
	return strings.Join(parts, ".")
}

// otherSpelling changes the unused bits of the signature's last character: a
// lax decoder reads the same bytes.
func otherSpelling(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	other := token[:len(token)-1] + string(alphabet[last^1])
	if _, err := base64.RawURLEncoding.DecodeString(other[strings.LastIndexByte(other, '.')+1:]); err != nil {
		panic(err)
	}
	return other
}
