# What the data may not say: rows of authz_test.rego.
package mcp.authz_test

import data.mcp.fixture

# Data with a hole denies: what the hole was in is unknown.
rows[concat(" ", ["registry without", path])] := {"without": [path], "want": ["registry_stale"]} if {
	some path in [
		"meta",
		"meta/layout",
		"meta/revision",
		"meta/as_of",
		"environment",
		"environment/name",
		"environment/max_staleness",
	]
}

rows["registry of another layout"] := {"set": {"meta": {"layout": 2}}, "want": ["registry_stale"]}

rows["registry of a layout that is text"] := {"set": {"meta": {"layout": "1"}}, "want": ["registry_stale"]}

# Invariant B8. The clock stands at 1700000000 seconds, and data may be 15 minutes old.
rows["stale: at the most that it may be"] := {"set": {"meta": {"as_of": 1699999100000000000}}, "want": []}

rows["stale: a nanosecond more"] := {"set": {"meta": {"as_of": 1699999099999999999}}, "want": ["registry_stale"]}

rows["stale: current in a while by another clock"] := {"set": {"meta": {"as_of": 1700000001000000000}}, "want": []}

rows["stale: a heartbeat renewed it"] := {"set": {"meta": {"as_of": 1700000000000000000, "revision": 43}}, "want": []}

rows["stale: never where the most is zero"] := {
	"set": {"meta": {"as_of": 0}, "environment": {"max_staleness": 0}, "parts": {"resources": part(0)}},
	"want": [],
}

rows["stale: always where the most is less than nothing"] := {"set": {"environment": {"max_staleness": -2000000000}}, "want": ["registry_stale"]}

rows[sprintf("stale: the most is %v", [most])] := {"set": {"environment": {"max_staleness": most}}, "want": ["registry_stale"]} if {
	some most in [null, false, true, "15m", "0", "900000000000", [], [900000000000], {}]
}

rows[sprintf("stale: current as of %v", [moment])] := {"set": {"meta": {"as_of": moment}}, "want": ["registry_stale"]} if {
	some moment in [null, false, true, "1700000000000000000", "2023-11-14T22:13:20Z", [], {}]
}

rows["stale: parts that are all current"] := {"set": {"parts": parts({})}, "want": []}

rows[sprintf("stale: %s, at the most that it may be", [name])] := {"set": {"parts": parts({name: part(1699999100000000000)})}, "want": []} if {
	some name, _ in parts({})
}

rows[sprintf("stale: %s, a nanosecond more", [name])] := {
	"set": {"parts": parts({name: part(1699999099999999999)})},
	"want": ["registry_stale"],
} if {
	some name, _ in parts({})
}

rows["stale: the part with the policy, and no other"] := {
	"set": {"meta": {"as_of": 1}, "parts": parts({})},
	"want": ["registry_stale"],
}

# What is stale by the clock alone is still judged.
rows["stale: and the agent suspended"] := {
	"set": {"meta": {"as_of": 1}, "agent": {"suspended": true}},
	"want": ["agent_suspended", "registry_stale"],
}

rows["stale: and no verified token"] := {
	"set": {"meta": {"as_of": 1}, "valid": false, "claims": null},
	"want": ["no_verified_token"],
}

rows["parts: one of another scope"] := {
	"set": {"parts": parts({"agents-0": object.union(part(1700000000000000000), {"scope": "staging"})})},
	"want": ["registry_stale"],
}

rows[sprintf("parts: one without %s", [field])] := {
	"set": {"parts": parts({"agents-0": null})},
	"without": [concat("/", ["parts/resources", field])],
	"want": ["registry_stale"],
} if {
	some field in ["scope", "revision", "as_of"]
}

rows[sprintf("parts: one with %v for %s", [value, field])] := {
	"set": {"parts": {"resources": object.union(part(1700000000000000000), {field: value})}},
	"want": ["registry_stale"],
} if {
	some field in ["scope", "revision", "as_of"]
	some value in [null, false, "1700000000000000000", [], {}]
}

rows[sprintf("parts: one that is %v", [value])] := {"set": {"parts": {"resources": value}}, "want": ["registry_stale"]} if {
	some value in [null, false, true, 7, "resources", [], {}]
}

rows[sprintf("parts that are %v", [value])] := {"set": {"parts": value}, "want": ["registry_stale"]} if {
	some value in [null, false, true, 7, "resources", [null]]
}

part(as_of) := {"scope": "production", "epoch": "e1", "revision": 41, "as_of": as_of}

parts(changes) := object.union(
	{name: part(1700000000000000000) | some name in ["resources", "agents-0", "agents-f"]},
	changes,
)

rows["registry unreadable, and no verified token"] := {
	"set": {"valid": false, "claims": null},
	"without": ["meta"],
	"want": ["no_verified_token"],
}

rows["registry unreadable, and the token expired"] := {
	"set": {"claims": {"exp": 0, "sub": "bob@clients"}, "name": "nothing"},
	"without": ["meta"],
	"want": ["registry_stale", "token_expired"],
}

rows[concat(" ", ["agent without", field])] := {"without": [concat("/", ["agent", field])], "want": ["agent_unknown"]} if {
	some field, _ in fixture.world.agent
}

rows[concat(" ", ["agent with null for", field])] := {"set": {"agent": {field: null}}, "want": ["agent_unknown"]} if {
	some field in ["id", "name", "team", "agent_type", "suspended", "scopes"]
}

rows[concat(" ", ["agent with empty", field])] := {"set": {"agent": {field: ""}}, "want": ["agent_unknown"]} if {
	some field in ["id", "name", "team", "agent_type", "suspended", "scopes", "expires_at", "valid_after"]
}

# What is no moment is not taken for none.
rows[sprintf("agent with %v for %s", [value, field])] := {"set": {"agent": {field: value}}, "want": ["agent_unknown"]} if {
	some field in ["expires_at", "valid_after"]
	some value in [false, true, "null", "9223372036854775807", "2100-01-01T00:00:00Z", [], [4102444800000000000], {}]
}

rows[sprintf("agent with %v for scopes", [value])] := {"set": {"agent": {"scopes": value}}, "want": ["agent_unknown"]} if {
	some value in ["hello:say skills:invoke", {"a": "hello:say", "b": "skills:invoke"}, true, 2]
}

rows[sprintf("agent with %v for labels", [value])] := {"set": {"agent": {"labels": value}}, "want": ["agent_unknown"]} if {
	some value in [null, false, "gold", ["gold"], 2]
}

rows["agent that is null"] := {"set": {"agent": null}, "want": ["agent_unknown"]}

rows["agent that is a list"] := {"set": {"agent": ["0197-alice", "alice", "red"]}, "want": ["agent_unknown"]}

rows[concat(" ", ["resource without", field])] := {"without": [concat("/", ["resource", field])], "want": ["resource_unknown"]} if {
	some field, _ in fixture.world.resource
}

rows[concat(" ", ["resource of the agent's team without", field])] := {
	"set": {"agent": {"team": "blue"}},
	"without": [concat("/", ["resource", field])],
	"want": ["resource_unknown"],
} if {
	some field in ["access", "access/visibility", "access/teams", "access/agent_types", "required_permissions", "team"]
}

rows[concat(" ", ["resource with null for", field])] := {"set": {"resource": {field: null}}, "want": ["resource_unknown"]} if {
	some field in ["type", "team", "required_permissions", "access", "environments"]
}

rows[concat(" ", ["resource with text for", field])] := {"set": {"resource": {field: "red production"}}, "want": ["resource_unknown"]} if {
	some field in ["required_permissions", "access", "environments", "labels"]
}

rows[sprintf("resource with %v for %s", [value, field])] := {"set": {"resource": {field: value}}, "want": ["resource_unknown"]} if {
	some field in ["data_classification", "labels"]
	some value in [null, false, 2, ["low"]]
}

rows["resource that is false"] := {"set": {"resource": false}, "want": ["resource_unknown"]}

rows["resource of a type that we do not know"] := {"set": {"resource": {"type": "oracle"}}, "want": ["missing_permission"]}
