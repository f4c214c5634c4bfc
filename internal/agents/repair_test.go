package agents_test

import (
	"slices"
	"testing"

	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/registry"
)

// mustSuspend suspends the agent and returns it as it is then.
func (w *world) mustSuspend(ref string) registry.Agent {
	w.t.Helper()
	a, err := w.service.Suspend(w.request(), admin, ref, some, agents.Switch{Reason: "leaked"})
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// Somebody changes an agent at a provider. What drifted is brought back, no more.
func TestARepairBringsBackWhatDrifted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.mustRegister().Agent.ID
	for name, tc := range map[string]struct {
		drift func()
		steps []registry.StepName
		does  []string
	}{
		"the grant": {
			func() { w.setClient(id, func(c *oauthClient) { c.Granted, c.Scopes = true, []string{"admin"} }) },
			[]registry.StepName{registry.StepGrant}, []string{ensureGrant, progressOf(registry.StepGrant)},
		},
		"the client": {
			func() { w.setClient(id, func(c *oauthClient) { c.Team, c.AgentType = "platform", "root" }) },
			[]registry.StepName{registry.StepClient}, []string{ensureClient, progressOf(registry.StepClient)},
		},
		"the alias": {
			func() { w.secrets.set(id, func(e *entity) { e.Subject = "mallory@clients" }) },
			[]registry.StepName{registry.StepAlias}, []string{ensureAlias, progressOf(registry.StepAlias)},
		},
		"the entity is another": {
			func() { w.secrets.set(id, func(e *entity) { *e = entity{ID: "entity-other"} }) },
			[]registry.StepName{registry.StepEntity, registry.StepAlias},
			[]string{ensureEntity, progressOf(registry.StepEntity), ensureAlias, progressOf(registry.StepAlias)},
		},
	} {
		w.run(name, func(t *testing.T) {
			tc.drift()
			if err := w.service.Repair(w.request(), id, tc.steps, []registry.Drift{{Provider: "auth0", ObjectKind: "grant", Field: "scopes"}}); err != nil {
				t.Fatal(err)
			}
			if w.agent(id).IsReady() {
				t.Error("the agent says that it is ready while it is not")
			}
			w.converge()
			wantEqual(t, "operations", slices.Concat([]string{change, claim}, tc.does, []string{finish, claim}), w.script.operations())
			w.wantOneOfEach(id)
			wantEqual(t, "events", []string{
				"agent.repair intent credence:sweep  support-triage: auth0 grant scopes", "agent.repair success credence:sweep  support-triage",
			}, w.audited(2))
		})
	}
}

// Somebody has disabled the entity of an agent that works, and will have had a
// reason: no pass enables it again, whatever else it is made for.
func TestInvariant_C2_OnlyAResumptionEnablesAnEntity(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.putType("sales")
	id := w.mustRegister().Agent.ID
	w.secrets.set(id, func(e *entity) { e.Disabled = true })
	w.script.operations()
	for name, do := range map[string]func() error{
		"a repair": func() error {
			return w.service.Repair(w.request(), id, []registry.StepName{registry.StepEntity, registry.StepAlias}, nil)
		},
		"a change": func() error {
			r := w.triage()
			r.AgentType, r.TypeRevision = "sales", w.typeRevision("sales")
			_, err := w.service.Change(w.request(), ana, id, some, r)
			return err
		},
		"a rotation": func() error {
			_, err := w.service.Rotate(w.request(), ana, id, some, agents.Rotation{})
			if e, ok := registry.AsError(err); ok && e.Code == "vault_entity_disabled" {
				return nil
			}
			return err
		},
	} {
		w.run(name, func(t *testing.T) {
			if err := do(); err != nil {
				t.Fatal(err)
			}
			w.due()
			_ = w.reconcile()
			if slices.Contains(w.script.operations(), enableEntity) || !w.secrets.all()[id].Disabled {
				t.Error("the entity was enabled")
			}
		})
	}
	if a := w.agent(id); a.IsReady() || a.Convergence.LastError != "the entity is disabled" {
		t.Errorf("the agent is ready: %t, its last error: %s", a.IsReady(), a.Convergence.LastError)
	}
	w.mustSuspend(id)
	if _, err := w.service.Resume(w.request(), ana, id, some, agents.Switch{}); err != nil {
		t.Fatal(err)
	}
	w.converge()
	if !w.agent(id).IsReady() {
		t.Error("a resumption did not enable it")
	}
}

// What drifted while a pass is due is its business, and the gone need no repair.
func TestARepairLeavesAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.script.once(ensureGrant, failBefore(reset))
	id := w.mustBegin()
	before := w.agent(id)
	for range 2 {
		if err := w.service.Repair(w.request(), id, registry.Steps, nil); err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "the agent", before, w.agent(id))
		w.mustDecommission(id)
		w.converge()
		before = w.agent(id)
	}
}

// A client that somebody deleted does not come back: the agent says so, and a
// transfer to its own team gives it a new one.
func TestAClientThatIsGoneIsToldAndRenewed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.mustRegister()
	w.tenant.remove(got.Agent.ClientID)
	_, err := w.service.Rotate(w.request(), ana, got.Agent.ID, some, agents.Rotation{})
	wantError(t, err, registry.Refused, "client_gone")
	if err := w.service.Repair(w.request(), got.Agent.ID, []registry.StepName{registry.StepClient}, nil); err != nil {
		t.Fatal(err)
	}
	w.due()
	_ = w.reconcile()
	if _, err := w.service.Transfer(w.request(), ana, got.Agent.ID, some, agents.Transfer{Team: "customer-success"}); err != nil {
		t.Fatal(err)
	}
	w.converge()
	if a := w.agent(got.Agent.ID); !a.IsReady() || a.ClientID == got.Agent.ClientID {
		t.Errorf("the agent is ready: %t, with the client %s", a.IsReady(), a.ClientID)
	}
}

// setClient changes the agent's client without anybody's asking.
func (w *world) setClient(agentID string, change func(*oauthClient)) {
	id := w.agent(agentID).ClientID
	w.tenant.mu.Lock()
	defer w.tenant.mu.Unlock()
	c := w.tenant.clients[id]
	change(&c)
	w.tenant.clients[id] = c
}
