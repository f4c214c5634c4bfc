package auth0

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/auth0/go-auth0/management"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/setup"
)

// tokenDialect puts the permissions claim into tokens, but only where
// enforce_policies is on as well.
const tokenDialect = "access_token_authz"

// maxWebLifetime is Auth0's default for tokens of browser flows, in seconds. It
// must not exceed the token lifetime.
const maxWebLifetime = 7200

// apiSpec is what a resource server must be like.
type apiSpec struct {
	identifier string
	name       string // of a new one; an existing one keeps its name
	scopes     []Scope
	lifetime   int // seconds; 0 leaves it alone
}

// agentsAPI prepares the resource server of the agents' audience.
func (p *preparer) agentsAPI(ctx context.Context) error {
	return p.ensureServer(ctx, apiSpec{
		identifier: p.config.Audience,
		name:       "Credence agents (" + p.config.Installation + ")",
		scopes:     p.config.Scopes,
		lifetime:   int(p.config.TokenLifetime.Seconds()),
	})
}

// controlPlaneAPI prepares the resource server of the control plane's audience.
func (p *preparer) controlPlaneAPI(ctx context.Context) error {
	spec := apiSpec{identifier: p.config.APIAudience, name: "Credence control plane (" + p.config.Installation + ")"}
	for _, permission := range registry.Permissions {
		spec.scopes = append(spec.scopes, Scope{Value: string(permission.Name), Description: permission.Description})
	}
	return p.ensureServer(ctx, spec)
}

func (p *preparer) ensureServer(ctx context.Context, spec apiSpec) error {
	object := "resource server " + spec.identifier
	server, err := p.findServer(ctx, spec.identifier)
	if err != nil {
		return err
	}
	if server == nil {
		return p.createServer(ctx, spec, object)
	}
	if server.GetIsSystem() {
		return registry.Refused.Errorf(codeRefused, "the %s is Auth0's own: choose another audience", object)
	}
	change, details := spec.diff(server)
	if len(details) == 0 {
		p.report.Add(object, setup.Unchanged, "")
		return nil
	}
	if !p.config.DryRun {
		err := p.call(ctx, opUpdateServer, func(ctx context.Context) error {
			return p.client.management.ResourceServer.Update(ctx, server.GetID(), change)
		})
		if err != nil {
			return err
		}
		p.wrote("the %s", object)
	}
	p.report.Add(object, setup.Updated, strings.Join(details, "; "))
	return nil
}

// findServer returns the resource server with the identifier, or nil.
func (p *preparer) findServer(ctx context.Context, identifier string) (*management.ResourceServer, error) {
	servers, err := readPages(ctx, p, opListServers, (*management.ResourceServer).GetID,
		func(ctx context.Context, page int) ([]*management.ResourceServer, int, error) {
			list, err := p.client.management.ResourceServer.List(ctx,
				management.Parameter("identifiers", identifier),
				management.PerPage(setupPageSize), management.Page(page))
			if err != nil || list == nil {
				return nil, 0, orIncomplete(err)
			}
			return list.ResourceServers, list.Total, nil
		})
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(servers, func(s *management.ResourceServer) bool { return s.GetIdentifier() == identifier })
	if i < 0 {
		return nil, nil
	}
	return servers[i], nil
}

func (p *preparer) createServer(ctx context.Context, spec apiSpec, object string) error {
	server := &management.ResourceServer{
		Identifier:       new(spec.identifier),
		Name:             new(spec.name),
		Scopes:           new(addScopes(nil, spec.scopes)),
		SigningAlgorithm: new(signingAlg),
		EnforcePolicies:  new(true),
		TokenDialect:     new(tokenDialect),
	}
	if spec.lifetime > 0 {
		server.TokenLifetime = new(spec.lifetime)
		server.TokenLifetimeForWeb = new(min(spec.lifetime, maxWebLifetime))
	}
	if !p.config.DryRun {
		err := p.call(ctx, opCreateServer, func(ctx context.Context) error {
			return p.client.management.ResourceServer.Create(ctx, server)
		})
		if err != nil {
			return err
		}
		p.wrote("the %s", object)
	}
	p.report.Add(object, setup.Created, "scopes "+joinScopes(spec.scopes))
	return nil
}

// diff returns the PATCH that makes server as spec wants it and says for people
// what it changes. PATCH replaces the list of scopes, so it repeats those that
// are there.
func (spec apiSpec) diff(server *management.ResourceServer) (change *management.ResourceServer, details []string) {
	change = &management.ResourceServer{}
	if missing := spec.missing(server.GetScopes()); len(missing) > 0 {
		change.Scopes = new(addScopes(server.GetScopes(), missing))
		details = append(details, "add scopes "+joinScopes(missing))
	}
	if !server.GetEnforcePolicies() {
		change.EnforcePolicies = new(true)
		details = append(details, "enforce_policies on")
	}
	if was := server.GetTokenDialect(); was != tokenDialect {
		change.TokenDialect = new(tokenDialect)
		details = append(details, fmt.Sprintf("token_dialect %s (was %q)", tokenDialect, was))
	}
	if was := server.GetSigningAlgorithm(); was != signingAlg {
		change.SigningAlgorithm = new(signingAlg)
		details = append(details, fmt.Sprintf("signing_alg %s (was %q)", signingAlg, was))
	}
	if was := server.GetTokenLifetime(); spec.lifetime > 0 && was != spec.lifetime {
		change.TokenLifetime = new(spec.lifetime)
		if server.GetTokenLifetimeForWeb() > spec.lifetime {
			change.TokenLifetimeForWeb = new(spec.lifetime)
		}
		details = append(details, fmt.Sprintf("token_lifetime %d s (was %d s)", spec.lifetime, was))
	}
	return change, details
}

// missing returns the scopes of spec that are not among existing.
func (spec apiSpec) missing(existing []management.ResourceServerScope) []Scope {
	var missing []Scope
	for _, want := range spec.scopes {
		if !slices.ContainsFunc(existing, func(s management.ResourceServerScope) bool { return s.GetValue() == want.Value }) {
			missing = append(missing, want)
		}
	}
	return missing
}

func addScopes(existing []management.ResourceServerScope, more []Scope) []management.ResourceServerScope {
	all := slices.Clone(existing)
	for _, s := range more {
		scope := management.ResourceServerScope{Value: &s.Value}
		if s.Description != "" {
			scope.Description = &s.Description
		}
		all = append(all, scope)
	}
	return all
}

func joinScopes(scopes []Scope) string {
	values := make([]string, len(scopes))
	for i, s := range scopes {
		values[i] = s.Value
	}
	return strings.Join(values, ", ")
}

// orIncomplete is err, or that a list is missing where there was no error.
func orIncomplete(err error) error {
	if err == nil {
		return errIncomplete
	}
	return err
}
