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

var _ agents.IdentityProvider = (*tenant)(nil)

// tenant is an identity provider in memory. As with a real one, a client that is
// created twice is there twice, a client that was deleted takes its grant with it,
// and its id never comes back.
type tenant struct {
	script *script

	mu      sync.Mutex
	clients map[string]oauthClient // by id
	owners  map[string]string      // the agent of every client that ever was one's
	made    map[string]int         // how many clients were ever made for an agent
	issued  []string               // every secret that was ever made
}

// oauthClient is a client with its grant.
type oauthClient struct {
	AgentID, IntentID string
	Team, AgentType   string
	Authentication    registry.AuthMethod
	Keys              string
	Secret            string   // that works now; "" for a client that signs
	OtherGrantTypes   []string // beside client_credentials
	Granted           bool
	Scopes            []string
}

func newTenant(s *script) *tenant {
	return &tenant{script: s, clients: map[string]oauthClient{}, owners: map[string]string{}, made: map[string]int{}}
}

// secret makes one; the caller holds mu.
func (p *tenant) secret() string {
	s := "secret-" + rand.Text()
	p.issued = append(p.issued, s)
	return s
}

// CreateClient implements agents.IdentityProvider.
func (p *tenant) CreateClient(ctx context.Context, a registry.Agent, intentID string) (c registry.Credentials, err error) {
	err = p.script.atProvider(ctx, createClient, a.ID, func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		c.ClientID = "client-" + rand.Text()[:8]
		made := oauthClient{
			AgentID: a.ID, IntentID: intentID, Team: a.Team, AgentType: a.AgentType, Authentication: a.Authentication, Keys: string(a.Keys),
		}
		if a.Authentication == registry.ClientSecretPost {
			made.Secret = p.secret()
			c.ClientSecret = made.Secret
		}
		p.clients[c.ClientID], p.owners[c.ClientID] = made, a.ID
		p.made[a.ID]++
		return nil
	})
	if err != nil {
		return registry.Credentials{}, err
	}
	return c, nil
}

// FindClients implements agents.IdentityProvider.
func (p *tenant) FindClients(ctx context.Context, agentID string) (found []registry.FoundClient, err error) {
	err = p.script.atProvider(ctx, findClients, agentID, func() error {
		for id, c := range p.of(agentID) {
			found = append(found, registry.FoundClient{ClientID: id, IntentID: c.IntentID})
		}
		return nil
	})
	return found, err
}

// InspectClient implements agents.IdentityProvider. It is asked before there is an
// agent, and so no lease.
func (p *tenant) InspectClient(_ context.Context, clientID string) (registry.ProviderClient, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.clients[clientID]
	if !ok {
		return registry.ProviderClient{}, registry.NotFound.Errorf("client_gone", "there is no such client")
	}
	return registry.ProviderClient{
		FoundClient: registry.FoundClient{ClientID: clientID, IntentID: c.IntentID}, AgentID: c.AgentID,
		GrantTypes: append([]string{"client_credentials"}, c.OtherGrantTypes...), AuthMethod: c.Authentication,
	}, nil
}

// EnsureClient implements agents.IdentityProvider.
func (p *tenant) EnsureClient(ctx context.Context, a registry.Agent) error {
	p.mu.Lock()
	p.owners[a.ClientID] = a.ID
	p.mu.Unlock()
	return p.change(ctx, ensureClient, a.ClientID, func(c *oauthClient) error {
		if c.Authentication != a.Authentication {
			c.Secret = ""
			if a.Authentication == registry.ClientSecretPost {
				c.Secret = p.secret() // which nobody is told
			}
		}
		c.AgentID = a.ID // of an adopted one
		c.Team, c.AgentType, c.Authentication, c.Keys = a.Team, a.AgentType, a.Authentication, string(a.Keys)
		return nil
	})
}

// EnsureGrant implements agents.IdentityProvider.
func (p *tenant) EnsureGrant(ctx context.Context, clientID string, scopes []string) (id string, err error) {
	err = p.change(ctx, ensureGrant, clientID, func(c *oauthClient) error {
		c.Granted, c.Scopes = true, slices.Clone(scopes)
		return nil
	})
	return "grant-" + clientID, err
}

// DeleteGrants implements agents.IdentityProvider.
func (p *tenant) DeleteGrants(ctx context.Context, clientID string) error {
	err := p.change(ctx, deleteGrants, clientID, func(c *oauthClient) error {
		c.Granted, c.Scopes = false, nil
		return nil
	})
	if e, ok := registry.AsError(err); ok && e.Code == "client_gone" {
		return nil
	}
	return err
}

// RotateSecret implements agents.IdentityProvider.
func (p *tenant) RotateSecret(ctx context.Context, clientID string) (registry.Credentials, error) {
	creds := registry.Credentials{ClientID: clientID}
	err := p.change(ctx, rotateSecret, clientID, func(c *oauthClient) error {
		if c.Authentication != registry.ClientSecretPost {
			return refused("the client has no secret")
		}
		c.Secret = p.secret()
		creds.ClientSecret = c.Secret
		return nil
	})
	if err != nil {
		return registry.Credentials{}, err
	}
	return creds, nil
}

// change makes f change the client under the script; NotFound when it is gone.
func (p *tenant) change(ctx context.Context, op, clientID string, f func(*oauthClient) error) error {
	return p.script.atProvider(ctx, op, p.owner(clientID), func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		c, ok := p.clients[clientID]
		if !ok {
			return registry.NotFound.Errorf("client_gone", "there is no such client")
		}
		err := f(&c)
		p.clients[clientID] = c
		return err
	})
}

// DeleteClient implements agents.IdentityProvider.
func (p *tenant) DeleteClient(ctx context.Context, clientID string) error {
	return p.script.atProvider(ctx, deleteClient, p.owner(clientID), func() error {
		p.remove(clientID)
		return nil
	})
}

// remove deletes a client without anybody's asking.
func (p *tenant) remove(clientID string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.clients, clientID)
}

// adopt has a client there that nobody here made, to become the agent's.
func (p *tenant) adopt(clientID string, c oauthClient) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clients[clientID] = c
}

// clear forgets all but the secrets that were ever made.
func (p *tenant) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.clients)
	clear(p.owners)
	clear(p.made)
}

// owner is the agent of a client, which may be gone.
func (p *tenant) owner(clientID string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.owners[clientID]
}

// of returns the agent's clients.
func (p *tenant) of(agentID string) map[string]oauthClient {
	found := p.all()
	maps.DeleteFunc(found, func(_ string, c oauthClient) bool { return c.AgentID != agentID })
	return found
}

func (p *tenant) all() map[string]oauthClient {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.clients)
}

// madeFor counts the clients that were ever made for the agent.
func (p *tenant) madeFor(agentID string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.made[agentID]
}

// works reports whether the credentials get a token.
func (p *tenant) works(c registry.Credentials) bool {
	client, ok := p.all()[c.ClientID]
	return ok && c.ClientSecret != "" && client.Secret == c.ClientSecret && client.Granted
}

func (p *tenant) issuedSecrets() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.issued)
}

// refused and unavailable fail as the adapters do.
func refused(text string) error {
	return registry.Refused.Errorf("provider_refused", "the provider said no: %s", text)
}

func unavailable(cause error) error {
	return registry.Unavailable.Wrap(cause, "provider_unavailable", "the provider did not answer")
}
