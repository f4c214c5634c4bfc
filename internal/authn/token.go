package authn

import (
	"encoding/base64"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

const (
	maxToken = 8 << 10 // bytes
	maxKeyID = 256     // bytes
)

// algorithms lists what a token may be signed with at all. Which of them a key
// accepts is the key's to say. All are asymmetric, so `none` and HMAC, keyed with
// whatever is public, are refused before any key is looked at.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256}

// token is a JWT in compact serialization whose header we understand. Nothing
// in it is verified.
type token struct {
	jws       *jose.JSONWebSignature
	algorithm jose.SignatureAlgorithm
	kid       string
}

// parseToken reads raw (RFC 7515 section 7.1), or returns Unauthenticated. What
// the header says about keys beside kid (jwk, jku, x5c, x5u) is never followed.
func parseToken(raw string) (token, error) {
	if !isCompact(raw) {
		return token{}, errInvalid(nil, "the token is not a JWT of three base64url parts")
	}
	jws, err := jose.ParseSignedCompact(raw, algorithms)
	if err != nil {
		return token{}, errInvalid(err, "the token is not a JWT signed by an accepted algorithm")
	}
	header := jws.Signatures[0].Protected
	if header.KeyID == "" || len(header.KeyID) > maxKeyID {
		return token{}, errInvalid(nil, "the token does not say which key signed it")
	}
	// We understand no extension, so RFC 7515 section 4.1.11 has us refuse all of
	// them; b64 changes what is signed and has no place in a JWT (RFC 7797 section 7).
	for _, name := range []jose.HeaderKey{"crit", "b64"} {
		if _, ok := header.ExtraHeaders[name]; ok {
			return token{}, errInvalid(nil, "the token's header asks for extensions that are not supported")
		}
	}
	if !isAccessTokenType(header.ExtraHeaders[jose.HeaderType]) {
		return token{}, errInvalid(nil, "the token's type is not that of an access token")
	}
	return token{jws: jws, algorithm: jose.SignatureAlgorithm(header.Algorithm), kid: header.KeyID}, nil
}

func (t token) unverified() []byte { return t.jws.UnsafePayloadWithoutVerification() }

// isAccessTokenType reports whether a `typ` header may stand on an access token
// (RFC 9068 section 2.1, RFC 8725 section 3.11). Auth0 writes JWT or at+jwt.
func isAccessTokenType(typ any) bool {
	if typ == nil {
		return true
	}
	name, ok := typ.(string)
	name = strings.TrimPrefix(strings.ToLower(name), "application/")
	return ok && (name == "jwt" || name == "at+jwt")
}

// isCompact reports whether raw is three parts of base64url, each the one
// spelling of its bytes. Decoders skip line breaks and ignore unused bits, so that
// one signature would have many spellings.
func isCompact(raw string) bool {
	parts := strings.Split(raw, ".")
	return len(parts) == 3 && !slices.ContainsFunc(parts, func(part string) bool {
		return part == "" || strings.ContainsFunc(part, notBase64URL) || !isCanonical(part)
	})
}

func notBase64URL(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
}

// isCanonical looks at the last group only: no other has unused bits.
func isCanonical(part string) bool {
	_, err := base64.RawURLEncoding.Strict().DecodeString(part[len(part)/4*4:])
	return err == nil
}
