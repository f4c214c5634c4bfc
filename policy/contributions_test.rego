package mcp.contributions_test

import data.mcp.authz
import data.mcp.fixture

contributions(w, modules) := c if {
	c := authz.contributions with input as fixture.program(w)
		with data.registry as fixture.registry(w)
		with data.mcp.layers as modules
		with time.now_ns as fixture.now
}

rule(code, resource) := {"code": code, "when": {"resources": [resource]}}

layers := {
	"global": {
		"b": fixture.layer({"deny": [rule("b", "hello"), rule("a", "hello"), rule("c", "billing")]}),
		"a": fixture.layer({"allow": [rule("open", "hello"), rule("opener", "billing")]}),
	},
	"team": {"red": fixture.layer({
		"rego": true,
		"required": true,
		"deny": [rule("closed", "hello")],
		"ceiling": {"permissions": [], "data_classification": null},
	})},
	"agent_type": {"support": fixture.layer({
		"deny": [rule("closed", "hello")],
		"rego": 1,
		"ceiling": {"permissions": [], "data_classification": []},
	})},
	"agent": {"0197-alice": fixture.layer({"rego": true, "required": true})},
}

modules := {"team": {"red": {"meta": {}, "deny": {"own", "NOT OK"}, "allow": {"own_grant", "NOT OK"}}}}

test_each_layer_from_the_widest_to_the_narrowest if {
	w := object.union(fixture.world, {"layers": layers})
	contributions(w, modules) == [
		{"tier": "global", "id": "a", "deny": [], "allow": ["open"], "missing": false, "above_ceiling": false},
		{"tier": "global", "id": "b", "deny": ["a", "b"], "allow": [], "missing": false, "above_ceiling": false},
		{
			"tier": "team",
			"id": "red",
			"deny": ["closed", "invalid_code", "own"],
			"allow": ["own_grant"],
			"missing": false,
			"above_ceiling": true,
		},
		{"tier": "agent_type", "id": "support", "deny": [], "allow": [], "missing": true, "above_ceiling": false},
		{"tier": "agent", "id": "0197-alice", "deny": [], "allow": [], "missing": true, "above_ceiling": false},
	]
}

# What is told and what is decided are one.
test_reasons_are_those_of_the_contributions if {
	w := object.union(fixture.world, {"layers": layers})
	d := authz.decision with input as fixture.program(w)
		with data.registry as fixture.registry(w)
		with data.mcp.layers as modules
		with time.now_ns as fixture.now
	told := contributions(w, modules)
	denials := {{"tier": c.tier, "id": c.id, "code": code} | some c in told; some code in c.deny}
	above := {{"tier": c.tier, "id": c.id, "code": "above_ceiling"} | some c in told; c.above_ceiling}
	missing := {{"tier": "platform", "id": concat("/", [c.tier, c.id]), "code": "layer_missing"} | some c in told; c.missing}
	{reason | some reason in d.reasons} == (denials | above) | missing
}

test_none_where_none_applies if {
	every change in [{}, {"claims": null}, {"meta": {"layout": 0}}, {"layers": {"team": {"blue": layers.team.red}}}] {
		contributions(object.union(fixture.world, change), {}) == []
	}
}

test_the_global_layers_alone_for_an_unknown_agent if {
	w := object.union(fixture.world, {"layers": layers, "claims": {"sub": "bob@clients"}})
	[c.id | some c in contributions(w, modules)] == ["a", "b"]
}
