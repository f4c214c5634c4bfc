// Package auth0 keeps the agents' applications in an Auth0 tenant through the
// Management API v2, and prepares a tenant for Credence (Setup).
//
// The SDK's own retries are off: they repeat POST /clients, which has no
// idempotency key, and so leave applications that nobody owns. Whether to repeat
// a step is the caller's decision, from the kind of the error.
package auth0

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/auth0/go-auth0/management"
)

// provider names Auth0 in metrics and reports.
const provider = "auth0"

// Observer is told of every call to the Management API, for metrics. It must be
// safe for concurrent use.
type Observer interface {
	// Observe is told when one call is over; err is nil when it succeeded.
	Observe(provider, operation string, start time.Time, err error)
}

// Client makes, finds and removes the applications of agents. It holds one
// management token for all its calls and is safe for concurrent use.
//
// Its methods fail with registry.Refused, code identity_provider_refused, when
// repeating the call cannot help until an operator acts; the code is
// identity_provider_limit where the tenant is full. In every other case they
// fail with registry.Unavailable, code identity_provider_unavailable; RetryAfter
// is then set if Auth0 said when. No call outlives its context.
type Client struct {
	config     Config
	endpoint   endpoint
	management *management.Management
	tokens     *tokenSource
	observer   Observer
}

// New returns a client of the tenant that c names. It makes no call: the first
// management token is fetched by the first method that needs one. ctx is the
// process's: tokens are fetched under it, because a fetch serves every call that
// waits for it, whichever of them started it. o may be nil.
//
// An error says what is wrong with c.
func New(ctx context.Context, c Config, o Observer) (*Client, error) {
	c = c.withDefaults()
	ep, err := c.check()
	if err != nil {
		return nil, err
	}
	if o == nil {
		o = nobody{}
	}
	guarded := &guard{endpoint: ep, base: c.Transport}
	tokens := newTokenSource(ctx, c, ep, guarded, o)
	metered := guarded
	if c.Budget != nil {
		metered = &guard{endpoint: ep, base: &meter{budget: c.Budget, base: c.Transport}}
	}
	options := []management.Option{
		management.WithNoRetries(),
		management.WithDebug(false),
		management.WithUserAgent("credence"),
		management.WithNoAuth0ClientInfo(),
		management.WithClient(&http.Client{Transport: &bearer{tokens: tokens, base: metered}}),
	}
	if ep.scheme == "http" {
		options = append(options, management.WithInsecure())
	} else {
		// The SDK insists on a token of its own; bearer replaces it.
		options = append(options, management.WithStaticToken("replaced"))
	}
	m, err := management.New(ep.host, options...)
	if err != nil {
		return nil, fmt.Errorf("auth0: open the management client: %w", err)
	}
	return &Client{config: c, endpoint: ep, management: m, tokens: tokens, observer: o}, nil
}

// TokenEndpoint is the URL where agents exchange their credentials for tokens.
func (c *Client) TokenEndpoint() string { return c.endpoint.url(tokenPath) }

// Ping reports whether the control plane can get a management token. While it
// holds a valid one no call is made, so Ping may run with every readiness check.
func (c *Client) Ping(ctx context.Context) error {
	return c.bounded(ctx, opPing, func(ctx context.Context) error {
		_, err := c.tokens.token(ctx)
		return err
	})
}

// call makes one call to the Management API as soon as the budget has a place
// for it, bounded in time. It is not made once ctx has ended.
func (c *Client) call(ctx context.Context, op operation, f func(context.Context) error) error {
	start := time.Now()
	if err := op.translate(c.admit(ctx)); err != nil {
		c.observer.Observe(provider, op.name, start, err)
		return err
	}
	return c.bounded(ctx, op, f)
}

// bounded bounds f in time, the token fetch included, translates its failure and
// tells the observer.
func (c *Client) bounded(ctx context.Context, op operation, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	start := time.Now()
	err := op.translate(f(ctx))
	c.observer.Observe(provider, op.name, start, err)
	return err
}

// nobody observes nothing.
type nobody struct{}

func (nobody) Observe(string, string, time.Time, error) {}
