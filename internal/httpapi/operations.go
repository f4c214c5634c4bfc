package httpapi

import "github.com/credenceproject/credence/internal/registry"

// operation says who may call an operation and how the audit log names it.
type operation struct {
	anyOf  []registry.Permission // one of them is needed; none: any caller will do
	also   registry.Permission   // needed beside that; "": nothing
	scope  string                // name of the path's parameter for whose value the permission may be, as in bundles:read:{scope}
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

// Decisions tell of agents and of resources.
var readDecisions = operation{anyOf: []registry.Permission{registry.AgentsRead}, also: registry.ResourcesRead}

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

	"listResources": reads(registry.ResourcesRead).has(append([]parameter{
		{"type", false}, {"team", false}, {"environment", false}, {"operation", false}, {"q", false},
	}, page...)...),
	"getResource":         reads(registry.ResourcesRead),
	"putResource":         writes(registry.ResourcesWrite, "resource", "put", true),
	"deleteResource":      writes(registry.ResourcesWrite, "resource", "delete", false),
	"getResourceMetadata": reads(registry.ResourcesRead).has(parameter{"environment", false}),

	"getAgentAccess":      readDecisions.has(parameter{"resource", false}, parameter{"method", false}, parameter{"path", false}),
	"listResourceCallers": readDecisions.has(append([]parameter{{"method", false}}, page...)...),

	"getBundle":   {anyOf: []registry.Permission{registry.BundlesRead}, scope: "scope"},
	"getRevision": {},

	"healthz": {public: true},
	"readyz":  {public: true},
}
