package endpoint

import (
	"net/netip"
	"slices"
	"strings"
)

func parseHost(host string) (Endpoint, error) {
	if strings.ContainsAny(host, "[]") {
		return parseIPv6(host)
	}
	if endsInNumber(host) {
		addr, err := netip.ParseAddr(host) // of IPv4 it accepts the canonical form alone
		if err != nil {
			return Endpoint{}, errAddress
		}
		return Endpoint{Addr: addr}, nil
	}
	if !validName(host) {
		return Endpoint{}, errHost
	}
	return Endpoint{Host: host}, nil
}

func parseIPv6(host string) (Endpoint, error) {
	inner, opened := strings.CutPrefix(host, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	addr, err := netip.ParseAddr(inner)
	if err != nil || !opened || !closed || !addr.Is6() || addr.String() != inner {
		return Endpoint{}, errAddress
	}
	if holdsIPv4(addr) {
		return Endpoint{}, errEmbedded
	}
	return Endpoint{Addr: addr}, nil
}

// endsInNumber reports whether something would take host for an IPv4 address:
// its last label is a number, decimal or hexadecimal (the URL Standard's "ends in
// a number"). No top-level domain is one.
func endsInNumber(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	return last != "" && strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x")
}

// validName accepts the names of RFC 1123 in lower case, without the root's dot.
func validName(host string) bool {
	if len(host) > 253 {
		return false
	}
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

// translated are the IPv6 addresses, beside the mapped ones, that some network or
// system makes IPv4 addresses of: compatible and translated ones (RFC 4291,
// RFC 2765), those of NAT64 (RFC 6052, RFC 8215), of 6to4 (RFC 3056) and of Teredo
// (RFC 4380).
var translated = prefixes(
	"::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32",
)

func holdsIPv4(addr netip.Addr) bool {
	if addr == netip.IPv6Unspecified() || addr == netip.IPv6Loopback() {
		return false // in ::/96 too, but IPv6's own
	}
	return addr.Is4In6() || slices.ContainsFunc(translated, func(p netip.Prefix) bool { return p.Contains(addr) })
}

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		all[i] = netip.MustParsePrefix(text)
	}
	return all
}
