// Package authn says who is calling: it turns a bearer token into a
// registry.Principal, or refuses it.
//
// A token is a JWT access token of one issuer, made for the control plane's own
// audience. It is judged as RFC 8725 (JWT best practices) and RFC 9068 (access
// tokens) advise: asymmetric signatures only, by a key that the issuer publishes
// under the token's kid; issuer, audience and expiry exact; no claim read twice.
//
// Discovery is go-oidc's. Its verifier is not used, because it is made for ID
// tokens: it matches claim names regardless of case, takes the last of
// duplicated claims, tolerates five minutes on nbf, asks the issuer again for
// every unknown key and tells its refusals apart only by text.
//
// What is remembered, and for how long:
//
//   - Keys stay until the issuer's next answer replaces them, at most keyLifetime
//     (24 h) without one. Once they are older than keyRefresh (5 min) the next
//     request has them fetched again in the background.
//   - A verified token stays, by its SHA-256, while the issuer's keys stay the
//     same; expiry is checked at every request. So a key that the issuer withdraws
//     stops working, for remembered tokens too, as soon as the new keys are here.
//   - A client that is or was an agent's stays one. That it is not is believed
//     for agentDoubt (10 s).
package authn

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// Verifier authenticates callers by their bearer tokens. It is safe for
// concurrent use.
type Verifier struct {
	config   Config
	log      *slog.Logger
	keys     *keyring
	verified *lru[digest, verdict]
	agents   *agentGuard
}

// digest is the SHA-256 of a token. The token itself is never kept.
type digest [sha256.Size]byte

// verdict is what a valid token says, and what that rests on.
type verdict struct {
	principal registry.Principal
	clients   []string // every client id that the token names
	expiry    time.Time
	keys      fingerprint // of the keys that verified it
}

// New returns a Verifier of tokens as c describes them. It does no I/O: the
// issuer is first asked when the first token, or Ready, needs its keys. The error says
// what is wrong with c and is of no registry kind.
func New(c Config, clients AgentClients, log *slog.Logger) (*Verifier, error) {
	if clients == nil || log == nil {
		return nil, errors.New("authn: agent clients and a logger are required")
	}
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	source := &issuer{url: c.Issuer, client: c.HTTPClient, log: log}
	return &Verifier{
		config:   c,
		log:      log,
		keys:     &keyring{fetch: source.fetch, refetch: c.KeyRefetch, now: c.Now, log: log},
		verified: newLRU[digest, verdict](c.CacheSize),
		agents:   newAgentGuard(clients, c.CacheSize, c.Now),
	}, nil
}

// Ready reports whether tokens can be verified now: nil when the issuer's keys
// are at hand or could be fetched, else Unavailable.
func (v *Verifier) Ready(ctx context.Context) error {
	if v.keys.cached(ctx) != nil {
		return nil
	}
	_, err := v.keys.ask(ctx)
	return err
}

// Authenticate says who presents token. The Principal is the caller's to keep.
//
// It returns Unauthenticated with code missing_token, invalid_token,
// token_expired, wrong_audience or wrong_issuer; Forbidden with code agent_client
// when the token names a client that is or was an agent's, whatever else it says
// (invariant A2), and then the Principal too, which says for the audit log who
// was refused and grants nothing; and Unavailable with code identity_provider_unavailable or
// registry_unavailable when that cannot be found out.
func (v *Verifier) Authenticate(ctx context.Context, token string) (registry.Principal, error) {
	verdict, err := v.verify(ctx, token)
	if err != nil {
		return registry.Principal{}, err
	}
	principal := verdict.principal
	principal.Permissions = slices.Clone(principal.Permissions)
	principal.Teams = slices.Clone(principal.Teams)
	if err := v.agents.check(ctx, verdict.clients); errors.Is(err, registry.Forbidden) {
		return principal, err
	} else if err != nil {
		return registry.Principal{}, err
	}
	// Last, because what came before may have waited for the issuer.
	if !v.config.Now().Before(verdict.expiry) {
		return registry.Principal{}, errExpired()
	}
	return principal, nil
}

// verify returns what token says, from memory where it was verified before by
// the keys that the issuer still has. It leaves expiry to the caller.
func (v *Verifier) verify(ctx context.Context, token string) (verdict, error) {
	if token == "" {
		return verdict{}, errMissing()
	}
	if len(token) > maxToken {
		return verdict{}, errInvalid(nil, "the token is longer than 8 KiB")
	}
	sum := digest(sha256.Sum256([]byte(token)))
	keys := v.keys.cached(ctx)
	if keys != nil {
		if known, ok := v.verified.get(sum); ok && known.keys == keys.fingerprint {
			return known, nil
		}
	}
	fresh, err := v.verifyAnew(ctx, token, keys)
	if err != nil {
		return verdict{}, err
	}
	// Only valid tokens get here, so nobody without one can crowd out others.
	v.verified.put(sum, fresh)
	return fresh, nil
}

// verifyAnew verifies token by keys, or by newer ones when keys is nil or lacks
// the token's. Whatever can be refused without a key is refused first: a token
// that is not even meant for us never makes us ask the issuer.
func (v *Verifier) verifyAnew(ctx context.Context, token string, keys *keySet) (verdict, error) {
	t, err := parseToken(token)
	if err != nil {
		return verdict{}, err
	}
	claims, err := parseClaims(t.unverified(), v.config.TeamsClaim)
	if err != nil {
		return verdict{}, err
	}
	if err := claims.check(v.config); err != nil {
		return verdict{}, err
	}
	if keys == nil || !keys.has(t.kid) {
		if keys, err = v.keys.ask(ctx); err != nil {
			return verdict{}, err
		}
	}
	if err := keys.verify(t); err != nil {
		return verdict{}, err
	}
	return verdict{
		principal: v.principal(ctx, claims),
		clients:   claims.clients(),
		expiry:    claims.expiry,
		keys:      keys.fingerprint,
	}, nil
}
