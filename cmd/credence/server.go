package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/credenceproject/credence/internal/config"
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

// writeTimeout is how long a client may take to read what it asked for: the largest
// bundle over a slow line, but not for ever. The profiler needs it too.
const writeTimeout = 2 * time.Minute

// httpServer returns the API's server. longest is how long a handler may work
// before it answers.
func httpServer(handler http.Handler, tlsConfig *tls.Config, longest time.Duration, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, TLSConfig: tlsConfig, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: longest + writeTimeout,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
	}
}

// addresses are where a server listens.
type addresses struct{ API, Metrics string }

// serve runs the server until ctx is cancelled or a part of it fails. It calls
// ready, if there is one, once the listeners are open.
func serve(ctx context.Context, cfg config.Server, log *slog.Logger, ready func(addresses)) error {
	// Whatever is under way when we are asked to stop still needs the providers:
	// those are let go only once the API has drained and the passes have ended.
	lasting, letGo := context.WithCancel(context.WithoutCancel(ctx))
	defer letGo()
	p, err := assemble(ctx, lasting, cfg, log)
	if err != nil {
		return err
	}
	defer p.pool.Close()

	apiListener, err := listen(ctx, cfg.Listen, "--listen")
	if err != nil {
		return err
	}
	at := addresses{API: apiListener.Addr().String()}

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.follower.Run(lasting) })
	g.Go(func() error { return p.secrets.Run(lasting) })
	g.Go(func() error { return p.policy.run(lasting) })
	var working sync.WaitGroup
	for _, work := range []func() error{
		func() error {
			return serveUntilDone(ctx, p.api, apiListener, cfg.Shutdown, func() {
				p.health.Drain()
				p.policy.drain(cfg.Bundles.Drain)
			})
		},
		func() error { return p.loop.Run(ctx) },
		func() error { return p.jobs.Run(ctx) },
	} {
		working.Add(1)
		g.Go(func() error {
			defer working.Done()
			return work()
		})
	}
	g.Go(func() error {
		working.Wait()
		letGo()
		return nil
	})
	if cfg.MetricsListen != "off" {
		l, err := listen(ctx, cfg.MetricsListen, "--metrics-listen")
		if err != nil {
			_ = apiListener.Close() // nothing is served yet
			return err
		}
		at.Metrics = l.Addr().String()
		g.Go(func() error {
			return serveUntilDone(ctx, metricsServer(p.metrics, cfg.AllowedHosts), l, time.Second, nil)
		})
	}
	log.InfoContext(ctx, "listening", "api", at.API, "metrics", at.Metrics, "tls", cfg.TLS.CertFile != "", "version", version())
	if ready != nil {
		ready(at)
	}
	return g.Wait()
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
