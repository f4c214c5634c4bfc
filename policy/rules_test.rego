package mcp.rules_test

import data.mcp.fixture
import data.mcp.rules

# Each row is a rule's `when`, or a whole rule, the change of the world that it is
# asked in, and what can be told of it: that it matches ("yes"), that it does not
# ("no"), or neither.
rows["nothing listed"] := {"when": {}, "want": "yes"}

matching := {
	"resources": ["hello"],
	"resource_types": ["skill"],
	"methods": ["POST"],
	"environments": ["production"],
	"data_classification": ["low"],
	"permissions": ["skills:invoke"],
	"agent_types": ["support"],
	"outside_hours": hours(540, 1020),
}

failing := {
	"resources": ["billing"],
	"resource_types": ["data_sink"],
	"methods": ["GET"],
	"environments": ["staging"],
	"data_classification": ["restricted"],
	"permissions": ["data:write"],
	"agent_types": ["batch"],
	"outside_hours": hours(0, 1440),
}

# The clock stands at 22:13 on a Tuesday, UTC.
hours(from, to) := {"from": from, "to": to, "days": ["Tuesday"], "timezone": "UTC"}

rows[name] := {"when": {name: matching[name]}, "want": "yes"} if some name, _ in matching

rows[concat(", ", [name, "of which none is so"])] := {"when": {name: failing[name]}, "want": "no"} if some name, _ in failing

rows[concat(", ", [name, "of which one is so"])] := {"when": {name: array.concat(failing[name], matching[name])}, "want": "yes"} if {
	some name in lists
}

rows[concat(", ", [name, "that are none"])] := {"when": {name: []}, "want": "no"} if some name in lists

rows["all conditions"] := {"when": matching, "want": "yes"}

rows[concat(" ", ["all conditions but", name])] := {"when": object.union(object.remove(matching, [name]), {name: failing[name]}), "want": "no"} if {
	some name, _ in failing
}

rows["permissions, another of those that the agent holds"] := {"when": {"permissions": ["hello:say"]}, "want": "yes"}

rows["permissions, one that the token has and the agent does not"] := {
	"when": {"permissions": ["data:read"]},
	"set": {"claims": {"permissions": ["data:read", "hello:say", "skills:invoke"]}},
	"want": "no",
}

rows["permissions, one that the agent has and the token does not"] := {"when": {"permissions": ["skills:list"]}, "want": "no"}

rows["permissions, one that a ceiling takes away"] := {
	"when": {"permissions": ["hello:say"]},
	"set": {"layers": {"team": {"red": fixture.layer({"ceiling": {"permissions": ["skills:invoke"], "data_classification": null}})}}},
	"want": "no",
}

rows["permissions, of an agent that has none"] := {
	"when": {"permissions": ["hello:say"]},
	"set": {"agent": {"scopes": []}},
	"want": "no",
}

rows["methods, in other letters"] := {"when": {"methods": ["POST"]}, "set": {"method": "Post"}, "want": "yes"}

rows["methods, another in other letters"] := {"when": {"methods": ["POST"]}, "set": {"method": "get"}, "want": "no"}

rows["methods, and none is said"] := {"when": {"methods": ["POST"]}, "set": {"method": ""}, "want": "neither"}

rows["methods, and what is said is no text"] := {"when": {"methods": ["POST"]}, "set": {"method": null}, "want": "neither"}

rows["methods, and none is said, on a resource that is not listed"] := {
	"when": {"methods": ["POST"], "resources": ["billing"]},
	"set": {"method": ""},
	"want": "no",
}

rows["no methods, and none is said"] := {"when": {"resources": ["hello"]}, "set": {"method": ""}, "want": "yes"}

# What is not known is empty.
rows[sprintf("%s, of an unknown agent", [name])] := {
	"when": {name: matching[name]},
	"set": {"claims": {"sub": "bob@clients"}},
	"want": "no",
} if {
	some name in ["environments", "permissions", "agent_types"]
}

rows[sprintf("%s, of an unknown resource", [name])] := {
	"when": {name: matching[name]},
	"set": {"name": "nothing"},
	"want": "no",
} if {
	some name in ["resources", "resource_types", "data_classification"]
}

rows["outside_hours, the minute before they begin"] := {"when": {"outside_hours": hours(1334, 1440)}, "want": "yes"}

rows["outside_hours, the minute in which they begin"] := {"when": {"outside_hours": hours(1333, 1440)}, "want": "no"}

rows["outside_hours, the minute before they end"] := {"when": {"outside_hours": hours(0, 1334)}, "want": "no"}

rows["outside_hours, the minute in which they end"] := {"when": {"outside_hours": hours(0, 1333)}, "want": "yes"}

rows["outside_hours, on another day"] := {"when": {"outside_hours": object.union(hours(0, 1440), {"days": ["Monday"]})}, "want": "yes"}

rows["outside_hours, where it is Wednesday"] := {
	"when": {"outside_hours": object.union(hours(0, 1440), {"timezone": "Asia/Tokyo"})},
	"want": "yes",
}

# A rule that we do not understand, whatever else it lists.
rows[sprintf("%s that is %v", [name, value])] := {
	"when": object.union(object.remove(failing, [name]), {name: value}),
	"want": "neither",
} if {
	some name in lists
	some value in [null, false, true, 7, failing[name][0], {}, {"0": failing[name][0]}, [7], array.concat(failing[name], [null])]
}

rows[sprintf("outside_hours that are %v", [value])] := {
	"when": object.union(object.remove(failing, ["outside_hours"]), {"outside_hours": value}),
	"want": "neither",
} if {
	some value in [null, false, true, 7, "09:00-17:00", [540, 1020], {}, hours("00:00", "24:00"), hours(540, 540)]
}

rows[sprintf("a condition called %q", [name])] := {"when": object.union(failing, {name: ["x"]}), "want": "neither"} if {
	some name in ["", "teams", "Resources", "resources ", "not", "effect"]
}

rows["a condition that is none of ours, alone"] := {"when": {"teams": ["red"]}, "want": "neither"}

rows[sprintf("when that is %v", [value])] := {"rule": {"code": "x", "when": value}, "want": "neither"} if {
	some value in [null, false, true, 7, "hello", [], [failing]]
}

rows[sprintf("code that is %v", [value])] := {"rule": {"code": value, "when": failing}, "want": "neither"} if {
	some value in bad_codes
}

rows["no when"] := {"rule": {"code": "x"}, "want": "neither"}

rows["no code"] := {"rule": {"when": failing}, "want": "neither"}

rows["another field"] := {"rule": {"code": "x", "when": failing, "effect": "allow"}, "want": "neither"}

rows[sprintf("rule that is %v", [value])] := {"rule": value, "want": "neither"} if {
	some value in [null, false, true, 7, "x", [], ["x"], {}]
}

lists := object.keys(matching) - {"outside_hours"}

bad_codes := [null, false, true, 7, "", "A", "a-b", "a b", "a\n", "é", ["a"], {"a": "b"}, long(65)]

long(n) := concat("", ["a" | some _ in numbers.range(1, n)])

told(rule, w) := "yes" if {
	denies(rule, w)
	allows(rule, w)
} else := "neither" if {
	denies(rule, w)
} else := "no" if {
	not allows(rule, w)
}

denies(rule, w) if not misses(rule, w)

misses(rule, w) if {
	rules.misses(rule) with input as fixture.program(w)
		with data.registry as fixture.registry(w)
		with time.now_ns as fixture.now
}

allows(rule, w) if {
	rules.allows(rule) with input as fixture.program(w)
		with data.registry as fixture.registry(w)
		with time.now_ns as fixture.now
}

test_what_can_be_told_of_a_rule[name] if {
	some name, row in rows
	rule := object.get(row, "rule", {"code": "x", "when": object.get(row, "when", {})})
	told(rule, fixture.changed(row)) == row.want
}

test_a_reason_has_a_code[name] if {
	some name, row in object.union(
		{sprintf("%v", [code]): {"code": code, "want": "invalid_code"} | some code in bad_codes},
		{code: {"code": code, "want": code} | some code in ["a", "0", "_", "no_writes", long(64)]},
	)
	rules.code(row.code) == row.want
	rules.reason({"code": row.code, "when": {}}) == row.want
}

test_a_rule_without_a_code_has_a_reason if {
	every rule in [null, false, true, 7, "x", [], {}, {"when": {}}] {
		rules.reason(rule) == "invalid_code"
	}
}
