package decisions

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// pointing is a policy that reads records and fields whose keys it knows, as the
// platform's does.
var pointing = policyOf(`package mcp.authz

import data.registry

shard(key) := substring(crypto.sha256(key), 0, 2)

sub := input.jwt.payload.sub

decision := {
	"revision": registry.meta.revision + 1,
	"grants": registry.environment.grants,
	"mine": [a | a := registry.agents[shard(sub)][sub]],
	"my_team": [x | x := registry.agents[shard(sub)][sub].team],
	"my_labels": [l | some l, _ in registry.agents[shard(sub)][sub].labels],
	"others": {s: n | some s in ["agent-0@clients", "agent-1@clients", "agent-2@clients"]; n := registry.agents[shard(s)][s].name},
	"its_types": [x | some x in registry.resources[shard(input.resource.id)][input.resource.id].access.agent_types],
	"its_first": [x | x := registry.resources[shard(input.resource.id)][input.resource.id].environments[0]],
	"astray": [a | a := registry.agents["00"][sub]],
	"by_number": [a | a := registry.agents[10]],
	"nowhere": [x | x := registry.nothing.at.all],
}`)

// roaming is a policy that looks at what it does not know the keys of.
var roaming = policyOf(`package mcp.authz

import data.registry

decision := {
	"registry": registry,
	"shards": [s | some s, _ in registry.agents],
	"names": {n | n := registry.agents[_][_].name},
	"suspended": {s | some shard; some s, a in registry.agents[shard]; a.suspended},
	"deployed": {r: es | some _, rs in registry.resources; some r, record in rs; es := record.environments},
	"first": {e | e := registry.resources[_][_].environments[0]},
	"of_shard": {s | some s, _ in registry.agents[substring(crypto.sha256(input.jwt.payload.sub), 0, 2)]},
	"keys": object.keys(data.registry),
	"got": object.get(registry, ["resources", "00", input.resource.id, "team"], "none"),
	"walked": count([p | walk(registry, [p, _])]),
}`)

// Property: our answer is what an OPA answers that was given the bundle, for
// any registry, any call and any policy.
func TestDecisionIsThatOfAnOPAWithTheBundle(t *testing.T) {
	t.Parallel()
	e := patientEvaluator()
	for name, p := range map[string]registry.PlatformPolicy{
		"platform": platform(), "pointing": pointing, "roaming": roaming, "pointing, layout 3": inLayout3(pointing), "roaming, layout 3": inLayout3(roaming),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				v := snapshot.New(drawFacts(t, p))
				environment := rapid.SampledFrom(v.EnvironmentNames()).Draw(t, "environment")
				o := loadBundle(t, v, environment)
				for range 8 {
					agree(t, e, o, v, environment, drawQuery(t, v, environment))
				}
			})
		})
	}
}

func inLayout3(p registry.PlatformPolicy) registry.PlatformPolicy {
	p.Layout = 3
	return p
}

func agree(t *rapid.T, e *Evaluator, o opa, v *snapshot.View, environment string, q Query) {
	now := time.Now()
	input, err := inputOf(q)
	if err != nil {
		t.Fatalf("input: %v", err)
	}
	want, err := o.ask(input, now)
	if err != nil {
		t.Fatalf("ask the OPA: %v", err)
	}
	query, err := e.query(v, environment)
	if err != nil {
		t.Fatalf("query: %v", err)
	}
	got, err := evaluate(context.Background(), query, newTransaction(v, environment), input, now)
	if err != nil {
		t.Fatalf("evaluate: %v", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("answer to %+v (-opa +ours):\n%s", q, diff)
	}
}

// drawFacts is a registry with few names, so that they meet.
func drawFacts(t *rapid.T, p registry.PlatformPolicy) registry.Facts {
	f := registry.Facts{Head: registry.Head{Epoch: "e1", Revision: 1000}, Scopes: map[registry.ScopePart]registry.Touch{}, Policy: p}
	for _, name := range []string{"production", "staging"} {
		f.Scopes[registry.ScopePart{Scope: name}] = registry.Touch{Revision: rapid.Int64Range(1, 1000).Draw(t, "scope_revision"), At: time.Now()}
		f.Environments = append(f.Environments, registry.EnvironmentFacts{
			Name: name, Grants: rapid.SampledFrom([]string{"permissions", "explicit"}).Draw(t, "grants"), MaxStaleness: "15m",
		})
	}
	for i := range rapid.IntRange(0, 12).Draw(t, "agents") {
		f.Agents = append(f.Agents, registry.AgentFacts{
			ID: fmt.Sprintf("id-%d", i), Name: fmt.Sprintf("agent-%d", i), Subject: fmt.Sprintf("agent-%d@clients", i),
			Team: drawTeam(t), AgentType: drawType(t), Environment: drawEnvironment(t),
			Suspended: rapid.IntRange(0, 4).Draw(t, "suspended") == 0,
			Labels:    rapid.SampledFrom([]map[string]string{nil, {}, {"tier": "gold"}}).Draw(t, "labels"),
			Scopes:    drawMost(t, []string{"skills:invoke", "tools:access", "data:read", "data:write", "special"}),
			ExpiresAt: drawMoment(t, "expires_at"), ValidAfter: drawMoment(t, "valid_after"),
		})
	}
	for i := range rapid.IntRange(0, 5).Draw(t, "resources") {
		f.Resources = append(f.Resources, registry.ResourceFacts{
			Name: fmt.Sprintf("resource-%d", i), Team: drawTeam(t), DataClassification: "low",
			Type: rapid.SampledFrom([]registry.ResourceType{
				registry.Skill, registry.Tool, registry.DataSource, registry.DataSink, registry.Service,
			}).Draw(t, "type"),
			RequiredPermissions: drawSome(t, []string{"skills:invoke", "special"}),
			Access: registry.Access{
				Visibility: rapid.SampledFrom([]string{registry.VisibleToTeam, registry.VisibleToOrganization}).Draw(t, "visibility"),
				Teams:      drawSome(t, []string{"red", "blue"}), AgentTypes: drawSome(t, []string{"support", "batch"}),
			},
			Environments: drawSome(t, []string{"production", "staging"}),
			Labels:       map[string]string{"n": fmt.Sprint(i)},
		})
	}
	for _, key := range []registry.LayerKey{
		{Tier: registry.TierGlobal, ID: "rules"}, {Tier: registry.TierTeam, ID: "red"}, {Tier: registry.TierTeam, ID: "blue"},
		{Tier: registry.TierAgentType, ID: "support"}, {Tier: registry.TierAgent, ID: "id-0"},
	} {
		if rapid.Bool().Draw(t, "layer") {
			f.Layers = append(f.Layers, drawLayer(t, key))
		}
	}
	return f
}

func drawLayer(t *rapid.T, key registry.LayerKey) registry.LayerFacts {
	l := registry.LayerFacts{LayerKey: key, Required: rapid.Bool().Draw(t, "required"), Rules: []registry.Rule{
		{Code: "no_writes", Effect: registry.Deny, When: registry.Conditions{Methods: drawSome(t, []string{"POST", "DELETE"})}},
		{Code: "reads", Effect: registry.Allow, When: registry.Conditions{Methods: []string{"GET"}}},
	}}
	if key.Tier == registry.TierAgent {
		l.Environment = "production"
	}
	if rapid.IntRange(0, 9).Draw(t, "rego") == 9 {
		l.Rego = fmt.Sprintf("package %s\n\nimport data.mcp.request\n\nmeta := {}\n\ndeny contains \"heads\" if request.method == \"HEAD\"\n", key.Package())
	}
	return l
}

// drawMoment is mostly none, and else far from the clock: two evaluations do not
// happen at once.
func drawMoment(t *rapid.T, label string) time.Time {
	return rapid.SampledFrom([]time.Time{{}, {}, {}, time.Unix(1700000000, 1000), time.Unix(4102444800, 0)}).Draw(t, label)
}

func drawTeam(t *rapid.T) string {
	return rapid.SampledFrom([]string{"red", "blue", "green"}).Draw(t, "team")
}

func drawType(t *rapid.T) string {
	return rapid.SampledFrom([]string{"support", "batch"}).Draw(t, "agent_type")
}

func drawEnvironment(t *rapid.T) string {
	return rapid.SampledFrom([]string{"production", "staging"}).Draw(t, "environment")
}

func drawSome(t *rapid.T, all []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(string) bool { return rapid.Bool().Draw(t, "without") })
}

func drawMost(t *rapid.T, all []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(string) bool { return rapid.IntRange(0, 7).Draw(t, "without") == 7 })
}

// drawQuery is a call: mostly of an agent and a resource that there are, with
// claims that are mostly as they should be.
func drawQuery(t *rapid.T, v *snapshot.View, environment string) Query {
	subjects, resources := []string{"nobody@clients", "agent-0@clients"}, []string{"nothing"}
	for subject := range v.Agents(environment).All() {
		subjects = append(subjects, subject)
	}
	for name := range v.Resources().All() {
		resources = append(resources, name)
	}
	slices.Sort(subjects) // rapid needs the same choices each time
	slices.Sort(resources)
	q := Query{
		Claims: map[string]any{
			"sub":         rapid.SampledFrom(subjects).Draw(t, "sub"),
			"permissions": drawMost(t, []string{"skills:invoke", "tools:access", "data:read", "data:write", "special"}),
			"exp":         forever,
			"iat":         rapid.SampledFrom([]int64{0, 1700000000, 1700000001, forever}).Draw(t, "iat"),
		},
		TokenValid: rapid.IntRange(0, 9).Draw(t, "invalid") > 0,
		Method:     rapid.SampledFrom([]string{"GET", "HEAD", "POST", "DELETE", "get", ""}).Draw(t, "method"),
		Path:       rapid.SampledFrom([][]string{nil, {}, {"a"}, {"a", "", "b"}}).Draw(t, "path"),
		Resource:   rapid.SampledFrom(resources).Draw(t, "resource"),
	}
	if rapid.IntRange(0, 2).Draw(t, "odd") == 0 {
		claim := rapid.SampledFrom([]string{"sub", "permissions", "exp", "nbf", "iat", "other"}).Draw(t, "claim")
		q.Claims[claim] = rapid.SampledFrom(odd).Draw(t, "value")
	}
	return q
}
