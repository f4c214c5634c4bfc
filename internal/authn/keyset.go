package authn

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	maxKeys    = 100  // of one issuer
	minRSABits = 2048 // RFC 7518 section 3.3
)

// keySet is what an issuer signs with, at one moment. It is immutable once it
// is in a keyring.
type keySet struct {
	keys        map[string][]publicKey // by kid; distinct kids are usual and not required
	fingerprint fingerprint
	fetched     time.Time // when the issuer was asked
}

// fingerprint is the same for key sets that verify the same tokens.
type fingerprint [sha256.Size]byte

// publicKey is one key and what it may verify.
type publicKey struct {
	algorithms []jose.SignatureAlgorithm
	key        crypto.PublicKey
}

// has reports whether the issuer has a key of that name.
func (s *keySet) has(kid string) bool { return len(s.keys[kid]) > 0 }

// verify checks t's signature by the key that t names. It returns
// Unauthenticated.
func (s *keySet) verify(t token) error {
	for _, k := range s.keys[t.kid] {
		if !slices.Contains(k.algorithms, t.algorithm) {
			continue
		}
		if _, err := t.jws.Verify(k.key); err == nil {
			return nil
		}
	}
	return errInvalid(nil, "the token's signature is not that of a key of the issuer")
}

// parseKeySet reads a JWK Set (RFC 7517 section 5). As that asks, keys that we
// cannot or should not use are left out; skipped says why. announced lists the
// algorithms that the issuer says it signs with.
func parseKeySet(body []byte, announced []string) (set *keySet, skipped []error, err error) {
	var document struct {
		Keys *[]json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &document); err != nil {
		return nil, nil, fmt.Errorf("decode key set: %w", err)
	}
	if document.Keys == nil {
		return nil, nil, errors.New("decode key set: it has no keys member")
	}
	if len(*document.Keys) > maxKeys {
		return nil, nil, fmt.Errorf("decode key set: it has more than %d keys", maxKeys)
	}
	set = &keySet{keys: map[string][]publicKey{}}
	var lines []string
	for i, raw := range *document.Keys {
		kid, key, line, err := parseKey(raw, announced)
		if err != nil {
			skipped = append(skipped, fmt.Errorf("key %d: %w", i, err))
			continue
		}
		set.keys[kid] = append(set.keys[kid], key)
		lines = append(lines, line)
	}
	slices.Sort(lines)
	set.fingerprint = sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return set, skipped, nil
}

// parseKey reads one JWK; line says all of it that matters.
func parseKey(raw json.RawMessage, announced []string) (kid string, key publicKey, line string, err error) {
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON(raw); err != nil {
		return "", key, "", err
	}
	switch {
	case jwk.KeyID == "":
		return "", key, "", errors.New("it has no kid")
	case jwk.Use != "" && jwk.Use != "sig":
		return "", key, "", errors.New("it is not for signatures")
	}
	key = publicKey{algorithms: accepts(jwk, announced), key: jwk.Key}
	if len(key.algorithms) == 0 {
		return "", key, "", errors.New("its type, size or algorithm is not accepted")
	}
	thumbprint, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", key, "", fmt.Errorf("take its thumbprint: %w", err)
	}
	return jwk.KeyID, key, fmt.Sprintf("%q %x %q", jwk.KeyID, thumbprint, key.algorithms), nil
}

// accepts lists what a key may verify: what its type can do, what it says of
// itself, and, beyond RS256, which every issuer supports (OpenID Connect
// Discovery section 3), only what the issuer announces.
func accepts(jwk jose.JSONWebKey, announced []string) []jose.SignatureAlgorithm {
	return slices.DeleteFunc(able(jwk.Key), func(a jose.SignatureAlgorithm) bool {
		said := jwk.Algorithm == "" || jwk.Algorithm == string(a)
		return !said || a != jose.RS256 && !slices.Contains(announced, string(a))
	})
}

// able lists what a type of key can do. Of private and symmetric keys that is
// nothing: a secret that everybody can read vouches for nobody. Ed25519 is left out until an issuer
// needs it: go-jose fills up keys that are too short, and so makes weak ones.
func able(key any) []jose.SignatureAlgorithm {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() >= minRSABits {
			return []jose.SignatureAlgorithm{jose.RS256, jose.PS256}
		}
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			return []jose.SignatureAlgorithm{jose.ES256}
		}
	}
	return nil
}
