# Rules as data: whether what a rule lists is so of the call.
#
# Of a condition it can be told that it holds, that it fails, or neither: the method
# is not said, the clock of a place is not known, or the condition is not one of
# ours. A rule that allows needs every condition to hold. One that denies needs only
# that none is known to fail, and one that we do not understand denies.
package mcp.rules

import data.mcp.hours
import data.mcp.request

allows(rule) if {
	sound(rule)
	every name, value in rule.when {
		holds(name, value)
	}
}

# To be read as `not misses(rule)` by what denies: whatever is undefined on the way
# leaves the rule in force.
misses(rule) if {
	some name, value in rule.when
	fails(name, value)
	sound(rule)
}

# What a reason says of a rule that denies. Always defined.
reason(rule) := code(rule.code) if {
	rule.code
} else := "invalid_code"

# What denies with a code that no reason may hold still denies.
code(said) := said if {
	is_code(said)
} else := "invalid_code"

is_code(said) if {
	is_string(said)
	regex.match(`^[a-z0-9_]{1,64}$`, said)
}

# Nothing in the rule is of another type or unknown to us.
sound(rule) if {
	is_object(rule)
	object.keys(rule) == {"code", "when"}
	is_code(rule.code)
	is_object(rule.when)
	every name, value in rule.when {
		is_condition(name, value)
	}
}

is_condition("outside_hours", value) if hours.sound(value)

is_condition(name, value) if {
	name in listing
	is_array(value)
	every element in value {
		is_string(element)
	}
}

listing := {
	"resources",
	"resource_types",
	"methods",
	"environments",
	"data_classification",
	"permissions",
	"agent_types",
}

holds("outside_hours", value) if hours.outside(value)

holds(name, value) if is_listed(name, value)

fails("outside_hours", value) if hours.inside(value)

fails(name, value) if {
	call[name]
	not is_listed(name, value)
}

is_listed(name, list) if {
	some value in call[name]
	value in list
}

# What is so of the call. A list holds when one of its values is here.
call["resources"] := {request.resource.name}

call["resource_types"] := {request.resource.type}

call["data_classification"] := {request.resource.data_classification}

call["environments"] := {request.agent.environment}

call["agent_types"] := {request.agent.agent_type}

call["permissions"] := {permission | some permission in request.permissions}

call["methods"] := {upper(request.method)} if request.method != ""
