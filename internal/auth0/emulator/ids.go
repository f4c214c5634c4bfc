package emulator

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"time"

	"github.com/google/uuid"
)

const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// randomText returns n random letters and digits.
func randomText(n int) string {
	text := make([]byte, 0, n)
	var pool [64]byte
	for len(text) < n {
		// crypto/rand.Read never fails: it ends the program instead.
		_, _ = rand.Read(pool[:])
		for _, b := range pool {
			// 248 is the largest multiple of 62 in a byte; above it the result
			// would favour some characters.
			if b < 248 && len(text) < n {
				text = append(text, alphanumeric[int(b)%len(alphanumeric)])
			}
		}
	}
	return string(text)
}

// The shapes of Auth0's identifiers.
func newClientID() string     { return randomText(32) }
func newGrantID() string      { return "cgr_" + randomText(16) }
func newCredentialID() string { return "cred_" + randomText(22) }
func newUUID() string         { return uuid.NewString() }

func newObjectID() string {
	var b [12]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// newSecret returns 64 characters with 384 random bits.
func newSecret() string {
	var b [48]byte
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// hasher turns secrets into what is kept of them. Its key lives as long as the
// emulator, so a dump of the state helps nobody to guess a weak secret.
type hasher struct{ key [32]byte }

func newHasher() hasher {
	var h hasher
	_, _ = rand.Read(h.key[:])
	return h
}

func (h hasher) sum(secret string) []byte {
	mac := hmac.New(sha256.New, h.key[:])
	mac.Write([]byte(secret))
	return mac.Sum(nil)
}

// secrets are the hashes of a client's present secret and, for a while after a
// rotation, of the one before it.
type secrets struct {
	current       []byte
	previous      []byte
	previousUntil time.Time
}

// rotated returns s with a new present secret; the old one stays valid until
// the given time.
func (s secrets) rotated(current []byte, until time.Time) secrets {
	return secrets{current: current, previous: s.current, previousUntil: until}
}

// match reports whether sum is the hash of a valid secret, in a time that does
// not depend on the secrets.
func (s secrets) match(sum []byte, now time.Time) bool {
	current := hmac.Equal(s.current, sum)
	previous := hmac.Equal(s.previous, sum)
	return current || (previous && now.Before(s.previousUntil))
}
