package config_test

import (
	"strings"
	"testing"

	"github.com/credenceproject/credence/internal/config"
)

func TestEveryFaultIsToldAtOnce(t *testing.T) {
	t.Parallel()
	env := map[string]string{
		"CREDENCE_LOG_LEVEL": "LOUD", "CREDENCE_DATABASE_MAX_CONNS": "many", "CREDENCE_AUTH0_TIMEOUT": "soon", "CREDENCE_VAULT_TIMEOUT": "0s",
		"CREDENCE_VAULT_ADDRESS": "http://vault.example.com", "CREDENCE_TLS_CERT_FILE": "cert.pem",
		"CREDENCE_AUTH_AUDIENCE": "https://same.example.com/", "CREDENCE_AGENT_AUDIENCE": "https://same.example.com/",
		"CREDENCE_VAULT_SECRET_ID": "a", "CREDENCE_VAULT_SECRET_ID_FILE": "b",
		"CREDENCE_AUTH0_CLIENT_SECRET_FILE": "/nowhere/at/all",
	}
	_, err := config.Load(none, source(env))
	if err == nil {
		t.Fatal("Load() = nil")
	}
	for _, want := range []string{
		"CREDENCE_LOG_LEVEL: ", "CREDENCE_DATABASE_MAX_CONNS: ", "CREDENCE_AUTH0_TIMEOUT: ", "CREDENCE_VAULT_TIMEOUT: it must be more than 0",
		"CREDENCE_VAULT_ADDRESS: it must be https", "CREDENCE_TLS_CERT_FILE and CREDENCE_TLS_KEY_FILE go together",
		"CREDENCE_AUTH_AUDIENCE and CREDENCE_AGENT_AUDIENCE are the same", "both CREDENCE_VAULT_SECRET_ID and CREDENCE_VAULT_SECRET_ID_FILE are set",
		"CREDENCE_AUTH0_CLIENT_SECRET: read the secret file: open /nowhere/at/all",
		"CREDENCE_DATABASE_URL is not set", "CREDENCE_AUTH_ISSUER is not set", "CREDENCE_AUTH0_DOMAIN is not set",
		"CREDENCE_AUTH0_CLIENT_ID is not set", "CREDENCE_VAULT_ROLE_ID is not set",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q", want)
		}
	}
	if lines := strings.Count(err.Error(), "\n"); lines != 14 {
		t.Errorf("%d faults, want each of the 14 once:\n%v", lines, err)
	}
	if _, again := config.Load(none, source(env)); again.Error() != err.Error() {
		t.Errorf("the faults come in another order the second time:\n%v", again)
	}
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	const (
		issuer = "CREDENCE_AUTH_ISSUER"
		vault  = "CREDENCE_VAULT_ADDRESS"
	)
	for _, tc := range []struct {
		name, variable, value string
		usable                bool
	}{
		{"https", issuer, "https://tenant.example.com/", true},
		{"https with a port", vault, "https://vault.example.com:8200", true},
		{"http to loopback", vault, "http://127.0.0.1:8200", true},
		{"http to all of loopback", vault, "http://127.9.9.9:8200", true},
		{"http to loopback, version 6", vault, "http://[::1]:8200", true},
		{"http to localhost", issuer, "http://localhost:8085/", true},
		{"http to another machine", vault, "http://vault.example.com:8200", false},
		{"http to another machine, issuer", issuer, "http://tenant.example.com/", false},
		{"http to all addresses", vault, "http://0.0.0.0:8200", false},
		{"http to a private network", vault, "http://10.0.0.1:8200", false},
		{"http to a name like localhost", vault, "http://localhost.example.com", false},
		{"http to a name like loopback", vault, "http://127.0.0.1.example.com", false},
		{"another scheme", vault, "ftp://127.0.0.1", false},
		{"no scheme", vault, "vault.example.com:8200", false},
		{"no host", vault, "https://", false},
		{"no URL", vault, "%", false},
		{"with a password", vault, "https://root:hunter2@vault.example.com", false},
		{"a password behind something that is no URL", vault, "https://root:hunter2@vault.example.com:port", false},

		{"neither true nor false", "CREDENCE_VAULT_PLAINTEXT", "maybe", false},
		{"a level in small letters", "CREDENCE_LOG_LEVEL", "warn", true},
		{"an unknown level", "CREDENCE_LOG_LEVEL", "LOUD", false},
		{"no connections", "CREDENCE_DATABASE_MAX_CONNS", "0", false},
		{"fewer than none", "CREDENCE_DATABASE_MAX_CONNS", "-1", false},
		{"more than anybody has", "CREDENCE_DATABASE_MAX_CONNS", "10001", false},
		{"a part of one", "CREDENCE_DATABASE_MAX_CONNS", "1.5", false},
		{"a duration", "CREDENCE_AUTH0_TIMEOUT", "1m30s", true},
		{"a duration without a unit", "CREDENCE_LEASE", "30", false},
		{"none", "CREDENCE_RETRY_BASE", "0s", false},
		{"a negative one", "CREDENCE_SHUTDOWN_TIMEOUT", "-1s", false},
		{"a negative one, where none is allowed", "CREDENCE_SWEEP_INTERVAL", "-1s", false},
		{"none, where it is allowed", "CREDENCE_SWEEP_INTERVAL", "0s", true},
		{"just time for requests to end", "CREDENCE_SHUTDOWN_TIMEOUT", "8s", true},
		{"no time for requests to end", "CREDENCE_SHUTDOWN_TIMEOUT", "7s", false},
		{"a wait that a request can hold", "CREDENCE_INLINE_TIMEOUT", "9s", true},
		{"a wait that outlasts the request", "CREDENCE_INLINE_TIMEOUT", "9500ms", false},
		{"a client that may appear after all", "CREDENCE_CLIENT_SETTLE", "15s", false}, // invariant C2
		{"a client that may not", "CREDENCE_CLIENT_SETTLE", "16s", true},
		{"a lease that outlasts a client's creation", "CREDENCE_LEASE", "1m", false},
		{"pauses that shrink", "CREDENCE_RETRY_BASE", "6m", false},
		{"secrets that are never issued anew", "CREDENCE_REISSUE_GAP", "11m", false},
		{"secrets that are issued for forgotten keys", "CREDENCE_REISSUE_WITHIN", "25h", false},
		{"keys that are forgotten too early", "CREDENCE_IDEMPOTENCY_TTL", "9m", false},
		{"a rate", "CREDENCE_AUTH0_RATE", "0.5", true},
		{"a negative rate", "CREDENCE_AUTH0_RATE", "-1", false},
		{"a rate of nearly nothing", "CREDENCE_AUTH0_RATE", "1e-9", false},
		{"a rate without end", "CREDENCE_AUTH0_RATE", "Inf", false},
		{"a rate that is no number", "CREDENCE_AUTH0_RATE", "NaN", false},
		{"a rate with a unit", "CREDENCE_AUTH0_RATE", "2/s", false},
		{"a burst", "CREDENCE_AUTH0_BURST", "50", true},
		{"a negative burst", "CREDENCE_AUTH0_BURST", "-1", false},
		{"no workers", "CREDENCE_RECONCILE_WORKERS", "0", false},

		{"the agents' audience is the API's", "CREDENCE_AGENT_AUDIENCE", "https://credence.example.com/", false}, // invariant A2
		{"a key without a certificate", "CREDENCE_TLS_KEY_FILE", "key.pem", false},
		{"a certificate without a key", "CREDENCE_TLS_CERT_FILE", "cert.pem", false},
		{"client authorities without TLS", "CREDENCE_TLS_CLIENT_CA_FILE", "ca.pem", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c, err := config.Load(none, source(usable(map[string]string{tc.variable: tc.value})))
			if tc.usable {
				if err != nil {
					t.Errorf("Load() = %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.variable) {
				t.Fatalf("Load() = %v, want an error that names %s", err, tc.variable)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "in-the-") {
				t.Errorf("the error holds a secret: %v", err)
			}
			if c.Listen != "" {
				t.Error("an unusable configuration was returned")
			}
		})
	}
}

// An operator may allow plaintext to the secret store, and to nobody else.
func TestPlaintextIsForTheSecretStoreAlone(t *testing.T) {
	t.Parallel()
	allow := map[string]string{"CREDENCE_VAULT_PLAINTEXT": "true", "CREDENCE_VAULT_ADDRESS": "http://openbao:8200"}
	if c, err := config.Load(none, source(usable(allow))); err != nil || !c.Vault.Plaintext {
		t.Errorf("Load() = %v", err)
	}
	allow["CREDENCE_AUTH_ISSUER"] = "http://tenant.example.com/"
	if _, err := config.Load(none, source(usable(allow))); err == nil || !strings.Contains(err.Error(), "CREDENCE_AUTH_ISSUER: it must be https") {
		t.Errorf("Load() with an issuer in plaintext = %v", err)
	}
}

// What must be set is missing when it is blank, wherever it is blank.
func TestWhatMustBeSet(t *testing.T) {
	t.Parallel()
	required := 0
	for _, s := range config.Settings() {
		if !s.Required {
			continue
		}
		required++
		flag := s.Flag
		if s.Secret {
			flag += "-file"
		}
		for where, sources := range map[string][2]map[string]string{
			"variable": {nil, usable(map[string]string{s.Env: ""})},
			"flag":     {{flag: ""}, usable(nil)},
		} {
			_, err := config.Load(source(sources[0]), source(sources[1]))
			if err == nil || !strings.Contains(err.Error(), s.Env+" is not set: ") {
				t.Errorf("with a blank %s of %s: %v", where, s.Env, err)
			}
		}
	}
	if required == 0 {
		t.Error("nothing is required")
	}
}
