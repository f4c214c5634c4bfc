package auth0

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"

	"github.com/credenceproject/credence/internal/auth0/emulator"
	"github.com/credenceproject/credence/internal/keyset"
	"github.com/credenceproject/credence/internal/registry"
)

// rsaKeys are keys that tests share, A to D: making one takes long.
var rsaKeys = sync.OnceValues(func() ([]*rsa.PrivateKey, error) {
	made := make([]*rsa.PrivateKey, 4)
	for i := range made {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, err
		}
		made[i] = key
	}
	return made, nil
})

// testKey is the key that name begins with, such as A, and the algorithm that
// follows, as in "A PS256"; none is RS256.
func testKey(t *testing.T, name string) jose.JSONWebKey {
	t.Helper()
	made, err := rsaKeys()
	if err != nil {
		t.Fatal(err)
	}
	alg := "RS256"
	if len(name) > 2 {
		alg = name[2:]
	}
	return jose.JSONWebKey{Key: made[name[0]-'A'], Algorithm: alg}
}

// jwks is the JWK Set of the named keys.
func jwks(t *testing.T, names ...string) json.RawMessage {
	t.Helper()
	var set jose.JSONWebKeySet
	for _, name := range names {
		key := testKey(t, name)
		set.Keys = append(set.Keys, key.Public())
	}
	raw, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// thumbprints are the kids of the named keys, in order.
func thumbprints(t *testing.T, names ...string) []string {
	t.Helper()
	if len(names) == 0 {
		return nil
	}
	set, err := keyset.Parse(jwks(t, names...))
	if err != nil {
		t.Fatal(err)
	}
	var kids []string
	for _, key := range set.Keys() {
		kids = append(kids, key.Thumbprint())
	}
	slices.Sort(kids)
	return kids
}

// withKeys returns the agent as one that authenticates with the named keys; none
// is one with a secret.
func withKeys(t *testing.T, a registry.Agent, names ...string) registry.Agent {
	t.Helper()
	a.Authentication, a.Keys = registry.ClientSecretPost, nil
	if len(names) > 0 {
		a.Authentication, a.Keys = registry.PrivateKeyJWT, jwks(t, names...)
	}
	return a
}

// signIn asks for a token with an assertion of the named key, and returns the
// status.
func (tn *tenant) signIn(t *testing.T, clientID, name string) int {
	t.Helper()
	key := testKey(t, name)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(key.Algorithm), Key: key.Key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	assertion, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: clientID, Subject: clientID, Audience: jwt.Audience{tn.url + "/"}, ID: uuid.NewString(),
		Expiry: jwt.NewNumericDate(time.Now().Add(time.Minute)),
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return tn.exchange(t, url.Values{
		"grant_type": {"client_credentials"}, "audience": {testAudience}, "client_assertion": {assertion},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	})
}

// secretSignIn asks for a token with a secret, and returns the status.
func (tn *tenant) secretSignIn(t *testing.T, c registry.Credentials) int {
	t.Helper()
	return tn.exchange(t, url.Values{
		"grant_type": {"client_credentials"}, "audience": {testAudience}, "client_id": {c.ClientID}, "client_secret": {c.ClientSecret},
	})
}

func (tn *tenant) exchange(t *testing.T, form url.Values) int {
	t.Helper()
	resp, err := http.PostForm(tn.url+tokenPath, form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// one returns the client of that id.
func (tn *tenant) one(t *testing.T, clientID string) emulator.ClientInfo {
	t.Helper()
	for _, info := range tn.Clients() {
		if info.ID == clientID {
			slices.Sort(info.Keys)
			return info
		}
	}
	t.Fatalf("there is no client %s", clientID)
	return emulator.ClientInfo{}
}

// made registers an agent with the named keys, or a secret, and a grant.
func made(t *testing.T, c *Client, names ...string) (registry.Agent, registry.Credentials) {
	t.Helper()
	agent := withKeys(t, newAgent(), names...)
	credentials, err := c.CreateClient(t.Context(), agent, "intent-1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.EnsureGrant(t.Context(), credentials.ClientID, []string{"data:read"}); err != nil {
		t.Fatal(err)
	}
	agent.ClientID = credentials.ClientID
	return agent, credentials
}

// limitedTo makes the control plane's own application hold only the scopes.
func (tn *tenant) limitedTo(t *testing.T, scopes ...string) {
	t.Helper()
	c := tn.client(t, nil)
	var list struct {
		Grants []struct{ ID, Audience string } `json:"client_grants"`
	}
	m := c.management
	if err := m.Request(t.Context(), "GET", m.URI("client-grants"), &list, includeTotals()); err != nil {
		t.Fatal(err)
	}
	for _, g := range list.Grants {
		if g.Audience == tn.url+"/api/v2/" {
			if err := m.Request(t.Context(), "PATCH", m.URI("client-grants", g.ID), &map[string]any{"scope": scopes}); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal(fmt.Errorf("no grant for the Management API in %v", list))
}
