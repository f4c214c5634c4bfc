package agents_test

import (
	"context"
	"slices"
	"testing"

	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/registry"
)

var (
	cleo      = registry.Principal{Subject: "auth0|cleo", Teams: []string{"customer-success", "platform"}}
	toBensOwn = agents.Transfer{Team: "platform", Owner: "ben@example.com", Reason: "reorganised"}
)

// Nothing that people of the old team may hold works by the time that anything of
// the new one comes to be, and until it all stands policy denies the agent.
func TestInvariant_A6_ATransferLeavesTheOldTeamNothingThatWorks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.mustRegister()
	old, oldEntity := *got.Credentials, w.secrets.all()[got.Agent.ID]
	w.script.all = func(_ context.Context, op string, call func() error) error {
		if p := w.agent(got.Agent.ID).Published; op != change && !p.Suspended {
			t.Errorf("policy allows the agent before %q", op)
		}
		if slices.Contains([]string{createClient, ensureClient, ensureGrant, ensureEntity, ensureAlias}, op) {
			if _, there := w.tenant.all()[old.ClientID]; there || w.secrets.agentOf(oldEntity.ID) != "" {
				t.Errorf("the old client or the old entity is there before %q", op)
			}
		}
		return call()
	}
	w.script.operations()
	a, err := w.service.Transfer(w.request(), cleo, got.Agent.ID, some, toBensOwn)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "operations", slices.Concat(
		[]string{change, disableEntity, deleteClient, deleteEntity, forget, begin}, registration[1:],
	), w.script.operations())
	w.script.forget()
	wantEqual(t, "team and owner", "platform ben@example.com", a.Team+" "+a.Owner)
	if w.tenant.works(old) || a.ClientID == old.ClientID || a.EntityID == oldEntity.ID || a.Published.Subject != a.Subject() {
		t.Errorf("the old identity lives on: %+v", a)
	}
	w.wantConverged()

	_, err = w.service.Rotate(w.request(), ana, a.ID, some, agents.Rotation{})
	wantError(t, err, registry.Forbidden, "team_not_allowed")
	renewed, err := w.service.Rotate(w.request(), ben, a.ID, some, agents.Rotation{})
	if err != nil || !w.tenant.works(*renewed.Credentials) {
		t.Errorf("the new owner's Rotate() = %+v, %v", renewed, err)
	}
}

// The transfer fails at each of its steps, in each way: it goes on from there, and
// policy denies the agent until then.
func TestInvariant_A6_ATransferThatFailsGoesOnAndAllowsNothingMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	course := slices.Concat([]string{disableEntity, deleteClient, deleteEntity, forget, begin}, registration[1:])
	for i, op := range course {
		for name, fault := range map[string]func(error) around{"nothing is done": failBefore, "the answer is lost": failAfter} {
			w.run(op+": "+name, func(t *testing.T) {
				old := *w.mustRegister().Credentials
				id := w.idOf("support-triage")
				w.atNth(i+1, fault(reset)) // after the change itself
				a, err := w.service.Transfer(w.request(), cleo, id, some, toBensOwn)
				w.script.forget()
				if err != nil {
					t.Fatal(err)
				}
				if last := op == finish && name == "the answer is lost"; !last && !a.Published.Suspended {
					t.Error("policy allows an agent that is not wholly the new team's")
				}
				w.converge()
				if w.tenant.works(old) {
					t.Error("the old secret works")
				}
				w.sweepAway()
			})
		}
	}
}

func TestATransferIsForThoseWhoActForBothTeams(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.mustRegister().Agent
	for name, tc := range map[string]struct {
		by   registry.Principal
		to   string
		team registry.Team
		code string
	}{
		"a member of the old one":  {ana, "platform", registry.Team{}, "team_not_allowed"},
		"a member of the new one":  {ben, "platform", registry.Team{}, "team_not_allowed"},
		"the new one is blocked":   {cleo, "platform", registry.Team{Name: "platform", MaxAgents: 5, Blocked: true}, "team_blocked"},
		"the new one has no room":  {cleo, "platform", registry.Team{Name: "platform"}, "team_limit_reached"},
		"the old one is blocked":   {cleo, "platform", registry.Team{Name: "customer-success", Blocked: true}, "team_blocked"},
		"somebody of neither team": {registry.Principal{Subject: "auth0|dan"}, "platform", registry.Team{}, "team_not_allowed"},
	} {
		w.run(name, func(t *testing.T) {
			if tc.team.Name != "" {
				w.putTeam(tc.team)
			}
			_, err := w.service.Transfer(w.request(), tc.by, a.ID, some, agents.Transfer{Team: tc.to})
			wantError(t, err, registry.Forbidden, tc.code)
			wantEqual(t, "the agent", a, w.agent(a.ID))
			w.putTeam(registry.Team{Name: "platform", MaxAgents: 5})
			w.putTeam(registry.Team{Name: "customer-success", MaxAgents: 5})
		})
	}
}

// The agent goes to another team between the moment at which a caller was found to
// be of its team and the moment at which the change is written.
func TestInvariant_A6_WhoActedForTheOldTeamChangesNothingAfterATransfer(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(w *world, ref string) error{
		"change": func(w *world, ref string) error {
			r := w.triage()
			r.Description = "mine"
			_, err := w.service.Change(w.request(), ana, ref, some, r)
			return err
		},
		"suspend": func(w *world, ref string) error {
			_, err := w.service.Suspend(w.request(), ana, ref, some, agents.Switch{})
			return err
		},
		"transfer": func(w *world, ref string) error {
			_, err := w.service.Transfer(w.request(), ana, ref, some, agents.Transfer{Team: "customer-success"})
			return err
		},
		"rotate": func(w *world, ref string) error {
			_, err := w.service.Rotate(w.request(), ana, ref, some, agents.Rotation{})
			return err
		},
		"decommission": func(w *world, ref string) error {
			_, err := w.service.Decommission(w.request(), ana, ref, some, false)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id := w.mustRegister().Agent.ID
			var left registry.Agent
			w.script.once(change, before(func() {
				if _, err := w.other.Transfer(w.request(), cleo, id, some, toBensOwn); err != nil {
					t.Error(err)
				}
				left = w.agent(id)
			}))
			wantError(t, call(w, id), registry.Conflict, "changed_meanwhile")
			wantEqual(t, "the agent", left, w.agent(id))
		})
	}
}

// A suspended agent may be given away; it stays suspended, and has nothing at the
// providers until it is resumed.
func TestASuspendedAgentIsTransferredAndStaysSuspended(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	suspended(w)
	id := w.idOf("support-triage")
	if _, err := w.service.Transfer(w.request(), cleo, id, some, toBensOwn); err != nil {
		t.Fatal(err)
	}
	w.converge()
	if a := w.agent(id); !a.Suspended || a.ClientID != "" || len(w.tenant.of(id)) != 0 {
		t.Errorf("the agent is suspended: %t, and has the client %q", a.Suspended, a.ClientID)
	}
	if _, err := w.service.Resume(w.request(), ben, id, some, agents.Switch{}); err != nil {
		t.Fatal(err)
	}
	w.converge()
	if !w.agent(id).IsReady() {
		t.Error("the agent is not ready")
	}
}
