# The layers that apply to a call: all of the tier global, and of the other tiers
# the one of the agent's team, of its type and of the agent itself. This package
# reads the registry's records alone, so that what a layer's own Rego reads may
# hang on it.
#
# Nothing here looks at the layers of others, however many there are.
package mcp.tiers

import data.mcp.facts
import data.mcp.transport
import data.registry

# A layer that is there applies, whatever its record is.
applicable contains {"tier": "global", "id": id, "record": record} if {
	transport.claims
	facts.readable
	some id, record in rule_sets(registry.layers.global)
}

# What is no map of layers is one that cannot be judged by.
rule_sets(layers) := layers if is_object(layers)

rule_sets(layers) := {"": null} if not is_object(layers)

applicable contains {"tier": "team", "id": id, "record": record} if {
	id := facts.agent.team
	record := registry.layers.team[substring(crypto.sha256(id), 0, 2)][id]
}

applicable contains {"tier": "agent_type", "id": id, "record": record} if {
	id := facts.agent.agent_type
	record := registry.layers.agent_type[substring(crypto.sha256(id), 0, 2)][id]
}

applicable contains {"tier": "agent", "id": id, "record": record} if {
	id := facts.agent.id
	record := registry.layers.agent[substring(crypto.sha256(id), 0, 2)][id]
}

# Those whose record can be judged by. One that lacks a field, or has one that we do
# not know or of another type, is none of them: what it would say is missing.
sound contains layer if {
	some layer in applicable
	is_object(layer.record)
	object.keys(layer.record) == {"deny", "allow", "required", "rego", "ceiling"}
	is_array(layer.record.deny)
	is_array(layer.record.allow)
	is_boolean(layer.record.required)
	is_boolean(layer.record.rego)
	is_ceiling(layer.tier, layer.record.ceiling)
}

is_ceiling(_, null)

is_ceiling(tier, ceiling) if {
	tier in {"team", "agent_type"}
	is_object(ceiling)
	object.keys(ceiling) == {"permissions", "data_classification"}
	is_bound(ceiling.permissions)
	is_bound(ceiling.data_classification)
}

is_bound(null)

is_bound(list) if is_array(list)

# The lists that a permission must be in to count, one for each ceiling.
bounds contains layer.record.ceiling.permissions if {
	some layer in sound
	is_array(layer.record.ceiling.permissions)
}
