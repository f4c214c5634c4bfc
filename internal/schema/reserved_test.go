package schema_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/credenceproject/credence/api/schemas"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/schema"
)

// No agent type can hand out what opens the control plane, nor scopes that stand
// for others.
func TestInvariant_A2_AgentTypesCannotAllowThePermissionsOfTheControlPlane(t *testing.T) {
	t.Parallel()
	v, err := schema.New(schemas.FS)
	if err != nil {
		t.Fatal(err)
	}
	scopes := map[string]string{"skills:invoke": "", "data:read": "", "bundles:read:production": "reserved_scope", "data:*": "pattern", "*": "pattern"}
	for _, p := range registry.Permissions {
		scopes[string(p.Name)] = "reserved_scope"
	}
	for scope, want := range scopes {
		_, err := v.AgentType("support", fmt.Appendf(nil, `{"allowed_scopes": [%q]}`, scope))
		got := ""
		if e, ok := registry.AsError(err); ok && len(e.Fields) == 1 && e.Fields[0].Pointer == "/allowed_scopes/0" {
			got = e.Fields[0].Code
		} else if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", scope, got, want)
		}
	}
}

// Capabilities come with every list of agents, so they are bounded together.
func TestInvariant_C7_CapabilitiesAreBoundedTogether(t *testing.T) {
	t.Parallel()
	v, err := schema.New(schemas.FS)
	if err != nil {
		t.Fatal(err)
	}
	one := func(i int) string {
		return fmt.Sprintf(`{"name": "c%d", "input": {"x": %q}}`, i, strings.Repeat("x", 15_000))
	}
	for n, want := range map[int]bool{4: true, 5: false} {
		var all []string
		for i := range n {
			all = append(all, one(i))
		}
		document := fmt.Sprintf(`{"name": "a", "team": "t", "agent_type": "free", "environment": "production", "owner": "o", "capabilities": [%s]}`, strings.Join(all, ","))
		_, err := v.Registration([]byte(document), world)
		if (err == nil) != want {
			t.Errorf("%d capabilities of 15 kB: error = %v, want accepted %t", n, err, want)
		}
	}
}
