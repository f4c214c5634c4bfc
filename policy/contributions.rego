package mcp.authz

import data.mcp.tiers

# METADATA
# title: What each layer says of the call
# description: >-
#   One entry for each layer that applies, from the widest tier to the narrowest,
#   and within one by id. No part of the decision: who explains one asks for it.
contributions := [contribution |
	some tier in ["global", "team", "agent_type", "agent"]
	some layer in tiers.applicable
	layer.tier == tier
	contribution := {
		"tier": layer.tier,
		"id": layer.id,
		"deny": codes_denied(layer),
		"allow": codes_allowed(layer),
		"missing": missing(layer),
		"above_ceiling": above(layer),
	}
]

# Of a layer that cannot be judged by nothing is said but that it is missing.
default codes_denied(_) := []

codes_denied(layer) := [code | some code in denied_by(layer)] if layer in tiers.sound

default codes_allowed(_) := []

codes_allowed(layer) := [code | some code in allowed_by(layer)] if layer in tiers.sound

default missing(_) := false

missing(layer) if is_missing(layer)

default above(_) := false

above(layer) if {
	layer in tiers.sound
	is_above(layer)
}
