package emulator

import (
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// keyring holds the signing keys, newest first. Only the newest signs; all of
// them verify and are published.
type keyring struct {
	mu   sync.RWMutex
	keys []jose.JSONWebKey // private
}

// add puts a key in front, under a kid of its own.
func (k *keyring) add(key *rsa.PrivateKey) {
	jwk := jose.JSONWebKey{Key: key, KeyID: randomText(21), Algorithm: signingAlg, Use: "sig"}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys = append([]jose.JSONWebKey{jwk}, k.keys...)
}

func (k *keyring) current() jose.JSONWebKey {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.keys[0]
}

func (k *keyring) byID(id string) (jose.JSONWebKey, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	i := slices.IndexFunc(k.keys, func(key jose.JSONWebKey) bool { return key.KeyID == id })
	if i < 0 {
		return jose.JSONWebKey{}, false
	}
	return k.keys[i], true
}

// public is the JWK Set (RFC 7517) of all keys.
func (k *keyring) public() jose.JSONWebKeySet {
	k.mu.RLock()
	defer k.mu.RUnlock()
	var set jose.JSONWebKeySet
	for _, key := range k.keys {
		set.Keys = append(set.Keys, key.Public())
	}
	return set
}

// RotateSigningKey makes a new key, with a new kid, that signs from now on. Keys
// before it stay published, so tokens that they signed stay valid.
func (e *Emulator) RotateSigningKey() error {
	key, err := newSigningKey()
	if err != nil {
		return err
	}
	e.keys.add(key)
	return nil
}

// sign makes a JWT of type typ ("JWT" or "at+jwt").
func (e *Emulator) sign(typ string, claims document) (string, error) {
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.RS256, Key: e.keys.current()},
		(&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	if err != nil {
		return "", fmt.Errorf("preparing the signature: %w", err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encoding the claims: %w", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("signing the token: %w", err)
	}
	return signed.CompactSerialize()
}

// ownClaims are the claims of our own tokens that the Management API reads.
type ownClaims struct {
	Audience string `json:"aud"`
	Expiry   int64  `json:"exp"`
	Scope    string `json:"scope"`
}

var errForeignToken = errors.New("not a token of this tenant")

// verify checks that one of our keys signed the token. Only this tenant has keys
// under its kids, so iss needs no look.
func (e *Emulator) verify(token string) (ownClaims, error) {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil || len(parsed.Headers) != 1 {
		return ownClaims{}, errForeignToken
	}
	key, ok := e.keys.byID(parsed.Headers[0].KeyID)
	if !ok {
		return ownClaims{}, errForeignToken
	}
	var claims ownClaims
	if err := parsed.Claims(key.Public(), &claims); err != nil {
		return ownClaims{}, errForeignToken
	}
	return claims, nil
}

func (e *Emulator) jwks(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, e.keys.public())
}

// discovery serves OpenID Connect Discovery 1.0, section 3, as far as there is
// something to discover: nobody logs in here, so authorization_endpoint is
// missing.
func (e *Emulator) discovery(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, document{
		"issuer":                                           e.opts.Issuer,
		"token_endpoint":                                   e.opts.Issuer + "oauth/token",
		"jwks_uri":                                         e.opts.Issuer + ".well-known/jwks.json",
		"grant_types_supported":                            []string{grantClientCredentials},
		"response_types_supported":                         []string{},
		"subject_types_supported":                          []string{"public"},
		"id_token_signing_alg_values_supported":            []string{signingAlg},
		"token_endpoint_auth_methods_supported":            []string{"client_secret_basic", "client_secret_post", "private_key_jwt"},
		"token_endpoint_auth_signing_alg_values_supported": assertionAlgorithms,
	})
}
