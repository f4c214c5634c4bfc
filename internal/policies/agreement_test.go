package policies

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/credenceproject/credence/internal/decide"
	"github.com/credenceproject/credence/internal/layers"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	rules "github.com/credenceproject/credence/policy"
)

// What denies everyone is what the decision itself makes of every call: of each kind,
// in each environment, at each hour of both weeks.
func TestDenyingEveryoneIsWhatTheDecisionDoes(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 5))
	found := map[bool]int{}
	for range 24 {
		p := registry.Policy{LayerKey: registry.LayerKey{Tier: registry.TierTeam, ID: "support"}, Rules: make([]registry.Rule, 1+r.IntN(4))}
		for i := range p.Rules {
			p.Rules[i] = deny(randomConditions(r))
			p.Rules[i].Code = fmt.Sprintf("rule_%d", i)
			if h := p.Rules[i].When.OutsideHours; h != nil { // hours that the test can look at in time
				h.From, h.To = h.From[:2]+":00", h.To[:2]+":00"
				h.Timezone = []string{"", "Europe/Berlin"}[r.IntN(2)]
			}
		}
		if r.IntN(3) == 0 {
			p.Ceiling = &registry.Ceiling{Permissions: some(r, "skills:invoke", "tools:access", "data:read", "data:write"), DataClassification: some(r, classifications...)}
		}
		want := !decisionLeavesACall(t, p)
		found[want]++
		if got := deniesEveryone(p, reach{environments: []string{"production", "staging"}}); got != want {
			t.Fatalf("denies everyone = %t, want %t: %+v, ceiling %+v", got, want, p.Rules, p.Ceiling)
		}
	}
	if found[true] < 5 || found[false] < 5 {
		t.Errorf("of the policies %d deny everyone and %d do not: too few to tell", found[true], found[false])
	}
}

// decisionLeavesACall reports whether a call is left that the policy does not deny.
func decisionLeavesACall(t *testing.T, p registry.Policy) bool {
	t.Helper()
	facts := registry.Facts{Policy: rules.Platform(), Layers: []registry.LayerFacts{{LayerKey: p.LayerKey, Rules: p.Rules, Ceiling: p.Ceiling}}}
	for i, name := range []string{"production", "staging"} {
		facts.Environments = append(facts.Environments, registry.EnvironmentFacts{Name: name, Grants: "permissions", MaxStaleness: "0"})
		facts.Agents = append(facts.Agents, registry.AgentFacts{
			ID: fmt.Sprintf("0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5%d", i), Name: name, Team: "support", AgentType: "other", Environment: name,
			Subject: name + "@clients", Scopes: []string{"skills:invoke", "tools:access", "data:read", "data:write"},
		})
	}
	for _, resourceType := range types {
		for _, classification := range classifications {
			facts.Resources = append(facts.Resources, registry.ResourceFacts{
				Name: string(resourceType) + "-" + classification, Type: resourceType, Team: "support", DataClassification: classification, Environments: []string{"production", "staging"},
			})
		}
	}
	view := snapshot.New(facts)
	decider := decide.New(layers.NewCache(func(registry.LayerKey, string) (*ast.Module, error) { return nil, nil }, slog.New(slog.DiscardHandler))) //nolint:nilnil // no layer has a module
	times := []time.Time{weeks[0]}
	if slices.ContainsFunc(p.Rules, func(r registry.Rule) bool { return r.When.OutsideHours != nil }) {
		for _, week := range weeks {
			for hour := range 7 * 24 {
				times = append(times, week.Add(time.Duration(hour)*time.Hour))
			}
		}
	}
	for _, k := range kindsOfCalls(nil) {
		for _, environment := range facts.Environments {
			q := decide.Query{
				Claims:     map[string]any{"sub": environment.Name + "@clients", "exp": 4102444800, "permissions": []any{k.permission}},
				TokenValid: true, Method: k.method, Resource: string(k.resourceType) + "-" + k.classification,
			}
			for _, at := range times {
				d, err := decider.Decide(view, environment.Name, q, at)
				if err != nil || d.Agent == nil || d.Resource == nil {
					t.Fatalf("the decision about %+v is %+v, %v", q, d, err)
				}
				if !slices.ContainsFunc(d.Reasons, func(r decide.Reason) bool { return r.Tier == string(registry.TierTeam) }) {
					return true
				}
			}
		}
	}
	return false
}
