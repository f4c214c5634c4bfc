package auth0

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/sync/singleflight"

	"github.com/credenceproject/credence/internal/registry"
)

// expirySkew is how long before its end a token is not used any more: longer
// than a call may take.
const expirySkew = time.Minute

// tokenSource holds the control plane's management token and fetches the next
// one when it is needed (RFC 6749 section 4.4). The SDK's own source reads the
// secret once, and makes every caller wait for a slow fetch however short its
// deadline is; here a caller waits no longer than its context lives. It is safe
// for concurrent use: callers share one fetch.
type tokenSource struct {
	ctx      context.Context // the process's
	config   Config
	endpoint endpoint
	client   *http.Client
	observer Observer
	flight   singleflight.Group

	mu      sync.Mutex
	current *oauth2.Token
}

func newTokenSource(ctx context.Context, c Config, ep endpoint, transport http.RoundTripper, o Observer) *tokenSource {
	return &tokenSource{ctx: ctx, config: c, endpoint: ep, client: &http.Client{Transport: transport}, observer: o}
}

// token returns a valid management token. Without one no call is made, so its
// errors are ErrNotDone.
func (s *tokenSource) token(ctx context.Context) (string, error) {
	if token := s.held(); token != "" {
		return token, nil
	}
	fetched := s.flight.DoChan("", func() (any, error) { return s.fetch() })
	select {
	case <-ctx.Done():
		return "", fmt.Errorf("%w: wait for a management token: %w", registry.ErrNotDone, ctx.Err())
	case r := <-fetched:
		if r.Err != nil {
			return "", fmt.Errorf("%w: %w", registry.ErrNotDone, r.Err)
		}
		return r.Val.(string), nil
	}
}

// held returns the present token, or "" when there is none or it ends soon.
func (s *tokenSource) held() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil || time.Until(s.current.Expiry) <= expirySkew {
		return ""
	}
	return s.current.AccessToken
}

// forget drops token, unless a newer one took its place.
func (s *tokenSource) forget(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil && s.current.AccessToken == token {
		s.current = nil
	}
}

// fetch gets a token. A token that does not say when it ends serves those who
// wait for it and is not kept.
func (s *tokenSource) fetch() (token string, err error) {
	start := time.Now()
	defer func() { s.observer.Observe(provider, opToken.name, start, err) }()
	secret, err := s.config.ClientSecret()
	if err != nil {
		return "", registry.Unavailable.Wrap(fmt.Errorf("read the management client secret: %w", err),
			codeUnavailable, "the control plane cannot read its own client secret for Auth0")
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.config.Timeout)
	defer cancel()
	request := clientcredentials.Config{
		ClientID:       s.config.ClientID,
		ClientSecret:   secret,
		TokenURL:       s.endpoint.url(tokenPath),
		EndpointParams: url.Values{"audience": {s.endpoint.managementAudience()}},
		AuthStyle:      oauth2.AuthStyleInParams, // probing would send the secret twice
	}
	fetched, err := request.Token(context.WithValue(ctx, oauth2.HTTPClient, s.client))
	if err != nil {
		return "", opToken.translate(err, secret)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = fetched
	return fetched.AccessToken, nil
}
