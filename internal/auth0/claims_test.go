package auth0

import (
	"strings"
	"testing"

	"github.com/auth0/go-auth0/management"
	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
)

func TestClaimsAppearAfterSetupAndOnlyForThisInstallationAndAudience(t *testing.T) {
	t.Parallel()
	tn := prepared(t, nil)
	ours := tn.client(t, nil)
	register := func(c *Client, a registry.Agent) registry.Credentials {
		got, err := c.CreateClient(t.Context(), a, "intent")
		if err == nil {
			_, err = c.EnsureGrant(t.Context(), got.ClientID, []string{"data:read"})
		}
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	custom := func(credentials registry.Credentials, audience string) map[string]any {
		claims := tn.claims(t, credentials, audience)
		for name := range claims {
			if !strings.Contains(name, "/") {
				delete(claims, name)
			}
		}
		return claims
	}
	agent := newAgent()
	credentials := register(ours, agent)
	want := map[string]any{
		testAudience + "agent_id": agent.ID, testAudience + "team": agent.Team,
		testAudience + "agent_type": agent.AgentType, testAudience + "environment": agent.Environment,
	}
	if diff := cmp.Diff(want, custom(credentials, testAudience)); diff != "" {
		t.Errorf("claims -want +got:\n%s", diff)
	}
	if got := tn.claims(t, credentials, testAudience)["permissions"]; !cmp.Equal(got, []any{"data:read"}) {
		t.Errorf("permissions: %v", got)
	}

	other := register(tn.client(t, func(c *Config) { c.Installation = "other" }), newAgent())
	if got := custom(other, testAudience); len(got) != 0 {
		t.Errorf("another installation's agent has claims: %v", got)
	}
	elsewhere := tn.client(t, func(c *Config) { c.Audience = testAPIAudience })
	if _, err := elsewhere.EnsureGrant(t.Context(), credentials.ClientID, nil); err != nil {
		t.Fatal(err)
	}
	if got := custom(credentials, testAPIAudience); len(got) != 0 {
		t.Errorf("claims for another audience: %v", got)
	}

	if err := ours.management.Action.UpdateBindings(t.Context(), trigger, []*management.ActionBinding{}); err != nil {
		t.Fatal(err)
	}
	if got := custom(credentials, testAudience); len(got) != 0 {
		t.Errorf("claims without the Action: %v", got)
	}
	if _, err := Setup(t.Context(), tn.setupConfig()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, custom(credentials, testAudience)); diff != "" {
		t.Errorf("claims after another setup -want +got:\n%s", diff)
	}
}

func TestClaimsCodeTakesNoValueForCode(t *testing.T) {
	t.Parallel()
	code, err := claimsCode(`https://x/"; api.access.deny("x"); "`+"\u2028</script>", `credence/a"b`)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`const audience = "https://x/\"; api.access.deny(\"x\"); \"\u2028\u003c/script\u003e";`, `const managedBy = "credence/a\"b";`, `const claims = ["agent_id","team","agent_type","environment"];`} {
		if !strings.Contains(code, want) {
			t.Errorf("want %s in:\n%s", want, code)
		}
	}
}
