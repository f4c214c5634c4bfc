package agents_test

import (
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"sync"

	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/registry"
)

var (
	_ agents.IdentityProvider = (*tenant)(nil)
	_ agents.SecretStore      = (*secretStore)(nil)
	_ agents.Store            = scriptedStore{}
)

// tenant is an identity provider in memory.
type tenant struct {
	script *script

	mu      sync.Mutex
	clients map[string]oauthClient // by id
	issued  []string               // every secret that was ever made
}

type oauthClient struct {
	agentID, intentID string
	scopes            []string // nil: no grant
}

// CreateClient implements agents.IdentityProvider.
func (p *tenant) CreateClient(ctx context.Context, a registry.Agent, intentID string) (c registry.Credentials, err error) {
	err = p.script.atProvider(ctx, createClient, func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		c = registry.Credentials{ClientID: "client-" + rand.Text()[:8], ClientSecret: "secret-" + rand.Text()}
		p.clients[c.ClientID] = oauthClient{agentID: a.ID, intentID: intentID}
		p.issued = append(p.issued, c.ClientSecret)
		return nil
	})
	if err != nil {
		return registry.Credentials{}, err
	}
	return c, nil
}

// FindClients implements agents.IdentityProvider.
func (p *tenant) FindClients(ctx context.Context, agentID string) (ids []string, err error) {
	err = p.script.atProvider(ctx, findClients, func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		for id, c := range p.clients {
			if c.agentID == agentID {
				ids = append(ids, id)
			}
		}
		return nil
	})
	return ids, err
}

// EnsureGrant implements agents.IdentityProvider.
func (p *tenant) EnsureGrant(ctx context.Context, clientID string, scopes []string) (id string, err error) {
	err = p.script.atProvider(ctx, ensureGrant, func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		c, ok := p.clients[clientID]
		if !ok {
			return refused("there is no such client")
		}
		c.scopes = slices.Clone(scopes)
		p.clients[clientID] = c
		id = "grant-" + clientID
		return nil
	})
	return id, err
}

// DeleteClient implements agents.IdentityProvider.
func (p *tenant) DeleteClient(ctx context.Context, clientID string) error {
	return p.script.atProvider(ctx, deleteClient, func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.clients, clientID)
		return nil
	})
}

func (p *tenant) all() map[string]oauthClient {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.clients)
}

func (p *tenant) issuedSecrets() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.issued)
}

// secretStore is a secret store in memory.
type secretStore struct {
	script *script

	mu       sync.Mutex
	entities map[string]entity // by agent
}

type entity struct {
	ID, Subject string
	Disabled    bool
}

// EnsureEntity implements agents.SecretStore.
func (s *secretStore) EnsureEntity(ctx context.Context, a registry.Agent) (id string, err error) {
	err = s.script.atProvider(ctx, ensureEntity, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		e, ok := s.entities[a.ID]
		if !ok {
			e = entity{ID: "entity-" + a.ID}
			s.entities[a.ID] = e
		}
		if e.Disabled {
			return registry.Conflict.Errorf("vault_entity_disabled", "the entity is disabled")
		}
		id = e.ID
		return nil
	})
	return id, err
}

// EnsureAlias implements agents.SecretStore.
func (s *secretStore) EnsureAlias(ctx context.Context, entityID, subject string) (id string, err error) {
	err = s.script.atProvider(ctx, ensureAlias, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		for agentID, e := range s.entities {
			if e.ID == entityID {
				e.Subject = subject
				s.entities[agentID] = e
				id = "alias-" + subject
				return nil
			}
		}
		return refused("there is no such entity")
	})
	return id, err
}

// DisableEntity implements agents.SecretStore.
func (s *secretStore) DisableEntity(ctx context.Context, agentID string) error {
	return s.script.atProvider(ctx, disableEntity, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if e, ok := s.entities[agentID]; ok {
			e.Disabled = true
			s.entities[agentID] = e
		}
		return nil
	})
}

// DeleteEntity implements agents.SecretStore.
func (s *secretStore) DeleteEntity(ctx context.Context, agentID string) error {
	return s.script.atProvider(ctx, deleteEntity, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.entities, agentID)
		return nil
	})
}

func (s *secretStore) all() map[string]entity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.entities)
}

// refused and unavailable fail as the adapters do.
func refused(text string) error {
	return registry.Refused.Errorf("provider_refused", "the provider said no: %s", text)
}

func unavailable(cause error) error {
	return registry.Unavailable.Wrap(cause, "provider_unavailable", "the provider did not answer")
}
