package e2e_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"

	"github.com/credenceproject/credence/api"
)

// TestInvariant_A6_ATransferredAgentKeepsNothingOfTheOldTeam: what people of the old
// team may hold — the secret, a token, a Vault token — opens nothing afterwards. The
// new team collects credentials, and what they open is the new team's.
func TestInvariant_A6_ATransferredAgentKeepsNothingOfTheOldTeam(t *testing.T) {
	t.Parallel()
	w := newQuick(t)
	old := w.as(w.developer).register(registration("moving", nil))
	for what, folder := range map[string]string{"own": old.Vault.SecretPaths.Own, "team": old.Vault.SecretPaths.Team, "common": old.Vault.SecretPaths.Common} {
		w.keep(folder, what)
	}
	oldJWT := w.agentToken(old)
	oldToken, _ := w.vaultToken(oldJWT)

	const document = `{"team": "` + otherTeam + `", "owner": "bo@example.com", "reason": "a reorganisation"}`
	w.as(w.developer).post("/agents/moving/transfer", document).wantRefused(t, 403, "team_not_allowed", "/team team_not_allowed")
	both := w.as(w.token("test|both", developerPermissions, team, otherTeam))
	both.post("/agents/moving/transfer", document).want(t, 200)

	w.ask(old.Credentials.ClientID, secretOf(old), agentAudience).want(t, 401)
	w.as(w.developer).post("/agents/moving/credentials", "").wantRefused(t, 403, "team_not_allowed")
	moved := w.as(w.outsider).collect("moving")
	newToken, _ := w.vaultToken(w.agentToken(moved))
	if moved.Agent.ID != old.Agent.ID || moved.Credentials.ClientID == old.Credentials.ClientID || moved.Agent.Team != otherTeam || moved.Agent.Owner != "bo@example.com" {
		t.Errorf("moved: %+v", moved.Agent)
	}
	tokens := map[string]string{"the old Vault token": oldToken}
	if answer := w.logIn(oldJWT); answer.status == 200 { // as nobody: Vault makes an entity for whoever has a good token
		tokens["a Vault token for the old JWT"], _ = w.vaultToken(oldJWT)
	}
	w.keep(moved.Vault.SecretPaths.Team, "new team")
	for what, token := range tokens {
		for _, folder := range []string{old.Vault.SecretPaths.Own, old.Vault.SecretPaths.Team, old.Vault.SecretPaths.Common, moved.Vault.SecretPaths.Team} {
			if value, status := w.read(folder, token); status != 403 {
				t.Errorf("%s reads %s: %d %q", what, folder, status, value)
			}
		}
	}
	for folder, want := range map[string]int{moved.Vault.SecretPaths.Own: 200, moved.Vault.SecretPaths.Team: 200, old.Vault.SecretPaths.Team: 403} {
		if _, status := w.read(folder, newToken); status != want {
			t.Errorf("the new Vault token reads %s: %d, want %d", folder, status, want)
		}
	}
	w.checkAgreement()
}

// TestInvariant_C5_ResumeRevivesTokensOnlyWhereItIsWanted: enabling an entity revives
// its Vault tokens; with revoke_tokens it is made anew, and they stay dead.
func TestInvariant_C5_ResumeRevivesTokensOnlyWhereItIsWanted(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		suspend, resume string
		revived         bool
	}{
		"plain":               {`{"reason": "a test"}`, `{"reason": "a test"}`, true},
		"revoked on resuming": {`{"reason": "a test"}`, `{"reason": "a test", "revoke_tokens": true}`, false},
		"revoked before":      {`{"reason": "a test", "revoke_tokens": true}`, `{"reason": "a test"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newQuick(t)
			dev := w.as(w.developer)
			r := dev.register(registration("paused", nil))
			w.keep(r.Vault.SecretPaths.Own, "own")
			token, _ := w.vaultToken(w.agentToken(r))
			dev.post("/agents/paused/suspend", tt.suspend).want(t, 200)
			if _, status := w.read(r.Vault.SecretPaths.Own, token); status != 403 {
				t.Errorf("a suspended agent's Vault token reads: %d", status)
			}
			if got := w.ask(r.Credentials.ClientID, secretOf(r), agentAudience).status; got != 403 {
				t.Errorf("a suspended agent is given a token: %d", got)
			}
			w.checkAgreement()
			dev.post("/agents/paused/resume", tt.resume).want(t, 200)
			if _, status := w.read(r.Vault.SecretPaths.Own, token); (status == 200) != tt.revived {
				t.Errorf("the old Vault token reads: %d", status)
			}
			token, _ = w.vaultToken(w.agentToken(r)) // the secret is as it was
			if _, status := w.read(r.Vault.SecretPaths.Own, token); status != 200 {
				t.Errorf("the new Vault token reads: %d", status)
			}
			w.checkAgreement()
			dev.post("/agents/paused/resume", tt.resume).wantRefused(t, 409, "not_suspended")
		})
	}
}

// TestAnAgentThatSignsHasNoSecret: from registration to a secret of Vault's, by the
// agent's own key; then by another key, when the first one works no more.
func TestAnAgentThatSignsHasNoSecret(t *testing.T) {
	t.Parallel()
	w := newQuick(t)
	dev := w.as(w.developer)
	keys := []*rsa.PrivateKey{must(rsa.GenerateKey(rand.Reader, 2048))(t), must(rsa.GenerateKey(rand.Reader, 2048))(t)}
	answer := dev.post("/agents", registration("signing", map[string]any{"authentication": "private_key_jwt", "jwks": jwks(keys[0], "first")})).want(t, 201)
	var r api.RegisteredAgent
	answer.decode(t, &r)
	w.keep(r.Vault.SecretPaths.Own, "own")
	uses := func(key *rsa.PrivateKey) int {
		got := w.askSigned(r.Credentials.ClientID, key)
		if got.status == 200 {
			token, _ := w.vaultToken(tokenOf(t, got))
			if _, status := w.read(r.Vault.SecretPaths.Own, token); status != 200 {
				t.Errorf("its Vault token reads: %d", status)
			}
		}
		return got.status
	}
	if first, second := uses(keys[0]), uses(keys[1]); first != 200 || second != 401 {
		t.Errorf("the first key: %d, the second: %d; want 200 and 401", first, second)
	}
	dev.post("/agents/signing/credentials", "").wantRefused(t, 409, "keys_needed")
	rotated := dev.post("/agents/signing/credentials", string(must(json.Marshal(map[string]any{"jwks": jwks(keys[1], "second")}))(t))).want(t, 200)
	if first, second := uses(keys[0]), uses(keys[1]); first != 401 || second != 200 {
		t.Errorf("after the rotation the first key: %d, the second: %d; want 401 and 200", first, second)
	}
	for _, body := range [][]byte{answer.body, rotated.body, dev.get("/agents/signing").body} {
		if strings.Contains(string(body), "client_secret\"") {
			t.Errorf("a secret was handed out: %s", body)
		}
	}
	w.checkAgreement()
}

// jwks is the public half of a key as a JWK Set.
func jwks(key *rsa.PrivateKey, kid string) jose.JSONWebKeySet {
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: kid, Algorithm: "RS256", Use: "sig"}}}
}

// askSigned asks for a token as RFC 7523 says, section 2.2. The assertion names no
// key: Auth0 gives keys names of its own.
func (w *world) askSigned(clientID string, key *rsa.PrivateKey) response {
	w.t.Helper()
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, nil))(w.t)
	now := time.Now()
	assertion := must(jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: clientID, Subject: clientID, Audience: jwt.Audience{w.issuer()}, ID: uuid.NewString(),
		IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(time.Minute)),
	}).Serialize())(w.t)
	form := url.Values{
		"grant_type": {"client_credentials"}, "audience": {agentAudience},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {assertion},
	}
	r := must(http.NewRequestWithContext(w.t.Context(), "POST", w.issuer()+"oauth/token", strings.NewReader(form.Encode())))(w.t)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return send(w.t, client, r)
}

func tokenOf(t testing.TB, r response) string {
	t.Helper()
	var got struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(r.body, &got); err != nil {
		t.Fatal(err)
	}
	return got.AccessToken
}
