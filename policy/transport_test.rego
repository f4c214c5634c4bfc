package mcp.transport_test

import data.mcp.authz
import data.mcp.fixture
import data.mcp.transport

decision(asked) := d if {
	d := authz.decision with input as asked
		with data.registry as fixture.registry(fixture.world)
		with time.now_ns as fixture.now
}

codes(asked) := [reason.code | some reason in decision(asked).reasons]

program := fixture.program(fixture.world)

envoy := fixture.envoy(fixture.world)

metadata := "/attributes/metadataContext/filterMetadata/envoy.filters.http.jwt_authn/jwt_payload"

# Where Envoy spoke, its word alone counts (invariant E4).
unverified := {
	"no token": object.remove(program, ["jwt"]),
	"a token that is not valid": object.union(program, {"jwt": {"valid": false}}),
	"a token that nobody says is valid": json.remove(program, ["jwt/valid"]),
	"valid as text": object.union(program, {"jwt": {"valid": "true"}}),
	"valid as a number": object.union(program, {"jwt": {"valid": 1}}),
	"valid as an object": object.union(program, {"jwt": {"valid": {}}}),
	"no claims": json.remove(program, ["jwt/payload"]),
	"claims as text": object.union(program, {"jwt": {"payload": "alice@clients"}}),
	"claims as a list": object.union(program, {"jwt": {"payload": ["alice@clients"]}}),
	"a token as text": object.union(program, {"jwt": "eyJhbGciOiJub25lIn0.e30."}),
	"a jwt beside Envoy's attributes": json.remove(object.union(program, envoy), [metadata]),
	"a jwt beside attributes that are empty": object.union(program, {"attributes": {}}),
	"a jwt beside attributes that are null": object.union(program, {"attributes": null}),
	"a jwt beside attributes that are false": object.union(program, {"attributes": false}),
	"a jwt beside attributes that are text": object.union(program, {"attributes": ""}),
	"no metadata": json.remove(envoy, ["attributes/metadataContext"]),
	"metadata of another filter": json.patch(json.remove(envoy, [metadata]), [{
		"op": "add",
		"path": "/attributes/metadataContext/filterMetadata/envoy.filters.http.lua",
		"value": {"jwt_payload": fixture.world.claims},
	}]),
	"metadata of the route": json.patch(json.remove(envoy, [metadata]), [{
		"op": "add",
		"path": "/attributes/routeMetadataContext",
		"value": envoy.attributes.metadataContext,
	}]),
	"claims of Envoy as text": json.patch(envoy, [{"op": "replace", "path": metadata, "value": "alice@clients"}]),
	"claims of Envoy null": json.patch(envoy, [{"op": "replace", "path": metadata, "value": null}]),
	"an empty input": {},
	"null": null,
	"false": false,
	"true": true,
	"a number": 7,
	"text": "alice@clients",
	"a list": [program],
	"only null": {"jwt": null, "request": null, "resource": null, "attributes": null, "parsed_path": null},
	"lists for objects": {"jwt": [], "request": [], "resource": [], "parsed_path": {}},
}

test_without_a_verified_token_nothing_else_is_said[name] if {
	some name, asked in unverified
	d := decision(asked)
	[reason.code | some reason in d.reasons] == ["no_verified_token"]
	d.http_status == 401
	d.allow == false
	d.allowed == false
	not d.agent
}

test_no_input_at_all if {
	d := authz.decision with data.registry as fixture.registry(fixture.world) with time.now_ns as fixture.now
	d.allow == false
	d.reasons == [{"tier": "platform", "id": "token", "code": "no_verified_token"}]
}

test_invariant_e4_a_jwt_beside_envoys_attributes_changes_nothing if {
	bob := object.union(fixture.world, {"claims": {"sub": "bob@clients"}})
	codes(object.union(fixture.envoy(bob), {"jwt": program.jwt})) == ["agent_unknown"]
	codes(object.union(envoy, {"jwt": fixture.program(bob).jwt})) == []
}

# Nor is the resource or the method another one than Envoy's.
test_a_resource_beside_envoys_attributes_changes_nothing if {
	nowhere := object.union(fixture.world, {"name": "nothing"})
	codes(object.union(program, fixture.envoy(nowhere))) == ["resource_unknown"]
	codes(object.union(program, object.remove(envoy, ["parsed_path"]))) == ["resource_unknown"]
}

test_a_method_beside_envoys_attributes_changes_nothing if {
	asked := object.union(program, json.remove(envoy, ["attributes/request/http/method"]))
	not transport.method with input as asked
}

# Nor the path that layers see.
test_a_path_beside_envoys_attributes_changes_nothing if {
	every parsed_path in [null, "mcp/hello", {}, [], ["other", "hello"]] {
		elsewhere := json.patch(envoy, [{"op": "replace", "path": "/parsed_path", "value": parsed_path}])
		every asked in [elsewhere, object.union(elsewhere, {"request": {"path": ["say"]}})] {
			not seen(asked)
		}
	}
	not seen(object.union(program, object.remove(envoy, ["parsed_path"])))
	seen(object.union(envoy, {"request": {"path": ["other"]}})) == ["say"]
}

seen(asked) := path if {
	path := transport.path with input as asked
}

test_no_header_is_read if {
	asked := object.union(envoy, {"attributes": {"request": {"http": {"headers": {
		":method": "GET",
		"x-http-method-override": "GET",
		"x-envoy-original-path": "/mcp/nothing/",
		"x-agent-id": "0197-bob",
	}}}}})
	decision(asked) == decision(json.remove(asked, ["attributes/request/http/headers"]))
}

paths := {
	"/mcp/{name}/...": {"path": ["mcp", "hello", "say"], "want": []},
	"/mcp/{name}": {"path": ["mcp", "hello"], "want": []},
	"/mcp/{name}/": {"path": ["mcp", "hello", ""], "want": []},
	"/mcp://{name}/...": {"path": ["mcp:", "", "hello", "say"], "want": []},
	"/mcp://{name}": {"path": ["mcp:", "", "hello"], "want": []},
	"/mcp:/{name}, slashes merged": {"path": ["mcp:", "hello", "say"], "want": ["resource_unknown"]},
	"/mcp:/x/{name}": {"path": ["mcp:", "x", "hello"], "want": ["resource_unknown"]},
	"/mcp:///{name}": {"path": ["mcp:", "", "", "hello"], "want": ["resource_unknown"]},
	"/mcp//{name}": {"path": ["mcp", "", "hello"], "want": ["resource_unknown"]},
	"/MCP/{name}": {"path": ["MCP", "hello"], "want": ["resource_unknown"]},
	"/{name}": {"path": ["hello"], "want": ["resource_unknown"]},
	"/other/{name}": {"path": ["other", "hello"], "want": ["resource_unknown"]},
	"/mcp": {"path": ["mcp"], "want": ["resource_unknown"]},
	"/": {"path": [""], "want": ["resource_unknown"]},
	"no segment": {"path": [], "want": ["resource_unknown"]},
	"/mcp/{name}/../{other}": {"path": ["mcp", "hello", "..", "other"], "want": ["resource_unknown"]},
	"/mcp/./{name}": {"path": ["mcp", ".", "hello"], "want": ["resource_unknown"]},
	"/mcp/{name}/./x": {"path": ["mcp", "hello", ".", "x"], "want": ["resource_unknown"]},
	"/mcp/{Name}": {"path": ["mcp", "Hello"], "want": ["resource_unknown"]},
	"/mcp/{name} with a space": {"path": ["mcp", "hello "], "want": ["resource_unknown"]},
	"a path that is text": {"path": "mcp/hello", "want": ["resource_unknown"]},
	"a path that is an object": {"path": {"0": "mcp", "1": "hello"}, "want": ["resource_unknown"]},
	"a path that is null": {"path": null, "want": ["resource_unknown"]},
	"a name that is a list": {"path": ["mcp", ["hello"]], "want": ["resource_unknown"]},
	"a name that is a number": {"path": ["mcp", 1], "want": ["resource_unknown"]},
}

test_path_behind_envoy[form] if {
	some form, row in paths
	codes(json.patch(envoy, [{"op": "replace", "path": "/parsed_path", "value": row.path}])) == row.want
}

test_both_forms_leave_the_same_path if {
	alias := json.patch(envoy, [{"op": "replace", "path": "/parsed_path", "value": ["mcp:", "", "hello", "say"]}])
	every asked in [program, envoy, alias] {
		p := transport.path with input as asked
		p == ["say"]
	}
}

# What a program calls the resource is all that finds it.
test_resource_is_found_by_id_alone if {
	codes(json.patch(program, [{"op": "replace", "path": "/resource/type", "value": "service"}])) == []
	codes(json.remove(program, ["resource/type", "request/path"])) == []
	codes(json.patch(program, [{"op": "replace", "path": "/request/path", "value": ["mcp", "nothing"]}])) == []
	codes(json.patch(program, [{"op": "add", "path": "/parsed_path", "value": ["mcp", "nothing"]}])) == []
	codes(json.patch(json.remove(program, ["resource/id"]), [{
		"op": "add",
		"path": "/parsed_path",
		"value": ["mcp", "hello"],
	}])) == ["resource_unknown"]
	codes(json.patch(json.remove(program, ["resource/id"]), [{
		"op": "add",
		"path": "/parsed_path",
		"value": ["mcp:", "", "hello"],
	}])) == ["resource_unknown"]
}

odd_ids := [null, false, true, 7, ["hello"], {"hello": true}, "hello\u0000", "hello/", "../hello"]

test_resource_id_of_another_kind[id] if {
	some id in odd_ids
	codes(json.patch(program, [{"op": "replace", "path": "/resource/id", "value": id}])) == ["resource_unknown"]
}

# Facts come from the registry, never from who asks.
test_facts_in_the_input_change_nothing if {
	asked := object.union(program, {
		"registry": {},
		"agent": {"suspended": true},
		"resource": {"team": "red", "environments": [], "metadata": {"team": "red"}},
	})
	decision(asked) == decision(program)
}

test_much_input if {
	many := [sprintf("permission:%d", [i]) | some i in numbers.range(1, 2000)]
	asked := object.union(program, {"jwt": {"payload": {"permissions": many}}, "request": {"path": many}})
	codes(asked) == ["resource_unknown"]
	codes(json.remove(asked, ["request/path"])) == ["missing_permission"]
}

# Layers judge by the path: a call is denied of whose path they would see a part.
segments(n) := [sprintf("%d", [i]) | some i in numbers.range(1, n)]

long(n) := concat("", ["ä" | some _ in numbers.range(1, n)])

# What a caller chooses is short where layers see it, or not there.
test_long_texts_count_as_none[name] if {
	some name, row in {"long": {"text": long(256), "seen": long(256)}, "too long": {"text": long(257), "seen": ""}}
	by_program := json.patch(program, [{"op": "replace", "path": "/request/method", "value": row.text}])
	by_envoy := json.patch(envoy, [{"op": "replace", "path": "/attributes/request/http/method", "value": row.text}])
	every asked in [by_program, by_envoy] {
		seen := data.mcp.request.method with input as asked with data.registry as fixture.registry(fixture.world)
		seen == row.seen
	}
	of_subject := json.patch(program, [{"op": "replace", "path": "/jwt/payload/sub", "value": row.text}])
	subject := data.mcp.request.subject with input as of_subject with data.registry as fixture.registry(fixture.world)
	subject == row.seen
}

long_paths := {
	"as long as can be": {"path": segments(64), "want": []},
	"too long": {"path": segments(65), "want": ["resource_unknown"]},
	"much too long": {"path": segments(5000), "want": ["resource_unknown"]},
	"empty": {"path": [], "want": []},
	"a long segment": {"path": ["a", long(256)], "want": []},
	"too long a segment": {"path": ["a", long(257)], "want": ["resource_unknown"]},
	"a number": {"path": ["a", 7], "want": ["resource_unknown"]},
	"null": {"path": [null], "want": ["resource_unknown"]},
	"false": {"path": [false], "want": ["resource_unknown"]},
	"a list": {"path": [["a"]], "want": ["resource_unknown"]},
	"an object": {"path": [{}], "want": ["resource_unknown"]},
}

test_path_that_layers_can_see_whole[name] if {
	some name, row in long_paths
	by_program := json.patch(program, [{"op": "replace", "path": "/request/path", "value": row.path}])
	by_envoy := json.patch(envoy, [{"op": "replace", "path": "/parsed_path", "value": array.concat(["mcp", "hello"], row.path)}])
	codes(by_program) == row.want
	codes(by_envoy) == row.want
	every asked in [by_program, by_envoy] {
		seen := data.mcp.request.path with input as asked with data.registry as fixture.registry(fixture.world)
		seen == [segment | some segment in row.path; row.want == []]
	}
}

# A program need not say a path, but what it says is one.
test_path_of_a_program[name] if {
	some name, row in {
		"none": {"request": {"method": "POST"}, "want": []},
		"null": {"request": {"method": "POST", "path": null}, "want": []},
		"no request": {"request": null, "want": []},
		"text": {"request": {"method": "POST", "path": "say"}, "want": ["resource_unknown"]},
		"false": {"request": {"method": "POST", "path": false}, "want": ["resource_unknown"]},
		"an object": {"request": {"method": "POST", "path": {"0": "say"}}, "want": ["resource_unknown"]},
	}
	codes(json.patch(program, [{"op": "replace", "path": "/request", "value": row.request}])) == row.want
}
