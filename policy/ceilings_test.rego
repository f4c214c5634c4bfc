# Ceilings: rows of layers_test.rego.
package mcp.layers_test

import data.mcp.fixture

ceiling(permissions, classes) := fixture.layer({"ceiling": {"permissions": permissions, "data_classification": classes}})

ceilings := {
	"none in it": {"permissions": null, "classes": null, "above": false},
	"just what is asked for": {"permissions": ["hello:say", "skills:invoke"], "classes": ["low"], "above": false},
	"more than is asked for": {"permissions": ["data:read", "hello:say", "skills:invoke"], "classes": ["low", "high"], "above": false},
	"without what the resource asks for": {"permissions": ["skills:invoke"], "classes": null, "above": true},
	"without what its type asks for": {"permissions": ["hello:say"], "classes": null, "above": true},
	"of no permission": {"permissions": [], "classes": null, "above": true},
	"of another classification": {"permissions": null, "classes": ["public"], "above": true},
	"of no classification": {"permissions": null, "classes": [], "above": true},
	"of other kinds of value": {"permissions": null, "classes": [null, 7, ["low"]], "above": true},
	"without both": {"permissions": [], "classes": [], "above": true},
}

rows[sprintf("a ceiling of the %s %s", [tier, name])] := {
	"set": {"layers": {tier: {own[tier]: ceiling(row.permissions, row.classes)}}},
	"want": [{"tier": tier, "id": own[tier], "code": "above_ceiling"} | row.above == true],
} if {
	some name, row in ceilings
	some tier in ["team", "agent_type"]
}

rows[sprintf("a ceiling of a data source, asked with %s", [method])] := {
	"set": {
		"method": method,
		"agent": {"scopes": ["data:read", "data:write"]},
		"claims": {"permissions": ["data:read", "data:write"]},
		"resource": {"type": "data_source", "required_permissions": []},
		"layers": {"team": {"red": ceiling(["data:read"], null)}},
	},
	"want": [{"tier": "team", "id": "red", "code": "above_ceiling"} | above == true],
} if {
	some method, above in {"GET": false, "HEAD": false, "POST": true, "get": true, "": true}
}

rows["a ceiling of no permission, and a service that asks for none"] := {
	"set": {
		"resource": {"type": "service", "required_permissions": []},
		"layers": {"team": {"red": ceiling([], null)}},
	},
	"want": [],
}

rows["a ceiling, and a resource of a type that we do not know"] := {
	"set": {
		"resource": {"type": "oracle", "required_permissions": []},
		"layers": {"team": {"red": ceiling(["skills:invoke"], null)}},
	},
	"want": [
		{"tier": "team", "id": "red", "code": "above_ceiling"},
		{"tier": "platform", "id": "permissions", "code": "missing_permission"},
	],
}

rows["both ceilings, each without one"] := {
	"set": {"layers": {"team": {"red": ceiling(["skills:invoke"], null)}, "agent_type": {"support": ceiling(["hello:say"], ["low"])}}},
	"want": [
		{"tier": "team", "id": "red", "code": "above_ceiling"},
		{"tier": "agent_type", "id": "support", "code": "above_ceiling"},
	],
}

rows["the ceiling of another team"] := {"set": {"layers": {"team": {"blue": ceiling([], [])}}}, "want": []}

rows["a ceiling is not widened by what lower tiers allow"] := {
	"set": {
		"environment": {"grants": "explicit"},
		"layers": {"team": {"red": ceiling(["hello:say"], null)}, "agent": {"0197-alice": open_to_all}},
	},
	"want": [{"tier": "team", "id": "red", "code": "above_ceiling"}],
}

rows["a ceiling is nothing to a resource that is unknown"] := {
	"set": {"name": "nothing", "layers": {"team": {"red": ceiling([], [])}}},
	"want": [{"tier": "platform", "id": "resource", "code": "resource_unknown"}],
}

# What the token lacks is said as before: a ceiling is another matter.
rows["a ceiling is no missing permission, nor the other way round"] := {
	"set": {"claims": {"permissions": ["skills:invoke"]}, "layers": {"team": {"red": ceiling(["hello:say", "skills:invoke"], null)}}},
	"want": [{"tier": "platform", "id": "permissions", "code": "missing_permission"}],
}
