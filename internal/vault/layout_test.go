package vault_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/vault"
)

func TestPathsAreThoseOfTheContract(t *testing.T) {
	t.Parallel()
	a := registry.Agent{ID: "0197a000-0000-7000-8000-000000000001", Team: "customer-success", Environment: "production"}
	want := vault.SecretPaths{
		Own:    "secret/data/mcp/agents/by-id/agent_0197a000-0000-7000-8000-000000000001",
		Team:   "secret/data/mcp/agents/by-env/production/by-team/customer-success",
		Common: "secret/data/mcp/agents/by-env/production/common",
	}
	if diff := cmp.Diff(want, vault.Paths("secret", a)); diff != "" {
		t.Error(diff)
	}
}

// An agent reads its own folder, its team's and its environment's, and nothing
// of anybody else's.
func TestInvariant_D1_AnAgentReadsItsThreeFoldersAndNoOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, token := w.register(newAgent("customer-success", "production"))
	sibling, _ := w.register(newAgent("customer-success", "production"))
	stranger, _ := w.register(newAgent("billing", "production"))
	staged, _ := w.register(newAgent("customer-success", "staging"))
	agent, auth := w.mustLogin(token)
	if auth.EntityID != a.EntityID {
		t.Fatalf("login landed on entity %s, want %s", auth.EntityID, a.EntityID)
	}

	own, other := vault.Paths("secret", a), vault.Paths("secret", stranger)
	elsewhere := vault.Paths("secret", staged)
	for name, row := range map[string]struct {
		folder string
		want   int
	}{
		"own":                                 {own.Own, http.StatusOK},
		"team":                                {own.Team, http.StatusOK},
		"common":                              {own.Common, http.StatusOK},
		"another agent's of the team":         {vault.Paths("secret", sibling).Own, http.StatusForbidden},
		"another agent's of another team":     {other.Own, http.StatusForbidden},
		"another team's":                      {other.Team, http.StatusForbidden},
		"the team's in another environment":   {elsewhere.Team, http.StatusForbidden},
		"another environment's":               {elsewhere.Common, http.StatusForbidden},
		"a folder whose name begins the same": {own.Own + "0", http.StatusForbidden},
		"beside the layout":                   {"secret/data/mcp/agents", http.StatusForbidden},
	} {
		path := w.put(row.folder)
		if got := status(t, agent, path); got != row.want {
			t.Errorf("%s: reading %s = %d, want %d", name, path, got, row.want)
		}
	}
	if got := writeStatus(t, agent, own.Own+"/key", map[string]any{"data": map[string]any{"value": "x"}}); got != http.StatusForbidden {
		t.Errorf("writing one's own secret = %d, want 403", got)
	}
}

// The role gives a token nothing but the folders, and no long life.
func TestInvariant_D1_TheRoleGrantsNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, token := w.register(newAgent("customer-success", "production"))
	agent, auth := w.mustLogin(token)

	self := w.read(agent, "auth/token/lookup-self")
	if diff := cmp.Diff([]any{"credence-agent"}, self["policies"]); diff != "" {
		t.Errorf("policies: %s", diff)
	}
	if got := time.Duration(auth.LeaseDuration) * time.Second; got != vault.DefaultTokenTTL {
		t.Errorf("token lives %s, want %s", got, vault.DefaultTokenTTL)
	}
	for _, path := range []string{
		"identity/entity/name/" + vault.EntityName(a.ID), "sys/auth", "sys/mounts", "auth/jwt/role/agent",
		"cubbyhole/key", "secret/config", "secret/metadata/mcp/agents/by-id/" + vault.EntityName(a.ID) + "/key",
	} {
		if got := status(t, agent, path); got != http.StatusForbidden {
			t.Errorf("reading %s = %d, want 403", path, got)
		}
	}
	w.put(vault.Paths("secret", a).Own)
	names, err := agent.Logical().ListWithContext(t.Context(), "secret/metadata/mcp/agents/by-id/"+vault.EntityName(a.ID))
	if err != nil {
		t.Fatalf("listing one's own folder: %v", err)
	}
	if diff := cmp.Diff([]any{"key"}, names.Data["keys"]); diff != "" {
		t.Error(diff)
	}
	if _, err := agent.Logical().ListWithContext(t.Context(), "secret/metadata/mcp/agents/by-id"); err == nil {
		t.Error("an agent lists other agents' folders")
	}
}

// A client of the tenant that is no agent may even carry the claim: its login
// lands on a bare entity, for which every template of the policy is empty.
func TestInvariant_D1_AnUnregisteredClientReadsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, _ := w.register(newAgent("customer-success", "production"))
	paths := vault.Paths("secret", a)
	stranger, auth := w.mustLogin(w.issuer.token(t, "stranger@clients", a.ID))
	if auth.EntityID == a.EntityID {
		t.Fatal("login landed on an agent's entity")
	}
	for _, path := range []string{
		w.put(paths.Own), w.put(paths.Team), w.put(paths.Common),
		w.put("secret/data/mcp/agents/by-env/common"), w.put("secret/data/mcp/agents/by-env/by-team"),
	} {
		if got := status(t, stranger, path); got != http.StatusForbidden {
			t.Errorf("reading %s = %d, want 403", path, got)
		}
	}
}

func TestInvariant_D1_OnlyTokensOfAnAgentLogIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, good := w.register(newAgent("customer-success", "production"))
	w.mustLogin(good)
	claim := map[string]any{audience + "agent_id": a.ID}
	mine := jwt.Audience{audience}
	for name, token := range map[string]string{
		"no agent_id claim": w.issuer.token(t, a.Subject(), ""),
		"another audience":  w.issuer.sign(t, jwt.Claims{Subject: a.Subject(), Audience: jwt.Audience{"https://credence.example.com/"}}, claim),
		"no audience":       w.issuer.sign(t, jwt.Claims{Subject: a.Subject()}, claim),
		"another issuer":    w.issuer.sign(t, jwt.Claims{Issuer: "https://evil.example.com/", Subject: a.Subject(), Audience: mine}, claim),
		"no subject":        w.issuer.sign(t, jwt.Claims{Audience: mine}, claim),
		"expired":           w.issuer.sign(t, jwt.Claims{Subject: a.Subject(), Audience: mine, Expiry: jwt.NewNumericDate(time.Now().Add(-time.Hour))}, claim),
		"another signature": good[:len(good)-8] + "AAAAAAAA",
	} {
		if _, _, err := w.login(token); statusOf(t, true, err) != http.StatusBadRequest {
			t.Errorf("%s: login = %v, want HTTP 400", name, err)
		}
	}
}

// The article names the alias by the bare client id. The login works all the
// same, on an entity that the store makes up, and the agent cannot read what is
// its own.
func TestTheArticlesAliasNamedByTheClientIDLeadsToAnotherEntity(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := newAgent("customer-success", "production")
	id, err := w.client.EnsureEntity(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	jwtMount := w.read(w.root, "sys/auth")["jwt/"].(map[string]any)
	w.write(w.root, "identity/entity-alias", map[string]any{
		"name": a.ClientID, "canonical_id": id, "mount_accessor": jwtMount["accessor"],
	})

	agent, auth := w.mustLogin(w.issuer.token(t, a.Subject(), a.ID))
	if auth.EntityID == id {
		t.Error("login landed on the agent's entity: the article would be right")
	}
	paths := vault.Paths("secret", a)
	for _, folder := range []string{paths.Own, paths.Team, paths.Common} {
		if got := status(t, agent, w.put(folder)); got != http.StatusForbidden {
			t.Errorf("reading %s = %d, want 403", folder, got)
		}
	}
	if _, err := w.client.EnsureAlias(t.Context(), id, a.ClientID); !isRefused(err) {
		t.Errorf("EnsureAlias() of a bare client id = %v, want Refused", err)
	}
}
