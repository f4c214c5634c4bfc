# The world of the tests: agent alice of team red, and the skill hello of team blue,
# which admits red. In it alice may call hello.
package mcp.fixture

now := 1700000000000000000

world := {
	"meta": {"scope": "production", "epoch": "e1", "revision": 42, "layout": 3, "as_of": 1699999999000000000},
	"environment": {"name": "production", "grants": "permissions", "max_staleness": 900000000000},
	"agent": {
		"id": "0197-alice",
		"name": "alice",
		"team": "red",
		"agent_type": "support",
		"suspended": false,
		"scopes": ["hello:say", "skills:invoke", "skills:list"],
		"expires_at": null,
		"valid_after": null,
		"labels": {},
	},
	"resource": {
		"type": "skill",
		"team": "blue",
		"data_classification": "low",
		"required_permissions": ["hello:say"],
		"access": {"visibility": "team", "teams": ["red"], "agent_types": []},
		"environments": ["production", "staging"],
		"labels": {},
	},
	"layers": {"global": {}, "team": {}, "agent_type": {}, "agent": {}},
	"claims": {
		"sub": "alice@clients",
		"exp": 1700000001,
		"permissions": ["hello:say", "skills:invoke"],
		"scope": "data:read data:write tools:access",
	},
	"method": "POST",
	"name": "hello",
	"valid": true,
}

# changed returns the world with what the row says: fields set, or taken away.
changed(row) := json.remove(object.union(world, object.get(row, "set", {})), object.get(row, "without", []))

# registry is the data of a world, in layout 3.
registry(w) := object.union(object.filter(w, ["meta", "environment", "parts"]), {
	"agents": sharded({"alice@clients": w.agent}),
	"resources": sharded({"hello": w.resource}),
	"layers": {
		"global": w.layers.global,
		"team": sharded(w.layers.team),
		"agent_type": sharded(w.layers.agent_type),
		"agent": sharded(w.layers.agent),
	},
})

# layer is the record of a layer with what the fields say, and else empty.
layer(fields) := object.union({"deny": [], "allow": [], "required": false, "rego": false, "ceiling": null}, fields)

# Two keys of one shard would be an error: no test needs them.
sharded(records) := {shard(key): {key: record} | some key, record in records}

shard(key) := substring(crypto.sha256(key), 0, 2)

program(w) := {
	"jwt": {"valid": w.valid, "payload": w.claims},
	"request": {"method": w.method, "path": ["say"]},
	"resource": {"type": "skill", "id": w.name},
}

envoy(w) := {
	"attributes": {
		"metadataContext": {"filterMetadata": {"envoy.filters.http.jwt_authn": {"jwt_payload": w.claims}}},
		"request": {"http": {
			"method": w.method,
			"path": concat("/", ["/mcp", w.name, "say"]),
			"headers": {"authorization": "Bearer secret", "x-agent-id": "forged"},
		}},
	},
	"parsed_path": ["mcp", w.name, "say"],
}
