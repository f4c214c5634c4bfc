package e2e_test

import (
	"testing"

	"github.com/credenceproject/credence/internal/auth0/emulator"
)

// TestAStrangerReadsNothing: whoever is not registered gets no secret, whatever
// its token says (invariant D1).
func TestAStrangerReadsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	agent := w.as(w.developer).register(registration("registered", nil))
	folders := agent.Vault.SecretPaths
	for _, folder := range []string{folders.Own, folders.Team, folders.Common} {
		w.keep(folder, "a secret")
	}
	forged := map[string]string{"agent_id": agent.Agent.ID, "team": team, "agent_type": "support", "environment": "production"}
	forgedWhole := map[string]string{
		"agent_id": agent.Agent.ID, "team": team, "agent_type": "support", "environment": "production", "managed_by": "credence/e2e",
	}
	person := func(claims map[string]any) string {
		token, err := w.tenant.MintUserToken(emulator.UserToken{Subject: "auth0|person", Audience: agentAudience, Claims: claims})
		return must(token, err)(t)
	}
	elsewhere := must(emulator.New(emulator.Options{Issuer: "http://127.0.0.1:1/", SigningKey: must(signingKey())(t)}))(t)
	tests := []struct {
		name   string
		jwt    string
		logsIn bool
	}{
		{"an unregistered client", w.stranger(agentAudience, nil), false},
		{"one with forged metadata", w.stranger(agentAudience, forged), false},
		{"one with metadata like ours to the letter", w.stranger(agentAudience, forgedWhole), true},
		{"a person", person(nil), false},
		{"a person with an agent's claim", person(map[string]any{agentAudience + "agent_id": agent.Agent.ID}), true},
		{"a token for another audience", w.stranger(apiAudience, forgedWhole), false},
		{"a token of another issuer", must(elsewhere.MintUserToken(emulator.UserToken{
			Subject: agent.Credentials.ClientID + "@clients", Audience: agentAudience, Claims: map[string]any{agentAudience + "agent_id": agent.Agent.ID},
		}))(t), false},
		{"no token of anybody", "e30.e30.e30", false},
	}
	for _, tt := range tests {
		if !tt.logsIn {
			if status := w.logIn(tt.jwt).status; status != 400 && status != 403 {
				t.Errorf("%s logs in: %d", tt.name, status)
			}
			continue
		}
		token, _ := w.vaultToken(tt.jwt)
		for _, folder := range []string{folders.Own, folders.Team, folders.Common} {
			if value, status := w.read(folder, token); status != 403 {
				t.Errorf("%s reads %s: %d %q", tt.name, folder, status, value)
			}
		}
	}
}

// stranger is the token of a client of the tenant that Credence did not make.
func (w *world) stranger(audience string, metadata map[string]string) string {
	w.t.Helper()
	id, secret := w.foreignClient(audience, metadata)
	return w.jwt(id, secret, audience)
}

// TestInvariant_A2_AgentsOpenNothingHere: neither an agent's own token, nor one
// for our audience whose client is or was an agent's, nor one that nobody signed.
func TestInvariant_A2_AgentsOpenNothingHere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	living := w.as(w.developer).register(registration("living", nil))
	dead := w.as(w.developer).register(registration("dead", nil))
	w.as(w.developer).delete("/agents/dead").want(t, 204)
	all := []string{"admin"}
	hour := 3600.0
	now := w.claimsOf(w.admin)["iat"].(float64)

	tests := []struct {
		name, token string
		status      int
		code        string
	}{
		{"no token", "", 401, "missing_token"},
		{"garbage", "garbage", 401, "invalid_token"},
		{"alg none", "eyJhbGciOiJub25lIn0." + tokenPart(w.admin, 1) + ".", 401, "invalid_token"},
		{"a changed payload", tokenPart(w.admin, 0) + "." + tokenPart(w.developer, 1) + "." + tokenPart(w.admin, 2), 401, "invalid_token"},
		{"an agent's token", w.agentToken(living), 401, "wrong_audience"},
		{"expired", w.forge(map[string]any{"iat": now - 2*hour, "exp": now - hour}), 401, "token_expired"},
		{"another issuer's", w.forge(map[string]any{"iss": "https://elsewhere.example.com/"}), 401, "wrong_issuer"},
		{"an agent's client by azp", w.forge(map[string]any{"azp": living.Credentials.ClientID, "permissions": all}), 403, "agent_client"},
		{"a deleted agent's client by azp", w.forge(map[string]any{"azp": dead.Credentials.ClientID, "permissions": all}), 403, "agent_client"},
		{"an agent's client by client_id", w.forge(map[string]any{"client_id": living.Credentials.ClientID}), 403, "agent_client"},
		{"an agent's client by sub", w.forge(map[string]any{"sub": living.Credentials.ClientID + "@clients"}), 403, "agent_client"},
	}
	for _, tt := range tests {
		for _, route := range []string{"GET /agents", "GET /agents/living", "POST /agents", "DELETE /agents/living", "PUT /teams/x", "GET /environments"} {
			method, path := cut(route)
			got := w.as(tt.token).do(method, path, "application/json", nil)
			if r := got.refused(t); r.Status != tt.status || r.Code != tt.code {
				t.Errorf("%s: %s: %d %s, want %d %s", tt.name, route, r.Status, r.Code, tt.status, tt.code)
			}
		}
	}
	w.as(w.developer).get("/agents/living").want(t, 200)
}
