package mcp.authz_test

import data.mcp.authz
import data.mcp.fixture

# Each row is a change of a world in which the call is allowed, and the codes that
# the decision then has; none is an allowed call. Every row is asked in both forms.
rows["nothing changed"] := {"want": []}

rows["token: expired this second, whatever valid says (invariant E4)"] := {"set": {"claims": {"exp": 1700000000}}, "want": ["token_expired"]}

rows["token: expiry with a fraction"] := {"set": {"claims": {"exp": 1700000000.5}}, "want": []}

rows["token: no expiry"] := {"without": ["claims/exp"], "want": ["token_expired"]}

rows["token: expiry as text"] := {"set": {"claims": {"exp": "9999999999"}}, "want": ["token_expired"]}

rows["token: expiry null"] := {"set": {"claims": {"exp": null}}, "want": ["token_expired"]}

rows["token: expiry a list"] := {"set": {"claims": {"exp": [9999999999]}}, "want": ["token_expired"]}

rows["token: expiry beyond any clock"] := {"set": {"claims": {"exp": 9223372036854775807}}, "want": []}

rows["token: expiry below any clock"] := {"set": {"claims": {"exp": -9223372036854775808}}, "want": ["token_expired"]}

rows["token: in force from now on"] := {"set": {"claims": {"nbf": 1700000000}}, "want": []}

rows["token: not yet in force"] := {"set": {"claims": {"nbf": 1700000000.1}}, "want": ["token_expired"]}

rows["token: start as text"] := {"set": {"claims": {"nbf": "0"}}, "want": ["token_expired"]}

rows["token: start null"] := {"set": {"claims": {"nbf": null}}, "want": ["token_expired"]}

rows["token: start false"] := {"set": {"claims": {"nbf": false}}, "want": ["token_expired"]}

rows["agent: unknown"] := {"set": {"claims": {"sub": "bob@clients"}}, "want": ["agent_unknown"]}

rows["agent: no subject"] := {"without": ["claims/sub"], "want": ["agent_unknown"]}

rows["agent: subject of another type"] := {"set": {"claims": {"sub": ["alice@clients"]}}, "want": ["agent_unknown"]}

rows["agent: client id without its suffix"] := {"set": {"claims": {"sub": "alice"}}, "want": ["agent_unknown"]}

rows["agent: other claims that name one"] := {
	"set": {"claims": {"sub": "bob@clients", "azp": "alice", "client_id": "alice", "https://mcp.example.com/agent_id": "0197-alice"}},
	"want": ["agent_unknown"],
}

rows["agent: claims that contradict the registry"] := {
	"set": {"claims": {"https://mcp.example.com/team": "green", "https://mcp.example.com/environment": "staging"}},
	"want": [],
}

rows["agent: suspended"] := {"set": {"agent": {"suspended": true}}, "want": ["agent_suspended"]}

rows["agent: expired this moment"] := {"set": {"agent": {"expires_at": 1700000000000000000}}, "want": ["agent_expired"]}

rows["agent: expired a nanosecond ago"] := {"set": {"agent": {"expires_at": 1699999999999999999}}, "want": ["agent_expired"]}

rows["agent: expires in a nanosecond"] := {"set": {"agent": {"expires_at": 1700000000000000001}}, "want": []}

rows["agent: expires in half a nanosecond"] := {"set": {"agent": {"expires_at": 1700000000000000000.5}}, "want": []}

rows["agent: expires beyond any clock"] := {"set": {"agent": {"expires_at": 9223372036854775807}}, "want": []}

rows["agent: expired before any clock"] := {"set": {"agent": {"expires_at": -9223372036854775808}}, "want": ["agent_expired"]}

rows["agent: expired, and has a token that says otherwise"] := {
	"set": {"agent": {"expires_at": 1}, "claims": {"expires_at": null, "iat": 1700000000, "exp": 4102444800}},
	"want": ["agent_expired"],
}

rows["agent: its tokens were revoked, and this one was issued at that moment"] := {
	"set": {"agent": {"valid_after": 1699999999000000000}, "claims": {"iat": 1699999999}},
	"want": [],
}

rows["agent: its tokens were revoked within the second in which this one was issued"] := {
	"set": {"agent": {"valid_after": 1699999999000000001}, "claims": {"iat": 1699999999}},
	"want": ["token_revoked"],
}

rows["agent: its tokens were revoked a second after this one was issued"] := {
	"set": {"agent": {"valid_after": 1699999999000000000}, "claims": {"iat": 1699999998}},
	"want": ["token_revoked"],
}

rows["agent: its tokens were revoked, and this one was issued a fraction earlier"] := {
	"set": {"agent": {"valid_after": 1699999999500000000}, "claims": {"iat": 1699999999.499999}},
	"want": ["token_revoked"],
}

rows["agent: its tokens were revoked, and this one was issued at that fraction"] := {
	"set": {"agent": {"valid_after": 1699999999500000000}, "claims": {"iat": 1699999999.5}},
	"want": [],
}

rows["agent: its tokens were revoked, and this one does not say when it was issued"] := {
	"set": {"agent": {"valid_after": 0}},
	"without": ["claims/iat"],
	"want": ["token_revoked"],
}

rows[sprintf("agent: its tokens were revoked, and this one was issued at %v", [iat])] := {
	"set": {"agent": {"valid_after": 0}, "claims": {"iat": iat}},
	"want": ["token_revoked"],
} if {
	some iat in [null, false, true, "1700000000", "2100-01-01T00:00:00Z", [1700000000], {"iat": 1700000000}, -1]
}

rows["agent: its tokens were revoked for good"] := {
	"set": {"agent": {"valid_after": 9223372036854775807}, "claims": {"iat": 1700000000}},
	"want": ["token_revoked"],
}

rows[sprintf("agent: no token was revoked, and this one was issued at %v", [iat])] := {"set": {"claims": {"iat": iat}}, "want": []} if {
	some iat in [0, 1700000000, 4102444800, null, "yesterday"]
}

rows["agent: no token was revoked, and this one does not say when it was issued"] := {"without": ["claims/iat"], "want": []}

rows["resource: unknown"] := {"set": {"name": "nothing"}, "want": ["resource_unknown"]}

rows["resource: empty name"] := {"set": {"name": ""}, "want": ["resource_unknown"]}

rows["environment: not deployed in the agent's"] := {"set": {"resource": {"environments": ["staging"]}}, "want": ["environment_mismatch"]}

rows["environment: deployed nowhere"] := {"set": {"resource": {"environments": []}}, "want": ["environment_mismatch"]}

rows["access: the owner's team"] := {"set": {"agent": {"team": "blue"}}, "want": []}

rows["access: the owner's team, whoever else is listed"] := {
	"set": {"agent": {"team": "blue"}, "resource": {"access": {"teams": ["green"], "agent_types": ["batch"]}}},
	"want": [],
}

rows["access: organization"] := {
	"set": {"resource": {"access": {"visibility": "organization", "teams": []}}},
	"want": [],
}

rows["access: a listed type"] := {
	"set": {"resource": {"access": {"teams": [], "agent_types": ["support"]}}},
	"want": [],
}

rows["access: another team and type"] := {
	"set": {"resource": {"access": {"teams": ["green"], "agent_types": ["batch"]}}},
	"want": ["access_denied"],
}

rows["access: nobody listed"] := {"set": {"resource": {"access": {"teams": []}}}, "want": ["access_denied"]}

rows["access: a visibility that we do not know"] := {
	"set": {"resource": {"access": {"visibility": "everyone", "agent_types": ["support"]}}},
	"want": ["access_denied"],
}

rows["access: a team called like the agent's type"] := {
	"set": {"resource": {"access": {"teams": ["support"], "agent_types": ["red"]}}},
	"want": ["access_denied"],
}

rows["permissions: the resource's is missing"] := {"set": {"claims": {"permissions": ["skills:invoke"]}}, "want": ["missing_permission"]}

rows["permissions: the type's is missing"] := {"set": {"claims": {"permissions": ["hello:say"]}}, "want": ["missing_permission"]}

rows["permissions: one of two is missing"] := {
	"set": {"resource": {"required_permissions": ["hello:say", "hello:shout"]}},
	"want": ["missing_permission"],
}

rows["permissions: none required but the type's"] := {
	"set": {"resource": {"required_permissions": []}, "claims": {"permissions": ["skills:invoke"]}},
	"want": [],
}

rows["permissions: none at all"] := {"without": ["claims/permissions"], "want": ["missing_permission"]}

rows["permissions: only as scope"] := {
	"set": {"claims": {"permissions": [], "scope": "hello:say skills:invoke"}},
	"want": ["missing_permission"],
}

rows["permissions: as text"] := {
	"set": {"claims": {"permissions": "hello:say skills:invoke"}},
	"want": ["missing_permission"],
}

rows["permissions: as an object"] := {
	"set": {"claims": {"permissions": {"a": "hello:say", "b": "skills:invoke"}}},
	"want": ["missing_permission"],
}

rows["permissions: in other letters"] := {
	"set": {"claims": {"permissions": ["HELLO:SAY", "skills:invoke "]}},
	"want": ["missing_permission"],
}

rows["permissions: the resource's was taken from the agent"] := {"set": {"agent": {"scopes": ["skills:invoke"]}}, "want": ["missing_permission"]}

rows["permissions: the type's was taken from the agent"] := {"set": {"agent": {"scopes": ["hello:say"]}}, "want": ["missing_permission"]}

rows["permissions: all were taken from the agent"] := {"set": {"agent": {"scopes": []}}, "want": ["missing_permission"]}

rows["permissions: the agent's alone, in no token yet"] := {
	"set": {"agent": {"scopes": ["hello:say", "skills:invoke", "hello:shout"]}, "resource": {"required_permissions": ["hello:shout"]}},
	"want": ["missing_permission"],
}

rows["permissions: one of each, and none of both"] := {
	"set": {"agent": {"scopes": ["hello:say"]}, "claims": {"permissions": ["skills:invoke"]}},
	"want": ["missing_permission"],
}

rows["permissions: none is needed where the agent has none"] := {
	"set": {"agent": {"scopes": []}, "resource": {"type": "service", "required_permissions": []}, "claims": {"permissions": []}},
	"want": [],
}

rows["grants: explicit"] := {"set": {"environment": {"grants": "explicit"}}, "want": ["no_grant"]}

rows["grants: a word that we do not know"] := {"set": {"environment": {"grants": "everything"}}, "want": ["no_grant"]}

rows["grants: not said"] := {"without": ["environment/grants"], "want": ["no_grant"]}

rows["grants: explicit, and a denial"] := {
	"set": {"environment": {"grants": "explicit"}, "agent": {"suspended": true}},
	"want": ["agent_suspended"],
}

# What is not a consequence of an unknown is all reported.
rows["all that can hold of a known agent and resource"] := {
	"set": {
		"claims": {"exp": 0, "permissions": []},
		"agent": {"suspended": true, "expires_at": 0, "valid_after": 0},
		"resource": {"environments": [], "access": {"teams": []}},
		"environment": {"grants": "explicit"},
	},
	"want": [
		"access_denied",
		"agent_expired",
		"agent_suspended",
		"environment_mismatch",
		"missing_permission",
		"token_expired",
		"token_revoked",
	],
}

rows["an unknown agent lacks no permission"] := {
	"set": {
		"claims": {"sub": "bob@clients", "permissions": []},
		"agent": {"expires_at": 0, "valid_after": 0},
		"resource": {"environments": [], "access": {"teams": []}},
	},
	"want": ["agent_unknown"],
}

rows["an unknown resource asks for no permission"] := {
	"set": {"name": "nothing", "claims": {"permissions": []}, "agent": {"suspended": true}},
	"want": ["agent_suspended", "resource_unknown"],
}

rows["both unknown, and the token expired"] := {
	"set": {"name": "nothing", "claims": {"sub": "bob@clients", "exp": 0}},
	"want": ["agent_unknown", "resource_unknown", "token_expired"],
}

# What a type asks for, by method.
type_rows := {
	"skill": {"POST": "skills:invoke", "GET": "skills:invoke"},
	"tool": {"POST": "tools:access", "GET": "tools:access"},
	"data_source": {
		"GET": "data:read",
		"HEAD": "data:read",
		"POST": "data:write",
		"OPTIONS": "data:write",
		"get": "data:write",
		"": "data:write",
	},
	"data_sink": {"PUT": "data:write", "GET": "data:write"},
}

all_permissions := {"skills:invoke", "tools:access", "data:read", "data:write"}

rows[sprintf("%s asks for %s on %q", [type, permission, method])] := {
	"set": {
		"method": method,
		"agent": {"scopes": [p | some p in all_permissions]},
		"resource": {"type": type, "required_permissions": []},
		"claims": {"permissions": [permission]},
	},
	"want": [],
} if {
	some type, methods in type_rows
	some method, permission in methods
}

rows[sprintf("%s is content with nothing but %s on %q", [type, permission, method])] := {
	"set": {
		"method": method,
		"agent": {"scopes": [p | some p in all_permissions]},
		"resource": {"type": type, "required_permissions": []},
		"claims": {"permissions": [p | some p in (all_permissions - {permission})]},
	},
	"want": ["missing_permission"],
} if {
	some type, methods in type_rows
	some method, permission in methods
}

rows["service asks for nothing"] := {
	"set": {"resource": {"type": "service", "required_permissions": []}, "claims": {"permissions": []}},
	"want": [],
}

rows["service asks for what the resource says"] := {
	"set": {"resource": {"type": "service"}, "claims": {"permissions": []}},
	"want": ["missing_permission"],
}

test_program[name] if {
	some name, row in rows
	w := fixture.changed(row)
	decided(row, w, fixture.program(w))
}

test_envoy[name] if {
	some name, row in rows
	w := fixture.changed(row)
	decided(row, w, fixture.envoy(w))
}

decided(row, w, asked) if {
	d := authz.decision with input as asked
		with data.registry as fixture.registry(w)
		with time.now_ns as fixture.now
	[reason.code | some reason in d.reasons] == row.want
	allows(d) == is_allowed(row)
}

allows(d) if {
	d.allow == true
	d.allowed == true
} else := false if {
	d.allow == false
	d.allowed == false
}

is_allowed(row) := count(row.want) == 0

# The two ways to a decision are one: nothing denies exactly where all holds.
test_denials_are_what_does_not_hold[name] if {
	some name, row in rows
	w := fixture.changed(row)
	denials := authz.denials with input as fixture.program(w)
		with data.registry as fixture.registry(w)
		with time.now_ns as fixture.now
	{denial.code | some denial in denials} == {code | some code in row.want} - {"no_grant"}
}

test_reasons_name_their_rule if {
	w := fixture.changed({"set": {"resource": {"environments": [], "access": {"teams": []}}}})
	d := authz.decision with input as fixture.program(w)
		with data.registry as fixture.registry(w)
		with time.now_ns as fixture.now
	d.reasons == [
		{"tier": "platform", "id": "access", "code": "access_denied"},
		{"tier": "platform", "id": "environment", "code": "environment_mismatch"},
	]
}

test_at_most_32_reasons if {
	many := {{"tier": "platform", "id": "x", "code": sprintf("code_%02d", [i])} | some i in numbers.range(1, 40)}
	d := authz.decision with input as fixture.program(fixture.world)
		with data.registry as fixture.registry(object.union(fixture.world, {"agent": {"suspended": true}}))
		with data.mcp.authz.denials as many
	count(d.reasons) == 32
	d.reasons[0].code == "code_01"
}
