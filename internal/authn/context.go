package authn

import (
	"context"

	"github.com/credenceproject/credence/internal/registry"
)

type principalKey struct{}

// WithPrincipal returns a context in which p is the caller.
func WithPrincipal(ctx context.Context, p registry.Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// LookupPrincipal returns the caller, and whether there is one.
func LookupPrincipal(ctx context.Context) (registry.Principal, bool) {
	p, ok := ctx.Value(principalKey{}).(registry.Principal)
	return p, ok
}

// PrincipalFrom returns the caller. It panics when ctx has none: a route that
// needs a caller was mounted outside authentication.
func PrincipalFrom(ctx context.Context) registry.Principal {
	p, ok := LookupPrincipal(ctx)
	if !ok {
		panic("authn: no principal in the context: the route lacks authentication")
	}
	return p
}
