package e2e_test

import (
	"fmt"
	"testing"

	"github.com/credenceproject/credence/api"
)

// author may write policies of the developer's team.
func (w *world) author() caller {
	w.t.Helper()
	return w.as(w.token("test|author", []string{"policies:read", "policies:write"}, team))
}

// putPolicy writes a policy on the state that is there.
func (c caller) putPolicy(name, document string) response {
	c.w.t.Helper()
	there := c.w.as(c.w.admin).get("/policies/" + name)
	if there.status == 404 {
		return c.with("If-None-Match", "*").put("/policies/"+name, document)
	}
	return c.with("If-Match", there.header.Get("ETag")).put("/policies/"+name, document)
}

// deletePolicy removes the policy that is there.
func (c caller) deletePolicy(name string) response {
	c.w.t.Helper()
	return c.with("If-Match", c.w.as(c.w.admin).get("/policies/"+name).header.Get("ETag")).delete("/policies/" + name)
}

// rego is the document of a policy with this module and nothing else.
func rego(module string) string { return fmt.Sprintf(`{"rego": %q}`, module) }

// layer is a module of the team's layer with these rules.
func layer(rules string) string {
	return "package mcp.layers.team[\"" + team + "\"]\n\nimport data.mcp.request\n\nmeta := {}\n\n" + rules + "\n"
}

// tiered is a world with resources, an agent and the claims of its token.
func tiered(t testing.TB, settings ...string) (w *world, agent api.RegisteredAgent, claims map[string]any) {
	t.Helper()
	w = newQuickRegistry(t, settings...)
	agent = w.as(w.developer).register(registration("support-triage", nil))
	return w, agent, w.claimsOf(w.agentToken(agent))
}
