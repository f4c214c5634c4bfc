package emulator

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"

	"github.com/go-jose/go-jose/v4"
)

// The sizes of RSA keys that Auth0 takes (Generate RSA Key Pair).
const (
	minPublicKeyBits = 2048
	maxPublicKeyBits = 4096
)

// parsePublicKey reads a public key, or the one of a certificate.
func parsePublicKey(text string) (*rsa.PublicKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, invalidBody("'Invalid PEM' on property pem")
	}
	var parsed any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		parsed, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		parsed, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var certificate *x509.Certificate
		if certificate, err = x509.ParseCertificate(block.Bytes); err == nil {
			parsed = certificate.PublicKey
		}
	}
	key, ok := parsed.(*rsa.PublicKey)
	if err != nil || !ok {
		return nil, invalidBody("'Not an RSA public key' on property pem")
	}
	if bits := key.N.BitLen(); bits < minPublicKeyBits || bits > maxPublicKeyBits {
		return nil, invalidBody("'An RSA key of %d bits, expected %d to %d' on property pem", bits, minPublicKeyBits, maxPublicKeyBits)
	}
	return key, nil
}

// keyThumbprint is the RFC 7638 thumbprint of a key, or "" of one that has none.
func keyThumbprint(key *rsa.PublicKey) string {
	sum, err := (&jose.JSONWebKey{Key: key}).Thumbprint(crypto.SHA256)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}
