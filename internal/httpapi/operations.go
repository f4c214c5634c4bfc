package httpapi

import "github.com/credenceproject/credence/internal/registry"

// operation says who may call an operation and how the audit log names it.
type operation struct {
	anyOf  []registry.Permission // one of them is needed
	public bool                  // no token at all
	action string                // of a write, for the audit log
	kind   string                // of the object that is written
	body   bool                  // takes a JSON document
	query  []parameter           // that the query may have
}

// parameter is one of the query.
type parameter struct {
	name   string
	number bool // an integer
}

// has returns the operation with these parameters.
func (o operation) has(query ...parameter) operation {
	o.query = query
	return o
}

// page are the parameters of every list.
var page = []parameter{{"limit", true}, {"cursor", false}}

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
	"listAgents": reads(registry.AgentsRead).has(append([]parameter{
		{"team", false}, {"agent_type", false}, {"environment", false}, {"lifecycle", false}, {"capability", false},
	}, page...)...),
	"getAgent":    reads(registry.AgentsRead).has(parameter{"include", false}),
	"deleteAgent": writes(registry.AgentsWrite, "agent", "decommission", false),

	"listEnvironments":  readRules.has(page...),
	"getEnvironment":    readRules,
	"putEnvironment":    writes(registry.Admin, "environment", "put", true),
	"deleteEnvironment": writes(registry.Admin, "environment", "delete", false),

	"listAgentTypes":  readRules.has(page...),
	"getAgentType":    readRules,
	"putAgentType":    writes(registry.Admin, "agent_type", "put", true),
	"deleteAgentType": writes(registry.Admin, "agent_type", "delete", false),

	"listTeams":  readRules.has(page...),
	"getTeam":    readRules,
	"putTeam":    writes(registry.Admin, "team", "put", true),
	"deleteTeam": writes(registry.Admin, "team", "delete", false),

	"healthz": {public: true},
	"readyz":  {public: true},
}
