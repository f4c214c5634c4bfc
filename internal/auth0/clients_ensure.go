package auth0

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strings"

	"github.com/auth0/go-auth0/management"

	"github.com/credenceproject/credence/internal/keyset"
	"github.com/credenceproject/credence/internal/registry"
)

// InspectClient returns one application, whoever made it. AuthMethod is what it
// states of its secret; "" is Auth0's default, or that it has none. It fails with
// NotFound, code client_gone, when there is no such application.
func (c *Client) InspectClient(ctx context.Context, clientID string) (registry.ProviderClient, error) {
	app, err := c.readApplication(ctx, clientID, false)
	if err != nil {
		return registry.ProviderClient{}, err
	}
	return providerClient(app), nil
}

// EnsureClient brings the application a.ClientID to what the registry says of the
// agent: name, description, type, grant types, metadata, and how it
// authenticates, its public keys included. It reads first and writes only what
// differs. The secret, the intent's id and foreign metadata stay.
//
// It may be repeated after whatever failure. While keys are replaced one of them
// works at any time, but for a key that changes its algorithm and is the only
// one; those that the registry does not name have ended when it returns. An agent
// that turns from keys to a secret has one that nobody knows: rotate it.
//
// It fails with NotFound, code client_gone, when there is no such application,
// and with Refused, code client_of_another_installation, when it is another
// installation's.
func (c *Client) EnsureClient(ctx context.Context, a registry.Agent) error {
	keys, err := keysOf(a)
	if err != nil {
		return err
	}
	metadata, err := newMetadata(metadataOf(a, c.config.managedBy()))
	if err != nil {
		return err
	}
	app, err := c.readApplication(ctx, a.ClientID, len(keys) > 0)
	if err != nil {
		return err
	}
	if other, _ := app.GetClientMetadata()[metaManagedBy].(string); strings.HasPrefix(other, managedByPrefix) && other != c.config.managedBy() {
		return registry.Refused.Errorf(codeNotOurs, "another installation of Credence manages the application")
	}
	if n := len(metadata) + foreign(app, metadata); n > maxMetadata {
		return registry.Refused.Errorf(codeRefused, "the application has too much metadata of its own: with the agent's it would be %d, and Auth0 keeps %d", n, maxMetadata)
	}
	change := differences(a, app, metadata)
	if len(keys) > 0 {
		return c.ensureKeys(ctx, app, keys, change)
	}
	return c.ensureSecret(ctx, app, change)
}

// readApplication reads what InspectClient and EnsureClient look at. The keys of
// an application need read:client_credentials.
func (c *Client) readApplication(ctx context.Context, clientID string, withKeys bool) (*management.Client, error) {
	if err := c.checkClientID(clientID); err != nil {
		return nil, err
	}
	fields := []string{
		"client_id", "name", "description", "app_type", "grant_types", "client_metadata",
		"token_endpoint_auth_method", "jwt_configuration",
	}
	if withKeys {
		fields = append(fields, "client_authentication_methods")
	}
	var app *management.Client
	err := c.call(ctx, opReadClient, func(ctx context.Context) (err error) {
		app, err = c.management.Client.Read(ctx, clientID, management.IncludeFields(fields...))
		switch {
		case isStatus(err, http.StatusNotFound):
			return opReadClient.gone(err)
		case err == nil && app.GetClientID() != clientID:
			return errors.New("the answer is not the application that was asked for")
		}
		return err
	})
	return app, err
}

// differences is the PATCH that makes app the agent's, but for how it
// authenticates. Auth0 merges the metadata key by key.
func differences(a registry.Agent, app *management.Client, metadata map[string]any) map[string]any {
	change := map[string]any{}
	if name := registry.EntityName(a.ID); app.GetName() != name {
		change["name"] = name
	}
	if d := describe(a.Name); app.GetDescription() != d {
		change["description"] = d
	}
	if app.GetAppType() != appType {
		change["app_type"] = appType
	}
	if !registry.SameSet(app.GetGrantTypes(), grantTypes()) {
		change["grant_types"] = grantTypes()
	}
	if app.GetJWTConfiguration().GetAlgorithm() != signingAlg {
		change["jwt_configuration"] = map[string]any{"alg": signingAlg}
	}
	maps.DeleteFunc(metadata, func(name string, value any) bool { return app.GetClientMetadata()[name] == value })
	if len(metadata) > 0 {
		change["client_metadata"] = metadata
	}
	return change
}

// foreign counts the metadata of app that is not ours.
func foreign(app *management.Client, ours map[string]any) (n int) {
	for name := range app.GetClientMetadata() {
		if _, ok := ours[name]; !ok {
			n++
		}
	}
	return n
}

// The two properties that say how an application authenticates. They exclude
// each other.
const (
	propSecretMethod = "token_endpoint_auth_method"
	propKeyMethods   = "client_authentication_methods"
)

// ensureSecret makes the change, and the secret what the application
// authenticates with. One that states no method has Auth0's default, or keys that
// we may not see: these are removed only if they turn out to be in the way, since
// that needs a scope that is for tenants with keys.
func (c *Client) ensureSecret(ctx context.Context, app *management.Client, change map[string]any) error {
	stated := app.GetTokenEndpointAuthMethod()
	if stated != string(registry.ClientSecretPost) {
		change[propSecretMethod] = registry.ClientSecretPost
	}
	inTheWay := false
	err := c.patchClient(ctx, opUpdateClient, app.GetClientID(), change, func(err error) error {
		inTheWay = stated == "" && isStatus(err, http.StatusBadRequest)
		return err
	})
	if err == nil || !inTheWay {
		return err
	}
	change[propKeyMethods] = nil
	return c.patchClient(ctx, opEnableKeys, app.GetClientID(), change, nil)
}

// patchClient changes the application, if there is anything to change. see may be
// nil; it sees the raw error and may replace it.
func (c *Client) patchClient(ctx context.Context, op operation, clientID string, change map[string]any, see func(error) error) error {
	if len(change) == 0 {
		return nil
	}
	return c.call(ctx, op, func(ctx context.Context) error {
		body := maps.Clone(change) // the SDK decodes the answer into it
		err := c.management.Request(ctx, http.MethodPatch, c.management.URI("clients", clientID), &body)
		if isStatus(err, http.StatusNotFound) {
			return op.gone(err)
		}
		if err != nil && see != nil {
			return see(err)
		}
		return err
	})
}

// keysBody is the value of propKeyMethods that enables the credentials.
func keysBody(ids []string) map[string]any {
	credentials := make([]map[string]string, len(ids))
	for i, id := range ids {
		credentials[i] = map[string]string{"id": id}
	}
	return map[string]any{string(registry.PrivateKeyJWT): map[string]any{"credentials": credentials}}
}

// attachedKeys are the ids of the credentials that the application may use.
func attachedKeys(app *management.Client) []string {
	var ids []string
	for _, credential := range app.GetClientAuthenticationMethods().GetPrivateKeyJWT().GetCredentials() {
		ids = append(ids, credential.GetID())
	}
	return ids
}

// sameKey reports whether the credential is the key, used in the same way, without
// an end.
func sameKey(credential *management.Credential, key keyset.Key) bool {
	return credential.GetKeyID() == key.Thumbprint() && credential.GetAlgorithm() == key.Algorithm() && credential.ExpiresAt == nil
}
