// Package apiclient calls Credence's HTTP API as openapi.yaml describes it. It
// is what the developer's commands and credence dev use.
//
// A refusal of the server is a *Problem, a refusal of a token endpoint an
// *OAuthError; both are of a registry kind. A server that cannot be reached is
// registry.Unavailable.
package apiclient

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"
)

// DefaultTimeout is how long one request may take unless Options says
// otherwise: longer than a server gives its providers for one registration.
const DefaultTimeout = time.Minute

// Options says where a server is, who calls, and how connections are made. Only
// URL and Token are required.
type Options struct {
	// URL is the server's address, with the path prefix if it has one. It is
	// https; http is for loopback addresses alone, since a token travels along.
	URL string
	// Token returns the bearer token of the next request. It is called once for
	// each request, perhaps from several goroutines.
	Token func(context.Context) (string, error)

	// HTTPClient, if there is one, sends the requests. Its CheckRedirect is not
	// used: no redirect is ever followed. It excludes the options below.
	HTTPClient *http.Client
	// CACertFile holds PEM authorities that are trusted in place of the
	// system's; ClientCertFile and ClientKeyFile are a PEM pair for mutual TLS.
	CACertFile, ClientCertFile, ClientKeyFile string
	// SkipVerify takes any certificate of the server's. New and
	// ClientCredentials, which send secrets, refuse it.
	SkipVerify bool
	// Proxy chooses the proxy of a request, such as http.ProxyFromEnvironment;
	// nil is none.
	Proxy func(*http.Request) (*url.URL, error)

	UserAgent string
	Timeout   time.Duration // of one request with its answer; 0 is DefaultTimeout
}

// Client calls one server. It is safe for concurrent use.
type Client struct {
	base      *url.URL
	token     func(context.Context) (string, error)
	http      *http.Client
	userAgent string
	timeout   time.Duration
}

// New returns a client of the server at o.URL. It fails when the URL is no
// address to send a token to, or a certificate file cannot be used; it does not
// call the server.
func New(o Options) (*Client, error) {
	base, err := secureURL(o.URL)
	if err != nil {
		return nil, err
	}
	if o.Token == nil {
		return nil, errors.New("the API client has no token")
	}
	httpClient, err := o.trusting()
	if err != nil {
		return nil, err
	}
	c := &Client{base: base, token: o.Token, http: httpClient, userAgent: o.UserAgent, timeout: o.Timeout}
	if c.timeout <= 0 {
		c.timeout = DefaultTimeout
	}
	if c.userAgent == "" {
		c.userAgent = "credence"
	}
	return c, nil
}

// URL returns the server's address.
func (c *Client) URL() string { return c.base.String() }
