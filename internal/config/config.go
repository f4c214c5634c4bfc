// Package config reads the server's configuration: flags, CREDENCE_* variables,
// and for secrets CREDENCE_*_FILE. A flag wins over a variable, a variable over
// the default.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/credenceproject/credence/internal/netrule"
)

// Server is the whole configuration of a server. It is read once, in cmd, and
// handed on in parts: a package receives the values it needs, never Server
// itself.
type Server struct {
	Listen        string // host:port of the API
	MetricsListen string // host:port of /metrics and pprof; "off" turns them off
	LogLevel      slog.Level
	Shutdown      time.Duration // how long running requests may take to end
	AllowedHosts  []string      // Host names that are served; empty serves all
	TLS           TLS

	DatabaseURL      Secret
	DatabaseMaxConns int

	Auth  Auth
	Auth0 Auth0
	Vault Vault

	Converge Converge
	Jobs     Jobs

	CheckEvery time.Duration // how often the registry's head is looked at
	Bundles    Bundles
	Gate       Gate
}

// Bundles says how policy engines are served.
type Bundles struct {
	Hold          time.Duration // how long a caller that knows a newer state is held
	PublishWindow time.Duration // changes that come within it are published as one
	MaxPolls      int           // long polls and feeds that one token may hold
	KeysDir       string        // of the keys that sign, one for each environment; "": bundles are not signed
	Drain         time.Duration // over which held polls are released when the server stops
}

// Gate bounds the check of custom Rego, which runs in a process of its own.
type Gate struct {
	Timeout time.Duration
	Memory  int // MiB
	AtOnce  int // checks that run at once
}

// TLS makes the API speak TLS, and with ClientCAFile mutual TLS.
type TLS struct{ CertFile, KeyFile, ClientCAFile string }

// Auth says whose tokens the API takes.
type Auth struct {
	Issuer     string
	Audience   string
	TeamsClaim string // "": the audience with "teams" behind it
}

// Auth0 locates the tenant in which agents get their clients.
type Auth0 struct {
	Domain       string
	ClientID     string
	ClientSecret Secret
	Audience     string // of the agents' tokens
	Installation string // tells this installation's clients from another's
	Timeout      time.Duration
	Rate         float64 // calls a second that all replicas share; 0: as many as there are
	Burst        int     // calls at once; 0: as many as Rate
}

// Vault locates the secret store.
type Vault struct {
	Address      string
	Plaintext    bool   // Address may be http at another host than this one
	AgentAddress string // what agents are told; "" is Address
	Namespace    string
	CACertFile   string
	RoleID       string
	SecretID     Secret
	AppRoleMount string
	JWTMount     string
	KVMount      string
	Role         string
	Timeout      time.Duration
}

// Converge says how agents are brought to their desired state.
type Converge struct {
	Inline        time.Duration // how long a request waits for the providers
	Lease         time.Duration // how long one holder works on an agent without a word
	Settle        time.Duration // how long a client may still appear whose creation was not answered
	Interval      time.Duration // how often is looked for agents that are due
	Workers       int           // agents that are worked on at once
	RetryBase     time.Duration // pause after the first pass that failed
	RetryMax      time.Duration // pause after the last
	ReissueWithin time.Duration // how long a repeated registration gets its secret anew
	ReissueGap    time.Duration // and how often
	TokenLifetime time.Duration // of the agents' tokens, at most
}

// Jobs says how often is done what is periodic.
type Jobs struct {
	SweepEvery     time.Duration // 0: never
	HeartbeatEvery time.Duration // after which a scope that is still current says so
	ExpiryEvery    time.Duration
	IdempotencyTTL time.Duration // how long what a key led to is remembered
}

// Setting is one thing to configure.
type Setting struct {
	Env      string // name of the variable; a secret's file is at Env + "_FILE"
	Flag     string // name of the flag; a secret has Flag + "-file" only: arguments are visible to every process
	Default  string
	Usage    string
	Secret   bool
	Required bool

	set func(*Server, value) error
}

// value is what was given for a setting.
type value struct {
	text string
	file string // secrets only
}

// Settings lists everything that can be configured, in the order of the
// documentation.
func Settings() []Setting { return append([]Setting(nil), settings...) }

// Source looks a name up, such as os.LookupEnv, or the flags that were given.
type Source func(name string) (string, bool)

// Load reads the configuration from the flags that were given and from the
// environment. Its error names every fault and what to do, and no secret.
func Load(flags, env Source) (Server, error) {
	c, faults := read(flags, env, func(Setting) bool { return true })
	if faults = append(faults, c.validate()...); len(faults) > 0 {
		return Server{}, unusable(faults)
	}
	return c, nil
}

// LoadPart reads the settings with these variables' names alone, for commands
// that need no others.
func LoadPart(flags, env Source, names ...string) (Server, error) {
	c, faults := read(flags, env, func(s Setting) bool { return slices.Contains(names, s.Env) })
	if len(faults) > 0 {
		return Server{}, unusable(faults)
	}
	return c, nil
}

func unusable(faults []error) error {
	return fmt.Errorf("the configuration is not usable:\n%w", errors.Join(faults...))
}

func read(flags, env Source, wanted func(Setting) bool) (Server, []error) {
	var c Server
	var faults []error
	for _, s := range settings {
		if !wanted(s) {
			continue
		}
		v, given, err := s.lookup(flags, env)
		switch {
		case err != nil:
			faults = append(faults, err)
		case !given && s.Required:
			faults = append(faults, fmt.Errorf("%s is not set: %s", s.Env, s.Usage))
		default:
			if err := s.set(&c, v); err != nil {
				faults = append(faults, fmt.Errorf("%s: %w", s.Env, err))
			}
		}
	}
	return c, faults
}

func (s Setting) lookup(flags, env Source) (value, bool, error) {
	if s.Secret {
		if file, ok := flags(s.Flag + "-file"); ok {
			return value{file: file}, file != "", nil
		}
		text, hasText := env(s.Env)
		file, hasFile := env(s.Env + "_FILE")
		hasText, hasFile = hasText && text != "", hasFile && file != ""
		if hasText && hasFile {
			return value{}, false, fmt.Errorf("both %s and %s_FILE are set: leave one", s.Env, s.Env)
		}
		return value{text: text, file: file}, hasText || hasFile, nil
	}
	text, given := flags(s.Flag) // one that is given empty means the default, whatever the variable says
	if !given {
		text, _ = env(s.Env)
	}
	text = cmp.Or(text, s.Default)
	return value{text: text}, text != "", nil
}

// validate checks what no setting can say alone. What is not set was told
// already.
func (c Server) validate() []error {
	var faults []error
	fault := func(text string) { faults = append(faults, errors.New(text)) }
	if c.Auth.Audience != "" && c.Auth.Audience == c.Auth0.Audience {
		fault("CREDENCE_AUTH_AUDIENCE and CREDENCE_AGENT_AUDIENCE are the same: agents' tokens would open the control plane")
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		fault("CREDENCE_TLS_CERT_FILE and CREDENCE_TLS_KEY_FILE go together: set both or none")
	}
	if c.TLS.ClientCAFile != "" && c.TLS.CertFile == "" {
		fault("CREDENCE_TLS_CLIENT_CA_FILE needs CREDENCE_TLS_CERT_FILE and CREDENCE_TLS_KEY_FILE")
	}
	faults = append(faults, c.checkDurations()...)
	for _, address := range []struct {
		env, url  string
		plaintext bool
	}{{"CREDENCE_AUTH_ISSUER", c.Auth.Issuer, false}, {"CREDENCE_VAULT_ADDRESS", c.Vault.Address, c.Vault.Plaintext}} {
		if address.url == "" {
			continue
		}
		if _, err := netrule.URL(address.url, address.plaintext); err != nil {
			fault(address.env + ": it " + err.Error())
		}
	}
	return faults
}

// maxInline is what a request that changes something leaves of its time, which is
// 10 s, for the rest.
const maxInline = 9 * time.Second

// maxGate is the same of the check of a policy, which may have to wait for others.
const maxGate = 6 * time.Second

// checkDurations checks those that must stand in an order. One that is 0 was not
// read, or its fault was told already.
func (c Server) checkDurations() []error {
	var faults []error
	v := c.Converge
	for _, order := range []struct {
		lesserName  string
		lesser      time.Duration
		greaterName string
		greater     time.Duration
		why         string
	}{
		{"CREDENCE_LEASE", v.Lease, "CREDENCE_CLIENT_SETTLE", v.Settle - 1, "a client may appear as long as the request that makes it is under way, and a lease bounds that"},
		{"CREDENCE_RETRY_BASE", v.RetryBase, "CREDENCE_RETRY_MAX", v.RetryMax, "pauses grow from the one to the other"},
		{"CREDENCE_REISSUE_GAP", v.ReissueGap, "CREDENCE_REISSUE_WITHIN", v.ReissueWithin, "no secret would be issued anew"},
		{"CREDENCE_REISSUE_WITHIN", v.ReissueWithin, "CREDENCE_IDEMPOTENCY_TTL", c.Jobs.IdempotencyTTL, "what a key led to must be known as long"},
		{"CREDENCE_POLL_DRAIN", c.Bundles.Drain, "CREDENCE_SHUTDOWN_TIMEOUT", c.Shutdown, "held polls must be released before the server ends"},
		{"CREDENCE_INLINE_TIMEOUT", v.Inline, "CREDENCE_SHUTDOWN_TIMEOUT", c.Shutdown, "requests that are under way must be able to end"},
	} {
		if order.lesser > 0 && order.greater > 0 && order.lesser > order.greater {
			faults = append(faults, fmt.Errorf("%s and %s are not in order: %s", order.lesserName, order.greaterName, order.why))
		}
	}
	if v.Inline > maxInline {
		faults = append(faults, fmt.Errorf("CREDENCE_INLINE_TIMEOUT is %s: a request lasts 10s, so it must be at most %s", v.Inline, maxInline))
	}
	if c.Gate.Timeout > maxGate {
		faults = append(faults, fmt.Errorf("CREDENCE_GATE_TIMEOUT is %s: a request lasts 10s, so it must be at most %s", c.Gate.Timeout, maxGate))
	}
	return faults
}

// splitList splits a list at commas and drops blanks.
func splitList(s string) []string {
	var items []string
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}
