package authn

import (
	"strings"
)

// BearerToken returns the token in a request's Authorization headers, given as
// http.Header.Values returns them (RFC 6750 section 2.1). There must be exactly
// one header; the scheme may be in any case (RFC 9110 section 11.1); the token is
// a token68 of at most 8 KiB.
//
// It returns Unauthenticated: missing_token when no bearer token was sent,
// invalid_token when it is not clear which, or it has impossible characters.
func BearerToken(authorizationHeader []string) (string, error) {
	switch {
	case len(authorizationHeader) == 0:
		return "", errMissing()
	case len(authorizationHeader) > 1:
		return "", errInvalid(nil, "more than one Authorization header was sent")
	}
	scheme, token, _ := strings.Cut(authorizationHeader[0], " ")
	token = strings.TrimLeft(token, " ")
	switch {
	case !strings.EqualFold(scheme, "Bearer") || token == "":
		return "", errMissing()
	case len(token) > maxToken:
		return "", errInvalid(nil, "the token is longer than 8 KiB")
	case !isToken68(token):
		return "", errInvalid(nil, "the token has characters that no bearer token has")
	}
	return token, nil
}

// isToken68 follows the grammar of RFC 9110 section 11.2.
func isToken68(s string) bool {
	s = strings.TrimRight(s, "=")
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return notBase64URL(r) && !strings.ContainsRune(".~+/", r)
	})
}
