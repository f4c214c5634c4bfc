package vault_test

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/vault"
)

func TestInspectEntityTellsWhatIsThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, _ := w.register(newAgent("customer-success", "production"))
	accessor := w.read(w.root, "sys/auth")["jwt/"].(map[string]any)["accessor"].(string)
	want := registry.ProviderEntity{
		ID: a.EntityID,
		Metadata: map[string]string{
			"agent_id": a.ID, "agent_name": a.Name, "team": "customer-success",
			"agent_type": "support", "environment": "production", "managed_by": "credence",
		},
		Policies: []string{},
		AliasID:  a.AliasID, AliasName: a.Subject(), AliasAccessor: accessor, MountAccessor: accessor,
	}
	if diff := cmp.Diff(want, w.inspect(a.ID)); diff != "" {
		t.Errorf("registered: %s", diff)
	}

	w.write(w.root, "identity/entity/id/"+a.EntityID, map[string]any{"policies": []string{"admin"}, "metadata": map[string]any{"team": "billing"}})
	if err := w.client.DisableEntity(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	want.Policies, want.Metadata, want.Disabled = []string{"admin"}, map[string]string{"team": "billing"}, true
	if diff := cmp.Diff(want, w.inspect(a.ID)); diff != "" {
		t.Errorf("changed: %s", diff)
	}

	if _, err := w.root.Logical().DeleteWithContext(t.Context(), "identity/entity-alias/id/"+a.AliasID); err != nil {
		t.Fatal(err)
	}
	want.AliasID, want.AliasName, want.AliasAccessor = "", "", ""
	if diff := cmp.Diff(want, w.inspect(a.ID)); diff != "" {
		t.Errorf("without its alias: %s", diff)
	}

	w.write(w.root, "sys/auth/userpass", map[string]any{"type": "userpass"})
	elsewhere := w.read(w.root, "sys/auth")["userpass/"].(map[string]any)["accessor"].(string)
	w.write(w.root, "identity/entity-alias", map[string]any{"name": "ana", "canonical_id": a.EntityID, "mount_accessor": elsewhere})
	want.AliasName, want.AliasAccessor = "ana", elsewhere
	if diff := cmp.Diff(want, w.inspect(a.ID)); diff != "" {
		t.Errorf("with an alias at another mount: %s", diff)
	}
}

func TestAStoreAsItWasSetUpHasNoDrift(t *testing.T) {
	t.Parallel()
	long := func(c *vault.SetupConfig) { c.TokenTTL, c.TokenMaxTTL = time.Hour, 2*time.Hour }
	named := func(c *vault.SetupConfig) { c.AppRole, c.Role, c.KVMount, c.JWTMount = "cp", "robot", "kv", "jwt-two" }
	for name, options := range map[string][]func(*vault.SetupConfig){"defaults": nil, "other lifetimes": {long}, "other names": {named}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options...)
			c := w.config()
			c.KVMount, c.JWTMount, c.Role = w.setup.KVMount, w.setup.JWTMount, w.setup.Role
			c.Expected.AppRole, c.Expected.TokenTTL, c.Expected.TokenMaxTTL = w.setup.AppRole, w.setup.TokenTTL, w.setup.TokenMaxTTL
			client, _ := w.start(c)
			got, err := client.InspectStore(t.Context())
			if err != nil || len(got) > 0 {
				t.Errorf("InspectStore() = %+v, %v, want none", got, err)
			}
		})
	}
}

// Each of these lets in, or lets see, more than Setup did; none changes how the
// store answers agents that behave.
func TestWhoeverWidensTheStoreIsNoticed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	drift := func(kind, id, field, expected, found string) registry.Drift {
		return registry.Drift{
			Provider: "vault", ObjectKind: kind, ObjectID: id, Field: field, Expected: expected, Found: found, Action: registry.DriftReported,
		}
	}
	role := func(field, expected, found string) registry.Drift {
		return drift("role", "agent", field, expected, found)
	}
	const rolePath = "auth/jwt/role/agent"
	for _, row := range []struct {
		name, path string
		body       map[string]any
		want       []registry.Drift
	}{
		{
			"another policy beside ours", rolePath, map[string]any{"token_policies": []string{"credence-agent", "admin"}},
			[]registry.Drift{role("token_policies", `["credence-agent"]`, `["credence-agent","admin"]`)},
		},
		{
			"the default policy too", rolePath, map[string]any{"token_no_default_policy": false},
			[]registry.Drift{role("token_no_default_policy", "true", "false")},
		},
		{
			"tokens of any client", rolePath, map[string]any{"bound_claims": map[string]any{}},
			[]registry.Drift{role("bound_claims", `{"https://mcp.example.com/agent_id":"*"}`, "{}")},
		},
		{
			"tokens of another audience", rolePath, map[string]any{"bound_audiences": []string{audience, "https://other.example.com/"}},
			[]registry.Drift{role("bound_audiences", `["https://mcp.example.com/"]`, `["https://mcp.example.com/","https://other.example.com/"]`)},
		},
		{
			"agents by another claim", rolePath, map[string]any{"user_claim": "azp"},
			[]registry.Drift{role("user_claim", "sub", "azp")},
		},
		{
			"tokens that last", rolePath, map[string]any{"token_ttl": "24h", "token_max_ttl": "768h"},
			[]registry.Drift{role("token_max_ttl", "1200", "2764800"), role("token_ttl", "600", "86400")},
		},
		{
			"tokens of any issuer", "auth/jwt/config", map[string]any{"jwks_url": w.setup.JWKSURL, "bound_issuer": "https://evil.example.com/", "jwt_supported_algs": []string{"RS256"}},
			[]registry.Drift{drift("mount", "auth/jwt", "bound_issuer", w.setup.Issuer, "https://evil.example.com/")},
		},
		{
			"a policy that reads all", "sys/policies/acl/credence-agent", map[string]any{"policy": "# one\npath \"secret/*\" { capabilities = [\"read\"] }\n"},
			[]registry.Drift{drift("policy", "credence-agent", "policy", "sha256:", "sha256:")},
		},
	} {
		body := w.read(w.root, row.path) // which a write replaces
		maps.Copy(body, row.body)
		w.write(w.root, row.path, body)
		got, err := w.client.InspectStore(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", row.name, err)
		}
		for i, d := range got {
			if d.Field == "policy" && strings.HasPrefix(d.Expected, "sha256:") && d.Expected != d.Found {
				got[i].Expected, got[i].Found = "sha256:", d.Found[:7]
			}
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s: %s", row.name, diff)
		}
		w.mustSetup() // mends it
	}
	if got, err := w.client.InspectStore(t.Context()); err != nil || len(got) > 0 {
		t.Errorf("mended: %+v, %v, want none", got, err)
	}
}

func TestWhatIsGoneOrMayNotBeReadIsReportedAsSuch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	drifts := func(found string) []registry.Drift {
		var all []registry.Drift
		for _, o := range [][2]string{{"policy", "credence-agent"}, {"mount", "auth/jwt"}, {"role", "agent"}} {
			all = append(all, registry.Drift{
				Provider: "vault", ObjectKind: o[0], ObjectID: o[1], Expected: "present", Found: found, Action: registry.DriftReported,
			})
		}
		return all
	}
	for _, path := range []string{"auth/jwt/role/agent", "sys/policies/acl/credence-agent", "sys/auth/jwt"} {
		if _, err := w.root.Logical().DeleteWithContext(t.Context(), path); err != nil {
			t.Fatal(err)
		}
	}
	got, err := w.client.InspectStore(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(drifts("absent"), got); diff != "" {
		t.Errorf("gone: %s", diff)
	}

	w.mustSetup()
	const own = "sys/policies/acl/credence-control-plane"
	text, _, _ := strings.Cut(w.read(w.root, own)["policy"].(string), `path "sys/policies/acl`) // as older versions wrote it
	w.write(w.root, own, map[string]any{"policy": text + "path \"auth/token/lookup-self\" {\n  capabilities = [\"read\"]\n}\n"})
	if got, err = w.client.InspectStore(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(drifts("unreadable"), got); diff != "" {
		t.Errorf("unreadable: %s", diff)
	}
}

// A store that is away is no drift.
func TestAStoreThatIsAwayIsNotReportedAsChanged(t *testing.T) {
	t.Parallel()
	c, _, _ := against(t, sealed)
	if got, err := c.InspectStore(t.Context()); !isUnavailable(err) || len(got) > 0 {
		t.Errorf("InspectStore() = %+v, %v, want Unavailable", got, err)
	}
}

// The AppRole names a policy, whose name goes into a path that nobody escapes.
func TestAnAppRoleThatIsNoNameIsInvalid(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"../sys", "a/b", "UPPER", "a b", "+"} {
		_, err := vault.New(vault.Config{
			Address: "http://127.0.0.1:1", RoleID: "r", SecretID: func() (string, error) { return "s", nil },
			Expected: vault.Expected{AppRole: name},
		}, nil, nil)
		if !errors.Is(err, registry.Invalid) {
			t.Errorf("New() with the AppRole %q = %v, want Invalid", name, err)
		}
	}
}
