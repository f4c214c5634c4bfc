package auth0

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

const redacted = "[redacted]"

// maxCause bounds the text of a cause in bytes: a provider's page of HTML helps
// nobody in a log.
const maxCause = 600

var (
	// A named secret, in JSON, in a form or in a header.
	namedSecretRE = regexp.MustCompile(`(?i)((?:secret|password|token|authorization|assertion)\\?"?\s*[:=]\s*\\?"?(?:(?:bearer|basic)\s+)?|\b(?:bearer|basic)\s+)[^\s"&,}\\]+`)
	// A token by its shape: a JWT, or one of Vault's, OpenBao's or our own.
	shapedSecretRE = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)*|\b(?:hv[sbr]\.|s\.|crd_)[A-Za-z0-9_-]{16,}`)
	// Anything as long and dense as 256 bits in base64. Ids are shorter: a UUID
	// has 36 characters, an entity's name 42, a client id 32.
	denseRE = regexp.MustCompile(`[A-Za-z0-9_+=-]{43,}`)
)

// redact returns text without the given secrets, as they are or escaped, and without what looks like one,
// cut to a length that fits a log.
func redact(text string, secrets ...string) string {
	for _, secret := range secrets {
		if secret != "" {
			quoted := strconv.Quote(secret)
			text = strings.NewReplacer(secret, redacted, url.QueryEscape(secret), redacted, quoted[1:len(quoted)-1], redacted).Replace(text)
		}
	}
	text = namedSecretRE.ReplaceAllString(text, "${1}"+redacted)
	text = shapedSecretRE.ReplaceAllString(text, redacted)
	text = denseRE.ReplaceAllString(text, redacted)
	return cut(text, maxCause)
}

// cut returns at most n bytes of s, and whole runes.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
