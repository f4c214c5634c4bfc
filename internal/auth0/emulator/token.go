package emulator

import (
	"net/http"
	"slices"
	"strings"
)

// token handles POST /oauth/token (RFC 6749, section 4.4).
func (e *Emulator) token(w http.ResponseWriter, r *http.Request) {
	if !e.tokenLimit.allow(w.Header(), e.opts.Now()) {
		writeError(w, oauthErrorf(http.StatusTooManyRequests, "too_many_requests", "Global limit has been reached"))
		return
	}
	answer, err := e.clientCredentials(w, r)
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

// tokenAnswer is RFC 6749, section 5.1.
type tokenAnswer struct {
	AccessToken string `json:"access_token"`
	Scope       string `json:"scope,omitempty"`
	ExpiresIn   int64  `json:"expires_in"`
	TokenType   string `json:"token_type"`
}

// exchange is a client's admitted request for a token: who asks for what.
type exchange struct {
	client    *client
	api       *resourceServer
	scope     []string
	requested []string
	request   tokenRequest
	http      *http.Request
}

func (e *Emulator) clientCredentials(w http.ResponseWriter, r *http.Request) (tokenAnswer, error) {
	req, err := parseTokenRequest(w, r)
	if err != nil {
		return tokenAnswer{}, err
	}
	x, err := e.admit(req)
	if err != nil {
		return tokenAnswer{}, err
	}
	x.http = r
	note(r, x.client)
	custom, err := e.runActions(x)
	if err != nil {
		return tokenAnswer{}, err
	}
	lifetime := int64(x.api.doc["token_lifetime"].(float64))
	token, err := e.sign(x.api.tokenType(), e.claims(x, lifetime, custom))
	if err != nil {
		return tokenAnswer{}, err
	}
	return tokenAnswer{
		AccessToken: token,
		Scope:       strings.Join(x.scope, " "),
		ExpiresIn:   lifetime,
		TokenType:   "Bearer",
	}, nil
}

// admit authenticates the client and decides what it gets, in Auth0's order.
func (e *Emulator) admit(req tokenRequest) (exchange, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if req.grantType != grantClientCredentials {
		return exchange{}, oauthErrorf(http.StatusForbidden, "unsupported_grant_type", "Unsupported grant type: %s", req.grantType)
	}
	c, err := e.authenticateClient(req)
	if err != nil {
		return exchange{}, err
	}
	if !slices.Contains(c.grantTypes(), grantClientCredentials) {
		return exchange{}, oauthErrorf(http.StatusForbidden, "unauthorized_client",
			"Grant type '%s' not allowed for the client.", grantClientCredentials)
	}
	if req.audience == "" {
		return exchange{}, oauthErrorf(http.StatusForbidden, "access_denied",
			"Non-global clients are not allowed access to APIv1: the audience is missing")
	}
	api, ok := e.resourceServer(req.audience)
	if !ok {
		return exchange{}, oauthErrorf(http.StatusForbidden, "access_denied", "Service not enabled within domain: %s", req.audience)
	}
	g, ok := e.grants.find(func(g *grant) bool {
		return g.clientID == c.id && g.audience == req.audience && g.doc["subject_type"] == subjectClient
	})
	if !ok || api.clientPolicy() == "deny_all" {
		return exchange{}, oauthErrorf(http.StatusForbidden, "access_denied",
			`Client is not authorized to access "%s". You need to create a "client-grant" associated to this API.`, req.audience)
	}
	if alg := api.doc["signing_alg"]; alg != signingAlg {
		return exchange{}, oauthErrorf(http.StatusBadRequest, "invalid_request",
			"The emulator signs with %s only, and this API wants %v.", signingAlg, alg)
	}
	return exchange{client: c, api: api, scope: granted(g, req.scope), requested: req.scope, request: req}, nil
}

// authenticateClient checks the secret. Auth0 takes it by Basic or in the body
// whichever of the two the client names; what it does not take is a secret of a
// client that authenticates without one. A client that has keys is known by an
// assertion, and by nothing else.
func (e *Emulator) authenticateClient(req tokenRequest) (*client, error) {
	if req.assertion != "" {
		return e.authenticateAssertion(req)
	}
	sum := e.hash.sum(req.clientSecret)
	c, ok := e.clients.get(req.clientID)
	if !ok {
		c = &client{doc: document{}, secrets: secrets{current: e.hash.sum(newSecret())}}
	}
	// The comparison runs for unknown clients too, so that they take as long.
	if !c.secrets.match(sum, e.opts.Now()) || !ok || !c.usesSecret() {
		return nil, oauthErrorf(http.StatusUnauthorized, "access_denied", "Unauthorized")
	}
	return c, nil
}

// granted returns the scopes of the grant that were asked for; who asks for none
// gets all.
func granted(g *grant, requested []string) []string {
	return slices.DeleteFunc(g.scope(), func(s string) bool {
		return len(requested) > 0 && !slices.Contains(requested, s)
	})
}
