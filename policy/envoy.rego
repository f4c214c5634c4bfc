# What opa-envoy-plugin reads of the decision, beside `allowed`. An answer that it
# cannot use is an error to it, and Envoy then refuses the call.
package mcp.authz

import data.mcp.facts
import data.mcp.token
import data.mcp.transport

envoy_answer := {
	"http_status": 200,
	"headers": agent_headers,
	"request_headers_to_remove": ["x-opa-input"],
	"dynamic_metadata": verdict,
} if {
	allow
} else := {
	"http_status": problem.status,
	"headers": problem_headers,
	"request_headers_to_remove": ["x-opa-input"],
	"body": json.marshal(problem),
	"dynamic_metadata": verdict,
}

# For the resource. Envoy sets these in place of the client's own, and an allowed
# call has all five: none of the client's is left.
agent_headers := {
	"x-agent-id": agent.id,
	"x-agent-name": agent.name,
	"x-agent-team": agent.team,
	"x-agent-type": agent.agent_type,
	"x-agent-environment": agent.environment,
}

# For the client.
problem_headers["content-type"] := "application/problem+json"

problem_headers["cache-control"] := "no-store"

problem_headers["www-authenticate"] := challenge if problem.status == 401

problem_headers["retry-after"] := "5" if problem.status == 503

# RFC 9457. It names the denials and nothing of what they read.
problem := {
	"type": concat("", ["https://credence.example/problems/", fault.code]),
	"title": fault.title,
	"status": fault.status,
	"code": fault.code,
	"reasons": [reason.code | some reason in reasons],
}

invalid_token := {"status": 401, "code": "invalid_token", "title": "Invalid token"}

# Not by the reasons: of many, some are left out.
fault := invalid_token if {
	not transport.claims
} else := invalid_token if {
	not token.current
} else := invalid_token if {
	facts.agent
	not issued_since
} else := {"status": 503, "code": "registry_stale", "title": "Registry stale"} if {
	not facts.fresh
} else := {"status": 403, "code": "call_denied", "title": "Call denied"}

# RFC 6750, 3.1: who sent no token is told of no error.
challenge := `Bearer realm="credence", error="invalid_token"` if {
	transport.claims
} else := `Bearer realm="credence"`
