package policies_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/credenceproject/credence/internal/layers"
	"github.com/credenceproject/credence/internal/policies"
	"github.com/credenceproject/credence/internal/policies/gate"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	rules "github.com/credenceproject/credence/policy"
)

// realGate is the gate without its child process.
type realGate struct{}

func (realGate) Check(ctx context.Context, r gate.Request) (gate.Verdict, error) {
	return gate.Check(ctx, r), nil
}

var _ policies.Gate = (*gate.Runner)(nil)

func compile(key registry.LayerKey, source string) (*ast.Module, error) {
	l, err := gate.CompileLayer(key, source)
	if err != nil {
		return nil, err
	}
	return l.Module, nil
}

const (
	readsOnly = `package mcp.layers.team["support"]

import data.mcp.request

meta := {"description": "Reads only"}

deny contains "no_writes" if not request.method in {"GET", "HEAD"}
`
	testOfReads = `package mcp.layers.team["support_test"]

import data.mcp.layers.team.support
import data.mcp.request

test_a_read_is_fine if count(support.deny) == 0 with request as {"method": "GET"}
`
)

// TestInvariant_E2_CustomRegoPassesTheGate puts layers through the real gate, beside
// the real platform policy and other layers, one of which is not in force.
func TestInvariant_E2_CustomRegoPassesTheGate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.memory.view = snapshot.New(registry.Facts{
		Environments: []registry.EnvironmentFacts{{Name: "production"}}, Policy: rules.Platform(), Layers: []registry.LayerFacts{
			{LayerKey: ofTeam, Rego: readsOnly},
			{LayerKey: ofAll, Rego: strings.Replace(readsOnly, `team["support"]`, `global["office-hours"]`, 1)},
			{LayerKey: ofType, Rego: "package another"},
		},
	})
	s := policies.NewService(w.store, w.memory, layers.NewCache(compile, slog.New(slog.DiscardHandler)), realGate{})
	with := func(rule string) string { return readsOnly + "\n" + rule + "\n" }
	for name, tc := range map[string]struct { //nolint:paralleltest // they write the same policy
		rego, tests string
		code        string
		fault       string // pointer, code, and how the detail begins
	}{
		"good":                       {rego: readsOnly},
		"good, with a test":          {rego: readsOnly, tests: testOfReads},
		"a test that fails":          {with(`deny contains "late" if request.method == "GET"`), testOfReads, "invalid_policy", "/tests test_failed line 6"},
		"one that denies everyone":   {rego: with(`deny contains "all"`), code: "denies_everyone", fault: "/rego denies_everyone left none"},
		"no Rego":                    {rego: with("deny contains {"), code: "invalid_policy", fault: "/rego syntax line "},
		"another team's package":     {rego: strings.Replace(readsOnly, "support", "platform", 1), code: "invalid_policy", fault: "/rego package line 1, column 1: "},
		"what another layer holds":   {rego: with(`deny contains "x" if data.mcp.layers.team.platform.deny["y"]`), code: "invalid_policy", fault: "/rego data line 9, column 22: "},
		"what the registry holds":    {rego: with(`deny contains "x" if data.registry.agents`), code: "invalid_policy", fault: "/rego data line 9"},
		"a number that is too large": {rego: with(`deny contains "x" if bits.lsh(1, 20000000000) > 0`), code: "invalid_policy", fault: "/rego builtin line 9"},
	} {
		t.Run(name, func(t *testing.T) {
			p := quiet(ofTeam)
			p.Rego, p.Tests = tc.rego, tc.tests
			how := replace
			present, err := s.Get(t.Context(), ofTeam)
			if err != nil {
				how = create
			}
			saved, _, err := s.Put(t.Context(), ana, p, how)
			if tc.code == "" {
				if err != nil || saved.Rego != tc.rego {
					t.Errorf("Put() = %v", err)
				}
				return
			}
			e, ok := registry.AsError(err)
			if !ok || e.Kind != registry.Invalid || e.Code != tc.code || len(e.Fields) == 0 {
				t.Fatalf("Put() = %v, want %s", err, tc.code)
			}
			if f := e.Fields[0]; !strings.HasPrefix(f.Pointer+" "+f.Code+" "+f.Detail, tc.fault) {
				t.Errorf("the first fault is %+v, want %q", f, tc.fault)
			}
			if after, _ := s.Get(t.Context(), ofTeam); !cmp.Equal(present, after) {
				t.Errorf("what was refused is there: %s", cmp.Diff(present, after))
			}
		})
	}
}
