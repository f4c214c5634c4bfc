package auth0

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"slices"

	"github.com/auth0/go-auth0/management"

	"github.com/credenceproject/credence/internal/registry"
)

// grantPageSize is more than the grants one client can have for one audience.
const grantPageSize = 50

// grantIDRE is what the id of a grant looks like; it is checked before an id
// becomes part of a URL.
var grantIDRE = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// EnsureGrant lets the client have tokens for the agents' audience with exactly
// scopes, whatever grant it has now, and returns the grant's id. It may be
// repeated; where the grant is as it should be nothing is changed.
func (c *Client) EnsureGrant(ctx context.Context, clientID string, scopes []string) (grantID string, err error) {
	if err := c.checkClientID(clientID); err != nil {
		return "", err
	}
	scopes = asSet(scopes)
	// The SDK decodes answers into what it was given: it gets copies.
	grant := &management.ClientGrant{ClientID: new(clientID), Audience: new(c.config.Audience), Scope: new(slices.Clone(scopes))}
	exists := false
	err = c.call(ctx, opCreateGrant, func(ctx context.Context) error {
		err := c.management.ClientGrant.Create(ctx, grant)
		if isStatus(err, http.StatusConflict) {
			exists = true
			return nil
		}
		if err == nil && grant.GetID() == "" {
			err = errors.New("the created grant came without its id")
		}
		return err
	})
	if err != nil {
		return "", err
	}
	if !exists {
		return grant.GetID(), nil
	}
	if grant, err = c.findGrant(ctx, clientID); err != nil {
		return "", err
	}
	if err := c.alignGrant(ctx, grant, scopes); err != nil {
		return "", err
	}
	return grant.GetID(), nil
}

// findGrant returns the client's grant for the agents' audience.
func (c *Client) findGrant(ctx context.Context, clientID string) (*management.ClientGrant, error) {
	var found *management.ClientGrant
	err := c.call(ctx, opListGrants, func(ctx context.Context) error {
		list, err := c.management.ClientGrant.List(ctx,
			management.Parameter("client_id", clientID), management.Parameter("audience", c.config.Audience),
			management.PerPage(grantPageSize))
		if err != nil {
			return err
		}
		if list != nil {
			i := slices.IndexFunc(list.ClientGrants, func(g *management.ClientGrant) bool { return c.isGrantOf(g, clientID) })
			if i >= 0 {
				found = list.ClientGrants[i]
				return nil
			}
		}
		return errors.New("a grant exists and is not listed")
	})
	return found, err
}

// isGrantOf reports whether g lets the client itself, not a user of it, have
// tokens for the agents' audience.
func (c *Client) isGrantOf(g *management.ClientGrant, clientID string) bool {
	return grantIDRE.MatchString(g.GetID()) && g.GetClientID() == clientID && g.GetAudience() == c.config.Audience &&
		(g.GetSubjectType() == "" || g.GetSubjectType() == "client")
}

// alignGrant makes the scopes of an existing grant those given.
func (c *Client) alignGrant(ctx context.Context, grant *management.ClientGrant, scopes []string) error {
	if !grant.GetAllowAllScopes() && registry.SameSet(grant.GetScope(), scopes) {
		return nil
	}
	change := &management.ClientGrant{Scope: &scopes}
	if grant.GetAllowAllScopes() {
		change.AllowAllScopes = new(false)
	}
	return c.call(ctx, opUpdateGrant, func(ctx context.Context) error {
		err := c.management.ClientGrant.Update(ctx, grant.GetID(), change)
		if isStatus(err, http.StatusNotFound) {
			// Deleted since we listed it: the next attempt creates it.
			return opUpdateGrant.unavailable(withoutSecrets(err))
		}
		return err
	})
}

// asSet returns the strings in order, each once, and never nil: no scopes are []
// on the wire, not null.
func asSet(s []string) []string {
	set := append([]string{}, s...)
	slices.Sort(set)
	return slices.Compact(set)
}
