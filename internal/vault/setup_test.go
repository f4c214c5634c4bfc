package vault_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/setup"
	"github.com/credenceproject/credence/internal/vault"
)

// objects are what setup prepares, in order.
var objects = []string{
	"auth mount jwt", "configuration of auth/jwt", "secrets mount secret", "policy credence-agent", "role agent of auth/jwt",
	"auth mount approle", "policy credence-control-plane", "AppRole credence",
}

func report(dryRun bool, action setup.Action) setup.Report {
	r := setup.Report{System: "vault", DryRun: dryRun}
	for _, o := range objects {
		r.Add(o, action, "")
	}
	return r
}

func TestSetupPreparesOnceAndThenChangesNothing(t *testing.T) {
	t.Parallel()
	w := bareWorld(t)
	first := w.mustSetup()
	if diff := cmp.Diff(report(false, setup.Created), first.Report); diff != "" {
		t.Errorf("first run: %s", diff)
	}
	before := w.inventory()
	second := w.mustSetup()
	if diff := cmp.Diff(report(false, setup.Unchanged), second.Report); diff != "" {
		t.Errorf("second run: %s", diff)
	}
	if diff := cmp.Diff(before, w.inventory()); diff != "" {
		t.Errorf("the second run changed something: %s", diff)
	}
	if second.RoleID != first.RoleID || second.SecretID == first.SecretID {
		t.Errorf("second run: role id %q and secret id, want the same %q and another secret id", second.RoleID, first.RoleID)
	}
}

func TestSetupDryRunWritesNothing(t *testing.T) {
	t.Parallel()
	w := bareWorld(t)
	before := w.inventory()
	w.setup.DryRun = true
	r := w.mustSetup()
	if diff := cmp.Diff(vault.Result{Report: report(true, setup.Created)}, r); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(before, w.inventory()); diff != "" {
		t.Errorf("the dry run changed something: %s", diff)
	}
	w.setup.DryRun = false
	prepared := w.mustSetup()
	w.setup.DryRun = true
	if diff := cmp.Diff(vault.Result{Report: report(true, setup.Unchanged), RoleID: prepared.RoleID}, w.mustSetup()); diff != "" {
		t.Errorf("after a real run: %s", diff)
	}
}

// inventory is everything that setup could have written.
func (w *world) inventory() map[string]any {
	w.t.Helper()
	all := map[string]any{}
	for _, path := range []string{
		"sys/auth", "sys/mounts", "auth/jwt/config", "auth/jwt/role/agent", "auth/approle/role/credence",
		"sys/policies/acl/credence-agent", "sys/policies/acl/credence-control-plane",
	} {
		all[path] = w.read(w.root, path)
	}
	names, err := w.root.Sys().ListPoliciesWithContext(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	all["policies"] = names
	return all
}

// What grew is cut back and said; what narrows further is the operator's.
func TestSetupMendsWhatDrifted(t *testing.T) {
	t.Parallel()
	w := bareWorld(t)
	w.mustSetup()
	w.write(w.root, "auth/jwt/role/agent", map[string]any{
		"role_type": "jwt", "user_claim": "sub", "token_policies": []string{"credence-agent", "admin"}, "token_no_default_policy": false, "token_period": "1h",
		"groups_claim": "groups", "bound_claims": map[string]any{}, "bound_claims_type": "glob", "token_bound_cidrs": []string{"127.0.0.1/32"},
	})
	w.write(w.root, "sys/policies/acl/credence-control-plane", map[string]any{"policy": `path "*" { capabilities = ["sudo"] }`})
	w.write(w.root, "auth/approle/role/credence", map[string]any{"token_ttl": "720h", "token_max_ttl": "720h", "secret_id_ttl": "24h"})

	r := w.mustSetup()
	want := report(false, setup.Unchanged)
	want.Changes[4] = setup.Change{Object: objects[4], Action: setup.Updated, Detail: `bound_claims: {} → {"https://mcp.example.com/agent_id":"*"}, ` +
		`groups_claim: "groups" → "", token_no_default_policy: false → true, token_period: 3600 → 0, ` +
		`token_policies: ["credence-agent","admin"] → ["credence-agent"]`}
	want.Changes[6] = setup.Change{Object: objects[6], Action: setup.Updated, Detail: "policy differs"}
	want.Changes[7] = setup.Change{Object: objects[7], Action: setup.Updated, Detail: "token_max_ttl: 2592000 → 3600, token_ttl: 2592000 → 1200"}
	if diff := cmp.Diff(want, r.Report); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(report(false, setup.Unchanged), w.mustSetup().Report); diff != "" {
		t.Errorf("after mending: %s", diff)
	}
	if got := w.read(w.root, "auth/jwt/role/agent")["token_bound_cidrs"]; !cmp.Equal(got, []any{"127.0.0.1"}) {
		t.Errorf("token_bound_cidrs = %v, want it kept", got)
	}
}

func TestSetupKeepsWhatItsWriteWouldLose(t *testing.T) {
	t.Parallel()
	w := bareWorld(t)
	w.mustSetup()
	w.write(w.root, "auth/jwt/config", map[string]any{
		"jwks_url": w.issuer.jwks, "bound_issuer": "https://old.example.com/", "default_role": "agent",
	})
	w.mustSetup()
	got := w.read(w.root, "auth/jwt/config")
	if got["bound_issuer"] != w.issuer.name || got["default_role"] != "agent" {
		t.Errorf("bound_issuer %v, default_role %v, want %s and agent", got["bound_issuer"], got["default_role"], w.issuer.name)
	}
}

func TestSetupLeavesMountsOfAnotherTypeAlone(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		path string
		body map[string]any
		want string
	}{
		"jwt is userpass": {"sys/auth/jwt", map[string]any{"type": "userpass"}, "auth/jwt is of type userpass, not jwt"},
		"kv is version 1": {"sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]any{"version": "1"}}, "secret is of type kv 1, not kv 2"},
		"approle is jwt":  {"sys/auth/approle", map[string]any{"type": "jwt"}, "auth/approle is of type jwt, not approle"},
	} {
		w := bareWorld(t)
		w.write(w.root, row.path, row.body)
		_, err := vault.Setup(t.Context(), w.setup)
		if e, ok := registry.AsError(err); !ok || e.Kind != registry.Refused || !strings.Contains(e.Message, row.want) {
			t.Errorf("%s: Setup() = %v, want Refused: %s", name, err, row.want)
		}
	}
}

func TestSetupTellsTheOperatorWhatToDo(t *testing.T) {
	t.Parallel()
	w := bareWorld(t)
	for name, row := range map[string]struct {
		set  func(*vault.SetupConfig)
		want string
	}{
		"unknown token": {func(c *vault.SetupConfig) { c.Token = "s.abcdefghijklmnopqrstuvwx" },
			"The operator's token is unknown, or may not use sys/auth of the secret store."},
		"key set out of reach": {func(c *vault.SetupConfig) { c.JWKSURL = "http://127.0.0.1:1/jwks.json" },
			"The secret store refused the JWT configuration; it must be able to fetch the JWKS URL now."},
	} {
		c := w.setup
		row.set(&c)
		r, err := vault.Setup(t.Context(), c)
		e, ok := registry.AsError(err)
		if !ok || e.Kind != registry.Refused || e.Message != row.want {
			t.Errorf("%s: Setup() = %v, want Refused: %s", name, err, row.want)
			continue
		}
		if strings.Contains(err.Error(), c.Token) {
			t.Errorf("%s: the error shows the token", name)
		}
		if r.SecretID != "" || r.RoleID != "" {
			t.Errorf("%s: a failed setup returned credentials", name)
		}
	}
}

func TestSetupRefusesAConfigurationBeforeItSendsAnything(t *testing.T) {
	t.Parallel()
	reached := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the store was asked for %s", r.URL.Path)
	}))
	t.Cleanup(reached.Close)
	password := func() (string, error) { return "p", nil }
	for name, set := range map[string]func(*vault.SetupConfig){
		"no address":            func(c *vault.SetupConfig) { c.Address = "" },
		"plain http":            func(c *vault.SetupConfig) { c.Address = "http://vault.example.com:8200" },
		"another scheme":        func(c *vault.SetupConfig) { c.Address = "unix:///tmp/x" },
		"a password in the URL": func(c *vault.SetupConfig) { c.Address = "https://u:p@vault.example.com" },
		"no token":              func(c *vault.SetupConfig) { c.Token = "" },
		"no issuer":             func(c *vault.SetupConfig) { c.Issuer = "" },
		"no key set":            func(c *vault.SetupConfig) { c.JWKSURL = "" },
		"plain key set":         func(c *vault.SetupConfig) { c.JWKSURL = "http://issuer.example.com/jwks.json" },
		"no audience":           func(c *vault.SetupConfig) { c.Audience = "" },
		"audience as a pointer": func(c *vault.SetupConfig) { c.Audience = "/mcp" },
		"JWT mount":             func(c *vault.SetupConfig) { c.JWTMount = "a/../b" },
		"KV mount":              func(c *vault.SetupConfig) { c.KVMount = `x" {}` },
		"KV mount with a glob":  func(c *vault.SetupConfig) { c.KVMount = "+" },
		"AppRole mount":         func(c *vault.SetupConfig) { c.AppRoleMount = "/approle" },
		"role":                  func(c *vault.SetupConfig) { c.Role = "../acl/root" },
		"role in upper case":    func(c *vault.SetupConfig) { c.Role = "Agent" },
		"role with our policy":  func(c *vault.SetupConfig) { c.Role = "control-plane" },
		"AppRole":               func(c *vault.SetupConfig) { c.AppRole = "a/b" },
		"namespace":             func(c *vault.SetupConfig) { c.Namespace = "a\nb" },
		"TTL beyond its most":   func(c *vault.SetupConfig) { c.TokenTTL = time.Hour },
		"TTL of a half second":  func(c *vault.SetupConfig) { c.TokenTTL = 1500 * time.Millisecond },
		"database URL": func(c *vault.SetupConfig) {
			c.Database = &vault.DatabaseConfig{ConnectionURL: "postgresql://u:p@db/x", Username: "u", Password: password}
		},
		"database without a user": func(c *vault.SetupConfig) {
			c.Database = &vault.DatabaseConfig{ConnectionURL: databaseURL, Password: password}
		},
		"database long leases": func(c *vault.SetupConfig) {
			c.Database = &vault.DatabaseConfig{ConnectionURL: databaseURL, Username: "u", Password: password, TTL: time.Hour}
		},
		"database role": func(c *vault.SetupConfig) {
			c.Database = &vault.DatabaseConfig{ConnectionURL: databaseURL, Username: "u", Password: password, Role: "a/b"}
		},
	} {
		c := vault.SetupConfig{
			Address: reached.URL, Token: "root", Issuer: "https://issuer.example.com/", JWKSURL: "https://issuer.example.com/jwks.json", Audience: audience,
		}
		set(&c)
		if _, err := vault.Setup(t.Context(), c); !errors.Is(err, registry.Invalid) {
			t.Errorf("%s: Setup() = %v, want Invalid", name, err)
		}
	}
}

const databaseURL = "postgresql://{{username}}:{{password}}@db:5432/app"

func TestSetupShowsASecretIDOnlyOnRequestAndNeverInTheReport(t *testing.T) {
	t.Parallel()
	w := bareWorld(t)
	w.setup.IssueSecretID = false
	if r := w.mustSetup(); r.SecretID != "" || r.RoleID == "" {
		t.Errorf("secret id %q, role id %q, want only a role id", r.SecretID, r.RoleID)
	}
	w.setup.IssueSecretID = true
	r := w.mustSetup()
	var printed strings.Builder
	if err := r.Report.Print(&printed); err != nil {
		t.Fatal(err)
	}
	if r.SecretID == "" || strings.Contains(printed.String(), r.SecretID) || strings.Contains(printed.String(), w.setup.Token) {
		t.Errorf("secret id %q; report: %s", r.SecretID, printed.String())
	}
}

// A store without namespaces, as Vault's open edition is, is prepared in its
// root; names of mounts and roles then keep installations apart.
func TestSetupUnderOtherNamesInTheRootNamespace(t *testing.T) {
	t.Parallel()
	w := bareWorld(t)
	unique := "x" + strings.ReplaceAll(w.setup.Namespace, "-", "")[1:13]
	w.setup.Namespace = ""
	w.root.ClearNamespace()
	w.setup.JWTMount, w.setup.KVMount, w.setup.AppRoleMount, w.setup.AppRole = "jwt-"+unique, "team/"+unique, "approle-"+unique, unique
	w.result = w.mustSetup()
	c := w.config()
	c.JWTMount, c.AppRoleMount = w.setup.JWTMount, w.setup.AppRoleMount
	w.client, _ = w.start(c)
	a, token := w.register(newAgent("customer-success", "production"))
	agent := rawClient(t, w.setup.Address, "", "")
	secret := w.write(agent, "auth/"+w.setup.JWTMount+"/login", map[string]any{"role": "agent", "jwt": token})
	agent.SetToken(secret.Auth.ClientToken)
	if got := status(t, agent, w.put(vault.Paths(w.setup.KVMount, a).Own)); got != http.StatusOK {
		t.Errorf("reading one's own secret = %d, want 200", got)
	}
	if again := w.mustSetup().Report; again.Changed() {
		t.Errorf("second run: %v", again)
	}
}
