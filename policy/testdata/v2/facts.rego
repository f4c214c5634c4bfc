# What the registry knows of who calls and of what is called. A record that lacks
# a field, or has one of another type where rules depend on it, is no record: what
# it is of is unknown, and denied.
package mcp.facts

import data.mcp.transport
import data.registry

# Data of another layout, or half of it, is not decided on.
readable if {
	registry.meta.layout == 2
	is_number(registry.meta.revision)
	is_string(registry.environment.name)
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
	is_string(record.access.visibility)
	is_array(record.access.teams)
	is_array(record.access.agent_types)
	is_array(record.required_permissions)
	is_array(record.environments)
}
