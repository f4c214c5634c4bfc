package bundles

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Signer signs bundles. Its signatures are deterministic: equal bundles have equal
// bytes (invariant B1), which leaves RS256 and EdDSA of OPA's algorithms. It is
// safe for concurrent use.
type Signer interface {
	KeyID() string     // by which OPA finds the public key
	Algorithm() string // of RFC 7518 or RFC 8037
	Sign(input []byte) ([]byte, error)
}

// signaturesFile is where OPA looks for a bundle's signature.
const signaturesFile = ".signatures.json"

// signed is what a signature says: the hashes of all files but its own, and which
// bundle they are of. OPA compares the scope with its own configuration, so that no
// part can stand in for another, and no environment's bundle for that of another.
type signed struct {
	Files []signedFile `json:"files"`
	Scope string       `json:"scope"`
}

type signedFile struct {
	Name      string `json:"name"`
	Hash      string `json:"hash"`
	Algorithm string `json:"algorithm"`
}

// signature returns the content of .signatures.json for a bundle of these files: one
// JWS in compact serialization (RFC 7515, section 3.1).
func signature(s Signer, name string, members []*member) ([]byte, error) {
	payload := signed{Files: make([]signedFile, len(members)), Scope: name}
	for i, m := range members {
		payload.Files[i] = signedFile{Name: m.path, Hash: hex.EncodeToString(m.hash[:]), Algorithm: "SHA-256"}
	}
	token, err := sign(s, payload)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", name, err)
	}
	return json.Marshal(map[string][]string{"signatures": {token}})
}

func sign(s Signer, payload any) (string, error) {
	header, err := json.Marshal(map[string]string{"alg": s.Algorithm(), "kid": s.KeyID()})
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(payload)
	if err != nil {
		return "", err
	}
	base64url := base64.RawURLEncoding
	input := base64url.AppendEncode(nil, header)
	input = base64url.AppendEncode(append(input, '.'), body)
	signature, err := s.Sign(input)
	if err != nil {
		return "", err
	}
	return string(base64url.AppendEncode(append(input, '.'), signature)), nil
}
