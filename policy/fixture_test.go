package policy_test

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/credenceproject/credence/policy"
)

// object is a JSON object.
type object = map[string]any

// never is an expiry that no test lives to see.
const never = 4102444800

// fixture is the data of a small registry: agent alice of team red, and the skill
// hello of team blue that admits red.
func fixture() object {
	return object{
		"meta":        object{"scope": "production", "epoch": "e1", "revision": 42, "layout": policy.Layout, "as_of": time.Now().UnixNano()},
		"environment": object{"name": "production", "grants": "permissions", "max_staleness": 15 * time.Minute},
		"agents": sharded(object{
			"alice@clients": object{"id": "0197-alice", "name": "alice", "team": "red", "agent_type": "support", "suspended": false, "scopes": []any{"hello:say", "skills:invoke"}, "expires_at": nil, "valid_after": nil, "labels": object{}},
		}),
		"resources": sharded(object{
			"hello": object{
				"type": "skill", "team": "blue", "data_classification": "low", "required_permissions": []any{"hello:say"},
				"access":       object{"visibility": "team", "teams": []any{"red"}, "agent_types": []any{}},
				"environments": []any{"production", "staging"}, "labels": object{},
			},
		}),
	}
}

// layered is the fixture with these records of layers, by tier/id.
func layered(records object) object {
	data := fixture()
	layers := object{"global": object{}, "team": object{}, "agent_type": object{}, "agent": object{}}
	for key, record := range records {
		tier, id, _ := strings.Cut(key, "/")
		if tier == "global" {
			layers[tier].(object)[id] = record
		} else {
			put(layers[tier].(object), id, record)
		}
	}
	data["layers"] = layers
	return data
}

// layer is the record of a layer with these fields, and else empty.
func layer(fields object) object {
	record := object{"deny": []any{}, "allow": []any{}, "required": false, "rego": false, "ceiling": nil}
	maps.Copy(record, fields)
	return record
}

func rule(code string, when object) object { return object{"code": code, "when": when} }

func sharded(records object) object {
	shards := object{}
	for key, record := range records {
		put(shards, key, record)
	}
	return shards
}

func put(shards object, key string, record any) {
	shard, ok := shards[policy.Shard(key)].(object)
	if !ok {
		shard = object{}
		shards[policy.Shard(key)] = shard
	}
	shard[key] = record
}

func record(shards any, key string) any {
	return shards.(object)[policy.Shard(key)].(object)[key]
}

// population is the fixture among n agents and n resources.
func population(n int) object {
	data := fixture()
	agents, resources := data["agents"].(object), data["resources"].(object)
	for i := range n {
		subject, name := fmt.Sprintf("client-%d@clients", i), fmt.Sprintf("skill-%d", i)
		put(agents, subject, object{"id": fmt.Sprint(i), "name": fmt.Sprint("agent-", i), "team": "red", "agent_type": "support", "suspended": false, "scopes": []any{"skills:invoke"}, "expires_at": never * 1_000_000_000, "valid_after": 0, "labels": object{}})
		put(resources, name, object{
			"type": "skill", "team": "red", "data_classification": "low", "required_permissions": []any{},
			"access":       object{"visibility": "team", "teams": []any{}, "agent_types": []any{}},
			"environments": []any{"production"}, "labels": object{},
		})
	}
	return data
}

// input asks as a program does that verified the token itself.
func input(subject, method, resource string) object {
	return object{
		"jwt":      object{"valid": true, "payload": claims(subject)},
		"request":  object{"method": method, "path": []any{"say"}},
		"resource": object{"type": "skill", "id": resource},
	}
}

// envoyInput asks as opa-envoy-plugin does.
func envoyInput(subject, method, path string) object {
	segments := []any{}
	for s := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		segments = append(segments, s)
	}
	return object{
		"attributes": object{
			"request":         object{"http": object{"method": method, "path": path, "headers": object{"authorization": "Bearer secret", "x-agent-id": "forged"}}},
			"metadataContext": object{"filterMetadata": object{"envoy.filters.http.jwt_authn": object{"jwt_payload": claims(subject)}}},
		},
		"parsed_path": segments,
	}
}

func claims(subject string) object {
	return object{"sub": subject, "exp": never, "permissions": []any{"skills:invoke", "hello:say"}}
}
