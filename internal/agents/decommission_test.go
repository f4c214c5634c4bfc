package agents_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/credenceproject/credence/internal/registry"
)

func TestInvariant_C1_AuthorityLeavesFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.mustRegister()
	w.script.operations()
	w.script.on(disableEntity, before(func() {
		if a := w.agent(got.Agent.ID); a.Lifecycle != registry.Decommissioned || a.Revision <= got.Agent.Revision {
			t.Errorf("a provider is told while the agent is %s at revision %d", a.Lifecycle, a.Revision)
		}
		if left := w.left(); strings.Contains(left, "policy") {
			t.Errorf("a provider is told while there are %s", left)
		}
	}))
	if err := w.service.Decommission(w.request(), ana, "support-triage", some); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "operations", []string{decommission, disableEntity, deleteClient, recordTeardown}, w.script.operations())
	w.wantNothingLeft()
	// Its entity stays, disabled: tokens that were issued live on, and an entity
	// that is gone could be logged in to again.
	a := w.agent(got.Agent.ID)
	wantEqual(t, "entities", map[string]entity{a.ID: {ID: a.EntityID, Subject: a.Subject(), Disabled: true}}, w.secrets.all())
	wantEqual(t, "steps", "undone undone undone undone undone", states(a))
	wantEqual(t, "events", []string{
		"agent.decommission intent auth0|ana request-1 support-triage", "agent.decommission success auth0|ana request-1 support-triage",
	}, w.audited(2))
}

func TestADeleteMayBeRepeatedByIDAndNotByName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.mustRegister().Agent.ID
	if err := w.service.Decommission(w.request(), ana, id, some); err != nil {
		t.Fatal(err)
	}
	next := w.mustRegister().Agent // the name's next holder
	w.script.operations()

	if err := w.service.Decommission(w.request(), ana, id, some); err != nil {
		t.Errorf("Decommission() by id again = %v", err)
	}
	wantEqual(t, "operations", nil, w.script.operations())
	if a := w.agent(next.ID); a.Lifecycle != registry.Active || !a.IsReady() {
		t.Errorf("the name's next holder is %s", a.Lifecycle)
	}

	if err := w.service.Decommission(w.request(), ana, "support-triage", some); err != nil {
		t.Fatal(err)
	}
	err := w.service.Decommission(w.request(), ana, "support-triage", some)
	wantError(t, err, registry.NotFound, "not_found")
	err = w.service.Decommission(w.request(), ana, uuid.Must(uuid.NewV7()).String(), some)
	wantError(t, err, registry.NotFound, "not_found")
}

// One provider fails; the other is told all the same, and the same call by id
// finishes the rest, without calling in vain twice.
func TestADeleteThatFailedIsFinishedByTheNext(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	away := unavailable(errors.New("connection reset"))
	for name, tc := range map[string]struct {
		failing []string
		done    []string
		states  string
	}{
		"the secret store":      {[]string{disableEntity}, []string{decommission, disableEntity, deleteClient, recordTeardown}, "undone undone failed failed undone"},
		"the identity provider": {[]string{deleteClient}, []string{decommission, disableEntity, deleteClient, recordTeardown}, "failed failed undone undone undone"},
		"both":                  {[]string{disableEntity, deleteClient}, []string{decommission, disableEntity, deleteClient, recordTeardown}, "failed failed failed failed undone"},
		"the note of it":        {[]string{recordTeardown}, []string{decommission, disableEntity, deleteClient, recordTeardown}, "done done done done undone"},
	} {
		w.run(name, func(t *testing.T) {
			id := w.mustRegister().Agent.ID
			w.script.operations()
			for _, op := range tc.failing {
				w.script.on(op, failBefore(away))
			}
			e := asError(t, w.service.Decommission(w.request(), ana, "support-triage", some), registry.Unavailable, "decommission_incomplete")
			if !strings.Contains(e.Message, "DELETE /agents/"+id) || e.RetryAfter <= 0 {
				t.Errorf("the caller is not told what to do, and when: %+v", e)
			}
			wantEqual(t, "operations", tc.done, w.script.operations())
			a := w.agent(id)
			wantEqual(t, "steps", tc.states, states(a))
			if a.Lifecycle != registry.Decommissioned {
				t.Errorf("the agent is %s", a.Lifecycle)
			}
			before := a.Revision

			for _, op := range tc.failing {
				w.script.on(op, nil)
			}
			if err := w.service.Decommission(w.request(), ana, id, some); err != nil {
				t.Fatalf("Decommission() again = %v", err)
			}
			w.wantNothingLeft()
			a = w.agent(id)
			wantEqual(t, "steps in the end", "undone undone undone undone undone", states(a))
			if a.Revision != before {
				t.Errorf("the second call took revision %d: policy saw nothing change", a.Revision)
			}
		})
	}
}

func TestADeleteTellsOfAFailureInTheAuditLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustRegister()
	w.script.on(deleteClient, failBefore(refused("no")))
	wantError(t, w.service.Decommission(w.request(), ana, "support-triage", some), registry.Unavailable, "decommission_incomplete")
	wantEqual(t, "the last event", "agent.decommission failure auth0|ana request-1 support-triage: the provider said no: no", w.audited(1)[0])
}

func TestADeleteFindsTheClientsThatTheRegistryDoesNotKnow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	// The client is there, but neither its creation nor its removal was confirmed.
	w.script.on(createClient, failAfter(unavailable(errors.New("connection reset"))))
	w.script.once(findClients, failBefore(unavailable(errors.New("connection reset"))))
	_, err := w.service.Register(w.request(), ana, w.triage())
	wantError(t, err, registry.Unavailable, "registration_incomplete")
	if n := len(w.tenant.all()); n != 1 {
		t.Fatalf("%d clients, want the one that was left behind", n)
	}
	w.script.operations()
	if err := w.service.Decommission(w.request(), ana, w.idOf("support-triage"), some); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "operations", []string{decommission, disableEntity, findClients, deleteClient, recordTeardown}, w.script.operations())
	w.wantNothingLeft()
}

func TestARefusedDeleteChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.mustRegister().Agent
	w.script.operations()

	wantError(t, w.service.Decommission(w.request(), ben, a.ID, some), registry.Forbidden, "team_not_allowed")
	wantEqual(t, "operations for a stranger", nil, w.script.operations())

	stale := registry.Precondition{IfMatch: &registry.Tags{List: []string{a.ID + ".1"}}}
	wantError(t, w.service.Decommission(w.request(), ana, a.ID, stale), registry.PreconditionFailed, "precondition_failed")
	wantEqual(t, "operations with a stale ETag", []string{decommission}, w.script.operations())
	wantEqual(t, "the agent", a, w.agent(a.ID))

	fresh := registry.Precondition{IfMatch: &registry.Tags{List: []string{a.Tag()}}}
	if err := w.service.Decommission(w.request(), ana, a.ID, fresh); err != nil {
		t.Errorf("Decommission() with the present ETag = %v", err)
	}
	wantError(t, w.service.Decommission(w.request(), ben, a.ID, some), registry.Forbidden, "team_not_allowed")
	if err := w.service.Decommission(w.request(), admin, a.ID, some); err != nil {
		t.Errorf("an admin's Decommission() = %v", err)
	}
}

func TestOnlyAdminsSeeTombstones(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.mustRegister().Agent
	if err := w.service.Decommission(w.request(), ana, a.ID, some); err != nil {
		t.Fatal(err)
	}
	ctx := w.request()
	for _, ref := range []string{a.ID, a.Name} {
		_, err := w.service.Get(ctx, ana, ref, true)
		wantError(t, err, registry.Forbidden, "permission_denied")
		_, err = w.service.Get(ctx, admin, ref, false)
		wantError(t, err, registry.NotFound, "not_found")
		got, err := w.service.Get(ctx, admin, ref, true)
		if err != nil || got.ID != a.ID || got.Lifecycle != registry.Decommissioned {
			t.Errorf("Get(%s) = %s, %v", ref, got.ID, err)
		}
	}
	tombstones := registry.AgentFilter{Lifecycle: registry.Decommissioned, Limit: 10}
	_, _, err := w.service.List(ctx, ana, tombstones)
	wantError(t, err, registry.Forbidden, "permission_denied")
	got, next, err := w.service.List(ctx, admin, tombstones)
	if err != nil || len(got) != 1 || next != nil {
		t.Errorf("List() = %d agents, next %v, %v", len(got), next, err)
	}
}

func TestListSaysWhereTheNextPageBegins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"a", "b", "c"} {
		r := w.triage()
		r.Name = name
		if _, err := w.service.Register(w.request(), ana, r); err != nil {
			t.Fatal(err)
		}
	}
	var pages []string
	for f := (registry.AgentFilter{Lifecycle: registry.Active, Limit: 2}); ; {
		page, next, err := w.service.List(w.request(), ana, f)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, a := range page {
			names = append(names, a.Name)
		}
		pages = append(pages, strings.Join(names, " "))
		if next == nil {
			break
		}
		f.After = *next
	}
	wantEqual(t, "pages", []string{"a b", "c"}, pages)
}

// A blocked team's name may be carried by other people by now.
func TestInvariant_A3_ABlockedTeamDeletesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.mustRegister().Agent
	w.putTeam(registry.Team{Name: a.Team, MaxAgents: 5, Blocked: true})
	w.script.operations()
	for _, ref := range []string{a.Name, a.ID} {
		wantError(t, w.service.Decommission(w.request(), ana, ref, some), registry.Forbidden, "team_blocked")
	}
	wantEqual(t, "operations", nil, w.script.operations())
	wantEqual(t, "the agent", a, w.agent(a.ID))
	if err := w.service.Decommission(w.request(), admin, a.ID, some); err != nil {
		t.Errorf("an admin's Decommission() = %v", err)
	}
}
