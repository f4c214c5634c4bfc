package auth0

import (
	"context"
	"errors"
	"net/http"
	"regexp"

	"github.com/auth0/go-auth0/management"

	"github.com/credenceproject/credence/internal/registry"
)

// clientIDRE is what a client id that Auth0 made looks like; it is checked
// before an id becomes part of a URL.
var clientIDRE = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// CreateClient makes the application of agent a and returns its credentials,
// without a secret where the agent authenticates with its keys. intentID names
// the attempt and ends up in the application's metadata.
//
// It sends one POST /clients and never repeats it, because Auth0 takes no
// idempotency key. After Refused and after ErrNotDone no application was made. After
// every other error, Unavailable and a cancelled context included, the outcome is unknown:
// the caller must treat it so, and look with FindClients before it tries again.
// An application is also left behind when its answer lacks the id or the secret.
func (c *Client) CreateClient(ctx context.Context, a registry.Agent, intentID string) (registry.Credentials, error) {
	app, err := newApplication(a, c.config.managedBy(), intentID)
	if err != nil {
		return registry.Credentials{}, err
	}
	var credentials registry.Credentials
	err = c.call(ctx, opCreateClient, func(ctx context.Context) error {
		err := c.management.Client.Create(ctx, app)
		if isStatus(err, http.StatusConflict) {
			// Somebody has it already, perhaps an earlier attempt of ours.
			return opCreateClient.unavailable(withoutSecrets(err))
		}
		if err != nil {
			return err
		}
		credentials, err = credentialsOf(app, a.Authentication != registry.PrivateKeyJWT)
		return err
	})
	if err != nil {
		return registry.Credentials{}, err
	}
	return credentials, nil
}

// credentialsOf reads the answer that made or rotated a secret. Auth0 makes one
// for an application that authenticates with keys, too; nobody gets to know it.
func credentialsOf(app *management.Client, withSecret bool) (registry.Credentials, error) {
	if !clientIDRE.MatchString(app.GetClientID()) || (withSecret && app.GetClientSecret() == "") {
		return registry.Credentials{}, errors.New("the application came without its client id or secret")
	}
	credentials := registry.Credentials{ClientID: app.GetClientID()}
	if withSecret {
		credentials.ClientSecret = app.GetClientSecret()
	}
	return credentials, nil
}

// RotateSecret gives the application a new secret and returns it. For up to
// thirty seconds Auth0 may take the old one still, or not take the new one yet.
//
// It sends one request and never repeats it: a second one would end what the
// first one gave. After Refused, NotFound and ErrNotDone the secret is what it
// was; after every other error that is unknown. It fails with NotFound, code
// client_gone, when there is no such application, and with Refused when it
// authenticates with private_key_jwt.
func (c *Client) RotateSecret(ctx context.Context, clientID string) (registry.Credentials, error) {
	if err := c.checkClientID(clientID); err != nil {
		return registry.Credentials{}, err
	}
	var credentials registry.Credentials
	err := c.call(ctx, opRotateSecret, func(ctx context.Context) error {
		app, err := c.management.Client.RotateSecret(ctx, clientID)
		if isStatus(err, http.StatusNotFound) {
			return opRotateSecret.gone(err)
		}
		if err != nil {
			return err
		}
		credentials, err = credentialsOf(app, true)
		if err == nil && credentials.ClientID != clientID {
			err = errors.New("the answer is about another application")
		}
		return err
	})
	if err != nil {
		return registry.Credentials{}, err
	}
	return credentials, nil
}

// checkClientID refuses what is no client id, and the control plane's own: an
// agent that had it would be the control plane.
func (c *Client) checkClientID(clientID string) error {
	if !clientIDRE.MatchString(clientID) {
		return registry.Refused.Errorf(codeRefused, "%q is not a client id of Auth0", clientID)
	}
	if clientID == c.config.ClientID {
		return registry.Refused.Errorf(codeRefused, "the control plane's own application cannot be an agent's")
	}
	return nil
}

// DeleteClient removes the application. One that is gone already is success. Its
// grants go with it, and would open nothing if they stayed: Auth0 never gives a
// client id twice. Tokens that were issued stay valid until they expire.
func (c *Client) DeleteClient(ctx context.Context, clientID string) error {
	if err := c.checkClientID(clientID); err != nil {
		return err
	}
	return c.call(ctx, opDeleteClient, func(ctx context.Context) error {
		err := c.management.Client.Delete(ctx, clientID)
		if isStatus(err, http.StatusNotFound) {
			return nil
		}
		return err
	})
}
