package endpoint

import (
	"net/netip"
	"slices"
	"strings"
)

// special are the addresses that reach this machine, its neighbours, or a cloud's
// credentials, and that an allow-list has to mean (RFC 6890).
var special = prefixes(
	"127.0.0.0/8", "::1/128", // loopback
	"0.0.0.0/8", "::/128", // unspecified: this machine, on many systems
	"169.254.0.0/16", "fe80::/10", // link-local
	"224.0.0.0/4", "ff00::/8", "255.255.255.255/32", // multicast and broadcast

	// Metadata services of clouds, which hand credentials to whoever asks. Some
	// are link-local too: then the narrower range counts.
	"169.254.169.254/32", // most of them
	"169.254.170.2/32",   // tasks of AWS ECS
	"169.254.170.23/32",  // pods of AWS EKS
	"169.254.42.42/32",   // Scaleway
	"fe80::a9fe:a9fe/128",
	"fd00:ec2::/32",      // AWS
	"fd20:ce::254/128",   // Google Cloud
	"fd00:42::42/128",    // Scaleway
	"100.100.100.200/32", // Alibaba Cloud
	"168.63.129.16/32",   // Azure
	"192.0.0.192/32",     // Oracle Cloud
)

var (
	loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	loopback6 = netip.IPv6Loopback()
)

// narrowest is how many bits a CIDR must have to hold nothing but what is special
// as addr is; 0 for an address that is not.
func narrowest(addr netip.Addr) int {
	bits := 0
	for _, p := range special {
		if p.Contains(addr) {
			bits = max(bits, p.Bits())
		}
	}
	return bits
}

// specialNames resolve to special addresses wherever they resolve.
var specialNames = []string{
	"localhost.localdomain",
	"instance-data.ec2.internal",
	"metadata.azure.internal",
	"metadata.goog",
	"metadata.google.internal",
	"metadata.tencentyun.com",
}

func isSpecialName(host string) bool {
	return isLoopbackName(host) || slices.Contains(specialNames, host)
}

// isLoopbackName reports whether host is this machine by name (RFC 6761, section
// 6.3).
func isLoopbackName(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
