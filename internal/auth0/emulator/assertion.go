package emulator

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// assertionAlgorithms are the signatures that Auth0 takes in an assertion.
var assertionAlgorithms = []string{"RS256", "RS384", "PS256"}

// Auth0's limits of an assertion (Authenticate with Private Key JWT).
const (
	maxAssertion         = 2048 // bytes
	maxAssertionText     = 64   // characters of iss, sub and jti
	maxAssertionLifetime = 5 * time.Minute
	assertionSkew        = 10 * time.Second // of iat and nbf
)

func invalidAssertion(description string) *oauthError {
	return oauthErrorf(http.StatusUnauthorized, "invalid_client", "%s", description)
}

// authenticateAssertion checks a client's assertion (RFC 7523 section 3, OpenID
// Connect Core 1.0 section 9) against the keys that the client uses. It takes each
// once.
func (e *Emulator) authenticateAssertion(req tokenRequest) (*client, error) {
	if len(req.assertion) > maxAssertion {
		return nil, invalidAssertion("The client assertion is too long.")
	}
	token, err := jwt.ParseSigned(req.assertion, joseAlgorithms())
	if err != nil || len(token.Headers) != 1 {
		return nil, invalidAssertion("The client assertion is not a JWT in RS256, RS384 or PS256.")
	}
	var claimed jwt.Claims
	if err := token.UnsafeClaimsWithoutVerification(&claimed); err != nil {
		return nil, invalidAssertion("The client assertion has no claims.")
	}
	c, ok := e.clients.get(claimed.Subject)
	if !ok || (req.clientID != "" && req.clientID != c.id) {
		return nil, invalidAssertion("The client assertion names another client, or none.")
	}
	now := e.opts.Now()
	claims, ok := c.verifyAssertion(token, now)
	if !ok {
		return nil, invalidAssertion("No key of the client signed the client assertion.")
	}
	if fault := e.assertionFault(c, claims, now); fault != "" {
		return nil, invalidAssertion(fault)
	}
	if !e.assertions.first(c.id+"\n"+claims.ID, claims.Expiry.Time(), now) {
		return nil, invalidAssertion("The client assertion was used before.")
	}
	return c, nil
}

func joseAlgorithms() []jose.SignatureAlgorithm {
	algorithms := make([]jose.SignatureAlgorithm, len(assertionAlgorithms))
	for i, a := range assertionAlgorithms {
		algorithms[i] = jose.SignatureAlgorithm(a)
	}
	return algorithms
}

// verifyAssertion returns the claims if one of the keys that the client uses
// signed them in the algorithm that it is for. A kid in the header is optional.
func (c *client) verifyAssertion(token *jwt.JSONWebToken, now time.Time) (claims jwt.Claims, ok bool) {
	header := token.Headers[0]
	used := c.attached("private_key_jwt")
	for _, k := range c.credentials {
		switch {
		case k.key == nil, !slices.Contains(used, k.id()), k.doc["alg"] != header.Algorithm,
			header.KeyID != "" && header.KeyID != k.doc["kid"],
			!k.expiresAt.IsZero() && !now.Before(k.expiresAt):
			continue
		}
		if token.Claims(k.key, &claims) == nil {
			return claims, true
		}
	}
	return jwt.Claims{}, false
}

// assertionFault says what is wrong with claims that are surely the client's, or
// "".
func (e *Emulator) assertionFault(c *client, claims jwt.Claims, now time.Time) string {
	issued := now
	if claims.IssuedAt != nil {
		issued = claims.IssuedAt.Time()
	}
	switch {
	case claims.Issuer != c.id || claims.Subject != c.id || len(c.id) > maxAssertionText:
		return "iss and sub must be the client's id."
	case !slices.Contains(claims.Audience, e.opts.Issuer):
		return "aud must be the tenant: " + e.opts.Issuer
	case claims.Expiry == nil || !now.Before(claims.Expiry.Time()):
		return "The client assertion has no exp, or has expired."
	case claims.Expiry.Time().Sub(issued) > maxAssertionLifetime:
		return "The client assertion lives longer than five minutes."
	case issued.After(now.Add(assertionSkew)), claims.NotBefore != nil && claims.NotBefore.Time().After(now.Add(assertionSkew)):
		return "The client assertion is not valid yet."
	case claims.ID == "" || len(claims.ID) > maxAssertionText:
		return "jti must have 1 to 64 characters."
	}
	return ""
}

// replays remembers what may be used once, for as long as it could be used.
type replays struct {
	mu     sync.Mutex
	until  map[string]time.Time
	pruned time.Time
}

// first reports whether key was not used before, and remembers it.
func (r *replays) first(key string, until, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.until == nil {
		r.until = map[string]time.Time{}
	}
	if now.Sub(r.pruned) >= time.Minute {
		r.pruned = now
		for old, end := range r.until {
			if !now.Before(end) {
				delete(r.until, old)
			}
		}
	}
	if end, used := r.until[key]; used && now.Before(end) {
		return false
	}
	r.until[key] = until
	return true
}
