package system.log_test

import data.mcp.fixture
import data.system.log

# What OPA's decision log makes of an event with this input.
logged(asked) := [op.value | some op in mask(asked); op.path == "/input"][0]

mask(asked) := ops if ops := log.mask with input as {"input": asked, "result": {"body": "{}"}, "path": "mcp/authz/decision"}

secrets := {
	"Envoy's input": object.union(fixture.envoy(fixture.world), {
		"parsed_query": {"access_token": ["s3cret"]},
		"parsed_body": {"password": "s3cret"},
		"attributes": {
			"contextExtensions": {"key": "s3cret"},
			"request": {"http": {
				"headers": {"authorization": "Bearer s3cret", "cookie": "s3cret", "x-api-key": "s3cret", "X-Any": "s3cret"},
				"headerMap": {"headers": [{"key": "authorization", "rawValue": "s3cret"}]},
				"path": "/mcp/hello/say?access_token=s3cret",
				"query": "access_token=s3cret",
				"body": "s3cret",
				"rawBody": "s3cret",
			}},
		},
	}),
	"a program's input": object.union(fixture.program(fixture.world), {
		"jwt": {"token": "s3cret", "payload": {"jti": "s3cret"}},
		"request": {"headers": {"authorization": "Bearer s3cret"}, "body": "s3cret"},
	}),
	"a token in the wrong place": {"authorization": "Bearer s3cret", "resource": {"token": "s3cret"}},
	"text": "Bearer s3cret",
	"a list": ["Bearer s3cret"],
	"attributes that are a list": {"attributes": ["Bearer s3cret"]},
	"headers that are text": {"attributes": {"request": {"http": {"headers": "authorization: s3cret"}}}},
}

test_no_secret_is_logged[name] if {
	some name, asked in secrets
	not contains(json.marshal(logged(asked)), "s3cret")
}

# An undefined mask would log the event whole, one that fails would lose it.
test_mask_is_defined_whatever_the_input[name] if {
	some name, asked in object.union(secrets, {
		"null": null,
		"false": false,
		"number": 7,
		"empty": {},
		"empty list": [],
	})
	count(mask(asked)) == 2
}

test_mask_without_an_input if {
	ops := log.mask with input as {"path": "mcp/authz/decision"}
	ops == [{"op": "upsert", "path": "/input", "value": null}, {"op": "remove", "path": "/result/body"}]
}

test_what_explains_a_decision_is_logged if {
	logged(fixture.envoy(fixture.world)) == {
		"attributes": {
			"metadataContext": {"filterMetadata": {"envoy.filters.http.jwt_authn": {"jwt_payload": fixture.world.claims}}},
			"request": {"http": {"method": "POST"}},
		},
		"parsed_path": ["mcp", "hello", "say"],
	}
	logged(fixture.program(fixture.world)) == {
		"request": {"method": "POST", "path": ["say"]},
		"resource": {"type": "skill", "id": "hello"},
	}
}
