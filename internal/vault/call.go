package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/hashicorp/vault/api"

	"github.com/credenceproject/credence/internal/registry"
)

// maxAttempts bounds how often a repeatable request is sent.
const maxAttempts = 3

// do sends r under the present login, within the configured timeout. It waits
// for a login, repeats a repeatable request when the store did not answer or
// was not able to, and, when the store no longer knows our token, sends r once
// more under the next login: a denied request did nothing.
func (c *Client) do(ctx context.Context, r request) (*api.Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	loggedInAnew := false
	for attempt := 1; ; {
		token, err := c.session.wait(ctx)
		if err != nil {
			return nil, err
		}
		secret, err := c.conn.send(ctx, token, r)
		switch {
		case err == nil:
			return secret, nil
		case statusOf(err) == http.StatusForbidden && !loggedInAnew:
			if !c.forgotten(ctx, token) {
				return nil, err
			}
			c.session.end(token)
			loggedInAnew = true
		case r.repeat && attempt < maxAttempts && errors.Is(err, registry.Unavailable) && pause(ctx, attempt):
			attempt++
		default:
			return nil, err
		}
	}
}

// forgotten reports whether the store does not know token. It answers 403 to
// that just as to a request that the token's policy forbids; only the token's
// own entry tells them apart.
func (c *Client) forgotten(ctx context.Context, token string) bool {
	_, err := c.conn.send(ctx, token, request{op: "lookup_self", method: http.MethodGet, path: "auth/token/lookup-self"})
	return statusOf(err) == http.StatusForbidden
}

// decode reads data into v.
func decode(data map[string]any, v any) error {
	raw, err := json.Marshal(data)
	if err == nil {
		err = json.Unmarshal(raw, v)
	}
	if err != nil {
		return unavailable(fmt.Errorf("read the secret store's answer: %w", err))
	}
	return nil
}
