package auth0

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/credenceproject/credence/internal/netrule"
)

// DefaultTimeout bounds one call to the Management API, the token fetch
// included. Auth0 answers a creation in half a second, and in two at worst.
const DefaultTimeout = 10 * time.Second

// Config says which tenant to use, and as whom. The control plane's application
// needs these scopes of the Management API: create, read, update and delete of
// clients and of client_grants, and update:client_keys to rotate secrets.
// InspectTenant needs read:actions and read:resource_servers too.
//
// It needs no read:client_keys, and must not have it: with it one could read
// every agent's secret. Agents with private_key_jwt need create, read, update
// and delete of client_credentials. Auth0 lets the holder of
// read:client_credentials read secrets as well, so it is for tenants that use
// private_key_jwt, and no others.
type Config struct {
	Domain       string                 // "tenant.eu.auth0.com"; "http://127.0.0.1:8085" for loopback hosts only
	ClientID     string                 // the control plane's own machine-to-machine application
	ClientSecret func() (string, error) // read at each token fetch, so that a rotated secret is picked up
	Audience     string                 // the agents' audience, such as "https://mcp.example.com/"
	Installation string                 // names this installation in the metadata of its applications
	Timeout      time.Duration          // of one call; 0 is DefaultTimeout
	Transport    http.RoundTripper      // carries the calls; nil is a transport of its own, through Proxy

	// Budget is asked for a place before each call to the Management API, and told
	// what Auth0 says of the rate limit; nil: each call is made at once.
	Budget Budget

	// Proxy names the proxy of a request, as http.Transport's does; nil is none.
	// It is not asked where Transport is given.
	Proxy func(*http.Request) (*url.URL, error)
}

var (
	domainRE       = regexp.MustCompile(`^([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.)+[a-zA-Z]{2,}$`)
	installationRE = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9._-]{0,61}[a-zA-Z0-9])?$`)
)

func (c Config) withDefaults() Config {
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Transport == nil {
		c.Transport = newTransport(c.Proxy)
	}
	return c
}

// check reports every fault of c at once, and returns where the tenant is.
func (c Config) check() (endpoint, error) {
	ep, err := parseDomain(c.Domain)
	faults := []error{err}
	if c.ClientID == "" {
		faults = append(faults, errors.New("auth0: the client id of the management application is missing"))
	}
	if c.ClientSecret == nil {
		faults = append(faults, errors.New("auth0: the client secret of the management application is missing"))
	}
	if !installationRE.MatchString(c.Installation) {
		faults = append(faults, fmt.Errorf("auth0: installation %q: want 1 to 63 letters, digits, dots, dashes or underscores", c.Installation))
	}
	switch {
	case c.Audience == "":
		faults = append(faults, errors.New("auth0: the agents' audience is missing"))
	case err == nil && sameAudience(c.Audience, ep.managementAudience()):
		// An agent with a grant for it could change the tenant.
		faults = append(faults, errors.New("auth0: the agents' audience must not be the Management API"))
	}
	return ep, errors.Join(faults...)
}

// managedByPrefix begins the mark of every installation.
const managedByPrefix = "credence/"

// managedBy marks the applications of this installation in their metadata.
func (c Config) managedBy() string { return managedByPrefix + c.Installation }

// sameAudience reports whether people could take a for b. Auth0 compares
// identifiers byte by byte, but two audiences that differ in a slash are an
// accident waiting to happen.
func sameAudience(a, b string) bool {
	return strings.EqualFold(strings.TrimRight(a, "/"), strings.TrimRight(b, "/"))
}

// endpoint is where a tenant is reached.
type endpoint struct {
	scheme string
	host   string // with a port where the domain has one
}

func (e endpoint) url(path string) string { return e.scheme + "://" + e.host + path }

// managementAudience is the audience of the tokens that open the Management API.
func (e endpoint) managementAudience() string { return e.url("/api/v2/") }

// parseDomain accepts a bare host name, which is reached by https, and the URL
// of a loopback host, which may be plain http: an emulator in development.
func parseDomain(domain string) (endpoint, error) {
	if domainRE.MatchString(domain) {
		return endpoint{scheme: "https", host: domain}, nil
	}
	u, err := netrule.URL(domain, false)
	if errors.Is(err, netrule.ErrPlaintext) {
		return endpoint{}, errors.New("auth0: the domain must be a host name such as tenant.eu.auth0.com: plain http is for loopback hosts only")
	}
	if err != nil || u.Scheme != "http" || (u.Path != "" && u.Path != "/") {
		return endpoint{}, errors.New("auth0: the domain must be a host name such as tenant.eu.auth0.com") // not what it is: it may hold a password
	}
	return endpoint{scheme: "http", host: u.Host}, nil
}
