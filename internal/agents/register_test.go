package agents_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/registry"
)

func TestInvariant_C1_AuthorityAppearsLast(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustRegister()
	wantEqual(t, "operations", registration, w.script.operations())
	wantEqual(t, "timed steps", []string{"auth0_client", "auth0_grant", "vault_entity", "vault_alias", "policy"}, w.observed.all())
}

func TestARegisteredAgentIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	asked := w.triage()
	asked.Scopes = &[]string{"data:read", "skills:invoke"}
	asked.Description, asked.Labels = "Sorts tickets", map[string]string{"cost-center": "cx-12"}
	asked.Capabilities = []registry.Capability{{Name: "triage", Input: []byte(`{"type":"object"}`)}}
	got, err := w.service.Register(w.request(), ana, asked)
	if err != nil {
		t.Fatal(err)
	}
	a := got.Agent
	want := registry.Agent{
		Name: asked.Name, Team: asked.Team, AgentType: asked.AgentType, Environment: asked.Environment, Owner: asked.Owner,
		Description: asked.Description, Scopes: *asked.Scopes, Capabilities: asked.Capabilities, Labels: asked.Labels, Config: asked.Config,
		Lifecycle: registry.Active, Authentication: registry.ClientSecretPost, CredentialGeneration: 1, CreatedBy: ana.Subject,
		Convergence: registry.Convergence{Generation: 1, Observed: 1, Passes: 1},
		ClientID:    got.Credentials.ClientID, GrantID: "grant-" + got.Credentials.ClientID,
		EntityID: w.secrets.all()[a.ID].ID, AliasID: "alias-" + got.Credentials.ClientID + "@clients",
	}
	ignored := cmpopts.IgnoreFields(registry.Agent{}, "ID", "Steps", "Published", "Revision", "Version", "CreatedAt", "UpdatedAt")
	if diff := cmp.Diff(want, a, ignored); diff != "" {
		t.Errorf("the agent (-want +got):\n%s", diff)
	}
	if id, err := uuid.Parse(a.ID); err != nil || id.Version() != 7 {
		t.Errorf("the id %q is no UUIDv7", a.ID)
	}
	if !a.IsReady() || a.Revision == 0 {
		t.Errorf("ready = %t at revision %d, want a ready agent that policy sees", a.IsReady(), a.Revision)
	}
	wantEqual(t, "what is read afterwards", a, w.agent(a.ID))
	w.wantOneOfEach(a.ID)
	if !w.tenant.works(*got.Credentials) {
		t.Error("the credentials get no token")
	}

	var noted string
	if err := w.pool.QueryRow(t.Context(), "SELECT id FROM client_intents WHERE agent_id = $1", a.ID).Scan(&noted); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "the intent that the client carries", noted, w.tenant.all()[a.ClientID].IntentID)
}

func TestInvariant_C6_TheIntentIsAuditedBeforeAProviderIsCalledAndTheOutcomeAfter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var atCall []string
	w.script.on(createClient, before(func() { atCall = w.audited(9) }))
	w.mustRegister()
	intent := "agent.register intent auth0|ana request-1 support-triage"
	wantEqual(t, "events at the first call", []string{intent}, atCall)
	wantEqual(t, "events", []string{intent, "agent.register success auth0|ana request-1 support-triage"}, w.audited(9))
}

func TestInvariant_A1_OnlyMembersAndAdminsRegisterForATeam(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.service.Register(w.request(), ben, w.triage())
	wantEqual(t, "fields", []registry.FieldError{{Pointer: "/team", Code: "team_not_allowed", Detail: "is not one of your teams"}},
		asError(t, err, registry.Forbidden, "team_not_allowed").Fields)
	wantEqual(t, "operations", nil, w.script.operations())
	w.wantNothingLeft()

	if _, err := w.service.Register(w.request(), admin, w.triage()); err != nil {
		t.Errorf("an admin's Register() = %v", err)
	}
}

func TestARefusedRegistrationCallsNoProvider(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.putEnvironment("staging")
	taken := w.triage()
	taken.Name = "taken"
	if _, err := w.service.Register(w.request(), ana, taken); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change func(*agents.Registration)
		kind   registry.Kind
		code   string
		fields []string
	}{
		"an unknown agent type": {
			func(r *agents.Registration) { r.AgentType = "nobody" }, registry.Invalid, "invalid_registration", []string{"/agent_type unknown_agent_type"},
		},
		"an unknown environment": {
			func(r *agents.Registration) { r.Environment = "mars" }, registry.Invalid, "invalid_registration", []string{"/environment unknown_environment"},
		},
		"both, told at once": {
			func(r *agents.Registration) { r.AgentType, r.Environment = "nobody", "mars" }, registry.Invalid, "invalid_registration",
			[]string{"/agent_type unknown_agent_type", "/environment unknown_environment"},
		},
		"a scope beyond the type": {
			func(r *agents.Registration) { r.Scopes = &[]string{"admin"} }, registry.Forbidden, "scope_not_allowed", []string{"/scopes/0 scope_not_allowed"},
		},
		"an environment beyond the type": {
			func(r *agents.Registration) { r.Environment = "staging" }, registry.Forbidden, "environment_not_allowed", []string{"/environment environment_not_allowed"},
		},
		"a name that is taken": {
			func(r *agents.Registration) { r.Name = "taken" }, registry.Conflict, "name_taken", []string{"/name name_taken"},
		},
	} {
		w.run(name, func(t *testing.T) {
			r := w.triage()
			tc.change(&r)
			_, err := w.service.Register(w.request(), ana, r)
			var fields []string
			for _, f := range asError(t, err, tc.kind, tc.code).Fields {
				fields = append(fields, f.Pointer+" "+f.Code)
			}
			wantEqual(t, "fields", tc.fields, fields)
			for _, op := range w.script.operations() {
				if op != record {
					t.Errorf("it went on to %q", op)
				}
			}
		})
	}
}

// An admin changes the rules between the judgement and the row.
func TestARegistrationIsJudgedByTheRulesThatHoldWhenItIsRecorded(t *testing.T) {
	t.Parallel()
	t.Run("narrower", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.script.once(record, before(func() {
			w.putAgentType(func(a *registry.AgentType) { a.AllowedScopes, a.DefaultScopes = []string{"data:read"}, nil })
		}))
		r := w.triage()
		r.Scopes = &[]string{"skills:invoke"}
		_, err := w.service.Register(w.request(), ana, r)
		wantError(t, err, registry.Conflict, "rules_changed") // the config must be validated anew
		wantEqual(t, "operations", []string{record}, w.script.operations())
		w.wantNothingLeft()
		r.TypeRevision = w.triage().TypeRevision
		_, err = w.service.Register(w.request(), ana, r)
		wantError(t, err, registry.Forbidden, "scope_not_allowed")
	})
	t.Run("the team is blocked", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.script.once(record, before(func() { w.putTeam(registry.Team{Name: "customer-success", MaxAgents: 5, Blocked: true}) }))
		_, err := w.service.Register(w.request(), ana, w.triage())
		wantError(t, err, registry.Forbidden, "team_blocked")
		wantEqual(t, "operations", []string{record}, w.script.operations())
		w.wantNothingLeft()
	})
	t.Run("the team may have others", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.script.once(record, before(func() { w.putTeam(registry.Team{Name: "customer-success", MaxAgents: 5}) }))
		w.mustRegister() // judged again, within the call
	})
	t.Run("the environment is gone", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.script.once(record, before(func() {
			if err := w.store.DeleteEnvironment(t.Context(), "production", some, registry.Actor{Subject: "auth0|root"}); err != nil {
				t.Error(err)
			}
		}))
		_, err := w.service.Register(w.request(), ana, w.triage())
		wantError(t, err, registry.Invalid, "invalid_registration")
		w.wantNothingLeft()
	})
	t.Run("again and again", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		changes := 0
		w.script.on(record, before(func() {
			changes++
			w.putTeam(registry.Team{Name: "customer-success", MaxAgents: int64(changes)})
		}))
		_, err := w.service.Register(w.request(), ana, w.triage())
		wantError(t, err, registry.Conflict, "rules_changed")
		if n := len(w.script.operations()); n > 10 {
			t.Errorf("it tried %d times", n)
		}
		w.wantNothingLeft()
	})
}

// The caller hangs up at each point of a registration: an agent is never left
// half made for it.
func TestARegistrationGoesOnWhenItsCallerHangsUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, op := range registration {
		w.run(op, func(t *testing.T) {
			ctx, hangUp := context.WithCancel(w.request())
			w.script.on(op, func(ctx context.Context, call func() error) error {
				err := call()
				hangUp()
				if ctx.Err() != nil { // as a driver that sees it before the answer
					return ctx.Err()
				}
				return err
			})
			got, err := w.service.Register(ctx, ana, w.triage())
			if err != nil {
				t.Fatalf("Register() = %v", err)
			}
			if a := w.agent(got.Agent.ID); !a.IsReady() || a.Lifecycle != registry.Active {
				t.Errorf("the agent is %s, its steps are %s", a.Lifecycle, states(a))
			}
			wantEqual(t, "the last event", "agent.register success auth0|ana request-1 support-triage", w.audited(1)[0])
			w.mustDecommission(got.Agent.ID)
		})
	}
}

func TestARegistrationWhoseCallerIsGoneDoesNotBegin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, hangUp := context.WithCancel(w.request())
	hangUp()
	if _, err := w.service.Register(ctx, ana, w.triage()); err == nil {
		t.Error("Register() = nil")
	}
	wantEqual(t, "operations", nil, w.script.operations())
	w.wantNothingLeft()
}

// A config was accepted by a schema that an admin has replaced since: whether
// the stricter one would is not known here.
func TestInvariant_A1_AStricterSchemaIsNotOutrun(t *testing.T) {
	t.Parallel()
	stricter := func(a *registry.AgentType) {
		a.Schema = fmt.Appendf(nil, `{"minProperties": 1, "$comment": %q}`, rand.Text()) // another one each time
	}
	for name, change := range map[string]func(w *world){
		"replaced": func(w *world) { w.putAgentType(stricter) },
		"made anew": func(w *world) { // its version is the first again
			if err := w.store.DeleteAgentType(w.t.Context(), "support", some, registry.Actor{Subject: "auth0|root"}); err != nil {
				w.t.Error(err)
			}
			w.putAgentType(stricter)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := w.triage()
			change(w)
			_, err := w.service.Register(w.request(), ana, r)
			wantError(t, err, registry.Conflict, "rules_changed")
			wantEqual(t, "operations", nil, w.script.operations())

			w.script.once(record, before(func() { change(w) })) // later still
			_, err = w.service.Register(w.request(), ana, w.triage())
			wantError(t, err, registry.Conflict, "rules_changed")
			w.wantNothingLeft()
		})
	}
}
