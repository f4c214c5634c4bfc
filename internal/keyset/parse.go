package keyset

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/strictjson"
)

// codeInvalid is the code of every refusal; the fields say what is wrong.
const codeInvalid = "invalid_keys"

// The codes of the fields.
const (
	codeTooLarge     = "too_large"
	codeMalformed    = "malformed"
	codeTooMany      = "too_many_keys"
	codeNone         = "no_keys"
	codePrivate      = "private_key"
	codeKeyType      = "unsupported_key_type"
	codeCurve        = "unsupported_curve"
	codeAlgorithm    = "unsupported_algorithm"
	codeUse          = "unsupported_use"
	codeWeak         = "weak_key"
	codeTooLong      = "key_too_long"
	codeDuplicateKid = "duplicate_kid"
	codeDuplicateKey = "duplicate_key"
)

// Parse reads a JWK Set (RFC 7517), or a JSON string that holds public keys in
// PEM (RFC 7468), which are then used with RS256. Members of a key that are not
// about the key itself are dropped; kid becomes the thumbprint.
//
// It fails with Invalid, code invalid_keys; the fields point into raw (/keys/0/n)
// and have a code of their own: one of private_key, weak_key, key_too_long,
// unsupported_key_type, unsupported_curve, unsupported_algorithm,
// unsupported_use, duplicate_kid, duplicate_key, too_many_keys, no_keys,
// too_large and malformed. No message repeats any of the document.
func Parse(raw json.RawMessage) (Set, error) {
	if len(raw) > MaxBytes {
		return Set{}, invalid(fault{"", codeTooLarge, fmt.Sprintf("is over %d bytes", MaxBytes)})
	}
	if err := strictjson.Check(raw); err != nil {
		refused := invalid(fault{"", codeMalformed, "is not a JSON document"})
		refused.Err = err
		return Set{}, refused
	}
	var found []found
	var faults []fault
	if text, ok := asText(raw); ok {
		found, faults = readPEM(text)
	} else {
		found, faults = readJWKS(raw)
	}
	keys, more := admit(found)
	if faults = append(faults, more...); len(faults) > 0 {
		return Set{}, invalid(faults...)
	}
	return Set{keys}, nil
}

// fault is one thing that is wrong with a document.
type fault struct{ pointer, code, detail string }

func invalid(faults ...fault) *registry.Error {
	fields := make([]registry.FieldError, len(faults))
	for i, f := range faults {
		fields[i] = registry.FieldError{Pointer: f.pointer, Code: f.code, Detail: f.detail}
	}
	message := "the public keys cannot be used"
	for _, f := range faults {
		if f.code == codePrivate {
			message = "the document holds a private key, which nobody else may have: make a new one, and send its public half alone"
		}
	}
	return registry.Invalid.Errorf(codeInvalid, "%s", message).With(fields...)
}

// admit checks what concerns several keys at once.
func admit(candidates []found) (keys []Key, faults []fault) {
	if len(candidates) > MaxKeys {
		return nil, []fault{{candidates[0].set, codeTooMany, fmt.Sprintf("has %d keys, the most are %d", len(candidates), MaxKeys)}}
	}
	kids, thumbprints := map[string]bool{}, map[string]bool{}
	for _, c := range candidates {
		if c.kid != "" && kids[c.kid] {
			faults = append(faults, fault{c.pointer + "/kid", codeDuplicateKid, "names another key of the set too"})
		}
		kids[c.kid] = true
		if !c.ok {
			continue
		}
		if thumbprints[c.key.thumbprint] {
			faults = append(faults, fault{c.pointer, codeDuplicateKey, "stands in the set twice"})
		}
		thumbprints[c.key.thumbprint] = true
		keys = append(keys, c.key)
	}
	return keys, faults
}

// found is what stands at one place of a document, usable or not.
type found struct {
	set     string // points at the keys as a whole
	pointer string
	kid     string
	key     Key
	ok      bool
}

// asText returns the string that raw is, if it is one.
func asText(raw json.RawMessage) (string, bool) {
	if trimmed := bytes.TrimSpace(raw); len(trimmed) == 0 || trimmed[0] != '"' {
		return "", false
	}
	var text string
	err := json.Unmarshal(raw, &text)
	return text, err == nil
}
