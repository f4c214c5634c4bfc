package authn

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	// Unlike encoding/json it tells names apart by case and refuses duplicates.
	"github.com/go-jose/go-jose/v4/json"

	"github.com/credenceproject/credence/internal/registry"
)

// claims is what a token says, before or after it was verified.
type claims struct {
	issuer          string
	audience        []string
	subject         string
	authorizedParty string // `azp`, Auth0's own profile
	clientID        string // `client_id`, RFC 9068
	expiry          time.Time
	notBefore       time.Time // zero when absent
	issuedAt        time.Time // zero when absent
	permissions     []string
	scope           string
	teams           json.RawMessage // nil when absent
}

// parseClaims reads a JWT claims set (RFC 7519 section 4) or returns
// Unauthenticated. A claim of a wrong type is a fault rather than an absent
// claim: it might be one that restricts.
func parseClaims(payload []byte, teamsClaim string) (claims, error) {
	set, err := parseObject(payload)
	if err != nil {
		return claims{}, err
	}
	c := claims{teams: set.object[teamsClaim]}
	c.issuer = readClaim[string](set, "iss")
	c.subject = readClaim[string](set, "sub")
	c.authorizedParty = readClaim[string](set, "azp")
	c.clientID = readClaim[string](set, "client_id")
	c.audience = readClaim[oneOrMore](set, "aud")
	c.expiry = time.Time(readClaim[numericDate](set, "exp"))
	c.notBefore = time.Time(readClaim[numericDate](set, "nbf"))
	c.issuedAt = time.Time(readClaim[numericDate](set, "iat"))
	c.permissions = readClaim[[]string](set, "permissions")
	c.scope = readClaim[string](set, "scope")
	return c, set.err
}

// check compares the claims with what c and the clock want. It returns
// Unauthenticated.
func (c claims) check(want Config) error {
	now := want.Now()
	switch {
	case c.issuer != want.Issuer:
		return errWrongIssuer(want.Issuer)
	case !slices.Contains(c.audience, want.Audience):
		return errWrongAudience(want.Audience)
	case c.expiry.IsZero():
		return errInvalid(nil, "the token has no expiry (exp)")
	case !now.Before(c.expiry):
		return errExpired()
	case now.Add(want.ClockSkew).Before(c.notBefore):
		return errInvalid(nil, "the token is not valid yet (nbf)")
	case now.Add(want.ClockSkew).Before(c.issuedAt):
		return errInvalid(nil, "the token was issued in the future (iat)")
	case !isIdentifier(c.subject):
		return errInvalid(nil, "the token has no usable subject (sub)")
	}
	for _, id := range []string{c.authorizedParty, c.clientID} {
		if id != "" && !isIdentifier(id) {
			return errInvalid(nil, "the token has an unusable client (azp or client_id)")
		}
	}
	return nil
}

// clients lists every client id that the token names, each once, the most
// telling first: azp, client_id, and the subject of a client's own token.
func (c claims) clients() []string {
	var ids []string
	own := strings.TrimSuffix(c.subject, registry.SubjectOf(""))
	if own == c.subject {
		own = ""
	}
	for _, id := range []string{c.authorizedParty, c.clientID, own} {
		if id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// isIdentifier reports whether s may be compared, stored and shown as the id of
// a subject or client: at most 255 bytes (OpenID Connect Core section 2) that
// print, and no character that stands for bytes that could not be read.
func isIdentifier(s string) bool {
	return s != "" && len(s) <= 255 && !strings.ContainsFunc(s, func(r rune) bool {
		return r == utf8.RuneError || !unicode.IsPrint(r)
	})
}

// claimSet is a JSON object whose members are read one by one. The first fault
// is kept in err.
type claimSet struct {
	object map[string]json.RawMessage
	err    error
}

func parseObject(payload []byte) (*claimSet, error) {
	if !utf8.Valid(payload) {
		return nil, errInvalid(nil, "the token's claims are not UTF-8")
	}
	set := &claimSet{}
	if err := json.Unmarshal(payload, &set.object); err != nil {
		return nil, errInvalid(err, "the token's claims are not a JSON object with each name once")
	}
	return set, nil
}

// readClaim returns the named claim, or the zero value when it is absent, null
// or of another type; the last is a fault.
func readClaim[T any](set *claimSet, name string) T {
	var value T
	raw, ok := set.object[name]
	if !ok {
		return value
	}
	if err := json.Unmarshal(raw, &value); err != nil {
		if set.err == nil {
			set.err = errInvalid(err, "the token's claim "+name+" is of the wrong type or out of range")
		}
		var zero T
		return zero
	}
	return value
}

// oneOrMore is a string or an array of strings, as `aud` may be (RFC 7519
// section 4.1.3).
type oneOrMore []string

func (o *oneOrMore) UnmarshalJSON(raw []byte) error {
	if raw[0] != '"' {
		return json.Unmarshal(raw, (*[]string)(o))
	}
	*o = oneOrMore{""}
	return json.Unmarshal(raw, &(*o)[0])
}

// numericDate is a JSON number of seconds since 1970, possibly with a fraction
// (RFC 7519 section 2), up to the year 9999.
type numericDate time.Time

const maxDate = 253402300799 // 9999-12-31T23:59:59Z

func (d *numericDate) UnmarshalJSON(raw []byte) error {
	// What else JSON has, strings in their quotes among them, is no float either.
	seconds, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return errors.New("not a number, or none that can be represented")
	}
	if seconds < 0 || seconds > maxDate {
		return errors.New("not a date between 1970 and 9999")
	}
	whole, fraction := math.Modf(seconds)
	*d = numericDate(time.Unix(int64(whole), int64(fraction*1e9)))
	return nil
}
