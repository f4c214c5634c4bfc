package gate

import (
	"testing"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/policy"
)

func TestTheWholeCandidateIsCompiled(t *testing.T) {
	t.Parallel()
	finance := registry.LayerKey{Tier: registry.TierTeam, ID: "finance"}
	sound := "package " + finance.Package() + "\n\nmeta := {}\n\ndeny contains \"x\" if data.mcp.request.method == \"PUT\"\n"
	for name, tc := range map[string]struct {
		others map[string]string
		want   *said
	}{
		"nothing else":         {},
		"a sound layer":        {others: map[string]string{finance.Module(): sound}},
		"its own last version": {others: map[string]string{team.Module(): begin + "deny if true\n"}},
		// Somebody else's fault is not this author's (invariant B6).
		"a layer that is broken by itself": {others: map[string]string{finance.Module(): sound + "deny contains x if y\n"}},
		"a layer that does not parse":      {others: map[string]string{finance.Module(): "package"}},
		"a module of the same package": {
			others: map[string]string{"layers/odd.rego": "package mcp.layers.team\n\n\"customer-success\" := 1\n"},
		},
		"a package where the module has a rule": {
			others: map[string]string{"layers/odd.rego": "package mcp.layers.team[\"customer-success\"].deny\n\nx := 1\n"},
			want:   &said{rule: "conflict", line: 1, message: "With the rest of the policy"},
		},
		"what its own last version already broke": {
			others: map[string]string{
				team.Module():     begin + denyWrites,
				"layers/odd.rego": "package mcp.request\n\nfrom := data.mcp.layers.team[\"customer-success\"].deny\n\nmethod := \"x\" if from\n",
			},
			want: &said{rule: "conflict", line: 1, message: "another module"},
		},
		"a rule that depends on the module": {
			others: map[string]string{"layers/odd.rego": "package mcp.request\n\nfrom := data.mcp.layers.team[\"customer-success\"].deny\n\nmethod := \"x\" if from\n"},
			want:   &said{rule: "conflict", line: 1, message: "another module"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := Check(t.Context(), Request{Layer: team, Rego: begin + denyWrites, Platform: policy.Platform().Modules, Others: tc.others})
			switch {
			case tc.want == nil && len(v.Faults) > 0:
				t.Errorf("faults = %+v", v.Faults)
			case tc.want != nil && (len(v.Faults) == 0 || !tc.want.isOf(v.Faults[0])):
				t.Errorf("faults = %+v; want %+v", v.Faults, *tc.want)
			}
		})
	}
}
