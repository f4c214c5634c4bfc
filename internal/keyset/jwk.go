package keyset

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// privateMembers are the members of a JWK that hold a secret (RFC 7518 sections
// 6.2.2, 6.3.2 and 6.4, RFC 8037 section 2), whatever its kty says.
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// The bounds of a public exponent. Below it attacks on careless padding are
// known; above it Go's crypto/rsa, and many others, stop.
const (
	minExponent = 1<<16 + 1
	maxExponent = 1<<31 - 1
)

// jwk is a JSON Web Key by the exact names of its members: encoding/json would
// take D for d in a struct.
type jwk map[string]json.RawMessage

func (k jwk) text(member string) (s string, ok bool) {
	raw, present := k[member]
	if !present {
		return "", false
	}
	err := json.Unmarshal(raw, &s)
	return s, err == nil && string(raw) != "null"
}

// readJWKS reads a JWK Set: each key by itself.
func readJWKS(raw json.RawMessage) ([]found, []fault) {
	var document map[string]json.RawMessage
	if err := json.Unmarshal(raw, &document); err != nil || document == nil {
		return nil, []fault{{"", codeMalformed, "is neither a JWK Set nor a string of PEM"}}
	}
	var entries []json.RawMessage
	if err := json.Unmarshal(document["keys"], &entries); err != nil || entries == nil {
		return nil, []fault{{"/keys", codeMalformed, "is not an array of keys"}}
	}
	if len(entries) == 0 {
		return nil, []fault{{"/keys", codeNone, "has no key"}}
	}
	var all []found
	var faults []fault
	for i, entry := range entries {
		f, wrong := readJWK(fmt.Sprintf("/keys/%d", i), entry)
		all = append(all, f)
		faults = append(faults, wrong...)
	}
	return all, faults
}

func readJWK(pointer string, raw json.RawMessage) (found, []fault) {
	f := found{set: "/keys", pointer: pointer}
	var k jwk
	if err := json.Unmarshal(raw, &k); err != nil || k == nil {
		return f, []fault{{pointer, codeMalformed, "is not a JSON Web Key"}}
	}
	f.kid, _ = k.text("kid")
	if faults := k.private(pointer); len(faults) > 0 {
		return f, faults
	}
	if faults := k.unsupported(pointer); len(faults) > 0 {
		return f, faults
	}
	algorithm, faults := k.algorithm(pointer)
	public, more := k.rsa(pointer)
	faults = append(append(faults, k.misuse(pointer)...), more...)
	if len(faults) > 0 {
		return f, faults
	}
	key, err := newKey(public, algorithm)
	if err != nil {
		return f, []fault{{pointer, codeMalformed, "is not an RSA key"}}
	}
	f.key, f.ok = key, true
	return f, nil
}

// private points at each member that must not be there.
func (k jwk) private(pointer string) (faults []fault) {
	for _, member := range privateMembers {
		if _, ok := k[member]; ok {
			faults = append(faults, fault{pointer + "/" + member, codePrivate, "is a part of a private or symmetric key"})
		}
	}
	return faults
}

// unsupported says why the key is of no kind that is taken.
func (k jwk) unsupported(pointer string) []fault {
	kty, _ := k.text("kty")
	crv, hasCurve := k.text("crv")
	switch {
	case kty == "RSA":
		return nil
	case kty == "EC" && hasCurve && !slices.Contains([]string{"P-256", "P-384", "P-521"}, crv):
		return []fault{{pointer + "/crv", codeCurve, "is no known curve; Auth0 takes RSA keys only"}}
	}
	return []fault{{pointer + "/kty", codeKeyType, "is not RSA, the one type of key that Auth0 takes"}}
}

func (k jwk) algorithm(pointer string) (jose.SignatureAlgorithm, []fault) {
	if _, present := k["alg"]; !present {
		return algorithms[0], nil
	}
	text, _ := k.text("alg")
	if !slices.Contains(algorithms, jose.SignatureAlgorithm(text)) {
		return "", []fault{{pointer + "/alg", codeAlgorithm, "is not one of RS256, RS384 and PS256"}}
	}
	return jose.SignatureAlgorithm(text), nil
}

// misuse refuses keys that say that they are not for verifying signatures (RFC
// 7517 sections 4.2 and 4.3).
func (k jwk) misuse(pointer string) (faults []fault) {
	if _, present := k["use"]; present {
		if use, _ := k.text("use"); use != "sig" {
			faults = append(faults, fault{pointer + "/use", codeUse, "is not sig"})
		}
	}
	if raw, present := k["key_ops"]; present {
		var operations []string
		if err := json.Unmarshal(raw, &operations); err != nil || !slices.Contains(operations, "verify") {
			faults = append(faults, fault{pointer + "/key_ops", codeUse, "does not allow verify"})
		}
	}
	return faults
}

// rsa reads modulus and exponent.
func (k jwk) rsa(pointer string) (*rsa.PublicKey, []fault) {
	n, okN := k.integer("n")
	e, okE := k.integer("e")
	var faults []fault
	if !okN {
		faults = append(faults, fault{pointer + "/n", codeMalformed, "is not an integer in base64url"})
	}
	if !okE {
		faults = append(faults, fault{pointer + "/e", codeMalformed, "is not an integer in base64url"})
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return checkRSA(n, e, pointer+"/n", pointer+"/e")
}

// integer is a Base64urlUInt (RFC 7518 section 2).
func (k jwk) integer(member string) (*big.Int, bool) {
	text, ok := k.text(member)
	if !ok || text == "" {
		return nil, false
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return new(big.Int).SetBytes(data), err == nil
}

// checkRSA refuses keys that are too weak, or too long for Auth0.
func checkRSA(n, e *big.Int, pointerN, pointerE string) (*rsa.PublicKey, []fault) {
	var faults []fault
	switch bits := n.BitLen(); {
	case bits < MinBits:
		faults = append(faults, fault{pointerN, codeWeak, fmt.Sprintf("has %d bits, the fewest are %d", bits, MinBits)})
	case bits > MaxBits:
		faults = append(faults, fault{pointerN, codeTooLong, fmt.Sprintf("has %d bits, the most are %d", bits, MaxBits)})
	case n.Bit(0) == 0:
		faults = append(faults, fault{pointerN, codeWeak, "is even"})
	}
	switch {
	case !e.IsInt64() || e.Int64() > maxExponent:
		faults = append(faults, fault{pointerE, codeTooLong, "is over 31 bits"})
	case e.Int64() < minExponent || e.Bit(0) == 0:
		faults = append(faults, fault{pointerE, codeWeak, "is even, or below 65537"})
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
}
