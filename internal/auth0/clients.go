package auth0

import (
	"context"
	"errors"
	"net/http"
	"regexp"

	"github.com/auth0/go-auth0/management"

	"github.com/credenceproject/credence/internal/registry"
)

// pageSize is the most applications that Auth0 lists at once.
const pageSize = 100

// clientIDRE is what a client id that Auth0 made looks like; it is checked
// before an id becomes part of a URL.
var clientIDRE = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// CreateClient makes the application of agent a and returns its credentials.
// intentID names the attempt and ends up in the application's metadata.
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
		credentials = registry.Credentials{ClientID: app.GetClientID(), ClientSecret: app.GetClientSecret()}
		if !clientIDRE.MatchString(credentials.ClientID) || credentials.ClientSecret == "" {
			return errors.New("the created application came without its client id or secret")
		}
		return nil
	})
	if err != nil {
		return registry.Credentials{}, err
	}
	return credentials, nil
}

// FindClients returns the client ids of the applications that this installation
// made for the agent, in the order of Auth0's list. It reads the whole list: the
// search endpoint lags behind.
//
// Where the rate limit is reached it waits, as long as ctx lives. A list that
// Auth0 cut short is Unavailable, never an empty answer: a caller
// that finds nothing makes an application. A list that shrank while it was read
// is read again, since what was on a later page may have moved to one already
// seen. What escapes it is an application that moved because, between two pages,
// one was deleted and another created.
func (c *Client) FindClients(ctx context.Context, agentID string) ([]string, error) {
	apps, err := readList(pageSize, (*management.Client).GetClientID, func(page int) ([]*management.Client, int, error) {
		var list *management.ClientList
		err := c.patientCall(ctx, opListClients, func(ctx context.Context) (err error) {
			list, err = c.management.Client.List(ctx,
				management.Parameter("app_type", appType),
				management.IncludeFields("client_id", "client_metadata"),
				management.PerPage(pageSize), management.Page(page))
			if err == nil && (list == nil || list.Start != page*pageSize) {
				err = errIncomplete
			}
			return err
		})
		if err != nil {
			return nil, 0, err
		}
		return list.Clients, list.Total, nil
	})
	if errors.Is(err, errIncomplete) {
		return nil, opListClients.unavailable(err)
	}
	if err != nil {
		return nil, err
	}
	var found []string
	for _, app := range apps {
		if isOurs(app, c.config.managedBy(), agentID) {
			found = append(found, app.GetClientID())
		}
	}
	return found, nil
}

// DeleteClient removes the application. One that is gone already is success. Its
// grants go with it, and would open nothing if they stayed: Auth0 never gives a
// client id twice. Tokens that were issued stay valid until they expire.
func (c *Client) DeleteClient(ctx context.Context, clientID string) error {
	if !clientIDRE.MatchString(clientID) {
		return registry.Refused.Errorf(codeRefused, "%q is not a client id of Auth0", clientID)
	}
	return c.call(ctx, opDeleteClient, func(ctx context.Context) error {
		err := c.management.Client.Delete(ctx, clientID)
		if isStatus(err, http.StatusNotFound) {
			return nil
		}
		return err
	})
}
