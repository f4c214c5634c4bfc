// Package rulebook keeps what admins decide: environments, agent types and
// teams. Registrations are held to these documents; only admins write them.
package rulebook

import (
	"context"

	"github.com/credenceproject/credence/internal/registry"
)

// Environments keeps environments. *postgres.Store implements it, as the other
// two.
type Environments interface {
	Environment(ctx context.Context, name string) (registry.Environment, error)
	Environments(ctx context.Context, after string, limit int) ([]registry.Environment, error)
	PutEnvironment(ctx context.Context, e registry.Environment, pre registry.Precondition, by registry.Actor) (registry.Environment, bool, error)
	DeleteEnvironment(ctx context.Context, name string, pre registry.Precondition, by registry.Actor) error
}

// AgentTypes keeps agent types.
type AgentTypes interface {
	AgentType(ctx context.Context, name string) (registry.AgentType, error)
	AgentTypes(ctx context.Context, after string, limit int) ([]registry.AgentType, error)
	PutAgentType(ctx context.Context, t registry.AgentType, pre registry.Precondition, by registry.Actor) (registry.AgentType, bool, error)
	DeleteAgentType(ctx context.Context, name string, pre registry.Precondition, by registry.Actor) error
}

// Teams keeps teams.
type Teams interface {
	Team(ctx context.Context, name string) (registry.Team, error)
	Teams(ctx context.Context, after string, limit int) ([]registry.Team, error)
	PutTeam(ctx context.Context, t registry.Team, pre registry.Precondition, by registry.Actor) (registry.Team, bool, error)
	DeleteTeam(ctx context.Context, name string, pre registry.Precondition, by registry.Actor) error
}

// Store keeps the documents of all kinds.
type Store interface {
	Environments
	AgentTypes
	Teams
}

// Service reads and writes the rulebook. It is safe for concurrent use. Its
// errors are those of the store: NotFound, Conflict while a document is in use,
// PreconditionFailed; and Forbidden for a write by anybody but an admin.
type Service struct{ store Store }

// NewService returns a Service on store.
func NewService(store Store) *Service { return &Service{store: store} }

// mayWrite is asked here as well as by the routes: the rule must not hang on
// how a call arrived.
func mayWrite(by registry.Principal) error {
	if by.Can(registry.Admin) {
		return nil
	}
	return registry.Forbidden.Errorf("permission_denied", "this needs the permission %q", registry.Admin)
}

// page cuts a list that was read one longer than the limit, and says after
// which name the next page begins, or "".
func page[T any](items []T, limit int, name func(T) string) ([]T, string) {
	if len(items) <= limit {
		return items, ""
	}
	return items[:limit], name(items[limit-1])
}
