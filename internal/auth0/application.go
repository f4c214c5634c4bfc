package auth0

import (
	"strings"

	"github.com/auth0/go-auth0/management"

	"github.com/credenceproject/credence/internal/keyset"
	"github.com/credenceproject/credence/internal/registry"
)

// The metadata of an agent's application. The claims Action reads the first
// five, FindClients the first and managed_by.
const (
	metaAgentID     = "agent_id"
	metaTeam        = "team"
	metaAgentType   = "agent_type"
	metaEnvironment = "environment"
	metaManagedBy   = "managed_by"
	metaIntentID    = "intent_id"
)

// Auth0's limits on an application.
const (
	appType        = "non_interactive"
	maxDescription = 140 // characters
	maxMetadata    = 10
	maxMetaValue   = 255 // characters, of printable ASCII
	signingAlg     = "RS256"
)

// newApplication is the body of POST /clients. It states what Auth0 would
// default otherwise: without grant_types an application may also sign people in.
// It fails with Refused when Auth0 would refuse the metadata or the keys.
func newApplication(a registry.Agent, managedBy, intentID string) (*management.Client, error) {
	metadata, err := newMetadata(append(metadataOf(a, managedBy), [2]string{metaIntentID, intentID}))
	if err != nil {
		return nil, err
	}
	keys, err := keysOf(a)
	if err != nil {
		return nil, err
	}
	app := &management.Client{
		Name:             new(registry.EntityName(a.ID)),
		AppType:          new(appType),
		IsFirstParty:     new(true),
		OIDCConformant:   new(true),
		GrantTypes:       new(grantTypes()),
		JWTConfiguration: &management.ClientJWTConfiguration{Algorithm: new(signingAlg)},
		ClientMetadata:   &metadata,
	}
	if d := describe(a.Name); d != "" {
		app.Description = &d
	}
	if len(keys) == 0 {
		app.TokenEndpointAuthMethod = new(string(registry.ClientSecretPost))
		return app, nil
	}
	credentials := make([]management.Credential, len(keys))
	for i, key := range keys {
		credentials[i] = newCredential(key)
	}
	app.ClientAuthenticationMethods = &management.ClientAuthenticationMethods{
		PrivateKeyJWT: &management.PrivateKeyJWT{Credentials: &credentials},
	}
	return app, nil
}

func grantTypes() []string { return []string{"client_credentials"} }

// metadataOf is what the metadata of the agent's application says of it, but for
// the attempt that made it.
func metadataOf(a registry.Agent, managedBy string) [][2]string {
	return [][2]string{
		{metaAgentID, a.ID},
		{metaTeam, a.Team},
		{metaAgentType, a.AgentType},
		{metaEnvironment, a.Environment},
		{metaManagedBy, managedBy},
	}
}

// keysOf returns the agent's public keys; it has none where it has a secret.
func keysOf(a registry.Agent) ([]keyset.Key, error) {
	switch a.Authentication {
	case "", registry.ClientSecretPost:
		return nil, nil
	case registry.PrivateKeyJWT:
		set, err := keyset.Parse(a.Keys)
		if err != nil {
			return nil, registry.Refused.Wrap(err, codeRefused, "the agent's public keys are not fit for Auth0")
		}
		return set.Keys(), nil
	}
	return nil, registry.Refused.Errorf(codeRefused, "agents cannot authenticate with %q", a.Authentication)
}

// newCredential is a key as Auth0 takes it. Auth0 makes the thumbprint its kid;
// as its name it tells people the same.
func newCredential(key keyset.Key) management.Credential {
	return management.Credential{
		Name:           new(key.Thumbprint()),
		CredentialType: new("public_key"),
		PEM:            new(key.PEM()),
		Algorithm:      new(key.Algorithm()),
	}
}

// newMetadata checks the pairs, of which the agent's id comes first, against
// Auth0's limits: at most ten of them, and values of 255 characters. Six fit the
// ten by construction.
func newMetadata(pairs [][2]string) (map[string]any, error) {
	if !registry.IsUUID(pairs[0][1]) {
		return nil, registry.Refused.Errorf(codeRefused, "the agent's id is not a UUID")
	}
	metadata := make(map[string]any, len(pairs))
	for _, pair := range pairs {
		if !isMetaValue(pair[1]) {
			return nil, registry.Refused.Errorf(codeRefused,
				"Auth0 cannot keep the agent's %s: want 1 to %d printable ASCII characters", pair[0], maxMetaValue)
		}
		metadata[pair[0]] = pair[1]
	}
	return metadata, nil
}

func isMetaValue(s string) bool {
	return s != "" && len(s) <= maxMetaValue && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// describe is the agent's name as a description, for people in Auth0's
// dashboard, within its limits.
func describe(name string) string {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '<' || r == '>' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, ""))
	if runes := []rune(clean); len(runes) > maxDescription {
		clean = string(runes[:maxDescription])
	}
	return clean
}
