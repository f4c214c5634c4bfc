package auth0

import (
	"strings"

	"github.com/auth0/go-auth0/management"

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
	maxMetaValue   = 255 // characters, of printable ASCII
	signingAlg     = "RS256"
)

// newApplication is the body of POST /clients. It states what Auth0 would
// default otherwise: without grant_types an application may also sign people in.
// It fails with Refused when Auth0 would refuse the metadata.
func newApplication(a registry.Agent, managedBy, intentID string) (*management.Client, error) {
	if !registry.IsUUID(a.ID) {
		return nil, registry.Refused.Errorf(codeRefused, "the agent's id is not a UUID")
	}
	metadata, err := newMetadata([][2]string{
		{metaAgentID, a.ID},
		{metaTeam, a.Team},
		{metaAgentType, a.AgentType},
		{metaEnvironment, a.Environment},
		{metaManagedBy, managedBy},
		{metaIntentID, intentID},
	})
	if err != nil {
		return nil, err
	}
	app := &management.Client{
		Name:                    new(registry.EntityName(a.ID)),
		AppType:                 new(appType),
		IsFirstParty:            new(true),
		OIDCConformant:          new(true),
		GrantTypes:              &[]string{"client_credentials"},
		TokenEndpointAuthMethod: new("client_secret_post"),
		JWTConfiguration:        &management.ClientJWTConfiguration{Algorithm: new(signingAlg)},
		ClientMetadata:          &metadata,
	}
	if d := describe(a.Name); d != "" {
		app.Description = &d
	}
	return app, nil
}

// newMetadata checks the pairs against Auth0's limits: at most ten of them, and
// values of 255 characters. Six fit the ten by construction.
func newMetadata(pairs [][2]string) (map[string]any, error) {
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

// isOurs reports whether managedBy made app for the agent.
func isOurs(app *management.Client, managedBy, agentID string) bool {
	metadata := app.GetClientMetadata()
	return metadata[metaManagedBy] == managedBy && metadata[metaAgentID] == agentID && app.GetClientID() != ""
}
