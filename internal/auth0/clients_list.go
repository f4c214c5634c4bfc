package auth0

import (
	"context"
	"errors"

	"github.com/auth0/go-auth0/management"

	"github.com/credenceproject/credence/internal/registry"
)

// pageSize is the most applications, and grants, that Auth0 lists at once.
const pageSize = 100

// FindClients returns the applications that this installation made for the
// agent, in the order of Auth0's list. It reads the whole list: the search
// endpoint lags behind.
//
// Where the rate limit is reached it waits, as long as ctx lives. A list that
// Auth0 cut short is Unavailable, never an empty answer: a caller
// that finds nothing makes an application. A list that shrank while it was read
// is read again, since what was on a later page may have moved to one already
// seen. What escapes it is an application that moved because, between two pages,
// one was deleted and another created.
func (c *Client) FindClients(ctx context.Context, agentID string) ([]registry.FoundClient, error) {
	apps, err := c.listClients(ctx, "client_id", "client_metadata")
	if err != nil {
		return nil, err
	}
	var found []registry.FoundClient
	for _, app := range apps {
		if client := providerClient(app); client.AgentID == agentID && c.isOurs(client) {
			found = append(found, client.FoundClient)
		}
	}
	return found, nil
}

// ListClients returns all machine-to-machine applications of the tenant that say
// that they are this installation's, under the conditions of FindClients.
//
// Auth0 shows an application's keys only to holders of read:client_credentials.
// But each of ours states the method of its secret, if it has one: AuthMethod is
// PrivateKeyJWT where none is stated.
func (c *Client) ListClients(ctx context.Context) ([]registry.ProviderClient, error) {
	apps, err := c.listClients(ctx, "client_id", "name", "client_metadata", "grant_types", "token_endpoint_auth_method")
	if err != nil {
		return nil, err
	}
	ours := []registry.ProviderClient{}
	for _, app := range apps {
		client := providerClient(app)
		if !c.isOurs(client) {
			continue
		}
		if client.AuthMethod == "" {
			client.AuthMethod = registry.PrivateKeyJWT
		}
		ours = append(ours, client)
	}
	return ours, nil
}

// isOurs reports whether this installation made the application, or adopted it.
func (c *Client) isOurs(client registry.ProviderClient) bool {
	return client.Metadata[metaManagedBy] == c.config.managedBy() && client.ClientID != "" && client.ClientID != c.config.ClientID
}

// listClients reads the fields of every machine-to-machine application.
func (c *Client) listClients(ctx context.Context, fields ...string) ([]*management.Client, error) {
	apps, err := readList(pageSize, (*management.Client).GetClientID, func(page int) ([]*management.Client, int, error) {
		var list *management.ClientList
		err := c.patientCall(ctx, opListClients, func(ctx context.Context) (err error) {
			list, err = c.management.Client.List(ctx,
				management.Parameter("app_type", appType), management.IncludeFields(fields...),
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
	return apps, err
}

// providerClient is an application in the registry's words. AuthMethod is what it
// states of its secret, "" when that is nothing.
func providerClient(app *management.Client) registry.ProviderClient {
	metadata := map[string]string{}
	for name, value := range app.GetClientMetadata() {
		if text, ok := value.(string); ok {
			metadata[name] = text
		}
	}
	return registry.ProviderClient{
		FoundClient: registry.FoundClient{ClientID: app.GetClientID(), IntentID: metadata[metaIntentID]},
		Name:        app.GetName(),
		AgentID:     metadata[metaAgentID],
		Metadata:    metadata,
		GrantTypes:  app.GetGrantTypes(),
		AuthMethod:  registry.AuthMethod(app.GetTokenEndpointAuthMethod()),
	}
}
