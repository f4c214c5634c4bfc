package mcp.decision_test

import data.mcp.authz
import data.mcp.fixture

decision(w) := d if {
	d := authz.decision with input as fixture.envoy(w)
		with data.registry as fixture.registry(w)
		with time.now_ns as fixture.now
}

changed(change) := object.union(fixture.world, change)

identity := {
	"id": "0197-alice",
	"name": "alice",
	"team": "red",
	"agent_type": "support",
	"environment": "production",
}

hello := {"name": "hello", "type": "skill", "team": "blue"}

test_allowed if {
	decision(fixture.world) == {
		"allow": true,
		"allowed": true,
		"reasons": [],
		"agent": identity,
		"resource": hello,
		"revision": 42,
		"http_status": 200,
		"headers": {
			"x-agent-id": "0197-alice",
			"x-agent-name": "alice",
			"x-agent-team": "red",
			"x-agent-type": "support",
			"x-agent-environment": "production",
		},
		"request_headers_to_remove": ["x-opa-input"],
		"dynamic_metadata": {
			"allow": true,
			"allowed": true,
			"reasons": [],
			"agent": identity,
			"resource": hello,
			"revision": 42,
		},
	}
}

test_denied if {
	d := decision(changed({"resource": {"environments": [], "access": {"teams": []}}}))
	reasons := [
		{"tier": "platform", "id": "access", "code": "access_denied"},
		{"tier": "platform", "id": "environment", "code": "environment_mismatch"},
	]
	object.remove(d, ["body"]) == {
		"allow": false,
		"allowed": false,
		"reasons": reasons,
		"agent": identity,
		"resource": hello,
		"revision": 42,
		"http_status": 403,
		"headers": {"content-type": "application/problem+json", "cache-control": "no-store"},
		"request_headers_to_remove": ["x-opa-input"],
		"dynamic_metadata": {
			"allow": false,
			"allowed": false,
			"reasons": reasons,
			"agent": identity,
			"resource": hello,
			"revision": 42,
		},
	}
	json.unmarshal(d.body) == {
		"type": "https://credence.example/problems/call_denied",
		"title": "Call denied",
		"status": 403,
		"code": "call_denied",
		"reasons": ["access_denied", "environment_mismatch"],
	}
}

test_agent_and_resource_only_when_known if {
	decision(changed({"claims": {"sub": "bob@clients"}})).resource == hello
	not decision(changed({"claims": {"sub": "bob@clients"}})).agent
	decision(changed({"name": "nothing"})).agent == identity
	not decision(changed({"name": "nothing"})).resource
	every change in [{"name": "nothing", "claims": {"sub": "bob@clients"}}, {"meta": {"layout": 0}}] {
		neither := decision(changed(change))
		not neither.agent
		not neither.resource
	}
}

# The policy's own part says one revision and the others theirs: what was decided on
# is as new as the newest.
test_revision_is_the_newest_of_all_parts[name] if {
	some name, row in {
		"no parts": {"parts": {}, "want": 42},
		"older parts": {"parts": {"resources": 41, "agents-0": 7}, "want": 42},
		"a newer part": {"parts": {"resources": 43, "agents-0": 7}, "want": 43},
		"newer parts": {"parts": {"resources": 9, "agents-0": 100}, "want": 100},
	}
	parts := {part: {"scope": "production", "epoch": "e1", "revision": revision, "as_of": fixture.now} |
		some part, revision in row.parts
	}
	decision(object.union(fixture.world, {"parts": parts})).revision == row.want
}

test_what_is_stale_by_the_clock_alone_is_still_shown if {
	d := decision(changed({"meta": {"as_of": 0}}))
	d.allow == false
	d.agent == identity
	d.resource == hello
	d.revision == 42
}

# What Envoy answers the client with.
answers["token_expired"] := {
	"change": {"claims": {"exp": 0}},
	"status": 401,
	"code": "invalid_token",
	"headers": {"www-authenticate": `Bearer realm="credence", error="invalid_token"`},
}

answers["no_verified_token"] := {
	"change": {"claims": null},
	"status": 401,
	"code": "invalid_token",
	"headers": {"www-authenticate": `Bearer realm="credence"`},
}

answers["token_revoked"] := {
	"change": {"agent": {"valid_after": 1700000000000000000}},
	"status": 401,
	"code": "invalid_token",
	"headers": {"www-authenticate": `Bearer realm="credence", error="invalid_token"`},
}

answers["agent_expired"] := {"change": {"agent": {"expires_at": 0}}, "status": 403, "code": "call_denied", "headers": {}}

answers["registry_stale"] := {
	"change": {"meta": {"layout": 0}},
	"status": 503,
	"code": "registry_stale",
	"headers": {"retry-after": "5"},
}

answers["registry_stale by the clock"] := {
	"change": {"meta": {"as_of": 0}},
	"status": 503,
	"code": "registry_stale",
	"headers": {"retry-after": "5"},
}

answers["agent_unknown"] := {"change": {"claims": {"sub": "bob@clients"}}, "status": 403, "code": "call_denied", "headers": {}}

answers["no_grant"] := {"change": {"environment": {"grants": "explicit"}}, "status": 403, "code": "call_denied", "headers": {}}

test_answer[code] if {
	some code, row in answers
	d := decision(changed(row.change))
	d.http_status == row.status
	d.headers == object.union({"content-type": "application/problem+json", "cache-control": "no-store"}, row.headers)
	problem := json.unmarshal(d.body)
	problem.status == row.status
	problem.code == row.code
	problem.reasons == [split(code, " ")[0]]
}

# A token comes before all else, and the registry before what it knows.
test_which_status_comes_first if {
	decision(changed({"claims": {"exp": 0}, "meta": {"layout": 0}})).http_status == 401
	decision(changed({"meta": {"layout": 0}, "agent": {"suspended": true}})).http_status == 503
	decision(changed({"meta": {"as_of": 0}, "agent": {"suspended": true}})).http_status == 503
	decision(changed({"meta": {"as_of": 0}, "claims": {"exp": 0}})).http_status == 401
	decision(changed({"agent": {"suspended": true, "valid_after": 1700000000000000000}})).http_status == 401
	decision(changed({"meta": {"layout": 0}, "agent": {"valid_after": 1700000000000000000}})).http_status == 503
}

test_a_denial_names_no_one_to_the_resource if {
	d := decision(changed({"agent": {"suspended": true}}))
	every header, _ in d.headers {
		not startswith(header, "x-agent-")
	}
}

test_the_client_learns_codes_and_nothing_of_the_registry if {
	d := decision(changed({"resource": {"environments": ["secret-place"], "access": {"teams": ["secret-team"]}}}))
	every word in ["secret", "alice", "0197", "hello", "platform"] {
		not contains(d.body, word)
	}
}
