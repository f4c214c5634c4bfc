package agents_test

import (
	"context"
	"crypto/rand"
	"maps"
	"sync"

	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/registry"
)

var _ agents.SecretStore = (*secretStore)(nil)

// secretStore is a secret store in memory. As with a real one, an entity that is
// disabled is not revived by being written, and one that is made anew has another
// id: no token of the old one works with it.
type secretStore struct {
	script *script

	mu       sync.Mutex
	entities map[string]entity // by agent
}

// entity is an entity with its alias.
type entity struct {
	ID, Team, AgentType string
	Subject             string // of the alias; "" when there is none
	Disabled            bool
}

func newSecretStore(s *script) *secretStore {
	return &secretStore{script: s, entities: map[string]entity{}}
}

// EnsureEntity implements agents.SecretStore.
func (s *secretStore) EnsureEntity(ctx context.Context, a registry.Agent) (id string, err error) {
	err = s.do(ctx, ensureEntity, a.ID, func() error {
		e, ok := s.entities[a.ID]
		switch {
		case !ok:
			e.ID = "entity-" + rand.Text()[:8]
		case e.Disabled:
			return registry.Conflict.Errorf("vault_entity_disabled", "the entity is disabled")
		}
		e.Team, e.AgentType = a.Team, a.AgentType
		s.entities[a.ID], id = e, e.ID
		return nil
	})
	return id, err
}

// EnsureAlias implements agents.SecretStore.
func (s *secretStore) EnsureAlias(ctx context.Context, entityID, subject string) (string, error) {
	return "alias-" + subject, s.do(ctx, ensureAlias, s.agentOf(entityID), func() error {
		owner := ""
		for agentID, e := range s.entities {
			switch {
			case e.ID == entityID:
				owner = agentID
			case e.Subject == subject:
				return registry.Conflict.Errorf("vault_alias_taken", "the subject is another's")
			}
		}
		if owner == "" {
			return refused("there is no such entity")
		}
		e := s.entities[owner]
		e.Subject = subject
		s.entities[owner] = e
		return nil
	})
}

// EnableEntity implements agents.SecretStore.
func (s *secretStore) EnableEntity(ctx context.Context, agentID string) error {
	return s.do(ctx, enableEntity, agentID, func() error {
		e, ok := s.entities[agentID]
		if !ok {
			return registry.NotFound.Errorf("vault_entity_gone", "there is no such entity")
		}
		e.Disabled = false
		s.entities[agentID] = e
		return nil
	})
}

// DisableEntity implements agents.SecretStore.
func (s *secretStore) DisableEntity(ctx context.Context, agentID string) error {
	return s.do(ctx, disableEntity, agentID, func() error {
		if e, ok := s.entities[agentID]; ok {
			e.Disabled = true
			s.entities[agentID] = e
		}
		return nil
	})
}

// DeleteEntity implements agents.SecretStore.
func (s *secretStore) DeleteEntity(ctx context.Context, agentID string) error {
	return s.do(ctx, deleteEntity, agentID, func() error {
		delete(s.entities, agentID)
		return nil
	})
}

// do has call change entities under the script.
func (s *secretStore) do(ctx context.Context, op, agentID string, call func() error) error {
	return s.script.atProvider(ctx, op, agentID, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		return call()
	})
}

// set changes the agent's entity without anybody's asking.
func (s *secretStore) set(agentID string, change func(*entity)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entities[agentID]
	change(&e)
	s.entities[agentID] = e
}

// clear forgets all.
func (s *secretStore) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.entities)
}

// agentOf is the agent that has the entity; "" is nobody.
func (s *secretStore) agentOf(entityID string) string {
	for agentID, e := range s.all() {
		if e.ID == entityID {
			return agentID
		}
	}
	return ""
}

func (s *secretStore) all() map[string]entity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.entities)
}
