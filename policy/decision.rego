package mcp.authz

import data.mcp.facts
import data.registry

# METADATA
# title: The decision
# description: >-
#   What the wire's contract says a decision is, and beside it what
#   opa-envoy-plugin reads. Always defined.
# entrypoint: true
decision := object.union(verdict, envoy_answer)

verdict := object.union(
	{
		"allow": allow,
		"allowed": allow,
		"reasons": reasons,
		"revision": revision,
	},
	known,
)

default revision := 0

# The newest of what was decided on: parts of a scope come one by one.
revision := max({registry.meta.revision} | {part.revision | some part in facts.parts; is_number(part.revision)}) if facts.readable

known := {"agent": agent, "resource": resource} if {
	agent
	resource
} else := {"agent": agent} if {
	agent
} else := {"resource": resource} if {
	resource
} else := {}

agent := object.filter(facts.agent, ["id", "name", "team", "agent_type", "environment"])

resource := object.filter(facts.resource, ["name", "type", "team"])
