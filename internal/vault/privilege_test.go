package vault_test

import (
	"net/http"
	"testing"

	"github.com/credenceproject/credence/internal/vault"
)

// The control plane's own token is worth little to a thief: it cannot make
// itself or an agent more powerful, touch other logins, or read secrets.
func TestTheControlPlaneMayDoItsWorkAndNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, _ := w.register(newAgent("customer-success", "production"))
	b, _ := w.register(newAgent("billing", "production"))

	w.write(w.root, "sys/auth/userpass", map[string]any{"type": "userpass"})
	mounts := w.read(w.root, "sys/auth")
	accessorOf := func(mount string) any { return mounts[mount].(map[string]any)["accessor"] }
	person := w.write(w.root, "identity/entity", map[string]any{"name": "ana", "policies": []string{"admin"}}).Data["id"]
	hers := w.write(w.root, "identity/entity-alias", map[string]any{
		"name": "ana", "canonical_id": person, "mount_accessor": accessorOf("userpass/"),
	}).Data["id"].(string)

	own := "identity/entity/name/" + vault.EntityName(a.ID)
	secret := w.put(vault.Paths("secret", a).Own)
	c := w.asControlPlane()
	for name, row := range map[string]struct {
		path string
		body map[string]any
	}{
		"write an ACL policy":            {"sys/policies/acl/mine", map[string]any{"policy": `path "*" { capabilities = ["read"] }`}},
		"change its own policy":          {"sys/policies/acl/credence-control-plane", map[string]any{"policy": ""}},
		"change the agents' policy":      {"sys/policies/acl/credence-agent", map[string]any{"policy": ""}},
		"give an entity policies":        {own, map[string]any{"policies": []string{"admin"}}},
		"give them beside metadata":      {own, map[string]any{"policies": "admin", "metadata": map[string]any{"team": "x"}}},
		"write an entity by id":          {"identity/entity/id/" + a.EntityID, map[string]any{"metadata": map[string]any{}}},
		"write somebody's entity":        {"identity/entity/name/ana", map[string]any{"metadata": map[string]any{"team": "x"}}},
		"make an entity of any name":     {"identity/entity", map[string]any{"name": "x"}},
		"rename an entity":               {own, map[string]any{"name": "ana"}},
		"merge entities":                 {"identity/entity/merge", map[string]any{"from_entity_ids": b.EntityID, "to_entity_id": a.EntityID}},
		"make a group":                   {"identity/group", map[string]any{"name": "x", "policies": []string{"admin"}}},
		"move another mount's alias":     {"identity/entity-alias", map[string]any{"name": "ana", "canonical_id": a.EntityID, "mount_accessor": accessorOf("userpass/")}},
		"move it by its id":              {"identity/entity-alias", map[string]any{"id": hers, "name": "x@clients", "canonical_id": a.EntityID, "mount_accessor": accessorOf("jwt/")}},
		"move it at its id":              {"identity/entity-alias/id/" + hers, map[string]any{"canonical_id": a.EntityID}},
		"look up somebody":               {"identity/lookup/entity", map[string]any{"name": "ana"}},
		"look up another mount's alias":  {"identity/lookup/entity", map[string]any{"alias_name": "ana", "alias_mount_accessor": accessorOf("userpass/")}},
		"change the agents' role":        {"auth/jwt/role/agent", map[string]any{"token_policies": []string{"admin"}}},
		"change where keys come from":    {"auth/jwt/config", map[string]any{"jwks_url": "https://evil.example.com/jwks.json"}},
		"change its own AppRole":         {"auth/approle/role/credence", map[string]any{"token_policies": []string{"admin"}}},
		"issue itself another secret id": {"auth/approle/role/credence/secret-id", nil},
		"make a child token":             {"auth/token/create", nil},
		"mount something":                {"sys/mounts/x", map[string]any{"type": "kv"}},
		"mount a login":                  {"sys/auth/x", map[string]any{"type": "userpass"}},
		"write an agent's secret":        {secret, map[string]any{"data": map[string]any{"value": "x"}}},
		"make a namespace":               {"sys/namespaces/x", nil},
	} {
		if got := writeStatus(t, c, row.path, row.body); got != http.StatusForbidden {
			t.Errorf("%s: %d, want 403", name, got)
		}
	}
	for _, path := range []string{
		secret, w.put(vault.Paths("secret", a).Team), w.put(vault.Paths("secret", a).Common),
		"secret/metadata/mcp/agents/by-id/" + vault.EntityName(a.ID) + "/key",
		"identity/entity/name/ana", "identity/entity/id/" + a.EntityID, "identity/entity-alias/id/" + a.AliasID,
		"sys/policies/acl/credence-control-plane", "sys/policies/acl/other", "auth/jwt/role/other", "auth/userpass/users/ana",
		"auth/approle/role/credence", "auth/approle/role/credence/role-id", "sys/mounts", "sys/mounts/secret", "sys/auth/jwt",
	} {
		if got := status(t, c, path); got != http.StatusForbidden {
			t.Errorf("reading %s: %d, want 403", path, got)
		}
	}
	for _, path := range []string{"sys/policies/acl", "auth/jwt/role", "auth/approle/role", "identity/entity/name", "identity/entity-alias/id", "secret/metadata/mcp/agents/by-id"} {
		if _, err := c.Logical().ListWithContext(t.Context(), path); statusOf(t, true, err) != http.StatusForbidden {
			t.Errorf("listing %s: %v, want HTTP 403", path, err)
		}
	}
	for _, path := range []string{"sys/policies/acl/credence-agent", "auth/jwt/config", "auth/jwt/role/agent", "sys/auth"} {
		if got := status(t, c, path); got != http.StatusOK {
			t.Errorf("reading %s: %d, want 200: drift is to be noticed", path, got)
		}
	}
	for _, path := range []string{"sys/policies/acl/credence-agent", "auth/jwt/role/agent", "identity/entity-alias/id/" + a.AliasID, "identity/entity/name/ana", "identity/entity/id/" + a.EntityID, "identity/entity-alias/id/" + hers, secret} {
		if _, err := c.Logical().DeleteWithContext(t.Context(), path); statusOf(t, true, err) != http.StatusForbidden {
			t.Errorf("deleting %s: %v, want HTTP 403", path, err)
		}
	}
	if got := w.read(w.root, "identity/entity-alias/id/"+hers)["canonical_id"]; got != person {
		t.Errorf("ana's alias belongs to %v, want %v", got, person)
	}
}
