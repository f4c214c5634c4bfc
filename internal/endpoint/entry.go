package endpoint

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// What an entry of an allow-list must be, for people.
var (
	errEntry        = errors.New("must be host:port, where a * may stand for the leftmost label, or a CIDR")
	errEntryPort    = errors.New("must have a port from 1 to 65535, without leading zeros")
	errEntryHost    = errors.New("must have a lower-case ASCII host name, where * may stand for the whole leftmost label only")
	errEntryPrefix  = errors.New("must be a CIDR with all bits after the prefix zero, and no IPv4 in IPv6")
	errEntryAddress = errors.New("must have an IP address in its canonical form")
)

// CheckEntry reports what is wrong with an entry of an allow-list, nil if nothing
// is. An entry is host:port, whose host is a name, an address, or a name whose
// leftmost label is *, or it is a CIDR (RFC 4632). Names are compared as they
// stand, so only one spelling of each is accepted. The text of the error says what
// the entry must be.
func CheckEntry(s string) error {
	if strings.Contains(s, "/") {
		return checkPrefix(s)
	}
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 {
		return errEntry
	}
	host, port := s[:colon], s[colon+1:]
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '0' {
		return errEntryPort
	}
	if strings.ContainsAny(host, "[]:") || endsInNumber(host) {
		address, err := netip.ParseAddrPort(s)
		if err != nil || address.String() != s || address.Addr().Is4In6() || address.Addr().Zone() != "" {
			return errEntryAddress
		}
		return nil
	}
	if !validName(strings.TrimPrefix(host, "*.")) {
		return errEntryHost
	}
	return nil
}

func checkPrefix(s string) error {
	prefix, err := netip.ParsePrefix(s)
	switch {
	case err != nil && strings.Contains(s, "://"):
		return errEntry
	case err != nil || prefix != prefix.Masked() || prefix.Addr().Is4In6() || prefix.String() != s:
		return errEntryPrefix
	default:
		return nil
	}
}
