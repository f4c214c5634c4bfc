// Package httpapi serves the REST API. It translates between the wire types of
// package api and the domain types of package registry, and decides nothing
// itself: one file per tag of openapi.yaml, one table of who may call what
// (operations.go), and one place where an error becomes a response (problem.go).
package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/credenceproject/credence"
	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/bundles"
	"github.com/credenceproject/credence/internal/decisions"
	"github.com/credenceproject/credence/internal/feed"
	"github.com/credenceproject/credence/internal/policies"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/resources"
	"github.com/credenceproject/credence/internal/rulebook"
	"github.com/credenceproject/credence/internal/schema"
	"github.com/credenceproject/credence/internal/telemetry"
)

// Authenticator says who a bearer token belongs to. *authn.Verifier implements it.
type Authenticator interface {
	Authenticate(ctx context.Context, token string) (registry.Principal, error)
}

// Auditor records refusals. *postgres.Store implements it.
type Auditor interface {
	RecordAudit(ctx context.Context, e registry.AuditEvent) error
}

// Auditing reads the audit log. *postgres.Store implements it.
type Auditing interface {
	// Audit returns a page of events, the newest first, and whether there are more.
	Audit(ctx context.Context, f registry.AuditFilter) (page []registry.AuditEvent, more bool, err error)
}

// Drifting knows where providers differ from the registry.
type Drifting interface {
	// Drifts returns a page of differences, by id, and whether there are more.
	Drifts(ctx context.Context, after int64, limit int) (page []registry.DriftRecord, more bool, err error)
	// Repair has the agent with that name or id, or with "" each that differs,
	// brought to what the registry says, and returns how many passes are due for it.
	// It returns NotFound.
	Repair(ctx context.Context, by registry.Principal, agent string) (queued int, err error)
}

// Rehearsal are services whose writes fail as any would and keep nothing: those of
// a store that rolls back what it wrote.
type Rehearsal struct {
	Rulebook  *rulebook.Service
	Resources *resources.Service
	Policies  *policies.Service
}

// Options is what the API is made of. Everything but AllowedHosts and Now is
// required.
type Options struct {
	Agents        *agents.Service
	Rulebook      *rulebook.Service
	Resources     *resources.Service
	Policies      *policies.Service
	Rehearsal     Rehearsal // for ?dry_run=true
	Bundles       *bundles.Service
	Feed          *feed.Service
	Decisions     *decisions.Service
	Heads         Heads
	Follower      Follower // nil: writes do not wait for memory
	Freshness     Freshness
	Schemas       *schema.Validator
	Authenticator Authenticator
	Auditor       Auditor
	Audit         Auditing
	Drift         Drifting
	Health        *Health
	Handout       Handout
	Metrics       *telemetry.HTTPMetrics
	Log           *slog.Logger
	AllowedHosts  []string         // Host names that are served; empty serves all
	Now           func() time.Time // nil: time.Now
}

// Handout is what a new agent is told beside its own credentials.
type Handout struct {
	TokenEndpoint string
	Audience      string // of the agent's tokens
	VaultAddress  string
	VaultAuthPath string // such as auth/jwt/login
	VaultRole     string
	SecretPaths   func(registry.Agent) SecretPaths
}

// SecretPaths are the folders whose secrets an agent may read.
type SecretPaths struct{ Own, Team, Common string }

// Server implements api.StrictServerInterface.
type Server struct {
	agents    *agents.Service
	rulebook  *rulebook.Service
	resources *resources.Service
	policies  *policies.Service
	rehearsal Rehearsal
	bundles   *bundles.Service
	feed      *feed.Service
	decisions *decisions.Service
	heads     Heads
	freshness Freshness
	schemas   *schema.Validator
	audit     Auditing
	drift     Drifting
	health    *Health
	handout   Handout
	now       func() time.Time
	waiting   waiters
}

var _ api.StrictServerInterface = (*Server)(nil)

// New returns the API as an HTTP handler.
func New(o Options) *echo.Echo {
	e := echo.New()
	e.HTTPErrorHandler = handleError(o.Log)
	e.Use(requestID, source, observe(o.Log, o.Metrics), recoverPanics, allowHosts(o.AllowedHosts))

	s := &Server{
		agents: o.Agents, rulebook: o.Rulebook, resources: o.Resources, policies: o.Policies, rehearsal: o.Rehearsal,
		bundles: o.Bundles, feed: o.Feed, decisions: o.Decisions, heads: o.Heads, freshness: o.Freshness,
		schemas: o.Schemas, audit: o.Audit, drift: o.Drift, health: o.Health, handout: o.Handout, now: o.Now,
	}
	if s.now == nil {
		s.now = time.Now
	}
	gate := gate{authenticator: o.Authenticator, auditor: o.Auditor, log: o.Log}
	routes := withHead{e}
	strict := api.NewStrictHandler(s, []api.StrictMiddlewareFunc{readYourWrites(o.Heads, o.Follower)})
	api.RegisterHandlersWithOptions(routes, strict, api.RegisterHandlersOptions{
		OperationMiddlewares: gate.middlewares(operations),
	})
	routes.GET("/openapi.yaml", func(c echo.Context) error {
		return c.Blob(http.StatusOK, "application/yaml", credence.OpenAPI)
	})
	return e
}

// withHead routes HEAD to where GET goes (RFC 9110, section 9.3.2). The server of
// net/http leaves the body out.
type withHead struct{ *echo.Echo }

// GET implements api.EchoRouter.
func (r withHead) GET(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	r.HEAD(path, h, m...)
	return r.Echo.GET(path, h, m...)
}
