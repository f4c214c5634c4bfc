// Package vault is the adapter to a secret store that speaks Vault's API: Vault
// itself or OpenBao. It gives each agent an entity and an alias there, so that
// the agent's own JWT opens the agent's own secrets, and it prepares a store
// for that (see Setup).
//
// The design in three sentences. One templated policy on the JWT role serves
// all agents: what an agent may read hangs on its entity's name and metadata,
// which only the control plane writes. The alias carries the JWT's `sub`, so a
// login lands on the agent's entity; a login without one lands on a bare entity
// that reads nothing. The control plane itself logs in by AppRole and holds no
// right to write policies, nor to read what it guards.
package vault

import (
	"context"
	"hash/maphash"
	"log/slog"
	"net/http"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

// Defaults of Config and SetupConfig.
const (
	DefaultAppRoleMount = "approle"
	DefaultJWTMount     = "jwt"
	DefaultRole         = "agent"
	DefaultKVMount      = "secret"
	DefaultTimeout      = 5 * time.Second
)

// Config says which store to use and how to log in.
type Config struct {
	Address        string                 // such as https://vault:8200; http only to loopback, see AllowPlaintext
	AllowPlaintext bool                   // http to any host: tokens then travel in the clear
	Namespace      string                 // optional
	RoleID         string                 // AppRole of the control plane
	SecretID       func() (string, error) // asked at each login, so a rotated file is noticed
	AppRoleMount   string                 // default DefaultAppRoleMount
	JWTMount       string                 // where agents log in; default DefaultJWTMount
	Role           string                 // the agents' role there; default DefaultRole
	KVMount        string                 // default DefaultKVMount
	Timeout        time.Duration          // of one call with its repetitions; default DefaultTimeout
	CACertFile     string                 // optional, PEM; instead of the system's roots

	Expected Expected // what InspectStore holds the store to
}

// Expected is what SetupConfig said when the store was prepared, as far as
// Config does not say it too. An empty Issuer, JWKSURL or Audience is not
// compared; the rest have the defaults of SetupConfig.
type Expected struct {
	AppRole     string
	Issuer      string
	JWKSURL     string
	Audience    string
	TokenTTL    time.Duration
	TokenMaxTTL time.Duration
}

// Observer is told about every request to the store: provider is "vault",
// operation one of a few fixed words, err nil or an error of this package. It
// must be safe for concurrent use.
type Observer interface {
	Observe(provider, operation string, start time.Time, err error)
}

// Client keeps entities and aliases of agents in the store. It is safe for
// concurrent use; its calls work while Run does.
//
// No call outlives its context: repetitions and waits end with it. All its
// methods fail with registry.Unavailable (code
// secret_store_unavailable) when the store is away, slow or sealed or Run is
// not logged in, and with registry.Refused (code secret_store_refused) when
// the store says no for good. The store's own words are in the cause only,
// without tokens.
type Client struct {
	conn     *conn
	config   Config
	log      *slog.Logger
	session  *session
	accessor accessor
	seed     maphash.Seed
	subjects [64]turn // serialise EnsureAlias by subject
}

// New returns a Client for the store of c. It sends nothing: Run logs in. The
// environment is ignored, VAULT_* variables too.
//
// It fails with registry.Invalid when c cannot work, and with the cause when
// c.CACertFile cannot be read.
func New(c Config, o Observer, log *slog.Logger) (*Client, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	n, err := connect(endpoint{c.Address, c.AllowPlaintext, c.Namespace, c.CACertFile, c.Timeout}, o)
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	client := &Client{conn: n, config: c, log: log, session: newSession(), seed: maphash.MakeSeed()}
	for i := range client.subjects {
		client.subjects[i] = newTurn()
	}
	return client, nil
}

// Ping reports whether the store answers and knows our token, for readiness.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.do(ctx, request{op: "lookup_self", method: http.MethodGet, path: "auth/token/lookup-self", repeat: true})
	return err
}

func (c Config) withDefaults() Config {
	c.AppRoleMount = orDefault(c.AppRoleMount, DefaultAppRoleMount)
	c.JWTMount = orDefault(c.JWTMount, DefaultJWTMount)
	c.Role = orDefault(c.Role, DefaultRole)
	c.KVMount = orDefault(c.KVMount, DefaultKVMount)
	c.Timeout = orDefault(c.Timeout, DefaultTimeout)
	return c
}

func (c Config) validate() error {
	switch {
	case c.RoleID == "":
		return invalid("the AppRole's role id is missing")
	case c.SecretID == nil:
		return invalid("the AppRole's secret id is missing")
	case c.Timeout < 0:
		return invalid("the timeout %s is negative", c.Timeout)
	}
	return firstError(
		validPath("AppRole mount", c.AppRoleMount), validPath("JWT mount", c.JWTMount),
		validRole("role", c.Role), validPath("KV mount", c.KVMount), validRole("AppRole", orDefault(c.Expected.AppRole, DefaultAppRole)))
}

func invalid(format string, args ...any) error {
	return registry.Invalid.Errorf("invalid_vault_config", format, args...)
}

func orDefault[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
