package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/credenceproject/credence/api/schemas"
	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/auth0"
	"github.com/credenceproject/credence/internal/authn"
	"github.com/credenceproject/credence/internal/config"
	"github.com/credenceproject/credence/internal/httpapi"
	"github.com/credenceproject/credence/internal/postgres"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/rulebook"
	"github.com/credenceproject/credence/internal/schema"
	"github.com/credenceproject/credence/internal/telemetry"
	"github.com/credenceproject/credence/internal/vault"
)

func serverCommand(env lookup, io streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Serve the API",
		Args:  cobra.NoArgs,
	}
	addServerFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.Load(givenFlags(cmd.Flags()), config.Source(env))
		if err != nil {
			return err
		}
		return serve(cmd.Context(), cfg, slog.New(slog.NewJSONHandler(io.err, cfg.Level())), nil)
	}
	return cmd
}

// addresses are where a server listens.
type addresses struct{ API, Metrics string }

// serve wires the packages together, from the bottom up, and runs the server
// until ctx is cancelled or a part of it fails. It calls ready, if there is one,
// once the listeners are open.
func serve(ctx context.Context, cfg config.Server, log *slog.Logger, ready func(addresses)) error {
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	providerMetrics := telemetry.NewProviderMetrics(metrics)

	pool, err := postgres.Open(ctx, cfg.DatabaseURL.Value, int32(cfg.DatabaseMaxConns)) //nolint:gosec // the configuration bounds it
	if err != nil {
		return err
	}
	defer pool.Close()
	store := postgres.NewStore(pool)

	// Requests that are under way when we are asked to stop still need the
	// providers: those are let go only once the API has drained.
	providerCtx, letGo := context.WithCancel(context.WithoutCancel(ctx))
	defer letGo()
	identity, err := auth0.New(providerCtx, auth0Config(cfg), providerMetrics)
	if err != nil {
		return err
	}
	secrets, err := vault.New(vaultConfig(cfg), providerMetrics, log)
	if err != nil {
		return err
	}
	verifier, err := authn.New(authn.Config{
		Issuer: cfg.Auth.Issuer, Audience: cfg.Auth.Audience, TeamsClaim: cfg.Auth.TeamsClaim, Proxy: http.ProxyFromEnvironment,
	}, store, log)
	if err != nil {
		return err
	}
	validator, err := schema.New(schemas.FS)
	if err != nil {
		return err
	}
	service := agents.NewService(store, identity, secrets, telemetry.NewStepMetrics(metrics), log,
		agents.Options{Provisioning: cfg.ProvisionTimeout, Teardown: cfg.TeardownTimeout, Settle: cfg.ClientSettle})
	schemaIsRight := schemaProbe(store)
	startCtx, cancel := context.WithTimeout(ctx, 3*time.Second)
	_ = schemaIsRight(startCtx) // so that it is known if the database goes away before anybody asks
	cancel()
	health := httpapi.NewHealth(version(),
		httpapi.Check{Name: "database", Probe: databaseProbe(store)},
		httpapi.Check{Name: "schema", Vital: true, Probe: schemaIsRight},
		httpapi.Check{Name: "identity_provider", Probe: told(identity.Ping)},
		httpapi.Check{Name: "token_issuer", Probe: told(verifier.Ready)},
		httpapi.Check{Name: "secret_store", Probe: told(secrets.Ping)},
	)
	handler := httpapi.New(httpapi.Options{
		Agents: service, Rulebook: rulebook.NewService(store), Schemas: validator,
		Authenticator: verifier, Auditor: store, Health: health, Handout: handout(cfg, identity),
		Metrics: telemetry.NewHTTPMetrics(metrics), Log: log, AllowedHosts: cfg.AllowedHosts,
	})

	tlsConfig, err := serverTLS(cfg.TLS)
	if err != nil {
		return err
	}
	apiServer := &http.Server{
		Handler: handler, TLSConfig: tlsConfig, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
	}
	apiListener, err := listen(ctx, cfg.Listen, "--listen")
	if err != nil {
		return err
	}
	at := addresses{API: apiListener.Addr().String()}

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return secrets.Run(providerCtx) })
	g.Go(func() error {
		defer letGo()
		return serveUntilDone(ctx, apiServer, apiListener, cfg.Shutdown, health.Drain)
	})
	if cfg.MetricsListen != "off" {
		l, err := listen(ctx, cfg.MetricsListen, "--metrics-listen")
		if err != nil {
			_ = apiListener.Close() // nothing is served yet
			return err
		}
		at.Metrics = l.Addr().String()
		g.Go(func() error {
			return serveUntilDone(ctx, metricsServer(metrics, cfg.AllowedHosts), l, time.Second, nil)
		})
	}
	log.InfoContext(ctx, "listening", "api", at.API, "metrics", at.Metrics, "tls", tlsConfig != nil, "version", version())
	if ready != nil {
		ready(at)
	}
	return g.Wait()
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
		Timeout: cfg.Vault.Timeout,
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

func listen(ctx context.Context, address, flag string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w; free the port or choose another with %s", address, errors.Unwrap(err), flag)
	}
	return l, nil
}

// serveUntilDone serves until ctx ends, and then lets running requests end.
func serveUntilDone(ctx context.Context, srv *http.Server, l net.Listener, grace time.Duration, drain func()) error {
	failed := make(chan error, 1)
	go func() {
		if srv.TLSConfig != nil {
			failed <- srv.ServeTLS(l, "", "")
			return
		}
		failed <- srv.Serve(l)
	}()
	select {
	case err := <-failed:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	if drain != nil {
		drain()
	}
	graceCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := srv.Shutdown(graceCtx); err != nil {
		return fmt.Errorf("requests were still running after %s: %w", grace, err)
	}
	return nil
}
