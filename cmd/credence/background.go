package main

import (
	"context"
	"log/slog"
	"math"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/auth0"
	"github.com/credenceproject/credence/internal/config"
	"github.com/credenceproject/credence/internal/postgres"
	"github.com/credenceproject/credence/internal/reconcile"
	"github.com/credenceproject/credence/internal/reconcile/budget"
	"github.com/credenceproject/credence/internal/reconcile/jobs"
	"github.com/credenceproject/credence/internal/reconcile/sweep"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/telemetry"
	"github.com/credenceproject/credence/internal/vault"
)

// agentOptions are the configuration's words on how agents are worked on.
func agentOptions(c config.Converge) agents.Options {
	return agents.Options{
		Lease: c.Lease, Inline: c.Inline, Settle: c.Settle, RetryBase: c.RetryBase, RetryMax: c.RetryMax,
		Reissue: registry.ReissueWindow{Within: c.ReissueWithin, Gap: c.ReissueGap}, TokenLifetime: c.TokenLifetime,
	}
}

// yielding lets the calls of requests go first within the identity provider's rate
// limit: somebody waits for those, and nobody for a pass in the background.
type yielding struct{ reconcile.Reconciler }

// Reconcile implements reconcile.Reconciler.
func (y yielding) Reconcile(ctx context.Context, c registry.Claim) error {
	return y.Reconciler.Reconcile(auth0.LowPriority(ctx), c)
}

func newLoop(cfg config.Server, store *postgres.Store, service *agents.Service, metrics prometheus.Registerer, log *slog.Logger) *reconcile.Loop {
	telemetry.RegisterFailing(metrics, store.CountFailing, time.Now)
	return reconcile.NewLoop(reconcile.Options{
		Claimer: store, Reconciler: yielding{service}, Observer: telemetry.NewReconcileMetrics(metrics, time.Now), Log: log,
		Lease: cfg.Converge.Lease, Interval: cfg.Converge.Interval, Workers: cfg.Converge.Workers, Grace: cfg.Shutdown,
	})
}

// newBudget returns what shares the tenant's rate limit among the replicas, or nil
// where no limit is configured.
func newBudget(cfg config.Auth0, store *postgres.Store, metrics prometheus.Registerer, log *slog.Logger) auth0.Budget {
	if cfg.Rate == 0 {
		return nil
	}
	burst := cfg.Burst
	if burst == 0 {
		burst = int(math.Ceil(cfg.Rate))
	}
	return budget.New(budget.Options{
		Bucket: store, Name: "auth0", Limit: registry.RateLimit{PerSecond: cfg.Rate, Burst: burst},
		Observer: telemetry.NewBudgetMetrics(metrics), Log: log,
	})
}

// periodic are the services that jobs call.
type periodic struct {
	store    *postgres.Store
	service  *agents.Service
	identity *auth0.Client
	secrets  *vault.Client
	loop     *reconcile.Loop
	log      *slog.Logger
}

func newJobs(cfg config.Server, pool *pgxpool.Pool, p periodic, metrics prometheus.Registerer) (*jobs.Runner, error) {
	list := []jobs.Job{
		{Name: "expiry", Every: cfg.Jobs.ExpiryEvery, Do: p.expire},
		jobs.Heartbeat(p.store, cfg.Jobs.HeartbeatEvery),
		{Name: "retention", Every: time.Hour, Attempts: 3, Timeout: 5 * time.Minute, Do: func(ctx context.Context) error {
			return p.purge(ctx, cfg.Jobs.IdempotencyTTL)
		}},
	}
	if cfg.Jobs.SweepEvery > 0 {
		sweeper := sweep.New(sweep.Options{
			Store: p.store, Clients: p.identity, Entities: p.secrets, Repairer: p.service, Observer: telemetry.NewDriftMetrics(metrics),
			Log: p.log, Settle: cfg.Converge.Settle, Yield: auth0.LowPriority,
		})
		list = append(list, jobs.Job{Name: "sweep", Every: cfg.Jobs.SweepEvery, Attempts: 3, Timeout: sweepTimeout, Do: func(ctx context.Context) error {
			defer p.loop.Wake()
			return sweeper.Sweep(ctx)
		}})
	}
	return jobs.NewRunner(jobs.Options{
		Pool: pool, Jobs: list, Observer: telemetry.NewJobMetrics(metrics), Log: p.log,
	})
}

// sweepTimeout is more than 100,000 agents take at two calls a second.
const sweepTimeout = time.Hour

// expire suspends what has expired. The passes that follow are anybody's; ours
// begin at once.
func (p periodic) expire(ctx context.Context) error {
	n, err := p.service.ExpireAgents(ctx)
	if n > 0 {
		p.log.InfoContext(ctx, "agents expired", "count", n)
		p.loop.Wake()
	}
	return err
}

// purge forgets what is older than it need be known.
func (p periodic) purge(ctx context.Context, olderThan time.Duration) error {
	for {
		n, err := p.store.PurgeIdempotencyKeys(ctx, olderThan)
		if err != nil || n == 0 {
			return err
		}
	}
}

// expiring counts the agents in memory that work and expire within d.
func expiring(follower *snapshot.Follower) func(d time.Duration) int {
	return func(d time.Duration) (n int) {
		v := follower.View()
		if v == nil {
			return 0
		}
		now := time.Now()
		for _, environment := range v.EnvironmentNames() {
			for _, a := range v.Agents(environment).All() {
				if !a.Suspended && a.ExpiresAt.After(now) && a.ExpiresAt.Before(now.Add(d)) {
					n++
				}
			}
		}
		return n
	}
}
