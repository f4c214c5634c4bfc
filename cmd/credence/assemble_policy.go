package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/credenceproject/credence/internal/bundles"
	"github.com/credenceproject/credence/internal/config"
	"github.com/credenceproject/credence/internal/decide"
	"github.com/credenceproject/credence/internal/decisions"
	"github.com/credenceproject/credence/internal/feed"
	"github.com/credenceproject/credence/internal/layers"
	"github.com/credenceproject/credence/internal/policies"
	"github.com/credenceproject/credence/internal/policies/gate"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/telemetry"
)

// policySide is what policy is made of and served by. All of it reads the registry
// in memory, and agrees on which modules are in force.
type policySide struct {
	follower  *snapshot.Follower
	modules   *layers.Cache
	gate      *gate.Runner
	decisions *decisions.Service
	bundles   *bundles.Service
	feed      *feed.Service
	keys      *bundles.Keys // nil: bundles are not signed
}

func newPolicySide(lasting context.Context, cfg config.Server, follower *snapshot.Follower, metrics prometheus.Registerer, log *slog.Logger) (*policySide, error) {
	runner, err := newGate(cfg.Gate)
	if err != nil {
		return nil, err
	}
	keys, err := bundleKeys(lasting, cfg.Bundles, log)
	if err != nil {
		return nil, err
	}
	modules := layers.NewCache(compileLayer, log)
	return &policySide{
		follower: follower, modules: modules, gate: runner,
		decisions: decisions.NewService(follower, decide.New(modules), decisions.NewEvaluator(modules), log),
		bundles: bundles.NewService(follower, bundles.Options{
			Maker: bundles.NewMaker(bundles.MakerOptions{Layers: modules, Keys: keys}), Hold: cfg.Bundles.Hold, Window: cfg.Bundles.PublishWindow,
			PerCaller: cfg.Bundles.MaxPolls, Observer: telemetry.NewBundleMetrics(metrics), Log: log,
		}),
		feed: feed.NewService(follower, feed.Options{PerCaller: cfg.Bundles.MaxPolls}), keys: keys,
	}, nil
}

// keysEvery is how often the signing keys' files are looked at.
const keysEvery = time.Second

// run keeps the signing keys current until ctx ends.
func (p *policySide) run(ctx context.Context) error {
	if p.keys != nil {
		p.keys.Run(ctx, keysEvery)
	}
	return nil
}

// policies returns the service of policies that are kept in store.
func (p *policySide) policies(store policies.Store) *policies.Service {
	return policies.NewService(store, p.follower, p.modules, p.gate)
}

// drain lets whoever is held go within the time, and holds nobody any more.
func (p *policySide) drain(over time.Duration) {
	p.bundles.Drain(over)
	p.feed.Drain(over)
}

// compileLayer says whether a layer's module may be in force.
func compileLayer(key registry.LayerKey, source string) (*ast.Module, error) {
	layer, err := gate.CompileLayer(key, source)
	if err != nil {
		return nil, err
	}
	return layer.Module, nil
}

// A check may take longer than its processor time, as the machine has other work,
// and may wait for others to end: all within a request's time.
const (
	gateSlack = 2 * time.Second
	gateWait  = 2 * time.Second
)

// newGate returns the gate, whose children are this very program.
func newGate(cfg config.Gate) (*gate.Runner, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program, which checks custom Rego in a process of its own: %w", err)
	}
	return gate.NewRunner(gate.Options{
		Command: []string{self, "gate"}, CPU: cfg.Timeout, Timeout: cfg.Timeout + gateSlack, Wait: gateWait,
		Memory: int64(cfg.Memory) << 20, Children: cfg.AtOnce,
	}), nil
}

// bundleKeys are the keys that sign bundles, or nil where none are configured.
func bundleKeys(lasting context.Context, cfg config.Bundles, log *slog.Logger) (*bundles.Keys, error) {
	if cfg.KeysDir == "" {
		return nil, nil //nolint:nilnil // bundles are not signed
	}
	return bundles.OpenKeys(lasting, cfg.KeysDir, log)
}
