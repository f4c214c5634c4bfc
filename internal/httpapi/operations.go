package httpapi

import (
	"slices"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/strictjson"
)

// operation says who may call an operation and how the audit log names it.
type operation struct {
	anyOf  []registry.Permission // one of them is needed; none: any caller will do
	also   registry.Permission   // needed beside that; "": nothing
	scope  string                // name of the parameter, of the path or the query, for whose value the permission may be, as in bundles:read:{scope}
	public bool                  // no token at all
	action string                // of a write, for the audit log
	kind   string                // of the object that is written
	body   body                  // the JSON document that it takes
	query  []parameter           // that the query may have
	waits  bool                  // holds the answer when the query has wait
}

// body says whether an operation takes a JSON document, and in which media types.
type body struct {
	expected bool
	optional bool
	also     []string // media types beside application/json
}

// parameter is one of the query. Its kind is what OpenAPI calls its type; "" is a
// string.
type parameter struct{ name, kind string }

// has returns the operation with these parameters beside those it has.
func (o operation) has(query ...parameter) operation {
	o.query = append(slices.Clone(o.query), query...)
	return o
}

// page are the parameters of every list.
var page = []parameter{{"limit", "integer"}, {"cursor", ""}}

// named are parameters that are strings.
func named(names ...string) []parameter {
	query := make([]parameter, len(names))
	for i, name := range names {
		query[i] = parameter{name: name}
	}
	return query
}

func reads(anyOf ...registry.Permission) operation { return operation{anyOf: anyOf} }

// writes are operations that a dry run can rehearse.
func writes(p registry.Permission, kind, action string, b body) operation {
	return operation{
		anyOf: []registry.Permission{p}, kind: kind, action: kind + "." + action, body: b, query: []parameter{{"dry_run", "boolean"}},
	}
}

var (
	noBody   = body{}
	document = body{expected: true}
	perhaps  = body{expected: true, optional: true}
)

// Whoever may register or read agents may read what registrations are held to.
var readRules = reads(registry.AgentsRead, registry.AgentsRegister)

// Decisions tell of agents and of resources.
var readDecisions = operation{anyOf: []registry.Permission{registry.AgentsRead}, also: registry.ResourcesRead}

// Answers about bundles are held for who prefers to wait.
var readBundle = operation{anyOf: []registry.Permission{registry.BundlesRead}, scope: "scope", waits: true}

// operations lists every operation of openapi.yaml; a test holds the two
// together.
var operations = map[string]operation{
	"createAgent": writes(registry.AgentsRegister, "agent", "register", document),
	"listAgents": reads(registry.AgentsRead).has(page...).
		has(named("team", "agent_type", "environment", "lifecycle", "capability", "expires_before")...),
	"getAgent":    {anyOf: []registry.Permission{registry.AgentsRead}, query: named("include", "wait", "timeout"), waits: true},
	"patchAgent":  writes(registry.AgentsWrite, "agent", "change", body{expected: true, also: []string{strictjson.MergePatch}}),
	"deleteAgent": writes(registry.AgentsWrite, "agent", "decommission", noBody),

	"suspendAgent":           writes(registry.AgentsWrite, "agent", "suspend", document),
	"resumeAgent":            writes(registry.AgentsWrite, "agent", "resume", document),
	"transferAgent":          writes(registry.AgentsWrite, "agent", "transfer", document),
	"rotateAgentCredentials": writes(registry.AgentsWrite, "agent", "rotate", perhaps),

	"listEnvironments":  readRules.has(page...),
	"getEnvironment":    readRules,
	"putEnvironment":    writes(registry.Admin, "environment", "put", document),
	"deleteEnvironment": writes(registry.Admin, "environment", "delete", noBody),

	"listAgentTypes":  readRules.has(page...),
	"getAgentType":    readRules,
	"putAgentType":    writes(registry.Admin, "agent_type", "put", document),
	"deleteAgentType": writes(registry.Admin, "agent_type", "delete", noBody),

	"listTeams":  readRules.has(page...),
	"getTeam":    readRules,
	"putTeam":    writes(registry.Admin, "team", "put", document),
	"deleteTeam": writes(registry.Admin, "team", "delete", noBody),

	"listResources":       reads(registry.ResourcesRead).has(page...).has(named("type", "team", "environment", "operation", "q")...),
	"getResource":         reads(registry.ResourcesRead),
	"putResource":         writes(registry.ResourcesWrite, "resource", "put", document),
	"deleteResource":      writes(registry.ResourcesWrite, "resource", "delete", noBody),
	"getResourceMetadata": reads(registry.ResourcesRead).has(named("environment")...),

	"getAgentAccess":      readDecisions.has(named("resource", "method", "path")...),
	"listResourceCallers": readDecisions.has(page...).has(named("method")...),
	"explain": {
		anyOf: readDecisions.anyOf, also: readDecisions.also, kind: "decision", action: "decision.explain", body: document, query: page,
	},

	"listPolicies":       reads(registry.PoliciesRead).has(page...).has(named("tier")...),
	"getPolicy":          reads(registry.PoliciesRead),
	"listPolicyVersions": reads(registry.PoliciesRead).has(page...),
	"getPolicyVersion":   reads(registry.PoliciesRead),
	"putPolicy":          writes(registry.PoliciesWrite, "policy", "put", document).has(named("confirm")...),
	"deletePolicy":       writes(registry.PoliciesWrite, "policy", "delete", noBody),
	"rollbackPolicy":     writes(registry.PoliciesWrite, "policy", "rollback", document).has(named("confirm")...),
	"validatePolicy": {
		anyOf: []registry.Permission{registry.PoliciesWrite}, kind: "policy", action: "policy.validate", body: document, query: named("tier", "id"),
	},

	"listAudit":   reads(registry.AgentsRead).has(page...).has(named("agent", "actor", "action", "from", "until")...),
	"listDrift":   reads(registry.Admin).has(page...),
	"repairDrift": {anyOf: []registry.Permission{registry.Admin}, kind: "drift", action: "drift.repair", body: perhaps},

	"getBundle":           readBundle.has(named("digest")...),
	"getBundlePart":       readBundle.has(named("digest")...),
	"getDiscovery":        readBundle,
	"getDiscoveryOfParts": readBundle,

	"getSnapshot": {anyOf: []registry.Permission{registry.BundlesRead}, scope: "scope", query: named("scope")},
	"getChanges": {
		anyOf: []registry.Permission{registry.BundlesRead}, scope: "scope", query: append(named("scope", "since"), parameter{"wait", "integer"}), waits: true,
	},
	"getRevision": {},

	"healthz": {public: true},
	"readyz":  {public: true},
}
