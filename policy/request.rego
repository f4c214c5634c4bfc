# The request as rules may read it: the same fields whatever carried it, and no
# header, token or raw input. Layers read this package and nothing else.
#
# Every field is always defined. A denial that reads an undefined value does not
# fire, so that an unknown agent has empty fields, not none.
package mcp.request

import data.mcp.facts
import data.mcp.tiers
import data.mcp.transport
import data.registry

default method := ""

method := transport.method

default path := []

path := transport.path

default subject := ""

subject := transport.subject

# Those that count: the token has them, the registry's agent too, and no ceiling
# takes them away.
permissions := [permission |
	some permission in transport.permissions
	permission in facts.agent.scopes
	every bound in tiers.bounds {
		permission in bound
	}
]

default environment := ""

environment := registry.environment.name if facts.readable

default agent := {
	"id": "",
	"name": "",
	"team": "",
	"agent_type": "",
	"environment": "",
	"suspended": false,
	"scopes": [],
	"expires_at": null,
	"valid_after": null,
	"labels": {},
}

agent := facts.agent

default resource := {
	"name": "",
	"type": "",
	"team": "",
	"data_classification": "",
	"required_permissions": [],
	"access": {"visibility": "", "teams": [], "agent_types": []},
	"environments": [],
	"labels": {},
}

resource := facts.resource
