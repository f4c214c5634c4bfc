// Package netrule is the one rule for the addresses to which secrets go and from
// which keys come: TLS, or this machine.
package netrule

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// What URL finds. Each reads on after the name of what was given, as in "the
// issuer must be …", and none repeats the URL, which may hold a password.
var (
	ErrNoURL     = errors.New("must be a URL such as https://host.example.com")
	ErrExtra     = errors.New("must have no user, query or fragment")
	ErrPlaintext = errors.New("must be https (http is for this machine only)")
)

// URL reads an absolute URL with the scheme https, or http where the host is this
// machine or plaintext is true. It may have a port and a path. Its errors are
// ErrNoURL, ErrExtra and ErrPlaintext themselves.
func URL(raw string, plaintext bool) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http") || !validPort(u.Port()) {
		return nil, ErrNoURL
	}
	if u.User != nil || strings.ContainsAny(raw, "?#") { // an empty query or fragment too
		return nil, ErrExtra
	}
	if u.Scheme == "http" && !plaintext && !IsLoopback(u.Hostname()) {
		return nil, ErrPlaintext
	}
	return u, nil
}

func validPort(port string) bool {
	if port == "" {
		return true
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// IsLoopback reports whether host, without a port and without brackets, is this
// machine: the name localhost (RFC 6761, section 6.3) or a loopback address (RFC
// 6890), also as IPv6 writes one of IPv4. Nothing is resolved, and so names below
// localhost are not believed: a resolver may ask somebody else for them.
func IsLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Zone() == "" && ip.Unmap().IsLoopback()
}
