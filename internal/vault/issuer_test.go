package vault_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// signingKey is one key for all tests: making one takes a while.
var signingKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// issuer signs tokens as the identity provider does, and serves its key set.
type issuer struct {
	name string
	jwks string
	key  *rsa.PrivateKey
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := signingKey()
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Algorithm: "RS256", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(set)
	}))
	t.Cleanup(s.Close)
	return &issuer{name: s.URL + "/", jwks: s.URL + "/.well-known/jwks.json", key: key}
}

// token is the access token of a client, with the agent_id claim that the
// Action sets for registered agents; an empty agentID leaves it out.
func (i *issuer) token(t *testing.T, subject, agentID string) string {
	t.Helper()
	claims := map[string]any{}
	if agentID != "" {
		claims[audience+"agent_id"] = agentID
	}
	return i.sign(t, jwt.Claims{Subject: subject, Audience: jwt.Audience{audience}}, claims)
}

// sign signs a token that is valid for an hour, unless the claims say otherwise.
func (i *issuer) sign(t *testing.T, c jwt.Claims, more map[string]any) string {
	t.Helper()
	if c.Issuer == "" {
		c.Issuer = i.name
	}
	c.IssuedAt = jwt.NewNumericDate(time.Now())
	if c.Expiry == nil {
		c.Expiry = jwt.NewNumericDate(time.Now().Add(time.Hour))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: i.key},
		(&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", "k1"))
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(c).Claims(more).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}
