package vault

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/credenceproject/credence/internal/netrule"
)

// endpoint is where a store is and how to reach it.
type endpoint struct {
	address        string
	allowPlaintext bool
	namespace      string
	caCertFile     string
	timeout        time.Duration
}

// conn sends requests to one store. It knows no token: each request brings the
// one that it uses, so that a login never changes a request under way.
type conn struct {
	api      *api.Client
	observer Observer
}

// connect returns a conn and sends nothing.
func connect(e endpoint, o Observer) (*conn, error) {
	if err := validAddress("address", e.address, e.allowPlaintext); err != nil {
		return nil, err
	}
	if e.namespace != "" {
		if err := validPath("namespace", strings.TrimSuffix(e.namespace, "/")); err != nil {
			return nil, err
		}
	}
	transport, err := newTransport(e.caCertFile)
	if err != nil {
		return nil, err
	}
	client, err := api.NewClient(&api.Config{
		Address: e.address,
		Timeout: e.timeout,
		// The library repeats any request that failed, and hides a permanent
		// HTTP 500 behind seconds of waiting. We decide per request instead.
		MaxRetries: 0,
		HttpClient: &http.Client{
			Transport:     guarded{transport},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	})
	if err != nil {
		return nil, fmt.Errorf("make the secret store's client: %w", err)
	}
	// NewClient takes these from the environment, whatever it is given.
	client.SetHeaders(http.Header{api.RequestHeaderName: {"true"}})
	client.ClearToken()
	if e.namespace != "" {
		client.SetNamespace(e.namespace)
	}
	client.SetWrappingLookupFunc(func(string, string) string { return "" })
	if o == nil {
		o = nobody{}
	}
	return &conn{api: client, observer: o}, nil
}

// newTransport returns a transport without a proxy: the store is infrastructure
// of our own, and http.ProxyFromEnvironment would read the environment.
func newTransport(caCertFile string) (*http.Transport, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if caCertFile != "" {
		pem, err := os.ReadFile(caCertFile)
		if err != nil {
			return nil, fmt.Errorf("read the secret store's CA certificate: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, invalid("%s holds no PEM certificate", caCertFile)
		}
	}
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 3 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:     config,
		TLSHandshakeTimeout: 3 * time.Second,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 32, // registrations come in bursts
		IdleConnTimeout:     90 * time.Second,
	}, nil
}

// maxAnswer is more than any answer that we ask for.
const maxAnswer = 1 << 20

// guarded keeps a store, or who answers in its place, from sending us elsewhere
// and from filling our memory. The library would follow a redirect to any host,
// with the token and the log-in in the request. And it sends nothing after the
// deadline of the request, though the timer may not have fired: the process may have
// been frozen since somebody looked, and another one holds the agent's lease by now.
type guarded struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (g guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	if deadline, ok := r.Context().Deadline(); ok && !time.Now().Before(deadline) {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, fmt.Errorf("it is too late to send the request: %w", context.DeadlineExceeded)
	}
	resp, err := g.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("the secret store redirects (%d), which is not followed: point to the active node, or let standby nodes forward requests", resp.StatusCode)
	}
	resp.Body = http.MaxBytesReader(nil, resp.Body, maxAnswer)
	return resp, nil
}

// validAddress accepts what netrule.URL does.
func validAddress(what, raw string, allowPlaintext bool) error {
	if _, err := netrule.URL(raw, allowPlaintext); err != nil {
		return invalid("the %s %v", what, err)
	}
	return nil
}

// request is one call of the store's HTTP API. Its path is made of validated
// pieces only: the library does not escape it.
type request struct {
	op      string // for the observer and the log: one of a few fixed words
	method  string // GET, PUT or DELETE
	path    string // below /v1/
	body    map[string]any
	secrets []string // of the body; taken out of any error
	repeat  bool     // may be sent again when nobody knows whether it arrived
}

// send sends r once, with token. A 404 is no error: the Secret is nil then.
func (n *conn) send(ctx context.Context, token string, r request) (*api.Secret, error) {
	start := time.Now()
	logical := n.api.WithRequestCallbacks(func(q *api.Request) { q.ClientToken = token }).Logical()
	var secret *api.Secret
	var err error
	switch r.method {
	case http.MethodGet:
		secret, err = logical.ReadWithContext(ctx, r.path)
	case http.MethodDelete:
		secret, err = logical.DeleteWithContext(ctx, r.path)
	default:
		secret, err = logical.WriteWithContext(ctx, r.path, r.body)
	}
	if err != nil {
		err = translate(err, r.op, append(slices.Clip(r.secrets), token))
	}
	n.observer.Observe("vault", r.op, start, err)
	return secret, err
}

// nobody is the Observer of those who want none.
type nobody struct{}

func (nobody) Observe(string, string, time.Time, error) {}
