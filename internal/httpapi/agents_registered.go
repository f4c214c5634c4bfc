package httpapi

import (
	"fmt"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/registry"
)

const noStore = "no-store"

// registered answers a registration. A secret is in the answer, or else how to come
// by one.
func (s *Server) registered(r agents.Registered, err error) (api.CreateAgentResponseObject, error) {
	if err != nil {
		return nil, err
	}
	location, cache := locationOf(r.Agent), noStore
	var replayed *string
	if r.Replayed {
		replayed = optional("true")
	}
	switch {
	case r.Credentials != nil:
		return api.CreateAgent201JSONResponse{
			Headers: api.CreateAgent201ResponseHeaders{
				Location: &location, ETag: etag(r.Agent.Tag()), CacheControl: &cache, IdempotencyReplayed: replayed,
			},
			Body: s.registeredToAPI(r),
		}, nil
	case r.Replayed && r.Agent.Convergence.Converged():
		return api.CreateAgent200JSONResponse{
			Headers: api.CreateAgent200ResponseHeaders{
				Location: &location, ETag: etag(r.Agent.Tag()), CacheControl: &cache, IdempotencyReplayed: replayed,
			},
			Body: s.pendingToAPI(r.Agent),
		}, nil
	default:
		return api.CreateAgent202JSONResponse{
			Headers: api.CreateAgent202ResponseHeaders{
				Location: &location, ETag: etag(r.Agent.Tag()), RetryAfter: s.lookAgain(r.Agent), CacheControl: &cache, IdempotencyReplayed: replayed,
			},
			Body: s.pendingToAPI(r.Agent),
		}, nil
	}
}

// rotated answers a rotation in the same way.
func (s *Server) rotated(r agents.Registered) api.RotateAgentCredentialsResponseObject {
	cache := noStore
	if r.Credentials != nil {
		return api.RotateAgentCredentials200JSONResponse{
			Headers: api.RotateAgentCredentials200ResponseHeaders{ETag: etag(r.Agent.Tag()), CacheControl: &cache},
			Body:    s.registeredToAPI(r),
		}
	}
	location := locationOf(r.Agent)
	return api.RotateAgentCredentials202JSONResponse{
		Headers: api.RotateAgentCredentials202ResponseHeaders{
			Location: &location, ETag: etag(r.Agent.Tag()), RetryAfter: s.lookAgain(r.Agent), CacheControl: &cache,
		},
		Body: s.pendingToAPI(r.Agent),
	}
}

// registeredToAPI is an agent with its credentials, which r has.
func (s *Server) registeredToAPI(r agents.Registered) api.RegisteredAgent {
	paths := s.handout.SecretPaths(r.Agent)
	out := api.RegisteredAgent{
		Agent: s.agentToAPI(r.Agent),
		Credentials: api.AgentCredentials{
			ClientID: r.Credentials.ClientID, ClientSecret: optional(r.Credentials.ClientSecret),
			TokenEndpoint: s.handout.TokenEndpoint, Audience: s.handout.Audience,
		},
		Vault: api.AgentVault{Address: s.handout.VaultAddress, AuthPath: s.handout.VaultAuthPath, Role: s.handout.VaultRole},
		Next: []string{
			s.tokenCommand(r.Agent.Authentication, r.Credentials.ClientID),
			fmt.Sprintf(`curl -s %s/v1/%s -d "{\"role\": \"%s\", \"jwt\": \"$TOKEN\"}"`, s.handout.VaultAddress, s.handout.VaultAuthPath, s.handout.VaultRole),
		},
	}
	out.Vault.SecretPaths.Own, out.Vault.SecretPaths.Team, out.Vault.SecretPaths.Common = paths.Own, paths.Team, paths.Common
	return out
}

// tokenCommand gets the agent's token. An agent that signs makes the assertion
// itself (RFC 7523, section 2.2).
func (s *Server) tokenCommand(method registry.AuthMethod, clientID string) string {
	if method == registry.PrivateKeyJWT {
		return fmt.Sprintf("curl -s %s -d grant_type=client_credentials -d audience=%s"+
			` -d client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer -d "client_assertion=$ASSERTION"`,
			s.handout.TokenEndpoint, s.handout.Audience)
	}
	return fmt.Sprintf("read -rs CREDENCE_CLIENT_SECRET && export CREDENCE_CLIENT_SECRET && TOKEN=$(credence token --token-endpoint %s --client-id %s --audience %s)",
		s.handout.TokenEndpoint, clientID, s.handout.Audience)
}

// pendingToAPI is an agent whose credentials are to be collected.
func (s *Server) pendingToAPI(a registry.Agent) api.PendingAgent {
	out := api.PendingAgent{Agent: s.agentToAPI(a), Next: []string{}}
	if !a.IsReady() {
		out.Next = append(out.Next, "GET "+locationOf(a)+"?wait=ready")
	}
	if a.Authentication != registry.PrivateKeyJWT { // an agent that signs has all it needs
		out.Next = append(out.Next, "POST "+locationOf(a)+"/credentials")
	}
	return out
}
