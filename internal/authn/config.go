package authn

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/credenceproject/credence/internal/netrule"
)

// Config says whose tokens are accepted. Issuer and Audience are required; for
// every other field the zero value means its default.
type Config struct {
	// Issuer is the exact `iss` of the tokens, such as https://tenant.eu.auth0.com/:
	// a trailing slash counts. OpenID Connect discovery is looked up below it. It is an
	// https URL; http is for this machine only.
	Issuer string
	// Audience is the control plane's own audience, one of the token's `aud`.
	Audience string
	// TeamsClaim names the claim that lists the caller's teams; default Audience + "teams".
	TeamsClaim string
	// ClockSkew is how far nbf and iat may lie in the future; default 30 s. exp
	// gets no grace.
	ClockSkew time.Duration
	// KeyRefetch is how long an answer of the issuer, or a failure, stands before
	// an unknown key makes us ask again; default 10 s.
	KeyRefetch time.Duration
	// CacheSize bounds how many verified tokens are remembered; default 10,000.
	CacheSize int
	// Now is the clock; default time.Now.
	Now func() time.Time
	// Proxy names the proxy of a request to the issuer, as http.Transport's does;
	// default none. It is not asked where HTTPClient has a transport.
	Proxy func(*http.Request) (*url.URL, error)
	// HTTPClient asks the issuer. Whatever it allows, a request takes at most 5 s
	// (or its own Timeout), reads at most 1 MiB and follows no redirect to another
	// origin. It is copied.
	HTTPClient *http.Client
}

func (c Config) withDefaults() (Config, error) {
	// OpenID Connect Discovery section 3 too wants no query and no fragment.
	if _, err := netrule.URL(c.Issuer, false); err != nil {
		return c, fmt.Errorf("authn: the issuer %w", err)
	}
	if c.Audience == "" {
		return c, errors.New("authn: an audience is required")
	}
	if c.ClockSkew < 0 || c.KeyRefetch < 0 || c.CacheSize < 0 {
		return c, errors.New("authn: clock skew, key refetch and cache size must not be negative")
	}
	c.TeamsClaim = orDefault(c.TeamsClaim, c.Audience+"teams")
	c.ClockSkew = orDefault(c.ClockSkew, 30*time.Second)
	c.KeyRefetch = orDefault(c.KeyRefetch, 10*time.Second)
	c.CacheSize = orDefault(c.CacheSize, 10_000)
	if c.Now == nil {
		c.Now = time.Now
	}
	c.HTTPClient = boundedClient(c.HTTPClient, c.Proxy)
	return c, nil
}

func orDefault[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}
