// Package endpoint reads the URLs at which resources are reached, and says which
// of them an environment's allow-list admits (invariant A7).
//
// Each host has one spelling here. Whatever another reader could take for a
// different host, such as 0x7f.1, 127.1 or [::ffff:127.0.0.1], is no endpoint, so
// that what is compared with the allow-list is what is called.
package endpoint

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// Endpoint is where a resource is reached. Either Host or Addr is set.
type Endpoint struct {
	Host string // a name in lower case
	Addr netip.Addr
	Port uint16 // also where the URL leaves it to the scheme
}

// maxBytes is the most that a URL may have.
const maxBytes = 512

// What an endpoint must be, for people.
var (
	errLength     = errors.New("must have at most 512 characters")
	errCharacters = errors.New("must have visible ASCII characters only")
	errScheme     = errors.New("must begin with http:// or https://, in lower case")
	errParts      = errors.New("must have no credentials, query, fragment, backslash or escaped character")
	errPath       = errors.New("must have a path of plain segments: letters, digits and -._~, none of them empty or a dot segment")
	errPort       = errors.New("must have a port from 1 to 65535, without leading zeros, or none and no colon")
	errHost       = errors.New("must have a host name of letters in lower case, digits and inner hyphens, without a dot at its end, or an IP address")
	errAddress    = errors.New("must have an IP address in its canonical form, an IPv6 one in brackets and without a zone")
	errEmbedded   = errors.New("must not have an IPv6 address that stands for an IPv4 one; write that one")
)

// Parse reads an endpoint: an http or https URL (RFC 3986) without credentials,
// query and fragment. The text of its error says what the URL must be.
func Parse(s string) (Endpoint, error) {
	if len(s) > maxBytes {
		return Endpoint{}, errLength
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return Endpoint{}, errCharacters
		}
	}
	rest, port, ok := cutScheme(s)
	if !ok {
		return Endpoint{}, errScheme
	}
	if strings.ContainsAny(rest, `@?#%\`) {
		return Endpoint{}, errParts
	}
	authority, path, _ := strings.Cut(rest, "/")
	if !validPath(path) {
		return Endpoint{}, errPath
	}
	host, digits, ok := cutPort(authority)
	if !ok {
		return Endpoint{}, errPort
	}
	if digits != "" {
		n, err := strconv.ParseUint(digits, 10, 16)
		if err != nil || digits[0] < '1' || digits[0] > '9' {
			return Endpoint{}, errPort
		}
		port = uint16(n)
	}
	e, err := parseHost(host)
	if err != nil {
		return Endpoint{}, err
	}
	e.Port = port
	return e, nil
}

func cutScheme(s string) (rest string, port uint16, ok bool) {
	if rest, ok := strings.CutPrefix(s, "https://"); ok {
		return rest, 443, true
	}
	rest, ok = strings.CutPrefix(s, "http://")
	return rest, 80, ok
}

// validPath accepts what stands after the first slash.
func validPath(path string) bool {
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		if segment == "" && i < len(segments)-1 || segment == "." || segment == ".." {
			return false
		}
		if strings.ContainsFunc(segment, func(r rune) bool { return !isAlphanumeric(r) && !strings.ContainsRune("-._~", r) }) {
			return false
		}
	}
	return true
}

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

// cutPort splits host:port; ok is false for a colon without a port.
func cutPort(authority string) (host, port string, ok bool) {
	end := strings.LastIndexByte(authority, ']') + 1 // colons in brackets belong to the address
	name, port, found := strings.Cut(authority[end:], ":")
	return authority[:end] + name, port, !found || port != ""
}
