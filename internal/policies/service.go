// Package policies keeps the rules that people write in tiers: of everybody, of a
// team, of an agent type and of an agent.
//
// Who may write a tier may not widen above it (invariant A4): nothing that is
// written here takes back a denial or lifts a ceiling, and ceilings are for admins.
// What could break others' calls is found out before it is kept: custom Rego goes
// through the gate, and a policy that denies everybody needs to be meant.
package policies

import (
	"context"
	"errors"
	"strings"

	"github.com/credenceproject/credence/internal/layers"
	"github.com/credenceproject/credence/internal/policies/gate"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// Keeper keeps policies and all that they ever were. *postgres.Store implements it.
type Keeper interface {
	Policy(ctx context.Context, key registry.LayerKey) (registry.Policy, error)
	// Policies returns a page of the policies of the tier, or of all where it is "",
	// by tier and id, after the named one, and whether there are more.
	Policies(ctx context.Context, tier registry.Tier, after registry.LayerKey, limit int) (page []registry.Policy, more bool, err error)
	// PolicyVersions returns a page of the policy's versions before the numbered one,
	// or of all where before is 0, the newest first, and whether there are more.
	PolicyVersions(ctx context.Context, key registry.LayerKey, before int64, limit int) (page []registry.PolicyVersion, more bool, err error)
	PolicyVersion(ctx context.Context, key registry.LayerKey, version int64) (registry.PolicyVersion, error)
	// PutPolicy creates or replaces a policy and reports whether it created it; the
	// action is put or rollback. It asks j about what is there, with that locked, as
	// DeletePolicy does.
	PutPolicy(ctx context.Context, p registry.Policy, action string, pre registry.Precondition, j Judge, by registry.Actor) (registry.Policy, bool, error)
	DeletePolicy(ctx context.Context, key registry.LayerKey, pre registry.Precondition, j Judge, by registry.Actor) error
}

// Registry reads what policies are about. *postgres.Store implements it.
type Registry interface {
	Agent(ctx context.Context, ref string, tombstones bool) (registry.Agent, error)
	Team(ctx context.Context, name string) (registry.Team, error)
}

// Store is the registry.
type Store interface {
	Keeper
	Registry
}

// Snapshot is the registry in memory. *snapshot.Follower implements it.
type Snapshot interface {
	View() *snapshot.View // nil before the first was loaded
}

// Modules tells which custom modules are in force. *layers.Cache implements it.
type Modules interface {
	InForce(v *snapshot.View, scope string) *layers.Set
}

// Gate checks custom Rego. *gate.Runner implements it.
type Gate interface {
	Check(ctx context.Context, r gate.Request) (gate.Verdict, error)
}

// Service writes and finds policies. It is safe for concurrent use.
type Service struct {
	store    Store
	snapshot Snapshot
	modules  Modules
	gate     Gate
}

// NewService returns a Service on store. What a policy would stand beside it learns
// from snapshot and modules.
func NewService(store Store, snapshot Snapshot, modules Modules, gate Gate) *Service {
	return &Service{store: store, snapshot: snapshot, modules: modules, gate: gate}
}

// Get returns the policy of that name, or NotFound.
func (s *Service) Get(ctx context.Context, key registry.LayerKey) (registry.Policy, error) {
	key, err := named(key)
	if err != nil {
		return registry.Policy{}, err
	}
	return s.store.Policy(ctx, key)
}

// List returns up to limit policies of the tier, or of all where it is "", by tier
// and id, after the named one: fewer where they are large. It also returns after
// which the next page begins, or the zero key.
func (s *Service) List(ctx context.Context, tier registry.Tier, after registry.LayerKey, limit int) ([]registry.Policy, registry.LayerKey, error) {
	page, more, err := s.store.Policies(ctx, tier, after, limit)
	if err != nil || !more {
		return page, registry.LayerKey{}, err
	}
	return page, page[len(page)-1].LayerKey, nil
}

// Versions returns up to limit of the policy's versions before the numbered one, or
// of all where before is 0, the newest first: fewer where they are large. It also
// returns before which the next page begins, or 0. There is none of a policy that
// never was: NotFound.
func (s *Service) Versions(ctx context.Context, key registry.LayerKey, before int64, limit int) ([]registry.PolicyVersion, int64, error) {
	key, err := named(key)
	if err != nil {
		return nil, 0, err
	}
	page, more, err := s.store.PolicyVersions(ctx, key, before, limit)
	switch {
	case err != nil:
		return nil, 0, err
	case len(page) == 0 && before == 0:
		return nil, 0, notFound()
	case !more:
		return page, 0, nil
	default:
		return page, page[len(page)-1].Policy.Version, nil
	}
}

// Version returns what the policy was, or NotFound.
func (s *Service) Version(ctx context.Context, key registry.LayerKey, version int64) (registry.PolicyVersion, error) {
	key, err := named(key)
	if err != nil {
		return registry.PolicyVersion{}, err
	}
	v, err := s.store.PolicyVersion(ctx, key, version)
	if errors.Is(err, registry.NotFound) {
		return v, registry.NotFound.Wrap(err, "not_found", "there is no such version of the policy")
	}
	return v, err
}

// named is the key in its one spelling, or NotFound where no policy can have it.
func named(key registry.LayerKey) (registry.LayerKey, error) {
	switch {
	case key.Tier == registry.TierAgent && registry.IsUUID(key.ID):
		key.ID = strings.ToLower(key.ID)
		return key, nil
	case key.Valid():
		return key, nil
	case key.Tier == registry.TierAgent:
		return key, registry.NotFound.Errorf("not_found", "an agent's policy has the agent's id, not its name: GET /agents/{name} shows it")
	default:
		return key, notFound()
	}
}

func notFound() error {
	return registry.NotFound.Errorf("not_found", "there is no policy of that tier and id")
}
