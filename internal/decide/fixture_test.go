package decide_test

import (
	"fmt"
	"log/slog"

	"github.com/credenceproject/credence/internal/decide"
	"github.com/credenceproject/credence/internal/layers"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

const aliceID = "0197c000-0000-7000-8000-000000000001"

// small is a registry in which alice of team red may call hello of team blue, at noon.
func small(all ...registry.LayerFacts) registry.Facts {
	return registry.Facts{
		Head:         registry.Head{Epoch: "e1", Revision: 42},
		Scopes:       map[registry.ScopePart]registry.Touch{{Scope: "production"}: {Revision: 41, At: noon}},
		Environments: []registry.EnvironmentFacts{{Name: "production", Grants: "permissions", MaxStaleness: "15m"}},
		Agents: []registry.AgentFacts{{
			ID: aliceID, Name: "alice", Team: "red", AgentType: "support", Environment: "production", Subject: "alice@clients",
			Scopes: []string{"skills:invoke", "data:read"},
		}},
		Resources: []registry.ResourceFacts{{
			Name: "hello", Type: registry.Skill, Team: "blue", DataClassification: "low",
			Access: registry.Access{Visibility: registry.VisibleToTeam, Teams: []string{"red"}}, Environments: []string{"production"},
		}},
		Layers: all, Policy: platform(),
	}
}

func explicit(f registry.Facts) registry.Facts {
	f.Environments = []registry.EnvironmentFacts{{Name: "production", Grants: "explicit", MaxStaleness: "15m"}}
	return f
}

// ofTeam is the layer of team red.
func ofTeam(rego string, rules ...registry.Rule) registry.LayerFacts {
	return registry.LayerFacts{LayerKey: registry.LayerKey{Tier: registry.TierTeam, ID: "red"}, Rego: rego, Rules: rules, Revision: 7}
}

// regoOf is a module of team red.
func regoOf(body string) string {
	return fmt.Sprintf("package mcp.layers.team[\"red\"]\n\nimport data.mcp.request\n\nmeta := {}\n\n%s\n", body)
}

func decider() *decide.Decider {
	return decide.New(layers.NewCache(accept, slog.New(slog.DiscardHandler)))
}

// call is alice's of hello.
func call() decide.Query {
	return decide.Query{
		Claims:     map[string]any{"sub": "alice@clients", "permissions": []string{"skills:invoke", "data:read"}, "exp": noon.Unix() + 60, "iat": noon.Unix()},
		TokenValid: true, Method: "POST", Path: []string{"say"}, Resource: "hello",
	}
}

// large is small among n agents of many teams and n resources.
func large(n int, all ...registry.LayerFacts) *snapshot.View {
	f := small(all...)
	for i := range n {
		f.Agents = append(f.Agents, registry.AgentFacts{
			ID: fmt.Sprintf("0197c000-0000-7000-9000-%012d", i), Name: fmt.Sprintf("agent-%d", i), Team: fmt.Sprintf("team-%d", i%200), AgentType: "support",
			Environment: "production", Subject: fmt.Sprintf("client-%d@clients", i), Scopes: []string{"skills:invoke", "data:read"}, Labels: map[string]string{"region": "eu"},
		})
		f.Resources = append(f.Resources, registry.ResourceFacts{
			Name: fmt.Sprintf("resource-%d", i), Type: registry.Skill, Team: fmt.Sprintf("team-%d", i%200), DataClassification: "low",
			Access: registry.Access{Visibility: registry.VisibleToTeam}, Environments: []string{"production"},
		})
	}
	return snapshot.New(f)
}

// dataLayers are n layers that apply to alice's calls, of two rules each.
func dataLayers(n int) []registry.LayerFacts {
	keys := []registry.LayerKey{
		{Tier: registry.TierGlobal, ID: "baseline"}, {Tier: registry.TierTeam, ID: "red"},
		{Tier: registry.TierAgentType, ID: "support"}, {Tier: registry.TierAgent, ID: aliceID},
	}
	all := make([]registry.LayerFacts, n)
	for i, key := range keys[:n] {
		all[i] = registry.LayerFacts{LayerKey: key, Rules: []registry.Rule{
			{Code: "no_restricted_writes", Effect: registry.Deny, When: registry.Conditions{
				DataClassification: []string{"restricted"}, Methods: []string{"POST", "PUT"}, Environments: []string{"production"},
			}},
			{Code: "at_night", Effect: registry.Deny, When: registry.Conditions{
				ResourceTypes: []registry.ResourceType{registry.DataSink}, OutsideHours: &registry.Hours{From: "09:00", To: "17:00", Timezone: "Europe/Berlin"},
			}},
		}}
		if key.Tier == registry.TierAgent {
			all[i].Environment = "production"
		}
	}
	return all
}
