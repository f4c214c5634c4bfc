package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/credenceproject/credence/api/schemas"
	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/auth0"
	"github.com/credenceproject/credence/internal/authn"
	"github.com/credenceproject/credence/internal/config"
	"github.com/credenceproject/credence/internal/httpapi"
	"github.com/credenceproject/credence/internal/postgres"
	"github.com/credenceproject/credence/internal/reconcile"
	"github.com/credenceproject/credence/internal/reconcile/jobs"
	"github.com/credenceproject/credence/internal/reconcile/sweep"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/resources"
	"github.com/credenceproject/credence/internal/rulebook"
	"github.com/credenceproject/credence/internal/schema"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/telemetry"
	"github.com/credenceproject/credence/internal/vault"
)

// parts are what a server is made of: those that run, and those that the metrics
// and the shutdown need.
type parts struct {
	pool     *pgxpool.Pool
	follower *snapshot.Follower
	secrets  *vault.Client
	health   *httpapi.Health
	metrics  *prometheus.Registry
	api      *http.Server
	loop     *reconcile.Loop
	jobs     *jobs.Runner
	policy   *policySide
}

// assemble wires the packages together, from the bottom up. The adapters live as
// long as lasting.
func assemble(ctx, lasting context.Context, cfg config.Server, log *slog.Logger) (_ parts, err error) {
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	providerMetrics := telemetry.NewProviderMetrics(metrics)

	pool, err := postgres.Open(ctx, cfg.DatabaseURL.Value, int32(cfg.DatabaseMaxConns)) //nolint:gosec // the configuration bounds it
	if err != nil {
		return parts{}, err
	}
	defer func() {
		if err != nil {
			pool.Close()
		}
	}()
	store := postgres.NewStore(pool)
	tenant := auth0Config(cfg)
	tenant.Budget = newBudget(cfg.Auth0, store, metrics, log)
	identity, err := auth0.New(lasting, tenant, providerMetrics)
	if err != nil {
		return parts{}, err
	}
	secrets, err := vault.New(vaultConfig(cfg), providerMetrics, log)
	if err != nil {
		return parts{}, err
	}
	follower := newFollower(cfg, store, telemetry.NewSnapshotMetrics(metrics, time.Now), log)
	telemetry.RegisterExpiring(metrics, expiring(follower))
	service := agents.NewService(store, identity, secrets, telemetry.NewStepMetrics(metrics), log, agentOptions(cfg.Converge))
	loop := newLoop(cfg, store, service, metrics, log)
	runner, err := newJobs(cfg, pool, periodic{store, service, identity, secrets, loop, log}, metrics)
	if err != nil {
		return parts{}, err
	}
	side, err := newPolicySide(lasting, cfg, follower, metrics, log)
	if err != nil {
		return parts{}, err
	}
	p := parts{pool: pool, follower: follower, secrets: secrets, metrics: metrics, loop: loop, jobs: runner, policy: side}
	p.api, p.health, err = newAPI(ctx, cfg, services{store, follower, identity, secrets, service, side}, metrics, log)
	return p, err
}

// services are what the API is made of.
type services struct {
	store    *postgres.Store
	follower *snapshot.Follower
	identity *auth0.Client
	secrets  *vault.Client
	agents   *agents.Service
	policy   *policySide
}

// newAPI returns the API and what its readiness hangs on.
func newAPI(ctx context.Context, cfg config.Server, s services, metrics *prometheus.Registry, log *slog.Logger) (*http.Server, *httpapi.Health, error) {
	validator, err := schema.New(schemas.FS)
	if err != nil {
		return nil, nil, err
	}
	tlsConfig, err := serverTLS(cfg.TLS)
	if err != nil {
		return nil, nil, err
	}
	verifier, err := authn.New(authn.Config{
		Issuer: cfg.Auth.Issuer, Audience: cfg.Auth.Audience, TeamsClaim: cfg.Auth.TeamsClaim, Proxy: http.ProxyFromEnvironment,
	}, agentClients{s.store, s.follower}, log)
	if err != nil {
		return nil, nil, err
	}
	health := newHealth(ctx, s.store, s.follower, s.identity, verifier, s.secrets)
	rehearsal := s.store.Rehearsal()
	handler := httpapi.New(httpapi.Options{
		Agents: s.agents, Rulebook: rulebook.NewService(s.store), Resources: resources.NewService(s.store, s.follower),
		Policies: s.policy.policies(s.store), Bundles: s.policy.bundles, Feed: s.policy.feed, Decisions: s.policy.decisions,
		Rehearsal: httpapi.Rehearsal{
			Rulebook: rulebook.NewService(rehearsal), Resources: resources.NewService(rehearsal, s.follower), Policies: s.policy.policies(rehearsal),
		},
		Heads: s.store, Follower: s.follower, Freshness: s.follower, Schemas: validator,
		Authenticator: verifier, Auditor: s.store, Audit: s.store, Drift: sweep.NewDrifts(s.store, s.agents),
		Health: health, Handout: handout(cfg, s.identity),
		Metrics: telemetry.NewHTTPMetrics(metrics), Log: log, AllowedHosts: cfg.AllowedHosts,
	})
	return httpServer(handler, tlsConfig, httpapi.MaxWait, log), health, nil
}

// newFollower returns what keeps the registry in memory, over connections of its
// own.
func newFollower(cfg config.Server, store *postgres.Store, observer snapshot.Observer, log *slog.Logger) *snapshot.Follower {
	feed := postgres.NewFeed(cfg.DatabaseURL.Value)
	return snapshot.NewFollower(snapshot.Options{
		Connect: func(ctx context.Context) (snapshot.Session, error) {
			session, err := feed.Session(ctx)
			if err != nil {
				return nil, err
			}
			return session, nil
		},
		Epochs: store, CheckEvery: cfg.CheckEvery, Observer: observer, Log: log,
	})
}

// agentClients says whether a client is or was an agent's: by the database, and
// by the registry in memory while the database is away, so that callers are known
// then too.
type agentClients struct {
	store    *postgres.Store
	follower *snapshot.Follower
}

// lookupTimeout is how long the database may take before memory is asked.
const lookupTimeout = 500 * time.Millisecond

// IsAgentClient implements authn.AgentClients.
func (c agentClients) IsAgentClient(ctx context.Context, clientID string) (bool, error) {
	lookupCtx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	is, err := c.store.IsAgentClient(lookupCtx, clientID)
	if err == nil || ctx.Err() != nil {
		return is, err
	}
	if v := c.follower.View(); v != nil {
		return v.IsAgentClient(clientID), nil
	}
	return false, err
}

func newHealth(ctx context.Context, store *postgres.Store, follower *snapshot.Follower, identity *auth0.Client, verifier *authn.Verifier, secrets *vault.Client) *httpapi.Health {
	schemaIsRight := schemaProbe(store)
	startCtx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	_ = schemaIsRight(startCtx) // so that it is known if the database goes away before anybody asks
	return httpapi.NewHealth(version(),
		httpapi.Check{Name: "database", Probe: databaseProbe(store)},
		httpapi.Check{Name: "schema", Vital: true, Probe: schemaIsRight},
		httpapi.Check{Name: "snapshot", Vital: true, Probe: told(follower.Ready)},
		httpapi.Check{Name: "identity_provider", Probe: told(identity.Ping)},
		httpapi.Check{Name: "token_issuer", Probe: told(verifier.Ready)},
		httpapi.Check{Name: "secret_store", Probe: told(secrets.Ping)},
	)
}

func auth0Config(cfg config.Server) auth0.Config {
	return auth0.Config{
		Domain: cfg.Auth0.Domain, ClientID: cfg.Auth0.ClientID, ClientSecret: cfg.Auth0.ClientSecret.Value,
		Audience: cfg.Auth0.Audience, Installation: cfg.Auth0.Installation, Timeout: cfg.Auth0.Timeout,
		Proxy: http.ProxyFromEnvironment,
	}
}

func vaultConfig(cfg config.Server) vault.Config {
	return vault.Config{
		Address: cfg.Vault.Address, AllowPlaintext: cfg.Vault.Plaintext, Namespace: cfg.Vault.Namespace, CACertFile: cfg.Vault.CACertFile,
		RoleID: cfg.Vault.RoleID, SecretID: cfg.Vault.SecretID.Value,
		AppRoleMount: cfg.Vault.AppRoleMount, JWTMount: cfg.Vault.JWTMount, KVMount: cfg.Vault.KVMount, Role: cfg.Vault.Role,
		Timeout: cfg.Vault.Timeout, Expected: vault.Expected{Audience: cfg.Auth0.Audience},
	}
}

func handout(cfg config.Server, identity *auth0.Client) httpapi.Handout {
	address := cfg.Vault.AgentAddress
	if address == "" {
		address = cfg.Vault.Address
	}
	return httpapi.Handout{
		TokenEndpoint: identity.TokenEndpoint(), Audience: cfg.Auth0.Audience,
		VaultAddress: address, VaultAuthPath: "auth/" + cfg.Vault.JWTMount + "/login", VaultRole: cfg.Vault.Role,
		SecretPaths: func(a registry.Agent) httpapi.SecretPaths {
			return httpapi.SecretPaths(vault.Paths(cfg.Vault.KVMount, a))
		},
	}
}

// told shows what readiness may say of a failed probe: the message that is
// meant for callers, never the cause.
func told(probe func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		err := probe(ctx)
		if e, ok := registry.AsError(err); ok {
			return errors.New(e.Message)
		}
		if err != nil {
			return errors.New("does not answer")
		}
		return nil
	}
}

func databaseProbe(store *postgres.Store) func(context.Context) error {
	return told(func(ctx context.Context) error {
		_, err := store.Head(ctx)
		return err
	})
}

// schemaProbe fails on a wrong schema. A database that is away says nothing of
// the schema: once it was seen to be right, it stays so.
func schemaProbe(store *postgres.Store) func(context.Context) error {
	var seen atomic.Bool
	return func(ctx context.Context) error {
		err := store.CheckSchema(ctx)
		if errors.Is(err, registry.Unavailable) && seen.Load() {
			return nil
		}
		seen.Store(err == nil)
		return told(func(context.Context) error { return err })(ctx)
	}
}
