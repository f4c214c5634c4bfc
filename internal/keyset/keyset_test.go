package keyset

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

// The key of RFC 7638 section 3.1, with the thumbprint that stands there.
const (
	rfcModulus    = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
	rfcThumbprint = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
)

// generated are keys that tests share: making one takes long.
var generated = sync.OnceValues(func() (keys [2]*rsa.PrivateKey, err error) {
	for i := range keys {
		if keys[i], err = rsa.GenerateKey(rand.Reader, MinBits); err != nil {
			return keys, err
		}
	}
	return keys, nil
})

func testKey(t testing.TB, i int) *rsa.PrivateKey {
	t.Helper()
	keys, err := generated()
	if err != nil {
		t.Fatal(err)
	}
	return keys[i]
}

// set is a JWK Set of the keys, private ones included.
func set(t testing.TB, keys ...jose.JSONWebKey) json.RawMessage {
	t.Helper()
	raw, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func encodePEM(label string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
}

func asJSON(t testing.TB, v any) json.RawMessage {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func publicPEM(t testing.TB, i int) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(testKey(t, i).Public())
	if err != nil {
		t.Fatal(err)
	}
	return encodePEM("PUBLIC KEY", der)
}

func TestTheThumbprintIsThatOfRFC7638(t *testing.T) {
	t.Parallel()
	got, err := Parse(json.RawMessage(`{"keys":[{"kty":"RSA","alg":"RS256","kid":"2011-04-29","n":"` + rfcModulus + `","e":"AQAB"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if keys := got.Keys(); len(keys) != 1 || keys[0].Thumbprint() != rfcThumbprint || keys[0].Algorithm() != "RS256" {
		t.Errorf("%+v", keys)
	}
}

func TestEveryFormOfAKeyIsTheSameKey(t *testing.T) {
	t.Parallel()
	key := testKey(t, 0)
	public := jose.JSONWebKey{Key: key.Public()}
	full := jose.JSONWebKey{Key: key.Public(), KeyID: "mine", Algorithm: "RS256", Use: "sig"}
	want, err := Parse(set(t, public))
	if err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string]json.RawMessage{
		"with everything":     set(t, full),
		"PKIX":                asJSON(t, publicPEM(t, 0)),
		"PKCS #1":             asJSON(t, encodePEM("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&key.PublicKey))),
		"PEM between prose":   asJSON(t, "a key:\n"+publicPEM(t, 0)+"\nthat was it"),
		"its own form":        asJSON(t, want),
		"with unknown things": json.RawMessage(`{"x":1,"keys":[` + string(asJSON(t, public))[:len(asJSON(t, public))-1] + `,"x5u":7,"D":"no part","key_ops":["verify"]}]}`),
	} {
		got, err := Parse(raw)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(string(asJSON(t, want)), string(asJSON(t, got))); diff != "" {
			t.Errorf("%s -want +got:\n%s", name, diff)
		}
		if got.Keys()[0].PEM() != publicPEM(t, 0) {
			t.Errorf("%s: %s", name, got.Keys()[0].PEM())
		}
	}
}

func TestASetKeepsItsOrderAndItsAlgorithms(t *testing.T) {
	t.Parallel()
	got, err := Parse(set(t,
		jose.JSONWebKey{Key: testKey(t, 1).Public(), Algorithm: "PS256"},
		jose.JSONWebKey{Key: testKey(t, 0).Public(), Algorithm: "RS384"}))
	if err != nil {
		t.Fatal(err)
	}
	keys := got.Keys()
	if len(keys) != 2 || keys[0].PEM() != publicPEM(t, 1) || keys[0].Algorithm() != "PS256" || keys[1].PEM() != publicPEM(t, 0) || keys[1].Algorithm() != "RS384" {
		t.Errorf("%+v", keys)
	}
	keys[0] = keys[1]
	if got.Keys()[0].PEM() != publicPEM(t, 1) {
		t.Error("a caller can change the set")
	}
	if both, err := Parse(asJSON(t, publicPEM(t, 0)+publicPEM(t, 1))); err != nil || len(both.Keys()) != 2 {
		t.Errorf("two blocks: %v, %v", both, err)
	}
}
