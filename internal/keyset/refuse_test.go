package keyset

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
)

func uint64url(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }

// modulus is an odd number of that many bits.
func modulus(bits uint) string {
	n := new(big.Int).Lsh(big.NewInt(1), bits-1)
	return uint64url(n.SetBit(n, 0, 1))
}

func rsaJWK(n, e, more string) string {
	return `{"kty":"RSA","n":"` + n + `","e":"` + e + `"` + more + `}`
}

func one(jwk string) json.RawMessage { return json.RawMessage(`{"keys":[` + jwk + `]}`) }

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	good := rsaJWK(rfcModulus, "AQAB", "")
	private := testKey(t, 0)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curvePEM, err := x509.MarshalPKIXPublicKey(curve.Public())
	if err != nil {
		t.Fatal(err)
	}
	even := new(big.Int).Lsh(big.NewInt(1), 2047)
	for name, row := range map[string]struct {
		raw  json.RawMessage
		want []string // pointer, a space, code
	}{
		"an RSA private key": {set(t, jose.JSONWebKey{Key: private}), []string{
			"/keys/0/d private_key", "/keys/0/dp private_key", "/keys/0/dq private_key", "/keys/0/p private_key", "/keys/0/q private_key", "/keys/0/qi private_key",
		}},
		"a private exponent of null":    {one(rsaJWK(rfcModulus, "AQAB", `,"d":null`)), []string{"/keys/0/d private_key"}},
		"other primes":                  {one(rsaJWK(rfcModulus, "AQAB", `,"oth":[]`)), []string{"/keys/0/oth private_key"}},
		"an EC private key":             {set(t, jose.JSONWebKey{Key: curve}), []string{"/keys/0/d private_key"}},
		"a symmetric key":               {set(t, jose.JSONWebKey{Key: []byte("secret")}), []string{"/keys/0/k private_key"}},
		"a private key beside a public": {json.RawMessage(`{"keys":[` + good + `,` + rsaJWK(rfcModulus, "AQAB", `,"p":"AQAB"`) + `]}`), []string{"/keys/1/p private_key"}},
		"PEM of PKCS #8":                {asJSON(t, encodePEM("PRIVATE KEY", pkcs8)), []string{" private_key"}},
		"PEM of PKCS #1":                {asJSON(t, encodePEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(private))), []string{" private_key"}},
		"PEM of both halves":            {asJSON(t, publicPEM(t, 0)+encodePEM("PRIVATE KEY", pkcs8)), []string{" private_key"}},
		"PEM of a private key, cut":     {asJSON(t, "-----BEGIN PRIVATE KEY-----\nMIIE"), []string{" private_key"}},

		"1024 bits":             {one(rsaJWK(modulus(1024), "AQAB", "")), []string{"/keys/0/n weak_key"}},
		"2047 bits":             {one(rsaJWK(modulus(2047), "AQAB", "")), []string{"/keys/0/n weak_key"}},
		"4097 bits":             {one(rsaJWK(modulus(4097), "AQAB", "")), []string{"/keys/0/n key_too_long"}},
		"an even modulus":       {one(rsaJWK(uint64url(even), "AQAB", "")), []string{"/keys/0/n weak_key"}},
		"e = 3":                 {one(rsaJWK(rfcModulus, "Aw", "")), []string{"/keys/0/e weak_key"}},
		"e = 65535":             {one(rsaJWK(rfcModulus, "__8", "")), []string{"/keys/0/e weak_key"}},
		"e = 65538":             {one(rsaJWK(rfcModulus, "AQAC", "")), []string{"/keys/0/e weak_key"}},
		"e = 2^31+1":            {one(rsaJWK(rfcModulus, "gAAAAQ", "")), []string{"/keys/0/e key_too_long"}},
		"e = 2^64+1":            {one(rsaJWK(rfcModulus, "AQAAAAAAAAAB", "")), []string{"/keys/0/e key_too_long"}},
		"weak in both":          {one(rsaJWK(modulus(512), "Aw", "")), []string{"/keys/0/e weak_key", "/keys/0/n weak_key"}},
		"weak PEM":              {asJSON(t, encodePEM("PUBLIC KEY", weakDER(t))), []string{" weak_key"}},
		"no modulus":            {one(`{"kty":"RSA","e":"AQAB"}`), []string{"/keys/0/n malformed"}},
		"no exponent":           {one(`{"kty":"RSA","n":"` + rfcModulus + `"}`), []string{"/keys/0/e malformed"}},
		"an empty modulus":      {one(rsaJWK("", "AQAB", "")), []string{"/keys/0/n malformed"}},
		"a modulus in base64":   {one(rsaJWK("+/==", "AQAB", "")), []string{"/keys/0/n malformed"}},
		"a modulus of a number": {one(`{"kty":"RSA","n":7,"e":"AQAB"}`), []string{"/keys/0/n malformed"}},

		"a curve":              {set(t, jose.JSONWebKey{Key: curve.Public()}), []string{"/keys/0/kty unsupported_key_type"}},
		"an unknown curve":     {one(`{"kty":"EC","crv":"P-192","x":"AA","y":"AA"}`), []string{"/keys/0/crv unsupported_curve"}},
		"an Edwards curve":     {set(t, jose.JSONWebKey{Key: edwards}), []string{"/keys/0/kty unsupported_key_type"}},
		"PEM of a curve":       {asJSON(t, encodePEM("PUBLIC KEY", curvePEM)), []string{" unsupported_key_type"}},
		"a certificate":        {asJSON(t, encodePEM("CERTIFICATE", []byte("x"))), []string{" unsupported_key_type"}},
		"PEM of rubbish":       {asJSON(t, encodePEM("PUBLIC KEY", []byte("x"))), []string{" malformed"}},
		"an unknown type":      {one(`{"kty":"RSA-PSS"}`), []string{"/keys/0/kty unsupported_key_type"}},
		"no type":              {one(`{}`), []string{"/keys/0/kty unsupported_key_type"}},
		"type by another name": {one(`{"KTY":"RSA","n":"` + rfcModulus + `","e":"AQAB"}`), []string{"/keys/0/kty unsupported_key_type"}},

		"RS512":                {one(rsaJWK(rfcModulus, "AQAB", `,"alg":"RS512"`)), []string{"/keys/0/alg unsupported_algorithm"}},
		"HS256":                {one(rsaJWK(rfcModulus, "AQAB", `,"alg":"HS256"`)), []string{"/keys/0/alg unsupported_algorithm"}},
		"none":                 {one(rsaJWK(rfcModulus, "AQAB", `,"alg":"none"`)), []string{"/keys/0/alg unsupported_algorithm"}},
		"an algorithm of null": {one(rsaJWK(rfcModulus, "AQAB", `,"alg":null`)), []string{"/keys/0/alg unsupported_algorithm"}},
		"for encryption":       {one(rsaJWK(rfcModulus, "AQAB", `,"use":"enc"`)), []string{"/keys/0/use unsupported_use"}},
		"for signing":          {one(rsaJWK(rfcModulus, "AQAB", `,"key_ops":["sign"]`)), []string{"/keys/0/key_ops unsupported_use"}},
		"for nothing":          {one(rsaJWK(rfcModulus, "AQAB", `,"key_ops":null`)), []string{"/keys/0/key_ops unsupported_use"}},
		"a kid twice":          {json.RawMessage(`{"keys":[` + rsaJWK(rfcModulus, "AQAB", `,"kid":"a"`) + `,` + rsaJWK(modulus(2048), "AQAB", `,"kid":"a"`) + `]}`), []string{"/keys/1/kid duplicate_kid"}},
		"a key twice":          {json.RawMessage(`{"keys":[` + good + `,` + rsaJWK(rfcModulus, "AQAB", `,"alg":"PS256"`) + `]}`), []string{"/keys/1 duplicate_key"}},
		"three keys":           {json.RawMessage(`{"keys":[` + good + `,` + good + `,` + good + `]}`), []string{"/keys too_many_keys"}},
		"three blocks":         {asJSON(t, strings.Repeat(publicPEM(t, 0), 3)), []string{" too_many_keys"}},
		"no keys":              {json.RawMessage(`{"keys":[]}`), []string{"/keys no_keys"}},
		"no PEM":               {json.RawMessage(`"x"`), []string{" no_keys"}},
		"too large":            {json.RawMessage(`{"keys":[],"x":"` + strings.Repeat("x", MaxBytes) + `"}`), []string{" too_large"}},
		"nothing":              {nil, []string{" malformed"}},
		"null":                 {json.RawMessage(`null`), []string{" malformed"}},
		"an array":             {json.RawMessage(`[]`), []string{" malformed"}},
		"a single key":         {json.RawMessage(good), []string{"/keys malformed"}},
		"keys of null":         {json.RawMessage(`{"keys":null}`), []string{"/keys malformed"}},
		"a key of null":        {json.RawMessage(`{"keys":[null]}`), []string{"/keys/0 malformed"}},
		"a key that is a text": {json.RawMessage(`{"keys":["x"]}`), []string{"/keys/0 malformed"}},
		"a member twice":       {one(`{"kty":"oct","kty":"RSA","n":"` + rfcModulus + `","e":"AQAB"}`), []string{" malformed"}},
		"no JSON":              {json.RawMessage(`{"keys":[`), []string{" malformed"}},
		"faults of two keys":   {json.RawMessage(`{"keys":[` + rsaJWK(modulus(1024), "AQAB", "") + `,` + rsaJWK(rfcModulus, "AQAB", `,"use":"enc"`) + `]}`), []string{"/keys/0/n weak_key", "/keys/1/use unsupported_use"}},
	} {
		parsed, err := Parse(row.raw)
		known, ok := registry.AsError(err)
		if !ok || known.Kind != registry.Invalid || known.Code != "invalid_keys" || len(parsed.keys) > 0 {
			t.Errorf("%s: %v, %+v", name, parsed, err)
			continue
		}
		var got []string
		for _, f := range known.Fields {
			got = append(got, f.Pointer+" "+f.Code)
			if f.Detail == "" {
				t.Errorf("%s: no detail", name)
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s -want +got:\n%s", name, diff)
		}
	}
}

// weakDER is a public key of 1024 bits.
func weakDER(t testing.TB) []byte {
	t.Helper()
	weak := testKey(t, 0).PublicKey
	weak.N = new(big.Int).Rsh(weak.N, 1024)
	weak.N.SetBit(weak.N, 0, 1)
	der, err := x509.MarshalPKIXPublicKey(&weak)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// The document may hold a private key: no message may hand it on.
func TestInvariantD2_NoRefusalRepeatsTheDocument(t *testing.T) {
	t.Parallel()
	const secret = "c2VjcmV0LXNlY3JldC1zZWNyZXQ"
	for _, raw := range []string{
		`{"keys":[{"kty":"` + secret + `","k":"` + secret + `","d":"` + secret + `"}]}`,
		`{"keys":[{"kty":"RSA","n":"` + secret + `","e":"` + secret + `","alg":"` + secret + `","use":"` + secret + `","kid":"` + secret + `"}]}`,
		`{"keys":[{"kty":"EC","crv":"` + secret + `"}]}`,
		`"-----BEGIN PRIVATE KEY-----\n` + secret + `"`,
		`{"keys":"` + secret + `"}`,
		`{"keys":[` + secret,
	} {
		_, err := Parse(json.RawMessage(raw))
		known, ok := registry.AsError(err)
		if !ok {
			t.Fatalf("%s: %v", raw, err)
		}
		said := err.Error() + known.Message
		for _, f := range known.Fields {
			said += f.Pointer + f.Detail
		}
		if strings.Contains(said, secret) {
			t.Errorf("%s: %s", raw, said)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`{"keys":[` + rsaJWK(rfcModulus, "AQAB", `,"kid":"a"`) + `]}`)
	f.Add(`{"keys":[{"kty":"EC","crv":"P-256"}]}`)
	f.Add(`"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"`)
	f.Add(`{"keys":[null,{"d":[]}]}`)
	f.Fuzz(func(t *testing.T, raw string) {
		parsed, err := Parse(json.RawMessage(raw))
		if err != nil {
			if !errors.Is(err, registry.Invalid) {
				t.Errorf("%v", err)
			}
			return
		}
		own := asJSON(t, parsed)
		again, err := Parse(own)
		if err != nil || cmp.Diff(string(own), string(asJSON(t, again))) != "" {
			t.Errorf("%s is not read back: %v", own, err)
		}
	})
}
