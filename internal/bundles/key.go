package bundles

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// minRSABits is the fewest bits of an RSA key that are taken (RFC 7518, section
// 3.3).
const minRSABits = 2048

// Key is a key that bundles are signed with. It is a Signer, and safe for concurrent
// use.
type Key struct {
	id      string
	private crypto.Signer
}

// ParseKey reads a key of PEM: one block PRIVATE KEY (PKCS #8, RFC 5958) with an RSA
// key of at least 2048 bits, which signs by RS256, or an Ed25519 key, which signs by
// EdDSA. OPA 1.22 verifies both, but its configuration takes no key of the second:
// that is for programs that embed it. Errors say nothing of the key.
func ParseKey(text []byte) (*Key, error) {
	block, rest := pem.Decode(text)
	if block == nil {
		return nil, errors.New("it holds no PEM")
	}
	if block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("its first block is of the type %q, not PRIVATE KEY (PKCS #8)", block.Type)
	}
	if more, _ := pem.Decode(rest); more != nil {
		return nil, errors.New("it holds more than one block of PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("its block is no private key in PKCS #8") // the cause may quote the key
	}
	k := &Key{}
	switch private := parsed.(type) {
	case *rsa.PrivateKey:
		if bits := private.N.BitLen(); bits < minRSABits {
			return nil, fmt.Errorf("its RSA key has %d bits, the fewest are %d", bits, minRSABits)
		}
		k.private = private
	case ed25519.PrivateKey:
		k.private = private
	default:
		return nil, errors.New("its key is neither RSA nor Ed25519; others' signatures are another each time")
	}
	jwk := jose.JSONWebKey{Key: k.private.Public()}
	thumbprint, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("take the thumbprint: %w", err)
	}
	k.id = base64.RawURLEncoding.EncodeToString(thumbprint)
	return k, nil
}

// opaTakesIt reports whether there can be such a key in the configuration of an OPA.
func (k *Key) opaTakesIt() bool { return k.Algorithm() == "RS256" }

// KeyID is the JWK thumbprint of the public key (RFC 7638), in base64url.
func (k *Key) KeyID() string { return k.id }

// Algorithm is RS256 or EdDSA.
func (k *Key) Algorithm() string {
	if _, ok := k.private.(ed25519.PrivateKey); ok {
		return "EdDSA"
	}
	return "RS256"
}

// Sign signs the signing input of a JWS.
func (k *Key) Sign(input []byte) ([]byte, error) {
	if private, ok := k.private.(*rsa.PrivateKey); ok {
		sum := sha256.Sum256(input)
		return rsa.SignPKCS1v15(nil, private, crypto.SHA256, sum[:])
	}
	return k.private.Sign(nil, input, crypto.Hash(0))
}

// PublicKey is the public key in PEM, as the configuration of an OPA has it.
func (k *Key) PublicKey() (string, error) {
	der, err := x509.MarshalPKIXPublicKey(k.private.Public())
	if err != nil {
		return "", fmt.Errorf("encode the public key: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), nil
}
