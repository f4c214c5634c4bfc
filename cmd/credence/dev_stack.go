package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/credenceproject/credence/internal/auth0"
	"github.com/credenceproject/credence/internal/auth0/emulator"
	"github.com/credenceproject/credence/internal/config"
	"github.com/credenceproject/credence/internal/local"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/vault"
)

// The audiences of a dev system.
const (
	devAPIAudience   = "https://credence.example.com/"
	devAgentAudience = "https://mcp.example.com/"
	devTeam          = "customer-success"
	devTokenLifetime = 12 * time.Hour
)

var devHosts = []string{"127.0.0.1", "localhost", "::1"}

// devStack is a running dev system.
type devStack struct {
	info     devInfo
	tenant   *emulator.Emulator
	database *local.Postgres
	bao      *local.OpenBao
	opa      *local.OPA
	server   config.Server
	state    devState
	tell     *teller
	log      *slog.Logger
}

// runDev starts everything, tells the story and waits for ctx to end or for a
// part to fail. Whatever it started has ended when it returns.
func runDev(ctx context.Context, f devFlags, io streams) (err error) {
	state := devStateIn(".")
	release, err := state.acquire()
	if err != nil {
		return err
	}
	defer release()
	logFile, err := state.create(state.logFile())
	if err != nil {
		return err
	}
	defer logFile.Close()

	s := &devStack{log: slog.New(slog.NewJSONHandler(logFile, nil)), tell: newTeller(io.out), state: state}
	defer func() { err = errors.Join(err, s.stopPrograms()) }()

	g, gctx := errgroup.WithContext(ctx)
	gctx, cancel := context.WithCancel(gctx)
	defer cancel()
	if err := s.run(gctx, g, f); err != nil {
		cancel()
		_ = g.Wait() // it ends because we said so
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	err = g.Wait()
	if ctx.Err() != nil {
		s.tell.line("\nStopped.")
		return nil
	}
	return err
}

// run brings everything up, in order, and leaves it running in g.
func (s *devStack) run(ctx context.Context, g *errgroup.Group, f devFlags) error {
	began := time.Now()
	tools, err := local.FindTools(f.tools)
	if err != nil {
		return err
	}
	s.tell.title("Starting, all on this machine")
	if err := s.startPrograms(ctx, tools, f); err != nil {
		return err
	}
	g.Go(func() error { return s.watchPrograms(ctx) })
	if err := s.startTenant(ctx, g, f); err != nil {
		return err
	}
	if err := s.prepare(ctx, f); err != nil {
		return err
	}
	if err := s.startServer(ctx, g); err != nil {
		return err
	}
	if err := s.mintTokens(); err != nil {
		return err
	}
	if err := s.seed(ctx); err != nil {
		return err
	}
	if err := s.startOPA(ctx, g, tools, f); err != nil {
		return err
	}
	if err := s.story(ctx); err != nil {
		return fmt.Errorf("the demo did not go as it should (the server's log is %s): %w", s.state.logFile(), err)
	}
	s.info.Ready = true
	if err := s.state.write(s.info); err != nil {
		return err
	}
	stop := "Ctrl-C"
	if f.detached {
		stop = "credence dev stop"
	}
	s.tell.addresses(s.info, s.state, time.Since(began), stop)
	return nil
}

// startPrograms starts PostgreSQL and OpenBao side by side.
func (s *devStack) startPrograms(ctx context.Context, tools local.Tools, f devFlags) error {
	done := s.tell.step("PostgreSQL and OpenBao")
	var g errgroup.Group
	g.Go(func() (err error) {
		s.database, err = local.StartPostgres(ctx, local.PostgresOptions{Tools: tools, Dir: filepath.Join(s.state.dir, "postgres"), Port: f.postgresPort})
		return err
	})
	g.Go(func() (err error) {
		s.bao, err = local.StartOpenBao(ctx, local.OpenBaoOptions{Tools: tools, Dir: filepath.Join(s.state.dir, "openbao"), Port: f.vaultPort})
		return err
	})
	if err := g.Wait(); err != nil {
		return err
	}
	s.info.Vault = devVaultInfo{Address: s.bao.Address, RootToken: s.bao.RootToken}
	s.info.Postgres = s.database.DSN("credence")
	done()
	return nil
}

// watchPrograms fails when a program ends that should run.
func (s *devStack) watchPrograms(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.database.Done():
		return s.database.Err()
	case <-s.bao.Done():
		return s.bao.Err()
	}
}

func (s *devStack) stopPrograms() error {
	var errs []error
	if s.opa != nil {
		errs = append(errs, s.opa.Stop())
	}
	if s.bao != nil {
		errs = append(errs, s.bao.Stop())
	}
	if s.database != nil {
		errs = append(errs, s.database.Stop())
	}
	return errors.Join(errs...)
}

// startTenant serves the emulated Auth0 tenant.
func (s *devStack) startTenant(ctx context.Context, g *errgroup.Group, f devFlags) error {
	done := s.tell.step("An emulated Auth0 tenant")
	port, err := portFor(f.issuerPort, "--issuer-port")
	if err != nil {
		return err
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	s.info.Issuer = "http://" + address + "/"
	if s.tenant, err = emulator.New(emulator.Options{Issuer: s.info.Issuer, SecretOverlap: -1}); err != nil {
		return err
	}
	l, err := listen(ctx, address, "--issuer-port")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: s.tenant, ReadHeaderTimeout: 5 * time.Second}
	g.Go(func() error { return serveUntilDone(ctx, srv, l, time.Second, nil) })
	done()
	return nil
}

// prepare does what an operator would: the database's schema, setup auth0, setup
// vault.
func (s *devStack) prepare(ctx context.Context, f devFlags) error {
	done := s.tell.step("migrate, setup auth0, setup vault")
	if err := s.database.Exec(ctx, "CREATE DATABASE credence"); err != nil {
		return fmt.Errorf("create the database: %w", err)
	}
	if _, err := migrate(ctx, s.info.Postgres); err != nil {
		return err
	}
	clientID, clientSecret := s.tenant.ManagementCredentials()
	s.server = config.Server{
		LogLevel: slog.LevelInfo, Shutdown: 5 * time.Second, AllowedHosts: devHosts,
		DatabaseURL: config.NewSecret(s.info.Postgres), DatabaseMaxConns: 16,
		Auth: config.Auth{Issuer: s.info.Issuer, Audience: devAPIAudience},
		Auth0: config.Auth0{
			Domain: s.info.Issuer, ClientID: clientID, ClientSecret: config.NewSecret(clientSecret),
			Audience: devAgentAudience, Installation: "dev", Timeout: 10 * time.Second,
		},
		Jobs:       config.Jobs{SweepEvery: time.Hour, ExpiryEvery: time.Minute, IdempotencyTTL: 24 * time.Hour, HeartbeatEvery: time.Minute},
		CheckEvery: time.Second,
		Bundles:    config.Bundles{Hold: 10 * time.Second, PublishWindow: 10 * time.Millisecond, MaxPolls: 1024, Drain: time.Second},
		Gate:       config.Gate{Timeout: 5 * time.Second, Memory: 512, AtOnce: 2},
	}
	if err := activatePolicy(ctx, s.server, false, io.Discard); err != nil {
		return err
	}
	if _, err := auth0.Setup(ctx, auth0.SetupConfig{Config: auth0Config(s.server), APIAudience: devAPIAudience}); err != nil {
		return err
	}
	result, err := vault.Setup(ctx, vault.SetupConfig{
		Address: s.bao.Address, Token: s.bao.RootToken, Issuer: s.info.Issuer, JWKSURL: s.info.Issuer + ".well-known/jwks.json",
		Audience: devAgentAudience, IssueSecretID: true,
	})
	if err != nil {
		return err
	}
	s.server.Vault = config.Vault{
		Address: s.bao.Address, RoleID: result.RoleID, SecretID: config.NewSecret(result.SecretID), Timeout: 5 * time.Second,
		AppRoleMount: vault.DefaultAppRoleMount, JWTMount: vault.DefaultJWTMount, KVMount: vault.DefaultKVMount, Role: vault.DefaultRole,
	}
	for _, p := range []struct {
		asked int
		flag  string
		at    *string
	}{{f.apiPort, "--port", &s.server.Listen}, {f.metricsPort, "--metrics-port", &s.server.MetricsListen}} {
		port, err := portFor(p.asked, p.flag)
		if err != nil {
			return err
		}
		*p.at = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	done()
	return nil
}

// startServer serves the API and waits until it listens.
func (s *devStack) startServer(ctx context.Context, g *errgroup.Group) error {
	done := s.tell.step("The control plane")
	listening := make(chan addresses, 1)
	failed := make(chan error, 1)
	g.Go(func() error {
		err := serve(ctx, s.server, s.log, func(at addresses) { listening <- at })
		failed <- err
		return err
	})
	select {
	case at := <-listening:
		s.info.API, s.info.Metrics = "http://"+at.API, "http://"+at.Metrics
	case err := <-failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
	s.info.TokenEndpoint, s.info.Audience, s.info.APIAudience = s.info.Issuer+"oauth/token", devAgentAudience, devAPIAudience
	done()
	return nil
}

// startOPA starts an OPA that polls the bundle of production, and waits until it
// decides by it.
func (s *devStack) startOPA(ctx context.Context, g *errgroup.Group, tools local.Tools, f devFlags) (err error) {
	done := s.tell.step("OPA, with the bundle of production")
	const resource = "bundles/" + demoEnvironment
	s.opa, err = local.StartOPA(ctx, local.OPAOptions{
		Tools: tools, Port: f.opaPort, Dir: filepath.Join(s.state.dir, "opa"),
		ControlURL: s.info.API, Resource: resource, Token: s.info.OPAToken, PollEvery: time.Second, LongPoll: 30 * time.Second,
	})
	if err != nil {
		return err
	}
	g.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case <-s.opa.Done():
			return s.opa.Err()
		}
	})
	s.info.OPA, s.info.Bundles = s.opa.Address, []string{s.info.API + "/" + resource}
	err = poll(ctx, 15*time.Second, func() (bool, error) { return s.opa.Activated(ctx), nil })
	if err != nil {
		return fmt.Errorf("OPA has not activated its bundle (its log is %s): %w", s.opa.Log, err)
	}
	done()
	return nil
}

// mintTokens makes the tokens that a log-in would give: an admin's, a developer's
// and OPA's.
func (s *devStack) mintTokens() (err error) {
	var all, developer []string
	for _, p := range registry.Permissions {
		all = append(all, string(p.Name))
		if p.Name != registry.Admin && p.Name != registry.BundlesRead {
			developer = append(developer, string(p.Name))
		}
	}
	s.info.AdminToken, err = s.tenant.MintUserToken(emulator.UserToken{
		Subject: "dev|admin", Audience: devAPIAudience, Permissions: all, Lifetime: devTokenLifetime,
	})
	if err != nil {
		return err
	}
	s.info.DeveloperToken, err = s.tenant.MintUserToken(emulator.UserToken{
		Subject: "dev|developer", Audience: devAPIAudience, Permissions: developer, Lifetime: devTokenLifetime,
		Claims: map[string]any{devAPIAudience + "teams": []string{devTeam}},
	})
	if err != nil {
		return err
	}
	s.info.OPAToken, err = s.tenant.MintUserToken(emulator.UserToken{
		Subject: "dev|opa", Audience: devAPIAudience, Lifetime: devTokenLifetime,
		Permissions: []string{string(registry.BundlesRead) + ":" + demoEnvironment},
	})
	return err
}
