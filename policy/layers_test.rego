package mcp.layers_test

import data.mcp.authz
import data.mcp.fixture

# Each row is a change of a world in which the call is allowed, the layers' own
# modules, and the reasons that the decision then has.
rows["no layer"] := {"want": []}

rows["layers that say nothing"] := {
	"set": {"layers": {tier: {id: fixture.layer({})} | some tier, id in own}},
	"want": [],
}

# Who the layers are of, for alice.
own := {"global": "rules", "team": "red", "agent_type": "support", "agent": "0197-alice"}

other := {"global": "rules", "team": "blue", "agent_type": "batch", "agent": "0197-bob"}

always := fixture.layer({"deny": [{"code": "closed", "when": {}}]})

rows[sprintf("a rule of the tier %s denies", [tier])] := {
	"set": {"layers": {tier: {id: always}}},
	"want": [{"tier": tier, "id": id, "code": "closed"}],
} if {
	some tier, id in own
}

rows[sprintf("a rule of the tier %s, of another id", [tier])] := {"set": {"layers": {tier: {id: always}}}, "want": []} if {
	some tier, id in other
	tier != "global"
}

rows[sprintf("a rule of the tier %s that does not match", [tier])] := {
	"set": {"layers": {tier: {id: fixture.layer({"deny": [
		{"code": "elsewhere", "when": {"resources": ["billing"]}},
		{"code": "closed", "when": {"methods": ["POST"]}},
		{"code": "reading", "when": {"methods": ["GET"], "resources": ["hello"]}},
	]})}}},
	"want": [{"tier": tier, "id": id, "code": "closed"}],
} if {
	some tier, id in own
}

rows["each global layer"] := {
	"set": {"layers": {"global": {"b": always, "a": always, "c": fixture.layer({})}}},
	"want": [{"tier": "global", "id": "a", "code": "closed"}, {"tier": "global", "id": "b", "code": "closed"}],
}

rows["all tiers at once, and the platform's own"] := {
	"set": {"agent": {"suspended": true}, "layers": {tier: {id: always} | some tier, id in own}},
	"want": [
		{"tier": "platform", "id": "agent", "code": "agent_suspended"},
		{"tier": "agent", "id": "0197-alice", "code": "closed"},
		{"tier": "team", "id": "red", "code": "closed"},
		{"tier": "global", "id": "rules", "code": "closed"},
		{"tier": "agent_type", "id": "support", "code": "closed"},
	],
}

rows["a layer of the resource's team is none of the agent's"] := {"set": {"layers": {"team": {"blue": always}}}, "want": []}

rows["layers are the global ones for an unknown agent"] := {
	"set": {"claims": {"sub": "bob@clients"}, "layers": {tier: {id: always} | some tier, id in own}},
	"want": [
		{"tier": "platform", "id": "agent", "code": "agent_unknown"},
		{"tier": "global", "id": "rules", "code": "closed"},
	],
}

rows["layers say nothing to whom nobody vouches for"] := {
	"set": {"valid": false, "claims": null, "layers": {tier: {id: always} | some tier, id in own}},
	"want": [{"tier": "platform", "id": "token", "code": "no_verified_token"}],
}

rows["layers say nothing of data that cannot be read"] := {
	"set": {"meta": {"layout": 4}, "layers": {tier: {id: always} | some tier, id in own}},
	"want": [{"tier": "platform", "id": "registry", "code": "registry_stale"}],
}

rows["layers are asked where the data is stale by the clock alone"] := {
	"set": {"meta": {"as_of": 0}, "layers": {"global": {"rules": always}}},
	"want": [
		{"tier": "global", "id": "rules", "code": "closed"},
		{"tier": "platform", "id": "registry", "code": "registry_stale"},
	],
}

# A denial in any tier beats what any other allows.
open_to_all := fixture.layer({"allow": [{"code": "open", "when": {}}]})

rows[sprintf("a denial of the tier %s beats all that allow", [tier])] := {
	"set": {"environment": {"grants": grants}, "layers": object.union(
		{t: {i: open_to_all} | some t, i in own},
		{tier: {id: object.union(open_to_all, always)}},
	)},
	"want": [{"tier": tier, "id": id, "code": "closed"}],
} if {
	grants := "explicit"
	some tier, id in own
}

rows[concat(" ", ["what a layer allows, the platform still denies:", code])] := {
	"set": object.union({"layers": {tier: {id: open_to_all} | some tier, id in own}}, change),
	"want": [{"tier": "platform", "id": rule, "code": code}],
} if {
	some rule, [code, change] in {
		"agent": ["agent_suspended", {"agent": {"suspended": true}}],
		"token": ["token_expired", {"claims": {"exp": 0}}],
		"resource": ["resource_unknown", {"name": "nothing"}],
		"environment": ["environment_mismatch", {"resource": {"environments": ["staging"]}}],
		"access": ["access_denied", {"resource": {"access": {"teams": []}}}],
		"permissions": ["missing_permission", {"claims": {"permissions": []}}],
		"registry": ["registry_stale", {"meta": {"as_of": 0}}],
	}
}

# Grants.
no_grant := [{"tier": "platform", "id": "grants", "code": "no_grant"}]

rows["explicit: nobody allows"] := {
	"set": {"environment": {"grants": "explicit"}, "layers": {tier: {id: fixture.layer({})} | some tier, id in own}},
	"want": no_grant,
}

rows[sprintf("explicit: the tier %s allows", [tier])] := {
	"set": {"environment": {"grants": "explicit"}, "layers": {tier: {id: open_to_all}}},
	"want": [],
} if {
	some tier, id in own
}

rows[sprintf("explicit: the tier %s allows another id", [tier])] := {
	"set": {"environment": {"grants": "explicit"}, "layers": {tier: {id: open_to_all}}},
	"want": no_grant,
} if {
	some tier, id in other
	tier != "global"
}

rows["explicit: a rule allows that does not match"] := {
	"set": {
		"environment": {"grants": "explicit"},
		"layers": {"team": {"red": fixture.layer({"allow": [{"code": "open", "when": {"resources": ["billing"]}}]})}},
	},
	"want": no_grant,
}

rows[sprintf("explicit: rules allow that we do not understand: %v", [rule])] := {
	"set": {"environment": {"grants": "explicit"}, "layers": {"team": {"red": fixture.layer({"allow": [rule]})}}},
	"want": no_grant,
} if {
	some rule in odd_rules
}

rows[sprintf("grants that are %v are no grant, whatever layers allow", [grants])] := {
	"set": {"environment": {"grants": grants}, "layers": {tier: {id: open_to_all} | some tier, id in own}},
	"want": no_grant,
} if {
	some grants in [null, false, true, "", "Explicit", "all", ["explicit"], {}]
}

rows["permissions: rules that allow are not needed"] := {
	"set": {"layers": {"team": {"red": fixture.layer({"allow": [{"code": "open", "when": {"resources": ["billing"]}}]})}}},
	"want": [],
}

# Rules that we do not understand deny.
odd_rules := [
	null, false, true, 7, "x", [], {}, {"code": "x"},
	{"code": "x", "when": null}, {"code": "x", "when": []},
	{"code": "x", "when": {"teams": ["red"]}},
	{"code": "x", "when": {"resources": "hello"}},
	{"code": "x", "when": {"outside_hours": null}},
	{"code": "x", "when": {}, "effect": "allow"},
	{"code": "X", "when": {}},
]

rows[sprintf("a rule among those that deny: %v", [rule])] := {
	"set": {"layers": {"team": {"red": fixture.layer({"deny": [rule]})}}},
	"want": [{"tier": "team", "id": "red", "code": code}],
} if {
	some rule in odd_rules
	code := code_of(rule)
}

code_of(rule) := "x" if {
	rule.code == "x"
} else := "invalid_code"

# A layer that cannot be judged by is missing, whether or not it is required.
rows[sprintf("a layer of the tier %s that is %v", [tier, record])] := {
	"set": {"layers": {tier: {id: record}}},
	"want": [missing(tier, id)],
} if {
	some tier, id in own
	some record in [null, false, true, 7, "x", []]
}

rows[sprintf("a layer without %s", [field])] := {
	"set": {"layers": {"team": {"red": object.remove(open_to_all, [field])}}},
	"want": [missing("team", "red")],
} if {
	some field, _ in open_to_all
}

rows[sprintf("a layer with %v for %s", [value, field])] := {
	"set": {"layers": {"team": {"red": object.union(object.remove(always, [field]), {field: value})}}},
	"want": [missing("team", "red")],
} if {
	some field, values in {
		"deny": [null, false, "x", {}, {"a": {"code": "x", "when": {}}}],
		"allow": [null, false, "x", {}],
		"required": [null, "true", 1, []],
		"rego": [null, "true", 0, []],
		"ceiling": [
			false, true, "x", [], {}, {"permissions": null}, {"data_classification": null},
			{"permissions": "x", "data_classification": null},
			{"permissions": null, "data_classification": {"low": true}},
			{"permissions": false, "data_classification": null},
			{"permissions": null, "data_classification": null, "resources": ["hello"]},
		],
		"effect": ["deny"],
	}
	some value in values
}

rows[sprintf("a ceiling of the tier %s", [tier])] := {
	"set": {"layers": {tier: {id: ceiling(null, null)}}},
	"want": [missing(tier, id)],
} if {
	some tier, id in own
	not tier in {"team", "agent_type"}
}

missing(tier, id) := {"tier": "platform", "id": concat("/", [tier, id]), "code": "layer_missing"}

test_program[name] if {
	some name, row in rows
	w := fixture.changed(row)
	decided(row, w, fixture.program(w))
}

test_envoy[name] if {
	some name, row in rows
	w := fixture.changed(row)
	decided(row, w, fixture.envoy(w))
}

decided(row, w, asked) if {
	d := authz.decision with input as asked
		with data.registry as fixture.registry(w)
		with data.mcp.layers as object.get(row, "modules", {})
		with time.now_ns as fixture.now
	d.reasons == row.want
	d.allow == is_allowed(row)
	d.allowed == d.allow
}

is_allowed(row) := count(row.want) == 0

# The two ways to a decision are one, with layers too.
test_denials_are_what_does_not_hold[name] if {
	some name, row in rows
	w := fixture.changed(row)
	denials := authz.denials with input as fixture.program(w)
		with data.registry as fixture.registry(w)
		with data.mcp.layers as object.get(row, "modules", {})
		with time.now_ns as fixture.now
	denials == {reason | some reason in row.want; reason.code != "no_grant"}
}

test_no_layers_in_the_data_at_all if {
	d := authz.decision with input as fixture.program(fixture.world)
		with data.registry as object.remove(fixture.registry(fixture.world), ["layers"])
		with time.now_ns as fixture.now
	d.allow == true
}

test_global_layers_that_are_no_map_are_missing if {
	every value in [null, false, true, 7, "x", []] {
		w := object.union(fixture.world, {"layers": {"global": value}})
		d := authz.decision with input as fixture.program(w)
			with data.registry as fixture.registry(w)
			with time.now_ns as fixture.now
		d.reasons == [missing("global", "")]
	}
}

test_at_most_32_reasons_of_layers if {
	many := [{"code": sprintf("code_%02d", [i]), "when": {}} | some i in numbers.range(1, 40)]
	w := object.union(fixture.world, {"layers": {"team": {"red": fixture.layer({"deny": many})}}})
	d := authz.decision with input as fixture.program(w)
		with data.registry as fixture.registry(w)
		with time.now_ns as fixture.now
	[reason.code | some reason in d.reasons] == [rule.code | some i, rule in many; i < 32]
	d.allow == false
}
