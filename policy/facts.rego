# What the registry knows of who calls and of what is called. A record that lacks
# a field, or has one of another type where rules depend on it, is no record: what
# it is of is unknown, and denied.
package mcp.facts

import data.mcp.transport
import data.registry

# Data of another layout, or half of it, is not decided on.
readable if {
	meta := registry.meta
	meta.layout == 3
	is_number(meta.revision)
	is_number(meta.as_of)
	is_string(registry.environment.name)
}

# All of the data was current a short while ago, as far as the environment asks for
# that: what hears nothing more of the registry may open what was shut since.
fresh if {
	readable
	registry.meta.as_of >= oldest
	every part in parts {
		part.scope == registry.meta.scope
		is_number(part.revision)
		is_number(part.as_of)
		part.as_of >= oldest
	}
}

# The parts that a scope came in beside the first one, which has the policy: none
# where it came whole.
default parts := {}

parts := registry.parts

# No moment is older than 1970: data is never too old where the most is zero.
oldest := 0 if {
	registry.environment.max_staleness == 0
} else := time.now_ns() - registry.environment.max_staleness if {
	is_number(registry.environment.max_staleness)
}

# The subject of the token finds an agent, and nothing else does. Maps of records
# are split by the first byte of the key's hash.
agent := {
	"id": record.id,
	"name": record.name,
	"team": record.team,
	"agent_type": record.agent_type,
	"environment": registry.environment.name,
	"suspended": record.suspended,
	"scopes": record.scopes,
	"expires_at": record.expires_at,
	"valid_after": record.valid_after,
	"labels": record.labels,
} if {
	readable
	subject := transport.subject
	record := registry.agents[substring(crypto.sha256(subject), 0, 2)][subject]
	is_string(record.id)
	is_string(record.name)
	is_string(record.team)
	is_string(record.agent_type)
	not "" in [record.id, record.name, record.team, record.agent_type]
	is_boolean(record.suspended)
	is_array(record.scopes)
	is_moment(record.expires_at)
	is_moment(record.valid_after)
	is_object(record.labels)
}

# A moment is a number of nanoseconds since 1970, as time.now_ns has it, or null
# for none. That there is none is said: what is not there is not known to be none.
is_moment(value) if is_number(value)

is_moment(value) if is_null(value)

# The name finds a resource, and nothing else does.
resource := {
	"name": name,
	"type": record.type,
	"team": record.team,
	"data_classification": record.data_classification,
	"required_permissions": record.required_permissions,
	"access": record.access,
	"environments": record.environments,
	"labels": record.labels,
} if {
	readable
	name := transport.resource_name
	record := registry.resources[substring(crypto.sha256(name), 0, 2)][name]
	is_string(record.type)
	is_string(record.team)
	is_string(record.data_classification)
	is_string(record.access.visibility)
	is_array(record.access.teams)
	is_array(record.access.agent_types)
	is_array(record.required_permissions)
	is_array(record.environments)
	is_object(record.labels)
}
