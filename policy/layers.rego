# What the layers that apply make of a call. A denial in any of them wins.
#
# A layer's own Rego is the package mcp.layers.<tier>["<id>"]. No package of that
# name is no error, and adds nothing: so a layer that must not be without says so in
# its record, and its absence denies.
package mcp.authz

import data.mcp.facts
import data.mcp.layers
import data.mcp.rules
import data.mcp.tiers

layer_denials contains {"tier": "platform", "id": concat("/", [layer.tier, layer.id]), "code": "layer_missing"} if {
	some layer in tiers.applicable
	is_missing(layer)
}

layer_denials contains {"tier": layer.tier, "id": layer.id, "code": code} if {
	some layer in tiers.sound
	some code in denied_by(layer)
}

layer_denials contains {"tier": layer.tier, "id": layer.id, "code": "above_ceiling"} if {
	some layer in tiers.sound
	is_above(layer)
}

is_missing(layer) if not layer in tiers.sound

is_missing(layer) if {
	layer.record.required
	layer.record.rego
	not layers[layer.tier][layer.id].meta
}

# The codes with which a layer denies, by its rules and by its own Rego.
denied_by(layer) := {rules.reason(rule) |
	some rule in layer.record.deny
	not rules.misses(rule)
} | {code |
	layer.record.rego
	some code in codes(layers[layer.tier][layer.id].deny)
}

codes(said) := {rules.code(code) | some code in said} if is_set(said)

# What is no set of codes denies nothing by itself.
codes(said) := {"invalid_code"} if not is_set(said)

# The codes with which a layer allows.
allowed_by(layer) := {rule.code |
	some rule in layer.record.allow
	rules.allows(rule)
} | {code |
	layer.record.rego
	layers[layer.tier][layer.id].meta
	said := layers[layer.tier][layer.id].allow
	is_set(said)
	some code in said
	rules.is_code(code)
}

# The resource asks for more than the ceiling lets the agent have.
is_above(layer) if {
	both_known
	is_array(layer.record.ceiling.permissions)
	not within(layer.record.ceiling.permissions)
}

is_above(layer) if {
	both_known
	is_array(layer.record.ceiling.data_classification)
	not facts.resource.data_classification in layer.record.ceiling.data_classification
}

within(permissions) if {
	every permission in facts.resource.required_permissions {
		permission in permissions
	}
	within_by_type(permissions)
}

within_by_type(permissions) if asked_by_type in permissions

within_by_type(_) if facts.resource.type == "service"
