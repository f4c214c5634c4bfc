package mcp.request_test

import data.mcp.fixture
import data.mcp.request

test_fields_of_a_known_call if {
	w := object.union(fixture.world, {"agent": {"labels": {"tier": "gold"}}})
	every asked in [fixture.program(w), fixture.envoy(w)] {
		r := request with input as asked with data.registry as fixture.registry(w)
		r == {
			"method": "POST",
			"path": ["say"],
			"subject": "alice@clients",
			"permissions": ["hello:say", "skills:invoke"],
			"environment": "production",
			"agent": object.union(w.agent, {"environment": "production"}),
			"resource": object.union(w.resource, {"name": "hello"}),
		}
	}
}

# Layers too see no permission that the agent holds no more.
test_permissions_are_those_that_count if {
	w := object.union(fixture.world, {
		"agent": {"scopes": ["hello:say", "hello:shout"]},
		"claims": {"permissions": ["skills:invoke", "hello:say", 7, null]},
	})
	every asked in [fixture.program(w), fixture.envoy(w)] {
		r := request with input as asked with data.registry as fixture.registry(w)
		r.permissions == ["hello:say"]
	}
}

# Nor one that a ceiling takes away.
test_permissions_are_within_every_ceiling[name] if {
	some name, row in {
		"none": {"team": null, "type": null, "want": ["hello:say", "skills:invoke"]},
		"that of the team": {"team": ["skills:invoke"], "type": null, "want": ["skills:invoke"]},
		"that of the type": {"team": null, "type": ["hello:say", "data:read"], "want": ["hello:say"]},
		"both": {"team": ["skills:invoke"], "type": ["hello:say"], "want": []},
		"both, with one in common": {"team": ["hello:say", "skills:invoke"], "type": ["hello:say"], "want": ["hello:say"]},
		"one of none": {"team": [], "type": null, "want": []},
		"one of another kind of value": {"team": [7, null, "hello:say"], "type": null, "want": ["hello:say"]},
	}
	w := object.union(fixture.world, {"layers": {
		"team": {"red": fixture.layer({"ceiling": {"permissions": row.team, "data_classification": null}})},
		"agent_type": {"support": fixture.layer({"ceiling": {"permissions": row.type, "data_classification": null}})},
	}})
	r := request with input as fixture.program(w) with data.registry as fixture.registry(w) with time.now_ns as fixture.now
	r.permissions == row.want
}

blank := {
	"method": "",
	"path": [],
	"subject": "",
	"permissions": [],
	"environment": "",
	"agent": {
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
	},
	"resource": {
		"name": "",
		"type": "",
		"team": "",
		"data_classification": "",
		"required_permissions": [],
		"access": {"visibility": "", "teams": [], "agent_types": []},
		"environments": [],
		"labels": {},
	},
}

# A denial that reads an undefined value does not fire.
test_every_field_is_defined_whatever_the_input[name] if {
	some name, asked in {
		"empty": {},
		"null": null,
		"text": "alice@clients",
		"a list": [1, 2],
		"null within": {"jwt": null, "request": null, "resource": null},
		"other types": {
			"jwt": {"valid": true, "payload": {"sub": 1, "permissions": "all"}},
			"request": {"method": 1, "path": "say"},
			"resource": {"id": 1},
		},
		"Envoy's, empty": {"attributes": {}, "parsed_path": []},
		"Envoy's, of other types": {
			"attributes": {"request": {"http": {"method": 1, "path": 1}}, "metadataContext": {"filterMetadata": []}},
			"parsed_path": "mcp/hello",
		},
	}
	r := request with input as asked with data.registry as {}
	r == blank
}

test_no_header_body_or_token_among_the_fields if {
	asked := object.union(fixture.envoy(fixture.world), {"attributes": {"request": {"http": {
		"headers": {"authorization": "Bearer s3cret", "cookie": "s3cret"},
		"body": "s3cret",
		"path": "/mcp/hello/say?access_token=s3cret",
	}}}})
	r := request with input as asked with data.registry as fixture.registry(fixture.world)
	not contains(json.marshal(r), "s3cret")
}
