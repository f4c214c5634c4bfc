package config_test

import (
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/config"
)

// source is a set of flags, or an environment.
func source(m map[string]string) config.Source {
	return func(name string) (string, bool) {
		v, ok := m[name]
		return v, ok
	}
}

var none = source(nil)

// usable is an environment with all that must be set, changed by changes; ""
// takes one out.
func usable(changes map[string]string) map[string]string {
	env := map[string]string{
		"CREDENCE_DATABASE_URL":        "postgres://credence:in-the-url@db/credence",
		"CREDENCE_AUTH_ISSUER":         "https://tenant.example.com/",
		"CREDENCE_AUTH_AUDIENCE":       "https://credence.example.com/",
		"CREDENCE_AUTH0_DOMAIN":        "tenant.example.com",
		"CREDENCE_AUTH0_CLIENT_ID":     "management",
		"CREDENCE_AUTH0_CLIENT_SECRET": "in-the-variable",
		"CREDENCE_AGENT_AUDIENCE":      "https://mcp.example.com/",
		"CREDENCE_VAULT_ADDRESS":       "https://vault.example.com:8200",
		"CREDENCE_VAULT_ROLE_ID":       "role",
		"CREDENCE_VAULT_SECRET_ID":     "in-the-other-variable",
	}
	maps.Copy(env, changes)
	return env
}

func mustLoad(t *testing.T, flags, env map[string]string) config.Server {
	t.Helper()
	c, err := config.Load(source(flags), source(env))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	env := usable(nil)
	want := config.Server{
		Listen: "127.0.0.1:8080", MetricsListen: "127.0.0.1:9090", LogLevel: slog.LevelInfo, Shutdown: 60 * time.Second,
		DatabaseURL: config.NewSecret(env["CREDENCE_DATABASE_URL"]), DatabaseMaxConns: 16,
		Auth: config.Auth{Issuer: "https://tenant.example.com/", Audience: "https://credence.example.com/"},
		Auth0: config.Auth0{
			Domain: "tenant.example.com", ClientID: "management", ClientSecret: config.NewSecret("in-the-variable"),
			Audience: "https://mcp.example.com/", Installation: "default", Timeout: 10 * time.Second,
		},
		Vault: config.Vault{
			Address: "https://vault.example.com:8200", RoleID: "role", SecretID: config.NewSecret("in-the-other-variable"),
			AppRoleMount: "approle", JWTMount: "jwt", KVMount: "secret", Role: "agent", Timeout: 5 * time.Second,
		},
		Converge: config.Converge{
			Inline: 8 * time.Second, Lease: 15 * time.Second, Settle: time.Minute, Interval: time.Second, Workers: 8,
			RetryBase: time.Second, RetryMax: 5 * time.Minute, ReissueWithin: 10 * time.Minute, ReissueGap: 30 * time.Second, TokenLifetime: time.Hour,
		},
		Jobs:       config.Jobs{SweepEvery: time.Hour, ExpiryEvery: time.Minute, IdempotencyTTL: 24 * time.Hour, HeartbeatEvery: time.Minute},
		CheckEvery: time.Second,
		Bundles:    config.Bundles{Hold: 10 * time.Second, PublishWindow: 10 * time.Millisecond, MaxPolls: 1024, Drain: 5 * time.Second},
		Gate:       config.Gate{Timeout: 5 * time.Second, Memory: 512, AtOnce: 2},
	}
	if diff := cmp.Diff(want, mustLoad(t, nil, env), cmp.AllowUnexported(config.Secret{})); diff != "" {
		t.Errorf("Load() (-want +got):\n%s", diff)
	}
}

// example is a value of each setting that is not its default.
var example = map[string]string{
	"CREDENCE_LISTEN": "0.0.0.0:1", "CREDENCE_METRICS_LISTEN": "off", "CREDENCE_LOG_LEVEL": "DEBUG", "CREDENCE_ALLOWED_HOSTS": "a.example, b.example,,",
	"CREDENCE_TLS_CERT_FILE": "cert.pem", "CREDENCE_TLS_KEY_FILE": "key.pem", "CREDENCE_TLS_CLIENT_CA_FILE": "ca.pem",
	"CREDENCE_DATABASE_URL": "postgres://example", "CREDENCE_DATABASE_MAX_CONNS": "3",
	"CREDENCE_AUTH_ISSUER": "https://other.example.com/", "CREDENCE_AUTH_AUDIENCE": "https://other.example.com/api/", "CREDENCE_TEAMS_CLAIM": "groups",
	"CREDENCE_AUTH0_DOMAIN": "other.example.com", "CREDENCE_AUTH0_CLIENT_ID": "other", "CREDENCE_AUTH0_CLIENT_SECRET": "another",
	"CREDENCE_AUTH0_TIMEOUT": "11s", "CREDENCE_AGENT_AUDIENCE": "https://agents.example.com/", "CREDENCE_INSTALLATION": "eu",
	"CREDENCE_VAULT_ADDRESS": "https://bao.example.com", "CREDENCE_VAULT_PLAINTEXT": "true", "CREDENCE_VAULT_AGENT_ADDRESS": "https://agents-bao.example.com",
	"CREDENCE_VAULT_NAMESPACE": "ns", "CREDENCE_VAULT_CA_CERT_FILE": "vault-ca.pem", "CREDENCE_VAULT_ROLE_ID": "other-role",
	"CREDENCE_VAULT_SECRET_ID": "other-secret", "CREDENCE_VAULT_APPROLE_MOUNT": "approle-2", "CREDENCE_VAULT_JWT_MOUNT": "jwt-2",
	"CREDENCE_VAULT_KV_MOUNT": "kv", "CREDENCE_VAULT_ROLE": "mcp", "CREDENCE_VAULT_TIMEOUT": "6s",
	"CREDENCE_INLINE_TIMEOUT": "7s", "CREDENCE_LEASE": "16s", "CREDENCE_CLIENT_SETTLE": "4m", "CREDENCE_RECONCILE_INTERVAL": "2s",
	"CREDENCE_RECONCILE_WORKERS": "9", "CREDENCE_RETRY_BASE": "3s", "CREDENCE_RETRY_MAX": "6m", "CREDENCE_REISSUE_WITHIN": "11m",
	"CREDENCE_REISSUE_GAP": "31s", "CREDENCE_IDEMPOTENCY_TTL": "25h", "CREDENCE_TOKEN_LIFETIME": "2h", "CREDENCE_EXPIRY_INTERVAL": "3m",
	"CREDENCE_SWEEP_INTERVAL": "0", "CREDENCE_AUTH0_RATE": "2.5", "CREDENCE_AUTH0_BURST": "10", "CREDENCE_SHUTDOWN_TIMEOUT": "3m",
	"CREDENCE_CHECK_EVERY": "2s", "CREDENCE_BUNDLE_HOLD": "20s", "CREDENCE_PUBLISH_WINDOW": "20ms", "CREDENCE_MAX_POLLS": "32",
	"CREDENCE_BUNDLE_KEYS_DIR": "keys", "CREDENCE_POLL_DRAIN": "6s", "CREDENCE_HEARTBEAT_INTERVAL": "2m",
	"CREDENCE_GATE_TIMEOUT": "4s", "CREDENCE_GATE_MEMORY": "128", "CREDENCE_GATE_AT_ONCE": "3",
}

func TestEverySettingReachesItsField(t *testing.T) {
	t.Parallel()
	want := config.Server{
		Listen: "0.0.0.0:1", MetricsListen: "off", LogLevel: slog.LevelDebug, Shutdown: 3 * time.Minute, AllowedHosts: []string{"a.example", "b.example"},
		TLS:         config.TLS{CertFile: "cert.pem", KeyFile: "key.pem", ClientCAFile: "ca.pem"},
		DatabaseURL: config.NewSecret("postgres://example"), DatabaseMaxConns: 3,
		Auth: config.Auth{Issuer: "https://other.example.com/", Audience: "https://other.example.com/api/", TeamsClaim: "groups"},
		Auth0: config.Auth0{
			Domain: "other.example.com", ClientID: "other", ClientSecret: config.NewSecret("another"), Audience: "https://agents.example.com/",
			Installation: "eu", Timeout: 11 * time.Second, Rate: 2.5, Burst: 10,
		},
		Vault: config.Vault{
			Address: "https://bao.example.com", Plaintext: true, AgentAddress: "https://agents-bao.example.com", Namespace: "ns", CACertFile: "vault-ca.pem",
			RoleID: "other-role", SecretID: config.NewSecret("other-secret"), AppRoleMount: "approle-2", JWTMount: "jwt-2", KVMount: "kv",
			Role: "mcp", Timeout: 6 * time.Second,
		},
		Converge: config.Converge{
			Inline: 7 * time.Second, Lease: 16 * time.Second, Settle: 4 * time.Minute, Interval: 2 * time.Second, Workers: 9,
			RetryBase: 3 * time.Second, RetryMax: 6 * time.Minute, ReissueWithin: 11 * time.Minute, ReissueGap: 31 * time.Second, TokenLifetime: 2 * time.Hour,
		},
		Jobs:       config.Jobs{SweepEvery: 0, ExpiryEvery: 3 * time.Minute, IdempotencyTTL: 25 * time.Hour, HeartbeatEvery: 2 * time.Minute},
		CheckEvery: 2 * time.Second,
		Bundles: config.Bundles{
			Hold: 20 * time.Second, PublishWindow: 20 * time.Millisecond, MaxPolls: 32, KeysDir: "keys", Drain: 6 * time.Second,
		},
		Gate: config.Gate{Timeout: 4 * time.Second, Memory: 128, AtOnce: 3},
	}
	unexported := cmp.AllowUnexported(config.Secret{})
	if diff := cmp.Diff(want, mustLoad(t, nil, example), unexported); diff != "" {
		t.Errorf("Load() from variables (-want +got):\n%s", diff)
	}

	flags := map[string]string{}
	secretFiles := t.TempDir()
	for _, s := range config.Settings() {
		v, ok := example[s.Env]
		if !ok {
			t.Errorf("there is no example of %s: add one, and its field", s.Env)
		}
		if !s.Secret {
			flags[s.Flag] = v
			continue
		}
		flags[s.Flag+"-file"] = writeFile(t, filepath.Join(secretFiles, s.Flag), v)
	}
	got := mustLoad(t, flags, usable(nil)) // the flags win over every variable
	for secret, want := range map[config.Secret]string{
		got.DatabaseURL: "postgres://example", got.Auth0.ClientSecret: "another", got.Vault.SecretID: "other-secret",
	} {
		if v, err := secret.Value(); err != nil || v != want {
			t.Errorf("a secret from a flag's file is %q, %v; want %q", v, err, want)
		}
	}
	got.DatabaseURL, got.Auth0.ClientSecret, got.Vault.SecretID = want.DatabaseURL, want.Auth0.ClientSecret, want.Vault.SecretID
	if diff := cmp.Diff(want, got, unexported); diff != "" {
		t.Errorf("Load() from flags (-want +got):\n%s", diff)
	}
}

func TestAFlagWinsOverAVariableAndAVariableOverTheDefault(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name       string
		flags, env map[string]string
		want       string
	}{
		{"default", nil, nil, "agent"},
		{"variable", nil, map[string]string{"CREDENCE_VAULT_ROLE": "by-variable"}, "by-variable"},
		{"flag", map[string]string{"vault-role": "by-flag"}, nil, "by-flag"},
		{"both", map[string]string{"vault-role": "by-flag"}, map[string]string{"CREDENCE_VAULT_ROLE": "by-variable"}, "by-flag"},
		{"a blank variable is not set", nil, map[string]string{"CREDENCE_VAULT_ROLE": ""}, "agent"},
		{"a blank flag is the default", map[string]string{"vault-role": ""}, map[string]string{"CREDENCE_VAULT_ROLE": "by-variable"}, "agent"},
		{"a variable of the flag's name is nothing", nil, map[string]string{"vault-role": "x", "VAULT_ROLE": "x"}, "agent"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := mustLoad(t, tc.flags, usable(tc.env)).Vault.Role; got != tc.want {
				t.Errorf("role = %q, want %q", got, tc.want)
			}
		})
	}
}

func TestLoadPartAsksForNothingElse(t *testing.T) {
	t.Parallel()
	const database = "CREDENCE_DATABASE_URL"
	c, err := config.LoadPart(none, source(map[string]string{database: "postgres://db", "CREDENCE_LOG_LEVEL": "LOUD"}), database)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := c.DatabaseURL.Value(); v != "postgres://db" || err != nil {
		t.Errorf("the URL is %q, %v", v, err)
	}
	if c.Listen != "" {
		t.Errorf("a setting that was not asked for is %q", c.Listen)
	}
	if _, err := config.LoadPart(none, none, database); err == nil || !strings.Contains(err.Error(), database+" is not set") {
		t.Errorf("LoadPart() without it = %v", err)
	}
}

func TestTheLogFollowsItsLevel(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, nil, usable(map[string]string{"CREDENCE_LOG_LEVEL": "warn"}))
	if got := c.Level().Level.Level(); got != slog.LevelWarn {
		t.Errorf("level = %s", got)
	}
}

func writeFile(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
