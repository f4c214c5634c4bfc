package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/credenceproject/credence/internal/registry"
)

// maxKey is how many characters an idempotency key has at most.
const maxKey = 255

// idempotencyKey reads the field Idempotency-Key; "" is none. It is a string of
// structured fields (RFC 9651, section 3.3.3), or bare as many clients send it; the
// two spellings of a key are the same key.
func idempotencyKey(field *string) (string, error) {
	if field == nil {
		return "", nil
	}
	key, ok := unquoted(strings.Trim(*field, " \t"))
	if !ok || key == "" || len(key) > maxKey || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", registry.Malformed.Errorf("invalid_idempotency_key",
			`Idempotency-Key must have 1 to %d visible ASCII characters, in double quotes or bare`, maxKey)
	}
	return key, nil
}

// unquoted takes a string of structured fields out of its quotes.
func unquoted(field string) (string, bool) {
	rest, quoted := strings.CutPrefix(field, `"`)
	if !quoted {
		return field, !strings.ContainsAny(field, `"\`)
	}
	var text strings.Builder
	for i := 0; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == '"':
			return text.String(), i == len(rest)-1
		case c != '\\':
			text.WriteByte(c)
		case i+1 < len(rest) && (rest[i+1] == '"' || rest[i+1] == '\\'):
			i++
			text.WriteByte(rest[i])
		default:
			return "", false
		}
	}
	return "", false
}

// fingerprint tells requests apart that come with one key: the hash of the method,
// the path and the document, whose members may be in another order and whose numbers
// count as they are written.
func fingerprint(method, path string, document []byte) (string, error) {
	var value any
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		return "", fmt.Errorf("decode the document for its fingerprint: %w", err)
	}
	canonical, err := json.Marshal(value) // members in order
	if err != nil {
		return "", fmt.Errorf("encode the document for its fingerprint: %w", err)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s\n%s", method, path, canonical))
	return hex.EncodeToString(sum[:]), nil
}
