package emulator

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"
)

// reply is what a management endpoint answers. Its body holds only values that
// nobody changes any more: it is written after the lock was given back.
type reply struct {
	status int
	body   any
}

// endpoint handles one management request. Its caller has been authenticated and
// holds one of the endpoint's scopes.
type endpoint func(w http.ResponseWriter, r *http.Request) (reply, error)

// routes builds the whole HTTP surface.
func (e *Emulator) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /oauth/token", e.token)
	mux.HandleFunc("GET /.well-known/jwks.json", e.jwks)
	mux.HandleFunc("GET /.well-known/openid-configuration", e.discovery)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, apiErrorf(http.StatusNotFound, "", "Not Found"))
	})
	for _, route := range e.managementRoutes() {
		method, path, _ := strings.Cut(route.pattern, " ")
		mux.Handle(method+" /api/v2/"+path, e.management(route))
	}
	return mux
}

type managementRoute struct {
	pattern string
	scopes  []string // any of them opens it
	serve   endpoint
}

func (e *Emulator) managementRoutes() []managementRoute {
	return []managementRoute{
		{"POST clients", []string{"create:clients"}, e.createClient},
		{"GET clients", []string{"read:clients", "read:client_keys"}, e.listClients},
		{"GET clients/{id}", []string{"read:clients", "read:client_keys"}, e.getClient},
		{"PATCH clients/{id}", []string{"update:clients"}, e.updateClient},
		{"DELETE clients/{id}", []string{"delete:clients"}, e.deleteClient},
		{"POST clients/{id}/rotate-secret", []string{"update:client_keys"}, e.rotateSecret},
		{"POST clients/{id}/credentials", []string{"create:client_credentials"}, e.createCredential},
		{"GET clients/{id}/credentials", []string{"read:client_credentials"}, e.listCredentials},
		{"GET clients/{id}/credentials/{credential}", []string{"read:client_credentials"}, e.getCredential},
		{"PATCH clients/{id}/credentials/{credential}", []string{"update:client_credentials"}, e.updateCredential},
		{"DELETE clients/{id}/credentials/{credential}", []string{"delete:client_credentials"}, e.deleteCredential},

		{"POST client-grants", []string{"create:client_grants"}, e.createGrant},
		{"GET client-grants", []string{"read:client_grants"}, e.listGrants},
		{"GET client-grants/{id}", []string{"read:client_grants"}, e.getGrant},
		{"PATCH client-grants/{id}", []string{"update:client_grants"}, e.updateGrant},
		{"DELETE client-grants/{id}", []string{"delete:client_grants"}, e.deleteGrant},

		{"POST resource-servers", []string{"create:resource_servers"}, e.createResourceServer},
		{"GET resource-servers", []string{"read:resource_servers"}, e.listResourceServers},
		{"GET resource-servers/{id}", []string{"read:resource_servers"}, e.getResourceServer},
		{"PATCH resource-servers/{id}", []string{"update:resource_servers"}, e.updateResourceServer},
		{"DELETE resource-servers/{id}", []string{"delete:resource_servers"}, e.deleteResourceServer},

		{"GET actions/triggers", []string{"read:actions"}, e.listTriggers},
		{"GET actions/triggers/{trigger}/bindings", []string{"read:actions"}, e.listBindings},
		{"PATCH actions/triggers/{trigger}/bindings", []string{"update:actions"}, e.replaceBindings},
		{"POST actions/actions", []string{"create:actions"}, e.createAction},
		{"GET actions/actions", []string{"read:actions"}, e.listActions},
		{"GET actions/actions/{id}", []string{"read:actions"}, e.getAction},
		{"PATCH actions/actions/{id}", []string{"update:actions"}, e.updateAction},
		{"DELETE actions/actions/{id}", []string{"delete:actions"}, e.deleteAction},
		{"POST actions/actions/{id}/deploy", []string{"create:actions"}, e.deployAction},
		{"GET actions/actions/{id}/versions", []string{"read:actions"}, e.listVersions},
		{"GET actions/actions/{id}/versions/{version}", []string{"read:actions"}, e.getVersion},
		{"POST actions/actions/{id}/versions/{version}/deploy", []string{"create:actions"}, e.deployVersion},
	}
}

// managementScopes are the scopes of the Management API that the routes ask for.
var managementScopes = []string{
	"create:clients", "read:clients", "update:clients", "delete:clients",
	"read:client_keys", "update:client_keys",
	"create:client_credentials", "read:client_credentials", "update:client_credentials", "delete:client_credentials",
	"create:client_grants", "read:client_grants", "update:client_grants", "delete:client_grants",
	"create:resource_servers", "read:resource_servers", "update:resource_servers", "delete:resource_servers",
	"create:actions", "read:actions", "update:actions", "delete:actions",
}

// management wraps an endpoint with what all of them share: rate, latency,
// authentication and scope, in this order.
func (e *Emulator) management(route managementRoute) http.Handler {
	latency := e.opts.Latency
	if own, ok := e.opts.Latencies[route.pattern]; ok {
		latency = own
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !e.managementLimit.allow(w.Header(), e.opts.Now()) {
			writeError(w, apiErrorf(http.StatusTooManyRequests, "too_many_requests", "Global limit has been reached"))
			return
		}
		if !pause(r.Context(), latency) {
			writeError(w, apiErrorf(http.StatusServiceUnavailable, "", "The request was given up."))
			return
		}
		held, err := e.authenticate(r)
		if err != nil {
			writeError(w, err)
			return
		}
		r = r.WithContext(context.WithValue(r.Context(), scopesKey{}, held))
		if !holdsAny(r, route.scopes...) {
			writeError(w, insufficientScope(route.scopes...))
			return
		}
		answer, err := route.serve(w, r)
		switch {
		case err != nil:
			writeError(w, err)
		case answer.body == nil:
			w.WriteHeader(answer.status)
		default:
			writeJSON(w, answer.status, answer.body)
		}
	})
}

// pause waits for d, or until ctx ends, which it reports as false.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

type scopesKey struct{}

// holdsAny reports whether the caller of a management request holds one of the
// scopes.
func holdsAny(r *http.Request, scopes ...string) bool {
	held, _ := r.Context().Value(scopesKey{}).([]string)
	return slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains(held, s) })
}

func insufficientScope(scopes ...string) *apiError {
	return apiErrorf(http.StatusForbidden, "insufficient_scope", "Insufficient scope, expected any of: %s", strings.Join(scopes, ","))
}

// authenticate verifies the bearer token for the Management API and returns its
// scopes.
func (e *Emulator) authenticate(r *http.Request) ([]string, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || token == "" {
		return nil, apiErrorf(http.StatusUnauthorized, "", "Missing authentication")
	}
	claims, err := e.verify(token)
	switch {
	case err != nil:
		return nil, apiErrorf(http.StatusUnauthorized, "", "Invalid token")
	case claims.Audience != e.audience:
		return nil, apiErrorf(http.StatusUnauthorized, "", "Bad audience: %s", claims.Audience)
	case !e.opts.Now().Before(time.Unix(claims.Expiry, 0)):
		return nil, apiErrorf(http.StatusUnauthorized, "", "Expired token received for JSON Web Token validation")
	}
	return strings.Fields(claims.Scope), nil
}
