package vault

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/credenceproject/credence/internal/registry"
)

// Pauses between attempts: doubled each time, with jitter, so that replicas do
// not march in step when a store comes back.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 15 * time.Second
)

// steady is how long a login must last to count as a good one. Logging in again
// after a shorter one waits first, or a store that forgets every token at once
// would be flooded.
const steady = time.Second

// Run logs in, renews the token, and logs in again whenever renewal ends: at
// the token's maximal age, on a refusal, and when a call finds that the store
// no longer knows the token. It returns nil when ctx ends, after revoking its
// token. Failures are logged and repeated, never returned. Run it once.
func (c *Client) Run(ctx context.Context) error {
	defer c.logOut(ctx)
	for attempt := 0; ctx.Err() == nil; {
		if attempt > 0 && !pause(ctx, attempt) {
			break
		}
		attempt++
		auth, err := c.login(ctx)
		if err != nil {
			c.session.fail(err)
			if ctx.Err() == nil {
				c.log.WarnContext(ctx, "secret store login failed", "error", err, "attempt", attempt)
			}
			continue
		}
		began := time.Now()
		lost := c.session.begin(auth.ClientToken)
		c.log.InfoContext(ctx, "secret store login done", "lease_seconds", auth.LeaseDuration)
		why := c.keep(ctx, auth, lost)
		if time.Since(began) >= steady {
			attempt = 0
		}
		if ctx.Err() == nil {
			c.log.InfoContext(ctx, "secret store session ends", "reason", why)
		}
	}
	return nil
}

func (c *Client) login(ctx context.Context) (*api.SecretAuth, error) {
	secretID, err := c.config.SecretID()
	if err != nil {
		return nil, fmt.Errorf("read the secret id: %w", err)
	}
	secret, err := c.conn.send(ctx, "", request{
		op: "login", method: http.MethodPut, path: "auth/" + c.config.AppRoleMount + "/login",
		body:    map[string]any{"role_id": c.config.RoleID, "secret_id": secretID},
		secrets: []string{secretID, c.config.RoleID},
	})
	if err != nil {
		return nil, err
	}
	return authOf(secret, "login")
}

// keep renews the token until that ends, and says why it did. It returns while
// the token still works where it can, so that calls go on during the next
// login.
func (c *Client) keep(ctx context.Context, auth *api.SecretAuth, lost <-chan struct{}) (why string) {
	granted := lease(auth)
	expires := time.Now().Add(granted)
	for {
		var due <-chan time.Time
		if granted > 0 { // else it never expires
			due = time.After(renewIn(time.Until(expires)))
		}
		select {
		case <-ctx.Done():
			return "shutdown"
		case <-lost:
			return "token unknown to the store"
		case <-due:
		}
		if !auth.Renewable {
			return "token not renewable"
		}
		renewed, err := c.renew(ctx, auth.ClientToken)
		switch {
		case err == nil && renewed < granted: // capped: it cannot be renewed in full again
			return "maximal age is near"
		case err == nil:
			expires = time.Now().Add(renewed)
		case statusOf(err) == http.StatusForbidden:
			c.session.end(auth.ClientToken)
			return "renewal denied"
		case time.Until(expires) < granted/8:
			return "renewal failed until the end"
		default:
			c.log.WarnContext(ctx, "secret store renewal failed", "error", err)
		}
	}
}

func (c *Client) renew(ctx context.Context, token string) (time.Duration, error) {
	secret, err := c.conn.send(ctx, token, request{op: "renew", method: http.MethodPut, path: "auth/token/renew-self"})
	if err != nil {
		return 0, err
	}
	auth, err := authOf(secret, "renew")
	if err != nil {
		return 0, err
	}
	return lease(auth), nil
}

// logOut revokes our token, so that a stopped replica leaves nothing that works.
func (c *Client) logOut(ctx context.Context) {
	token := c.session.present()
	if token == "" {
		return
	}
	c.session.end(token)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.config.Timeout)
	defer cancel()
	_, err := c.conn.send(ctx, token, request{op: "revoke", method: http.MethodPut, path: "auth/token/revoke-self"})
	if err != nil && statusOf(err) != http.StatusForbidden {
		c.log.WarnContext(ctx, "secret store token not revoked", "error", err)
	}
}

func authOf(secret *api.Secret, op string) (*api.SecretAuth, error) {
	if secret == nil || secret.Auth == nil || secret.Auth.ClientToken == "" {
		return nil, unavailable(&failure{op: op, text: "the answer holds no token"})
	}
	return secret.Auth, nil
}

// lease is how long the token lives for sure: the store counts in whole seconds
// and promises up to one too many. 0 is for ever.
func lease(auth *api.SecretAuth) time.Duration {
	promised := time.Duration(auth.LeaseDuration) * time.Second
	return max(promised-time.Second, promised/2)
}

// renewIn is when to renew a token with that much life left: after a half to
// two thirds of it.
func renewIn(left time.Duration) time.Duration {
	if left <= 0 {
		return 0
	}
	return left/2 + rand.N(left/6+1)
}

// pause waits before the next attempt, and reports false when ctx ends first.
func pause(ctx context.Context, attempt int) bool {
	d := min(firstPause<<min(attempt-1, 10), longestPause)
	timer := time.NewTimer(d/2 + rand.N(d/2+1))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// causeOf is what the log should say about err: the cause, without the message
// for callers around it.
func causeOf(err error) error {
	if e, ok := registry.AsError(err); ok && e.Err != nil {
		return e.Err
	}
	return err
}
