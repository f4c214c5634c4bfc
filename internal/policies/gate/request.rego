# The request as layers read it, filled in from the input: what a layer is tried,
# tested and asked with where the platform's own mcp.request is not.
package mcp.request

default method := ""

method := input.method

default path := []

path := input.path

default subject := ""

subject := input.subject

default permissions := []

permissions := input.permissions

default environment := ""

environment := input.environment

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

agent := input.agent

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

resource := input.resource
