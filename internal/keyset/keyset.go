// Package keyset reads the public keys with which a client proves who it is
// (private_key_jwt, OpenID Connect Core 1.0 section 9), and holds them to what
// Auth0 takes: at most two RSA keys of 2048 to 4096 bits, for RS256, RS384 or
// PS256. It does no I/O.
package keyset

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// The limits of a set.
const (
	MaxBytes = 16 << 10 // of the document
	MaxKeys  = 2        // that a client may hold at Auth0
	MinBits  = 2048     // of an RSA modulus
	MaxBits  = 4096
)

// algorithms are the signatures (RFC 7518 section 3.1) that Auth0 takes in an
// assertion. The first one is meant where a key names none.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.PS256}

// Set is one or two public keys, each fit for use. The zero Set is empty; Parse
// never returns it. It does not change and is safe for concurrent use.
type Set struct{ keys []Key }

// Keys returns the keys in the order of the document.
func (s Set) Keys() []Key { return append([]Key(nil), s.keys...) }

// MarshalJSON writes the set as a JWK Set (RFC 7517 section 5) in the one form
// that Parse reads back to an equal set: of each key kty, n, e, alg, use and, as
// its kid, the thumbprint.
func (s Set) MarshalJSON() ([]byte, error) {
	set := jose.JSONWebKeySet{Keys: make([]jose.JSONWebKey, len(s.keys))}
	for i, k := range s.keys {
		set.Keys[i] = jose.JSONWebKey{Key: k.public, KeyID: k.thumbprint, Algorithm: k.Algorithm(), Use: "sig"}
	}
	return json.Marshal(set)
}

// Key is an RSA public key with the algorithm it is used with.
type Key struct {
	public     *rsa.PublicKey
	thumbprint string
	algorithm  jose.SignatureAlgorithm
}

// Thumbprint is the key's JWK thumbprint (RFC 7638) with SHA-256, in base64url.
// Auth0 makes it the kid of the key's credential, so it is the one kid that an
// assertion may name.
func (k Key) Thumbprint() string { return k.thumbprint }

// Algorithm is RS256, RS384 or PS256.
func (k Key) Algorithm() string { return string(k.algorithm) }

// PEM is the key as a SubjectPublicKeyInfo (RFC 7468 section 13).
func (k Key) PEM() string {
	// Parse made sure that the key can be written.
	der, _ := x509.MarshalPKIXPublicKey(k.public)
	return string(pem.EncodeToMemory(&pem.Block{Type: blockPublicKey, Bytes: der}))
}

// newKey computes what a Key holds.
func newKey(public *rsa.PublicKey, algorithm jose.SignatureAlgorithm) (Key, error) {
	if _, err := x509.MarshalPKIXPublicKey(public); err != nil {
		return Key{}, fmt.Errorf("write the key: %w", err)
	}
	sum, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
	if err != nil {
		return Key{}, fmt.Errorf("compute the key's thumbprint: %w", err)
	}
	return Key{public: public, thumbprint: base64.RawURLEncoding.EncodeToString(sum), algorithm: algorithm}, nil
}
