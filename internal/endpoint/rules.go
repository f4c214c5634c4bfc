package endpoint

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Rules is an environment's allow-list. The zero Rules admits nothing. It is safe
// for concurrent use.
type Rules struct {
	names     []nameRule
	addresses []netip.AddrPort
	prefixes  []netip.Prefix
}

// nameRule is name:port, or *.parent:port.
type nameRule struct {
	name   string // "" with a parent
	parent string
	port   uint16
}

// ParseRules reads an allow-list, whose entries are as CheckEntry wants them. Any
// other admits nothing.
func ParseRules(entries []string) Rules {
	var r Rules
	for _, entry := range entries {
		if CheckEntry(entry) != nil {
			continue
		}
		if prefix, err := netip.ParsePrefix(entry); err == nil {
			r.prefixes = append(r.prefixes, prefix)
			continue
		}
		if address, err := netip.ParseAddrPort(entry); err == nil {
			r.addresses = append(r.addresses, address)
			continue
		}
		host, digits, _ := strings.Cut(entry, ":")
		port, _ := strconv.ParseUint(digits, 10, 16) // it is one: the entry was checked
		rule := nameRule{name: host, port: uint16(port)}
		if parent, ok := strings.CutPrefix(host, "*."); ok {
			rule.name, rule.parent = "", parent
		}
		r.names = append(r.names, rule)
	}
	return r
}

// Allow reports whether the list admits e. A name is admitted by an entry of its
// own, or by *.parent, where * stands for one label that is not an
// internationalized one: those look like others, so an entry must spell them out.
// An address is admitted by an entry of its own or by a CIDR that holds it,
// whatever the port.
//
// Loopback, link-local and the other special addresses and names are admitted
// only where the list means them: by an entry of their own, or by a CIDR or
// *.parent that holds nothing but what is special in the same way. So 0.0.0.0/0
// admits none of them. localhost counts as 127.0.0.1 and ::1 together.
func (r Rules) Allow(e Endpoint) bool {
	if e.Host == "" {
		return r.allowAddress(e.Addr, e.Port)
	}
	if slices.ContainsFunc(r.names, func(n nameRule) bool { return n.port == e.Port && n.matches(e.Host) }) {
		return true
	}
	return isLoopbackName(e.Host) && r.allowAddress(loopback4, e.Port) && r.allowAddress(loopback6, e.Port)
}

func (n nameRule) matches(host string) bool {
	if n.parent == "" {
		return n.name == host
	}
	label, parent, _ := strings.Cut(host, ".")
	return parent == n.parent && !strings.HasPrefix(label, "xn--") && (!isSpecialName(host) || isSpecialName(parent))
}

func (r Rules) allowAddress(addr netip.Addr, port uint16) bool {
	if slices.Contains(r.addresses, netip.AddrPortFrom(addr, port)) {
		return true
	}
	return slices.ContainsFunc(r.prefixes, func(p netip.Prefix) bool { return p.Contains(addr) && p.Bits() >= narrowest(addr) })
}
