package authn

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/credenceproject/credence/internal/netrule"
)

const (
	requestTimeout = 5 * time.Second
	maxBody        = 1 << 20 // bytes
	maxRedirects   = 3
)

// issuer fetches an OpenID Connect issuer's keys.
type issuer struct {
	url    string
	client *http.Client // bounded
	log    *slog.Logger
}

// fetch reads the issuer's discovery document, which must name the same issuer,
// and the key set that it points at. Both are read each time, because a rotation
// may move the keys or change the algorithms.
func (i *issuer) fetch(ctx context.Context) (*keySet, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, i.client), i.url)
	if err != nil {
		return nil, fmt.Errorf("discover issuer: %w", err)
	}
	var document struct {
		KeysURL    string   `json:"jwks_uri"`
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
	}
	if err := provider.Claims(&document); err != nil {
		return nil, fmt.Errorf("decode discovery document: %w", err)
	}
	address, _, _ := strings.Cut(document.KeysURL, "?") // unlike an issuer's it may have a query
	if _, err := netrule.URL(address, false); err != nil {
		return nil, fmt.Errorf("the key set's address %w", err)
	}
	body, err := i.get(ctx, document.KeysURL)
	if err != nil {
		return nil, fmt.Errorf("get key set: %w", err)
	}
	keys, skipped, err := parseKeySet(body, document.Algorithms)
	if err != nil {
		return nil, err
	}
	for _, reason := range skipped {
		i.log.DebugContext(ctx, "left out a key of the issuer", slog.Any("reason", reason))
	}
	return keys, nil
}

func (i *issuer) get(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	// A proxy's old copy would hide a rotation.
	request.Header.Set("Cache-Control", "no-cache")
	response, err := i.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("unexpected status %d", response.StatusCode)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("read body: %w", err)
	}
	return body, nil
}

// boundedClient returns a copy of c, or a client of its own when c is nil, with
// the bounds that Config promises. It reads no proxy from the environment.
func boundedClient(c *http.Client, proxy func(*http.Request) (*url.URL, error)) *http.Client {
	client := &http.Client{}
	if c != nil {
		*client = *c
	}
	if client.Timeout <= 0 {
		client.Timeout = requestTimeout
	}
	if client.Transport == nil {
		client.Transport = &http.Transport{
			Proxy:               proxy,
			ForceAttemptHTTP2:   true,
			IdleConnTimeout:     time.Minute,
			TLSHandshakeTimeout: requestTimeout,
		}
	}
	client.Transport = boundedTransport{client.Transport}
	client.CheckRedirect = sameOrigin
	return client
}

// sameOrigin lets the issuer redirect within its own origin only: elsewhere is
// somebody whom nobody configured.
func sameOrigin(next *http.Request, via []*http.Request) error {
	first := via[0].URL
	if next.URL.Scheme != first.Scheme || next.URL.Host != first.Host || len(via) > maxRedirects {
		return http.ErrUseLastResponse
	}
	return nil
}

// boundedTransport limits what is read of a response. Of one that is not 200
// nothing is: libraries put such bodies into their errors, and so into logs.
type boundedTransport struct{ base http.RoundTripper }

func (t boundedTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.base.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		_ = response.Body.Close() // nothing of it is wanted
		response.Body = http.NoBody
		return response, nil
	}
	response.Body = http.MaxBytesReader(nil, response.Body, maxBody)
	return response, nil
}
