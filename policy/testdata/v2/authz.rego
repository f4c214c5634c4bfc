# Who may call what. A call is allowed when every check below holds and something
# grants it: a check that reads what is not there does not hold. Why a call is not
# allowed is said by denials, one for each check; none is of what hangs on an
# unknown: an agent that we do not know lacks no permission.
package mcp.authz

import data.mcp.facts
import data.mcp.token
import data.mcp.transport
import data.registry

default allow := false

allow if {
	token.current
	issued_since
	facts.agent.suspended == false
	in_term
	deployed
	admitted
	permitted
	granted
}

granted if registry.environment.grants == "permissions"

# Without a verified token nothing else is said: a caller whom nobody vouches for
# learns nothing of the registry.
denials contains {"tier": "platform", "id": "token", "code": "no_verified_token"} if not transport.claims

denials contains {"tier": "platform", "id": "token", "code": "token_expired"} if {
	transport.claims
	not token.current
}

denials contains {"tier": "platform", "id": "token", "code": "token_revoked"} if {
	facts.agent
	not issued_since
}

denials contains {"tier": "platform", "id": "registry", "code": "registry_stale"} if {
	transport.claims
	not facts.readable
}

denials contains {"tier": "platform", "id": "agent", "code": "agent_unknown"} if {
	transport.claims
	facts.readable
	not facts.agent
}

denials contains {"tier": "platform", "id": "agent", "code": "agent_suspended"} if facts.agent.suspended

denials contains {"tier": "platform", "id": "agent", "code": "agent_expired"} if {
	facts.agent
	not in_term
}

denials contains {"tier": "platform", "id": "resource", "code": "resource_unknown"} if {
	transport.claims
	facts.readable
	not facts.resource
}

denials contains {"tier": "platform", "id": "environment", "code": "environment_mismatch"} if {
	both_known
	not deployed
}

denials contains {"tier": "platform", "id": "access", "code": "access_denied"} if {
	both_known
	not admitted
}

denials contains {"tier": "platform", "id": "permissions", "code": "missing_permission"} if {
	both_known
	not permitted
}

both_known if {
	facts.agent
	facts.resource
}

# The agent's term is over at the very moment. The registry alone says when: a
# token knows nothing of it.
in_term if is_null(facts.agent.expires_at)

in_term if time.now_ns() < facts.agent.expires_at

# Where the agent's tokens were revoked, one counts that says it was issued since.
# Issuers round `iat` down to the second: within that of the revocation none does.
issued_since if is_null(facts.agent.valid_after)

issued_since if {
	issued := transport.claims.iat
	is_number(issued)
	issued * 1000000000 >= facts.agent.valid_after
}

deployed if facts.agent.environment in facts.resource.environments

admitted if facts.agent.team == facts.resource.team

admitted if facts.resource.access.visibility == "organization"

admitted if {
	facts.resource.access.visibility == "team"
	facts.agent.team in facts.resource.access.teams
}

admitted if {
	facts.resource.access.visibility == "team"
	facts.agent.agent_type in facts.resource.access.agent_types
}

permitted if {
	every permission in facts.resource.required_permissions {
		holds(permission)
	}
	permitted_by_type
}

permitted_by_type if holds(type_permissions[facts.resource.type])

permitted_by_type if {
	facts.resource.type == "data_source"
	holds(data_source_permission)
}

permitted_by_type if facts.resource.type == "service"

# The agent holds what its token says and the registry still does: a scope that
# was taken away counts no more, whatever tokens are about. Of the token's claims
# `permissions` alone counts, never `scope`.
holds(permission) if {
	permission in transport.permissions
	permission in facts.agent.scopes
}

type_permissions := {
	"skill": "skills:invoke",
	"tool": "tools:access",
	"data_sink": "data:write",
}

# A method that we do not know is taken for one that writes.
default data_source_permission := "data:write"

data_source_permission := "data:read" if transport.method in {"GET", "HEAD"}

# Sets are sorted when they are listed: the same reasons come in the same order.
reasons := [] if {
	allow
} else := array.slice([denial | some denial in denials], 0, 32) if {
	count(denials) > 0
} else := [{"tier": "platform", "id": "grants", "code": "no_grant"}]
