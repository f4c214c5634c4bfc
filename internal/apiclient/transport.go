package apiclient

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/credenceproject/credence/internal/netrule"
)

// secureURL reads an address to which secrets may be sent.
func secureURL(raw string) (*url.URL, error) {
	u, err := netrule.URL(raw, false)
	switch {
	case errors.Is(err, netrule.ErrPlaintext):
		return nil, fmt.Errorf("%s is not encrypted, and secrets would travel in the clear: use https (http is for this machine only)", raw)
	case errors.Is(err, netrule.ErrExtra):
		return nil, fmt.Errorf("the address %s may have a path, but no user, query or fragment", shown(raw))
	case err != nil:
		return nil, fmt.Errorf("%q is not an address such as https://credence.example.com", shown(raw))
	}
	return u, nil
}

// shown is raw as an error may show it: what stands before an @ may be a
// password.
func shown(raw string) string { return raw[strings.LastIndexByte(raw, '@')+1:] }

// trusting returns the client that sends requests with secrets in them.
func (o Options) trusting() (*http.Client, error) {
	if o.SkipVerify {
		return nil, errors.New("no secret is sent to a server whose certificate is not verified")
	}
	return HTTPClient(o)
}

// HTTPClient returns an HTTP client with the certificates and the proxy of o
// that follows no redirect. It has no timeout: its requests have contexts.
func HTTPClient(o Options) (*http.Client, error) {
	if o.HTTPClient != nil {
		if o.CACertFile != "" || o.ClientCertFile != "" || o.ClientKeyFile != "" || o.SkipVerify || o.Proxy != nil {
			return nil, errors.New("an HTTP client of one's own excludes certificate files and a proxy")
		}
		c := *o.HTTPClient
		c.CheckRedirect = noRedirect
		return &c, nil
	}
	tlsConfig, err := clientTLS(o)
	if err != nil {
		return nil, err
	}
	return &http.Client{
		CheckRedirect: noRedirect,
		Transport: &http.Transport{
			Proxy:                  o.Proxy,
			TLSClientConfig:        tlsConfig,
			TLSHandshakeTimeout:    10 * time.Second,
			DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			MaxResponseHeaderBytes: 64 << 10,
			MaxIdleConnsPerHost:    4,
			IdleConnTimeout:        30 * time.Second,
			ForceAttemptHTTP2:      true,
		},
	}, nil
}

// noRedirect hands a redirect to the caller: followed, it would carry the token
// or the client secret to wherever the answer says.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func clientTLS(o Options) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: o.SkipVerify} //nolint:gosec // never where secrets are sent
	if o.CACertFile != "" {
		pem, err := os.ReadFile(o.CACertFile)
		if err != nil {
			return nil, fmt.Errorf("read the server's authorities: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no PEM certificate", o.CACertFile)
		}
	}
	if (o.ClientCertFile == "") != (o.ClientKeyFile == "") {
		return nil, errors.New("a client certificate and its key are given together")
	}
	if o.ClientCertFile != "" {
		pair, err := tls.LoadX509KeyPair(o.ClientCertFile, o.ClientKeyFile)
		if err != nil {
			return nil, fmt.Errorf("load the client certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
