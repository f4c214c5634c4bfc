# A layer's own Rego: rows of layers_test.rego.
package mcp.layers_test

import data.mcp.fixture

with_rego := fixture.layer({"rego": true})

required := fixture.layer({"rego": true, "required": true})

module := {"meta": {"team": "red"}, "deny": {"own_denial"}, "allow": set()}

own_denial := {"tier": "team", "id": "red", "code": "own_denial"}

rows["own Rego that denies"] := {
	"set": {"layers": {"team": {"red": with_rego}}},
	"modules": {"team": {"red": module}},
	"want": [own_denial],
}

rows["own Rego that denies, beside a rule that does"] := {
	"set": {"layers": {"team": {"red": object.union(with_rego, {"deny": [{"code": "closed", "when": {}}]})}}},
	"modules": {"team": {"red": module}},
	"want": [{"tier": "team", "id": "red", "code": "closed"}, own_denial],
}

rows["own Rego that says nothing"] := {
	"set": {"layers": {"team": {"red": required}}},
	"modules": {"team": {"red": {"meta": {}, "deny": set(), "allow": set()}}},
	"want": [],
}

rows["own Rego of another team"] := {
	"set": {"layers": {"team": {"blue": required}}},
	"modules": {"team": {"blue": module}},
	"want": [],
}

rows["own Rego that the record knows nothing of"] := {
	"set": {"layers": {"team": {"red": fixture.layer({"required": true})}}},
	"modules": {"team": {"red": module}},
	"want": [],
}

rows["own Rego without a record"] := {"modules": {"team": {"red": module}}, "want": []}

rows["own Rego of the same id in another tier"] := {
	"set": {"layers": {"team": {"red": required}}},
	"modules": {"agent_type": {"red": module}},
	"want": [missing("team", "red")],
}

rows["own Rego that is missing"] := {"set": {"layers": {"team": {"red": with_rego}}}, "want": []}

rows["own Rego that is missing, and rules that are not"] := {
	"set": {"layers": {"team": {"red": object.union(with_rego, {"deny": [{"code": "closed", "when": {}}]})}}},
	"want": [{"tier": "team", "id": "red", "code": "closed"}],
}

rows[sprintf("own Rego of the tier %s that is required and missing", [tier])] := {
	"set": {"layers": {tier: {id: required}}},
	"want": [missing(tier, id)],
} if {
	some tier, id in own
}

rows[sprintf("own Rego that is required and has %v for meta", [meta])] := {
	"set": {"layers": {"team": {"red": required}}},
	"modules": {"team": {"red": object.union(module, {"meta": meta})}},
	"want": [missing("team", "red"), own_denial],
} if {
	meta := false
}

rows["own Rego that is required and has no meta"] := {
	"set": {"layers": {"team": {"red": required}}},
	"modules": {"team": {"red": object.remove(module, ["meta"])}},
	"want": [missing("team", "red"), own_denial],
}

rows["rules that are required are never missing"] := {"set": {"layers": {"team": {"red": fixture.layer({"required": true})}}}, "want": []}

# Invariant E3.
rows[sprintf("own Rego that denies with %v", [code])] := {
	"set": {"layers": {"team": {"red": with_rego}}},
	"modules": {"team": {"red": {"meta": {}, "deny": {code}}}},
	"want": [{"tier": "team", "id": "red", "code": "invalid_code"}],
} if {
	some code in [null, false, true, 0, "", "No-Writes", "a b", "a\n", ["a"], {"code": "a"}, long]
}

long := concat("", ["a" | some _ in numbers.range(1, 65)])

rows["own Rego that denies with codes of both kinds"] := {
	"set": {"layers": {"team": {"red": with_rego}}},
	"modules": {"team": {"red": {"meta": {}, "deny": {"ok", "NOT OK", 7}}}},
	"want": [{"tier": "team", "id": "red", "code": "invalid_code"}, {"tier": "team", "id": "red", "code": "ok"}],
}

rows[sprintf("own Rego whose deny is %v", [deny])] := {
	"set": {"layers": {"team": {"red": with_rego}}},
	"modules": {"team": {"red": {"meta": {}, "deny": deny}}},
	"want": [{"tier": "team", "id": "red", "code": "invalid_code"}],
} if {
	some deny in [null, false, true, 7, "closed", [], ["closed"], {}, {"closed": true}]
}

rows["explicit: own Rego allows"] := {
	"set": {"environment": {"grants": "explicit"}, "layers": {"team": {"red": with_rego}}},
	"modules": {"team": {"red": {"meta": {}, "allow": {"open"}}}},
	"want": [],
}

rows[sprintf("explicit: own Rego allows by %v", [module])] := {
	"set": {"environment": {"grants": "explicit"}, "layers": {"team": {"red": with_rego}}},
	"modules": {"team": {"red": module}},
	"want": no_grant,
} if {
	some module in [
		{"meta": {}, "allow": set()}, {"meta": {}, "allow": true}, {"meta": {}, "allow": "open"},
		{"meta": {}, "allow": ["open"]}, {"meta": {}, "allow": {"open": true}}, {"meta": {}, "allow": {"NOT OK"}},
		{"meta": {}, "allow": {true}}, {"meta": {}}, {"allow": {"open"}}, {"meta": false, "allow": {"open"}},
	]
}

rows["explicit: own Rego allows that the record knows nothing of"] := {
	"set": {"environment": {"grants": "explicit"}, "layers": {"team": {"red": fixture.layer({})}}},
	"modules": {"team": {"red": {"meta": {}, "allow": {"open"}}}},
	"want": no_grant,
}

rows["explicit: own Rego of another team allows"] := {
	"set": {"environment": {"grants": "explicit"}, "layers": {"team": {"blue": with_rego, "red": fixture.layer({})}}},
	"modules": {"team": {"blue": {"meta": {}, "allow": {"open"}}}},
	"want": no_grant,
}
