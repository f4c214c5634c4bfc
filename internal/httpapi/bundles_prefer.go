package httpapi

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/credenceproject/credence/internal/bundles"
)

// preferredWait is how long the field Prefer (RFC 7240) lets an answer be held: by
// the preference wait, in seconds, or by what OPA makes of it, a parameter of the
// preference before it: `modes=snapshot,delta;wait=30`. The first that there is
// counts (section 2); one that cannot be read is none.
func preferredWait(field string) time.Duration {
	for field != "" {
		var item string
		item, field = cutPreference(field)
		name, value, _ := strings.Cut(item, "=")
		if strings.EqualFold(trimSpace(name), "wait") {
			return waitOf(bareWord(trimSpace(value)))
		}
	}
	return 0
}

// cutPreference splits the first preference, or parameter of one, off the field.
func cutPreference(field string) (first, rest string) {
	quoted := false
	for i := 0; i < len(field); i++ {
		switch c := field[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case (c == ',' || c == ';') && !quoted:
			return field[:i], field[i+1:]
		}
	}
	return field, ""
}

func trimSpace(s string) string { return strings.Trim(s, " \t") }

// bareWord is the content of a quoted string that needs no quotes; anything else stays
// as it is.
func bareWord(word string) string {
	if len(word) >= 2 && word[0] == '"' && word[len(word)-1] == '"' {
		return word[1 : len(word)-1]
	}
	return word
}

// waitOf reads a number of seconds (delay-seconds of RFC 9110, section 10.2.3).
func waitOf(seconds string) time.Duration {
	if strings.Trim(seconds, "0123456789") != "" {
		return 0
	}
	n, err := strconv.ParseUint(seconds, 10, 16)
	if errors.Is(err, strconv.ErrRange) {
		return bundles.MaxPoll
	}
	return min(time.Duration(n)*time.Second, bundles.MaxPoll)
}
