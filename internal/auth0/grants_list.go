package auth0

import (
	"context"
	"errors"
	"net/http"

	"github.com/auth0/go-auth0/management"

	"github.com/credenceproject/credence/internal/registry"
)

// ListGrants returns, by client id, what every application of the tenant may ask
// for itself at the agents' audience. It reads the whole list, waits where the
// rate limit is reached as long as ctx lives, and is Unavailable where Auth0 cut
// the list short.
func (c *Client) ListGrants(ctx context.Context) (map[string]registry.ProviderGrant, error) {
	listed, err := c.listGrants(ctx)
	if err != nil {
		return nil, err
	}
	grants := make(map[string]registry.ProviderGrant, len(listed))
	for _, g := range listed {
		if c.isGrantOf(g, g.GetClientID()) && g.GetClientID() != "" {
			grants[g.GetClientID()] = registry.ProviderGrant{ID: g.GetID(), Scopes: asSet(g.GetScope()), AllowAll: g.GetAllowAllScopes()}
		}
	}
	return grants, nil
}

// DeleteGrants takes every scope of the agents' audience back from the
// application: those that it has itself, and those that people might use through
// it. Grants that are gone already are success. Tokens that were issued stay
// valid until they expire.
func (c *Client) DeleteGrants(ctx context.Context, clientID string) error {
	if err := c.checkClientID(clientID); err != nil {
		return err
	}
	listed, err := c.listGrants(ctx, management.Parameter("client_id", clientID))
	if err != nil {
		return err
	}
	for _, g := range listed {
		if g.GetClientID() != clientID || g.GetAudience() != c.config.Audience {
			continue
		}
		if err := c.deleteGrant(ctx, g.GetID()); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) deleteGrant(ctx context.Context, id string) error {
	return c.call(ctx, opDeleteGrant, func(ctx context.Context) error {
		if !grantIDRE.MatchString(id) {
			return errors.New("a grant is listed without an id")
		}
		err := c.management.ClientGrant.Delete(ctx, id)
		if isStatus(err, http.StatusNotFound) {
			return nil
		}
		return err
	})
}

// listGrants reads the grants for the agents' audience.
func (c *Client) listGrants(ctx context.Context, filter ...management.RequestOption) ([]*management.ClientGrant, error) {
	grants, err := readList(pageSize, (*management.ClientGrant).GetID, func(page int) ([]*management.ClientGrant, int, error) {
		var list *management.ClientGrantList
		err := c.patientCall(ctx, opListGrants, func(ctx context.Context) (err error) {
			options := append([]management.RequestOption{
				management.Parameter("audience", c.config.Audience),
				management.PerPage(pageSize), management.Page(page),
			}, filter...)
			list, err = c.management.ClientGrant.List(ctx, options...)
			if err == nil && (list == nil || list.Start != page*pageSize) {
				err = errIncomplete
			}
			return err
		})
		if err != nil {
			return nil, 0, err
		}
		return list.ClientGrants, list.Total, nil
	})
	if errors.Is(err, errIncomplete) {
		return nil, opListGrants.unavailable(err)
	}
	return grants, err
}
