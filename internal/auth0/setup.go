package auth0

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/setup"
)

// Scope is a permission of a resource server.
type Scope struct {
	Value       string
	Description string // for people, in Auth0's dashboard
}

// DefaultScopes are the scopes of the agents' audience unless an operator says
// otherwise: one for each type of resource, two for data.
var DefaultScopes = []Scope{
	{"skills:invoke", "Invoke skills"},
	{"tools:access", "Use tools"},
	{"data:read", "Read data"},
	{"data:write", "Write data"},
}

// DefaultTokenLifetime is how long an agent's token is valid.
const DefaultTokenLifetime = time.Hour

// maxTokenLifetime is Auth0's.
const maxTokenLifetime = 30 * 24 * time.Hour

// SetupConfig says how a tenant is to be prepared. The management application
// needs the scopes read, create and update of resource_servers and of actions.
type SetupConfig struct {
	Config
	APIAudience   string        // the control plane's own; never the agents'
	Scopes        []Scope       // of the agents' audience; none is DefaultScopes
	TokenLifetime time.Duration // of agents' tokens, in whole seconds; 0 is DefaultTokenLifetime
	DryRun        bool          // read and report, write nothing
}

// Setup prepares the tenant: the resource server of the agents' audience and
// that of the control plane, the Action that writes claims into agents' tokens,
// and its binding. It may be repeated: what is as it should be is left alone and
// reported unchanged. It adds; scopes, Actions and bindings that it did not make
// stay. Nobody else should change the bindings meanwhile, because Auth0 replaces
// the list as a whole.
//
// The report lists what was looked at, also when an error ends the work; the
// error then says what had been written. It is Refused or Unavailable as with
// Client, or says what is wrong with c. Where Auth0's rate limit is reached,
// Setup waits, as long as ctx allows.
func Setup(ctx context.Context, c SetupConfig) (setup.Report, error) {
	p := &preparer{config: c.withDefaults()}
	p.report = setup.Report{System: provider, DryRun: c.DryRun}
	if err := p.config.check(); err != nil {
		return p.report, err
	}
	connection := p.config.Config
	if c.DryRun {
		connection.Transport = readOnly{connection.Transport}
	}
	client, err := New(ctx, connection, nil)
	if err != nil {
		return p.report, err
	}
	p.client = client
	for _, step := range []func(context.Context) error{p.agentsAPI, p.controlPlaneAPI, p.claims} {
		if err := step(ctx); err != nil {
			return p.report, p.stopped(err)
		}
	}
	return p.report, nil
}

func (c SetupConfig) withDefaults() SetupConfig {
	c.Config = c.Config.withDefaults()
	if c.TokenLifetime == 0 {
		c.TokenLifetime = DefaultTokenLifetime
	}
	if len(c.Scopes) == 0 {
		c.Scopes = DefaultScopes
	}
	return c
}

// auth0DomainRE matches hosts that Auth0 does not accept in the name of a claim;
// it drops such claims without a word.
var auth0DomainRE = regexp.MustCompile(`(?i)(^|\.)(auth0\.com|webtask\.io|webtask\.run)$`)

var scopeRE = regexp.MustCompile(`^[!#-\[\]-~]{1,280}$`) // RFC 6749 section 3.3

// check reports every fault of c at once.
func (c SetupConfig) check() error {
	ep, err := c.Config.check()
	faults := []error{err}
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("auth0: "+format, args...))
	}
	u, urlErr := url.Parse(c.Audience)
	switch {
	case c.Audience == "": // said already
	case urlErr != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || !strings.HasSuffix(c.Audience, "/"):
		fault("agents' audience %q: want a URL that ends in a slash, because the names of claims begin with it", c.Audience)
	case auth0DomainRE.MatchString(u.Hostname()):
		fault("agents' audience %q: Auth0 sets no claims under its own domains", c.Audience)
	}
	switch {
	case c.APIAudience == "":
		fault("the control plane's audience is missing")
	case sameAudience(c.APIAudience, c.Audience):
		fault("the control plane's audience and the agents' must differ, or an agent's token would open the control plane")
	case err == nil && sameAudience(c.APIAudience, ep.managementAudience()):
		fault("the control plane's audience must not be the Management API")
	}
	if c.TokenLifetime < time.Second || c.TokenLifetime > maxTokenLifetime || c.TokenLifetime%time.Second != 0 {
		fault("token lifetime %s: want whole seconds, at most %s", c.TokenLifetime, maxTokenLifetime)
	}
	for _, s := range c.Scopes {
		if !scopeRE.MatchString(s.Value) {
			fault("scope %q: want printable ASCII without spaces, quotes and backslashes", s.Value)
		}
	}
	return errors.Join(faults...)
}

// preparer is one run of Setup.
type preparer struct {
	config  SetupConfig
	client  *Client
	report  setup.Report
	written []string // what was written so far, for people
}

// wrote notes something that is in the tenant now.
func (p *preparer) wrote(format string, args ...any) {
	p.written = append(p.written, fmt.Sprintf(format, args...))
}

// stopped adds to err what had been done before it.
func (p *preparer) stopped(err error) error {
	done := "nothing was written"
	if len(p.written) > 0 {
		done = "written so far: " + strings.Join(p.written, ", ")
	}
	known, ok := registry.AsError(err)
	if !ok {
		return fmt.Errorf("auth0: set up the tenant (%s; the command may be repeated): %w", done, err)
	}
	told := *known
	told.Message = fmt.Sprintf("%s (%s; the command may be repeated)", known.Message, done)
	return &told
}

// readOnly refuses whatever would write to the tenant: a dry run that tried to
// is a fault of ours, and must not be the tenant's.
type readOnly struct{ base http.RoundTripper }

func (r readOnly) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet && req.URL.Path != tokenPath {
		closeBody(req)
		return nil, fmt.Errorf("refuse %s %s in a dry run", req.Method, req.URL.Path)
	}
	return r.base.RoundTrip(req)
}
