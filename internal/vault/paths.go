package vault

import "github.com/credenceproject/credence/internal/registry"

// SecretPaths are the folders of the KV store that an agent reads, as paths of
// the HTTP API: everything below them is readable.
type SecretPaths struct {
	Own    string // the agent's alone
	Team   string // its team's, in its environment
	Common string // everybody's in its environment
}

// Paths returns the folders of a, on the KV v2 store mounted at kvMount.
func Paths(kvMount string, a registry.Agent) SecretPaths {
	return folders(kvMount+"/data", EntityName(a.ID), a.Environment, a.Team)
}

// EntityName is the name of the agent's entity in the store.
func EntityName(agentID string) string { return registry.EntityName(agentID) }

// folders is the one place that knows the layout. The policy fills it with
// templates, everybody else with values.
func folders(prefix, entity, environment, team string) SecretPaths {
	root := prefix + "/mcp/agents"
	env := root + "/by-env/" + environment
	return SecretPaths{
		Own:    root + "/by-id/" + entity,
		Team:   env + "/by-team/" + team,
		Common: env + "/common",
	}
}
