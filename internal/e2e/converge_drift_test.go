package e2e_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/credenceproject/credence/api"
)

// TestDriftIsRepairedOrReported: what somebody changes at a provider is found by
// the next sweep, is on record, and is as the registry says soon after, or stays
// for a person to look at.
func TestDriftIsRepairedOrReported(t *testing.T) {
	t.Parallel()
	w := newQuick(t, "CREDENCE_SWEEP_INTERVAL", "1s")
	drifts := []struct {
		name string
		do   func(a api.Agent)
		want string // object, field and action
	}{
		{"a name", func(a api.Agent) { w.manage("PATCH", "clients/"+*a.Identity.ClientID, `{"name": "My app"}`) }, "client name repairing"},
		{"a grant type too many", func(a api.Agent) {
			w.manage("PATCH", "clients/"+*a.Identity.ClientID, `{"grant_types": ["client_credentials", "password"]}`)
		}, "client grant_types repairing"},
		{"another team", func(a api.Agent) {
			w.manage("PATCH", "clients/"+*a.Identity.ClientID, `{"client_metadata": {"team": "platform"}}`)
		}, "client metadata.team repairing"},
		{"nobody's client", func(a api.Agent) {
			w.manage("PATCH", "clients/"+*a.Identity.ClientID, `{"client_metadata": {"managed_by": null}}`)
		}, "client list repairing"},
		{"no grant", func(a api.Agent) { w.manage("DELETE", "client-grants/"+w.grantOf(a), "") }, "grant  repairing"},
		{"fewer scopes", func(a api.Agent) { w.manage("PATCH", "client-grants/"+w.grantOf(a), `{"scope": []}`) }, "grant scopes repairing"},
		{"entity metadata", func(a api.Agent) {
			w.bao("POST", "identity/entity/name/agent_"+a.ID, asRoot, map[string]any{"metadata": map[string]string{"team": "platform", "x": "y"}}).want(t, 204)
		}, "entity metadata.team repairing"},
		{"no entity", func(a api.Agent) { w.bao("DELETE", "identity/entity/name/agent_"+a.ID, asRoot, nil).want(t, 204) }, "entity  repairing"},
		{"no alias", func(a api.Agent) { w.bao("DELETE", "identity/entity-alias/id/"+w.aliasOf(a), asRoot, nil).want(t, 204) }, "alias  repairing"},
		{"shut out by hand", func(a api.Agent) {
			w.bao("POST", "identity/entity/name/agent_"+a.ID, asRoot, map[string]any{"disabled": true}).want(t, 204)
		}, "entity disabled reported"},
		{"a policy of its own", func(a api.Agent) {
			w.bao("POST", "identity/entity/name/agent_"+a.ID, asRoot, map[string]any{"policies": []string{"other"}}).want(t, 204)
		}, "entity policies reported"},
		{"no client", func(a api.Agent) { w.manage("DELETE", "clients/"+*a.Identity.ClientID, "") }, "client  reported"},
	}
	dev := w.as(w.developer)
	agents := make([]api.RegisteredAgent, len(drifts))
	for i, name := range numbered(len(drifts)) {
		agents[i] = dev.register(registration(name, nil))
	}
	w.settles()
	for i, d := range drifts {
		d.do(agents[i].Agent)
	}

	seen := map[string]bool{}
	eventually(t, "all drift is on record", func() bool {
		for _, d := range w.drift() {
			if d.AgentID != nil {
				seen[*d.AgentID+" "+d.ObjectKind+" "+d.Field+" "+string(d.Action)] = true
			}
		}
		for i, d := range drifts {
			if !seen[agents[i].Agent.ID+" "+d.want] {
				return false
			}
		}
		return true
	})
	eventually(t, "what can be repaired is", func() bool {
		return !slices.ContainsFunc(w.drift(), func(d api.DriftRecord) bool { return d.Action == "repairing" })
	})
	w.settles()
	for i, d := range drifts {
		if !strings.HasSuffix(d.want, "repairing") {
			continue
		}
		w.vaultToken(w.agentToken(agents[i]))
		if a := w.agent(agents[i].Agent.Name); !isReady(a) {
			t.Errorf("%s: the agent is %+v", d.name, a.Conditions)
		}
	}
	if e, _ := w.entityOf(agents[9].Agent.ID); !e.Disabled { // invariant C2
		t.Error("a sweep enabled an entity that somebody had disabled")
	}
}

// drift is what is on record.
func (w *world) drift() []api.DriftRecord {
	w.t.Helper()
	var page api.DriftPage
	w.as(w.admin).get("/drift?limit=200").want(w.t, 200).decode(w.t, &page)
	return page.Items
}

// manage calls the tenant's Management API, past the server, as an operator with
// all rights would.
func (w *world) manage(method, path, body string) []byte {
	w.t.Helper()
	id, secret := w.tenant.ManagementCredentials()
	r := must(http.NewRequestWithContext(w.t.Context(), method, w.issuer()+"api/v2/"+path, bytes.NewReader([]byte(body))))(w.t)
	r.Header.Set("Authorization", "Bearer "+w.jwt(id, secret, w.issuer()+"api/v2/"))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	answer := send(w.t, client, r)
	if answer.status >= 300 {
		w.t.Fatalf("%s %s: %d %s", method, path, answer.status, answer.body)
	}
	return answer.body
}

// grantOf is the id of the agent's grant.
func (w *world) grantOf(a api.Agent) string {
	w.t.Helper()
	var grants []struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(w.manage("GET", "client-grants?client_id="+*a.Identity.ClientID, ""), &grants); err != nil || len(grants) != 1 {
		w.t.Fatalf("%s has %d grants, %v", a.Name, len(grants), err)
	}
	return grants[0].ID
}

// aliasOf is the id of the agent's alias.
func (w *world) aliasOf(a api.Agent) string {
	w.t.Helper()
	var got struct {
		Data struct{ Aliases []struct{ ID string } }
	}
	if err := json.Unmarshal(w.bao("GET", "identity/entity/name/agent_"+a.ID, asRoot, nil).body, &got); err != nil || len(got.Data.Aliases) != 1 {
		w.t.Fatalf("%s has %d aliases, %v", a.Name, len(got.Data.Aliases), err)
	}
	return got.Data.Aliases[0].ID
}
