package agents_test

import (
	"testing"

	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/registry"
)

// putCeiling bounds the permissions of whom the policy is about; nil bounds none.
func (w *world) putCeiling(tier registry.Tier, id string, permissions []string) {
	w.t.Helper()
	p := registry.Policy{LayerKey: registry.LayerKey{Tier: tier, ID: id}, Ceiling: &registry.Ceiling{Permissions: permissions}}
	if _, _, err := w.store.PutPolicy(w.t.Context(), p, "put", some, nil, registry.Actor{Subject: "auth0|root"}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) putTeamsCeiling(permissions ...string) {
	w.t.Helper()
	w.putCeiling(registry.TierTeam, "customer-success", append([]string{}, permissions...))
}

// asking is the registration of triage with these scopes.
func (w *world) asking(scopes ...string) agents.Registration {
	w.t.Helper()
	r := w.triage()
	r.Scopes = &scopes
	return r
}

// wantBeyond checks that the scopes were refused for a ceiling, and what is told.
func wantBeyond(t *testing.T, err error, faults ...registry.FieldError) {
	t.Helper()
	e := asError(t, err, registry.Forbidden, "scope_not_allowed")
	wantEqual(t, "faults", faults, e.Fields)
}

func beyond(pointer, detail string) registry.FieldError {
	return registry.FieldError{Pointer: pointer, Code: "scope_not_allowed", Detail: detail}
}

func TestInvariant_A4_CeilingsBoundWhatARegistrationAsksFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.putType("sales")
	w.putTeamsCeiling("skills:invoke", "tools:access")
	w.putCeiling(registry.TierAgentType, "support", []string{"data:read"})
	w.putCeiling(registry.TierTeam, "platform", []string{})   // another team's
	w.putCeiling(registry.TierAgentType, "sales", []string{}) // another type's
	_, err := w.service.Register(w.request(), ana, w.asking("skills:invoke", "data:read", "data:write"))
	const (
		ofTeam = `the ceiling of policy team/customer-success lets agents have ["skills:invoke" "tools:access"], not `
		ofType = `the ceiling of policy agent_type/support lets agents have ["data:read"], not `
	)
	wantBeyond(t, err,
		beyond("/scopes/0", ofType+`"skills:invoke"`),
		beyond("/scopes/1", ofTeam+`"data:read"`),
		beyond("/scopes/2", `agents of type "support" may have ["skills:invoke" "data:read"], not "data:write"`),
		beyond("/scopes/2", ofTeam+`"data:write"`),
		beyond("/scopes/2", ofType+`"data:write"`),
	)
	_, err = w.service.Register(w.request(), admin, w.asking("data:read")) // the ceiling is changed, not passed by
	wantBeyond(t, err, beyond("/scopes/0", ofTeam+`"data:read"`))
	w.wantNothingLeft()

	w.putCeiling(registry.TierAgentType, "support", nil) // bounds nothing
	if _, err := w.service.Register(w.request(), ana, w.asking("skills:invoke")); err != nil {
		t.Errorf("Register() of what both ceilings let through = %v", err)
	}
}

// Who asks for nothing gets what there is to have.
func TestDefaultScopesEndAtTheCeilings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.putAgentType(func(a *registry.AgentType) { a.DefaultScopes = []string{"skills:invoke", "data:read"} })
	for _, tc := range []struct {
		name       string
		team, kind []string // the ceilings
		want       string
	}{
		{"none that bounds", nil, nil, "data:read skills:invoke"},
		{"the team's", []string{"data:read"}, nil, "data:read"},
		{"the type's", nil, []string{"skills:invoke", "data:write"}, "skills:invoke"},
		{"both", []string{"data:read"}, []string{"skills:invoke"}, ""},
		{"one that lets nothing through", []string{}, nil, ""},
	} {
		w.run(tc.name, func(t *testing.T) {
			w.putCeiling(registry.TierTeam, "customer-success", tc.team)
			w.putCeiling(registry.TierAgentType, "support", tc.kind)
			a := w.mustRegister().Agent
			wantEqual(t, "scopes", tc.want, joined(a.Scopes))
			if changed, err := w.service.Change(w.request(), ana, a.ID, some, w.asking()); err != nil || len(changed.Scopes) > 0 {
				t.Fatalf("Change() to no scope = %q, %v", changed.Scopes, err)
			}
			changed, err := w.service.Change(w.request(), ana, a.ID, some, w.triage()) // back to the default
			if err != nil {
				t.Fatal(err)
			}
			wantEqual(t, "scopes after a change", tc.want, joined(changed.Scopes))
			w.mustDecommission(a.ID)
		})
	}
}

func TestInvariant_A4_CeilingsBoundWhatAChangeAsksFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.putType("sales")
	id := w.mustRegister().Agent.ID
	change := func(r agents.Registration) error {
		_, err := w.service.Change(w.request(), ana, id, some, r)
		return err
	}
	w.putTeamsCeiling("tools:access")
	const detail = `the ceiling of policy team/customer-success lets agents have ["tools:access"], not `
	wantBeyond(t, change(w.asking("skills:invoke", "data:read")), beyond("/scopes/0", detail+`"skills:invoke"`), beyond("/scopes/1", detail+`"data:read"`))
	wantBeyond(t, change(w.asking("data:read")), beyond("/scopes/0", detail+`"data:read"`))

	// What the agent had before the ceiling was set is no hindrance: policy counts it
	// no more.
	other := w.asking("skills:invoke")
	other.Owner = "ben@example.com"
	if err := change(other); err != nil {
		t.Errorf("Change() of the owner = %v", err)
	}
	another := w.asking("skills:invoke")
	another.AgentType, another.TypeRevision = "sales", w.typeRevision("sales")
	wantBeyond(t, change(another), beyond("/scopes/0", detail+`"skills:invoke"`))
	if err := change(w.asking()); err != nil {
		t.Errorf("Change() to no scope = %v", err)
	}
	wantBeyond(t, change(w.asking("skills:invoke")), beyond("/scopes/0", detail+`"skills:invoke"`))
}

// A ceiling that is set between judgement and record is asked about again.
func TestInvariant_A4_ACeilingIsNotOutrun(t *testing.T) {
	t.Parallel()
	const detail = `the ceiling of policy team/customer-success lets agents have ["skills:invoke"], not "data:read"`
	t.Run("by a registration", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.script.once(record, before(func() { w.putTeamsCeiling("skills:invoke") }))
		_, err := w.service.Register(w.request(), ana, w.asking("data:read"))
		wantBeyond(t, err, beyond("/scopes/0", detail))
		w.wantNothingLeft()
	})
	t.Run("by a registration that asks for nothing", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.script.once(record, before(func() { w.putTeamsCeiling() }))
		wantEqual(t, "scopes", "", joined(w.mustRegister().Agent.Scopes))
	})
	t.Run("by a change", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		id := w.mustRegister().Agent.ID
		w.script.once(change, before(func() { w.putTeamsCeiling("skills:invoke") }))
		_, err := w.service.Change(w.request(), ana, id, some, w.asking("data:read"))
		wantBeyond(t, err, beyond("/scopes/0", detail))
	})
	t.Run("by a change that keeps scopes which somebody takes away", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		id := w.mustRegister().Agent.ID
		w.script.once(change, before(func() {
			if _, err := w.other.Change(w.request(), ana, id, some, w.asking()); err != nil {
				t.Error(err)
			}
			w.putTeamsCeiling()
		}))
		kept := w.asking("skills:invoke")
		kept.Owner = "ben@example.com"
		_, err := w.service.Change(w.request(), ana, id, some, kept)
		wantError(t, err, registry.Conflict, "changed_meanwhile")
	})
}
