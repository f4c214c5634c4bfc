// Package resources registers what agents call, and finds it.
//
// An owner decides about its own resources; where they may be reached, and which
// names are not for everybody, admins decide in each environment (invariant A7).
// What gateways ask at every call, the metadata, comes from memory.
package resources

import (
	"context"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// Keeper keeps resources. *postgres.Store implements it.
type Keeper interface {
	Resource(ctx context.Context, name string) (registry.Resource, error)
	Resources(ctx context.Context, f registry.ResourceFilter) ([]registry.Resource, error)
	PutResource(ctx context.Context, r registry.Resource, pre registry.Precondition, j registry.Judgement, by registry.Actor) (registry.Resource, bool, error)
	DeleteResource(ctx context.Context, name string, pre registry.Precondition, j registry.Judgement, by registry.Actor) error
}

// Rulebook reads what admins decided. *postgres.Store implements it.
type Rulebook interface {
	Head(ctx context.Context) (registry.Head, error)
	Environments(ctx context.Context, after string, limit int) ([]registry.Environment, error)
	Team(ctx context.Context, name string) (registry.Team, error)
}

// Store is the registry.
type Store interface {
	Keeper
	Rulebook
}

// Snapshot is the registry in memory. *snapshot.Follower implements it.
type Snapshot interface {
	View() *snapshot.View // nil before the first was loaded
}

// Service registers and finds resources. It is safe for concurrent use.
type Service struct {
	store    Store
	snapshot Snapshot
}

// NewService returns a Service on store, which answers for metadata from snapshot.
func NewService(store Store, snapshot Snapshot) *Service {
	return &Service{store: store, snapshot: snapshot}
}

// Get returns the resource of that name, or NotFound.
func (s *Service) Get(ctx context.Context, name string) (registry.Resource, error) {
	if !registry.ValidName(name) {
		return registry.Resource{}, notFound()
	}
	return s.store.Resource(ctx, name)
}

// List returns up to f.Limit resources, by name, and the name after which the next
// page begins, or "".
func (s *Service) List(ctx context.Context, f registry.ResourceFilter) ([]registry.Resource, string, error) {
	limit := f.Limit
	f.Limit++ // one more tells whether there is a next page
	found, err := s.store.Resources(ctx, f)
	if err != nil || len(found) <= limit {
		return found, "", err
	}
	return found[:limit], found[limit-1].Name, nil
}

func notFound() error {
	return registry.NotFound.Errorf("not_found", "there is no resource of that name")
}
