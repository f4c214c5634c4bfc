package schema

import (
	"net/netip"
	"strconv"
	"strings"
)

// What an endpoint may be, for people.
const (
	wantEndpoint = "must be host:port, where a * may stand for the leftmost label, or a CIDR"
	wantPort     = "must have a port from 1 to 65535, without leading zeros"
	wantHost     = "must have a lower-case ASCII host name, where * may stand for the whole leftmost label only"
	wantPrefix   = "must be a CIDR with all bits after the prefix zero, and no IPv4 in IPv6"
	wantAddress  = "must have an IP address in its canonical form"
)

// endpointFault says what is wrong with an entry of allowed_endpoints, or "".
// An entry is host:port, whose host is a name, an address, or a name whose
// leftmost label is *, or it is a CIDR (RFC 4632). Names are compared as they
// stand, so only one spelling of each is accepted.
func endpointFault(s string) string {
	if strings.Contains(s, "/") {
		return prefixFault(s)
	}
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 {
		return wantEndpoint
	}
	host, port := s[:colon], s[colon+1:]
	if !validPort(port) {
		return wantPort
	}
	if looksLikeAddress(host) {
		address, err := netip.ParseAddrPort(s)
		if err != nil || address.String() != s || address.Addr().Is4In6() || address.Addr().Zone() != "" {
			return wantAddress
		}
		return ""
	}
	if !validHost(host) {
		return wantHost
	}
	return ""
}

func prefixFault(s string) string {
	prefix, err := netip.ParsePrefix(s)
	switch {
	case err != nil && strings.Contains(s, "://"):
		return wantEndpoint
	case err != nil || prefix != prefix.Masked() || prefix.Addr().Is4In6() || prefix.String() != s:
		return wantPrefix
	default:
		return ""
	}
}

func validPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0 && s[0] != '0'
}

// looksLikeAddress reports whether host would be taken for an address by
// something: it has brackets or colons, or its last label is a number (the URL
// Standard's "ends in a number").
func looksLikeAddress(host string) bool {
	if strings.ContainsAny(host, "[]:") {
		return true
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	return last != "" && strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x")
}

// validHost accepts the names of RFC 1123 in lower case, without the root's dot.
// Their length is bounded by that of an entry.
func validHost(host string) bool {
	host = strings.TrimPrefix(host, "*.")
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
				return false
			}
		}
	}
	return true
}
