package config

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// settings is the one list of everything that can be configured. The flags, the
// documentation and the check of docker-compose.yml follow from it.
var settings = []Setting{
	text("LISTEN", "127.0.0.1:8080", "host:port of the API", func(c *Server) *string { return &c.Listen }),
	text("METRICS_LISTEN", "127.0.0.1:9090", "host:port of /metrics and /debug/pprof; off turns them off", func(c *Server) *string { return &c.MetricsListen }),
	custom("LOG_LEVEL", "INFO", "DEBUG, INFO, WARN or ERROR", func(c *Server, s string) error { return c.LogLevel.UnmarshalText([]byte(s)) }),
	custom("ALLOWED_HOSTS", "", "Host names that are served, separated by commas; empty serves all", func(c *Server, s string) error {
		c.AllowedHosts = splitList(s)
		return nil
	}),
	text("TLS_CERT_FILE", "", "PEM certificate of the API, re-read when it changes; empty: no TLS", func(c *Server) *string { return &c.TLS.CertFile }),
	text("TLS_KEY_FILE", "", "PEM key of the API's certificate", func(c *Server) *string { return &c.TLS.KeyFile }),
	text("TLS_CLIENT_CA_FILE", "", "PEM authorities of the callers' certificates; set it to require them (mutual TLS)", func(c *Server) *string { return &c.TLS.ClientCAFile }),

	required(secret("DATABASE_URL", "PostgreSQL 17 or later, such as postgres://user:password@host:5432/credence", func(c *Server) *Secret { return &c.DatabaseURL })),
	custom("DATABASE_MAX_CONNS", "16", "connections to the database at most", func(c *Server, s string) (err error) {
		c.DatabaseMaxConns, err = positive(s)
		return err
	}),

	required(text("AUTH_ISSUER", "", "issuer of the callers' tokens, as in their iss, such as https://tenant.eu.auth0.com/", func(c *Server) *string { return &c.Auth.Issuer })),
	required(text("AUTH_AUDIENCE", "", "the control plane's own audience, such as https://credence.example.com/", func(c *Server) *string { return &c.Auth.Audience })),
	text("TEAMS_CLAIM", "", "claim with the caller's teams; empty: the audience with \"teams\" behind it", func(c *Server) *string { return &c.Auth.TeamsClaim }),

	required(text("AUTH0_DOMAIN", "", "tenant in which agents get their clients, such as tenant.eu.auth0.com", func(c *Server) *string { return &c.Auth0.Domain })),
	required(text("AUTH0_CLIENT_ID", "", "Management API client of the control plane", func(c *Server) *string { return &c.Auth0.ClientID })),
	required(secret("AUTH0_CLIENT_SECRET", "its secret", func(c *Server) *Secret { return &c.Auth0.ClientSecret })),
	duration("AUTH0_TIMEOUT", "10s", "how long one call to Auth0 may take", func(c *Server) *time.Duration { return &c.Auth0.Timeout }),
	custom("AUTH0_RATE", "0", "calls to the Management API a second that all replicas share, such as 2 for Auth0's free plan; 0: no limit but Auth0's own", func(c *Server, s string) (err error) {
		c.Auth0.Rate, err = rate(s)
		return err
	}),
	custom("AUTH0_BURST", "0", "calls that may be made at once within CREDENCE_AUTH0_RATE; 0: those of a second", func(c *Server, s string) (err error) {
		c.Auth0.Burst, err = count(s)
		return err
	}),
	required(text("AGENT_AUDIENCE", "", "audience of the agents' tokens, such as https://mcp.example.com/", func(c *Server) *string { return &c.Auth0.Audience })),
	text("INSTALLATION", "default", "name of this installation; tells its clients in the tenant from another's", func(c *Server) *string { return &c.Auth0.Installation }),

	required(text("VAULT_ADDRESS", "", "Vault or OpenBao, such as https://vault.example.com:8200", func(c *Server) *string { return &c.Vault.Address })),
	custom("VAULT_PLAINTEXT", "false", "true allows http to a Vault on another host: for a private network alone", func(c *Server, s string) (err error) {
		c.Vault.Plaintext, err = boolean(s)
		return err
	}),
	text("VAULT_AGENT_ADDRESS", "", "the address that agents are told; empty: the same", func(c *Server) *string { return &c.Vault.AgentAddress }),
	text("VAULT_NAMESPACE", "", "namespace of all mounts; empty: the root", func(c *Server) *string { return &c.Vault.Namespace }),
	text("VAULT_CA_CERT_FILE", "", "PEM authorities of Vault's certificate; empty: the system's", func(c *Server) *string { return &c.Vault.CACertFile }),
	required(text("VAULT_ROLE_ID", "", "AppRole of the control plane, as setup vault printed it", func(c *Server) *string { return &c.Vault.RoleID })),
	required(secret("VAULT_SECRET_ID", "its secret id", func(c *Server) *Secret { return &c.Vault.SecretID })),
	text("VAULT_APPROLE_MOUNT", "approle", "where the control plane logs in", func(c *Server) *string { return &c.Vault.AppRoleMount }),
	text("VAULT_JWT_MOUNT", "jwt", "where agents log in", func(c *Server) *string { return &c.Vault.JWTMount }),
	text("VAULT_KV_MOUNT", "secret", "the KV v2 engine with the agents' secrets", func(c *Server) *string { return &c.Vault.KVMount }),
	text("VAULT_ROLE", "agent", "role with which agents log in", func(c *Server) *string { return &c.Vault.Role }),
	duration("VAULT_TIMEOUT", "5s", "how long one call to Vault may take", func(c *Server) *time.Duration { return &c.Vault.Timeout }),

	duration("INLINE_TIMEOUT", "8s", "how long a request waits for the providers before it answers 202, and the rest goes on without it", func(c *Server) *time.Duration { return &c.Converge.Inline }),
	duration("LEASE", "15s", "how long a replica may work on an agent without a word before another takes over; no call to a provider outlives it", func(c *Server) *time.Duration { return &c.Converge.Lease }),
	duration("CLIENT_SETTLE", "1m", "how long a client may still appear in Auth0 after a creation that was not answered; the lease and half a minute at least", func(c *Server) *time.Duration { return &c.Converge.Settle }),
	duration("RECONCILE_INTERVAL", "1s", "how often each replica looks for agents that are not as desired", func(c *Server) *time.Duration { return &c.Converge.Interval }),
	custom("RECONCILE_WORKERS", "8", "agents that a replica works on at once", func(c *Server, s string) (err error) {
		c.Converge.Workers, err = positive(s)
		return err
	}),
	duration("RETRY_BASE", "1s", "pause after an agent's first pass that failed; it doubles with each", func(c *Server) *time.Duration { return &c.Converge.RetryBase }),
	duration("RETRY_MAX", "5m", "the longest of these pauses", func(c *Server) *time.Duration { return &c.Converge.RetryMax }),
	duration("REISSUE_WITHIN", "10m", "how long a registration that is repeated with its Idempotency-Key gets its secret anew", func(c *Server) *time.Duration { return &c.Converge.ReissueWithin }),
	duration("REISSUE_GAP", "30s", "the least time between two secrets that are issued so", func(c *Server) *time.Duration { return &c.Converge.ReissueGap }),
	duration("IDEMPOTENCY_TTL", "24h", "how long what an Idempotency-Key led to is remembered", func(c *Server) *time.Duration { return &c.Jobs.IdempotencyTTL }),
	duration("TOKEN_LIFETIME", "1h", "how long the agents' tokens live, as the audience says in Auth0, and some leeway; the entity of a decommissioned agent is deleted after it", func(c *Server) *time.Duration { return &c.Converge.TokenLifetime }),
	duration("EXPIRY_INTERVAL", "1m", "how often agents that have expired are suspended; policy denies them at the second", func(c *Server) *time.Duration { return &c.Jobs.ExpiryEvery }),
	durationOrNever("SWEEP_INTERVAL", "1h", "how often Auth0 and Vault are compared with the registry; 0 turns sweeps off", func(c *Server) *time.Duration { return &c.Jobs.SweepEvery }),
	duration("CHECK_EVERY", "1s", "how often the registry's head is looked at, whether or not a notification came", func(c *Server) *time.Duration { return &c.CheckEvery }),
	duration("BUNDLE_HOLD", "10s", "how long an OPA that knows a newer state than this replica is held until it has caught up", func(c *Server) *time.Duration { return &c.Bundles.Hold }),
	duration("PUBLISH_WINDOW", "10ms", "changes that come within this time reach policy engines as one", func(c *Server) *time.Duration { return &c.Bundles.PublishWindow }),
	custom("MAX_POLLS", "1024", "long polls, and as many change feeds, that one token may hold at a replica; an OPA that loads parts holds 19", func(c *Server, s string) (err error) {
		c.Bundles.MaxPolls, err = positive(s)
		return err
	}),
	text("BUNDLE_KEYS_DIR", "", "directory with the PEM keys that sign bundles: ENVIRONMENT.pem, and default.pem for the others; re-read when they change; empty: bundles are not signed", func(c *Server) *string { return &c.Bundles.KeysDir }),
	duration("POLL_DRAIN", "5s", "over which held polls are released when the server stops, so that they do not come back at once elsewhere", func(c *Server) *time.Duration { return &c.Bundles.Drain }),
	duration("HEARTBEAT_INTERVAL", "1m", "how old the newest change of an environment becomes before it is said that it still is the newest; well below each environment's max_staleness", func(c *Server) *time.Duration { return &c.Jobs.HeartbeatEvery }),
	duration("GATE_TIMEOUT", "5s", "processor time that the check of a policy's custom Rego may take, its tests included; 6s at most", func(c *Server) *time.Duration { return &c.Gate.Timeout }),
	custom("GATE_MEMORY", "512", "MiB that such a check may use", func(c *Server, s string) (err error) {
		c.Gate.Memory, err = positive(s)
		return err
	}),
	custom("GATE_AT_ONCE", "2", "such checks that run at once", func(c *Server, s string) (err error) {
		c.Gate.AtOnce, err = positive(s)
		return err
	}),
	duration("SHUTDOWN_TIMEOUT", "60s", "how long running requests, and work on agents, may take to end when the server stops; at least CREDENCE_INLINE_TIMEOUT", func(c *Server) *time.Duration { return &c.Shutdown }),
}

func custom(name, byDefault, usage string, set func(*Server, string) error) Setting {
	return Setting{
		Env: "CREDENCE_" + name, Flag: flagName(name), Default: byDefault, Usage: usage,
		set: func(c *Server, v value) error { return set(c, v.text) },
	}
}

func text(name, byDefault, usage string, field func(*Server) *string) Setting {
	return custom(name, byDefault, usage, func(c *Server, s string) error {
		*field(c) = s
		return nil
	})
}

func duration(name, byDefault, usage string, field func(*Server) *time.Duration) Setting {
	return custom(name, byDefault, usage, func(c *Server, s string) (err error) {
		if *field(c), err = parseDuration(s); err == nil && *field(c) == 0 {
			err = errors.New("it must be more than 0")
		}
		return err
	})
}

// durationOrNever is a duration that may be 0.
func durationOrNever(name, byDefault, usage string, field func(*Server) *time.Duration) Setting {
	return custom(name, byDefault, usage, func(c *Server, s string) (err error) {
		*field(c), err = parseDuration(s)
		return err
	})
}

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration such as 10s or 2m", s)
	}
	if d < 0 {
		return 0, errors.New("it must be more than 0")
	}
	return d, nil
}

func secret(name, usage string, field func(*Server) *Secret) Setting {
	return Setting{
		Env: "CREDENCE_" + name, Flag: flagName(name), Usage: usage, Secret: true,
		set: func(c *Server, v value) error {
			*field(c) = Secret(v)
			_, err := field(c).Value() // a file that is not there is a fault of today
			return err
		},
	}
}

func required(s Setting) Setting {
	s.Required = true
	return s
}

func positive(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 10_000 {
		return 0, fmt.Errorf("%q is not a number between 1 and 10000", s)
	}
	return n, nil
}

// count is a number that may be 0.
func count(s string) (int, error) {
	if s == "0" {
		return 0, nil
	}
	return positive(s)
}

// rate is a number of calls a second; 0 is no limit.
func rate(s string) (float64, error) {
	r, err := strconv.ParseFloat(s, 64)
	if err != nil || !(r == 0 || r >= 0.01 && r <= 1000) { // NaN is neither
		return 0, fmt.Errorf("%q is neither 0 nor a number between 0.01 and 1000", s)
	}
	return r, nil
}

func boolean(s string) (bool, error) {
	switch s {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", s)
}

func flagName(name string) string {
	return strings.ReplaceAll(strings.ToLower(name), "_", "-")
}

// Level returns the handler options for a log at the configured level.
func (c Server) Level() *slog.HandlerOptions { return &slog.HandlerOptions{Level: c.LogLevel} }
