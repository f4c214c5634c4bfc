package httpapi

import "github.com/credenceproject/credence/internal/registry"

// operation says who may call an operation and how the audit log names it.
type operation struct {
	anyOf  []registry.Permission // one of them is needed
	public bool                  // no token at all
	action string                // of a write, for the audit log
	kind   string                // of the object that is written
	body   bool                  // takes a JSON document
}

func reads(anyOf ...registry.Permission) operation { return operation{anyOf: anyOf} }

func writes(p registry.Permission, kind, action string, body bool) operation {
	return operation{anyOf: []registry.Permission{p}, kind: kind, action: kind + "." + action, body: body}
}

// Whoever may register or read agents may read what registrations are held to.
var readRules = reads(registry.AgentsRead, registry.AgentsRegister)

// operations lists every operation of openapi.yaml; a test holds the two
// together.
var operations = map[string]operation{
	"createAgent": writes(registry.AgentsRegister, "agent", "register", true),
	"listAgents":  reads(registry.AgentsRead),
	"getAgent":    reads(registry.AgentsRead),
	"deleteAgent": writes(registry.AgentsWrite, "agent", "decommission", false),

	"listEnvironments":  readRules,
	"getEnvironment":    readRules,
	"putEnvironment":    writes(registry.Admin, "environment", "put", true),
	"deleteEnvironment": writes(registry.Admin, "environment", "delete", false),

	"listAgentTypes":  readRules,
	"getAgentType":    readRules,
	"putAgentType":    writes(registry.Admin, "agent_type", "put", true),
	"deleteAgentType": writes(registry.Admin, "agent_type", "delete", false),

	"listTeams":  readRules,
	"getTeam":    readRules,
	"putTeam":    writes(registry.Admin, "team", "put", true),
	"deleteTeam": writes(registry.Admin, "team", "delete", false),

	"healthz": {public: true},
	"readyz":  {public: true},
}
