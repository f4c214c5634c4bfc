package agents_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
)

// A client that exists does what somebody made it for. A registration that would
// have made it an agent's, and did not succeed, leaves it there with its secret.
func TestARegistrationThatFailsDeletesNoClientThatItDidNotMake(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	legacy := registry.Credentials{ClientID: "client-of-yore", ClientSecret: "known"}
	for name, step := range map[string]string{"at its client": ensureClient, "at its grant": ensureGrant, "at its entity": ensureEntity} {
		w.run(name, func(t *testing.T) {
			legacy.ClientID += "-" + step[len("ensure "):]
			w.tenant.adopt(legacy.ClientID, oauthClient{Secret: legacy.ClientSecret, Authentication: registry.ClientSecretPost})
			w.script.once(step, failBefore(refused("it is not to be")))
			r := w.triage()
			r.AdoptClientID = legacy.ClientID
			_, err := w.service.Register(w.request(), admin, r)
			wantError(t, err, registry.Refused, "provider_refused")
			w.letPass()

			left, there := w.tenant.all()[legacy.ClientID]
			if !there || left.Secret != legacy.ClientSecret || left.Granted {
				t.Errorf("the client is there: %t, as %+v; want it with its secret and without a grant", there, left)
			}
		})
	}
}

// letPass lets time pass until no pass is due any more.
func (w *world) letPass() {
	w.t.Helper()
	for claimed := 1; claimed > 0; {
		w.lapse()
		w.settle()
		w.due()
		var err error
		if claimed, err = w.claimDue(); err != nil {
			w.t.Fatal(err)
		}
	}
}

// Once it was ready it is the agent's client like any other, and goes with it.
func TestAnAdoptedClientGoesWithItsAgent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tenant.adopt("client-of-yore", oauthClient{Secret: "known", Authentication: registry.ClientSecretPost})
	r := w.triage()
	r.AdoptClientID = "client-of-yore"
	got, err := w.service.Register(w.request(), admin, r)
	if err != nil {
		t.Fatal(err)
	}
	w.mustDecommission(got.Agent.ID)
	w.converge()
	w.wantNothingLeft()
}

// An agent's client is shut out of the control plane for ever, and with it would be
// everybody whose tokens it gets.
func TestTheCallersOwnClientIsNotAdopted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tenant.adopt("client-of-operators", oauthClient{Secret: "known", Authentication: registry.ClientSecretPost})
	operator := admin
	operator.ClientID = "client-of-operators"
	r := w.triage()
	r.AdoptClientID = operator.ClientID
	_, err := w.service.Register(w.request(), operator, r)
	e := asError(t, err, registry.Invalid, "invalid_registration")
	if len(e.Fields) != 1 || e.Fields[0].Code != "client_not_adoptable" {
		t.Errorf("the faults are %+v", e.Fields)
	}
	if is, err := w.store.IsAgentClient(t.Context(), operator.ClientID); err != nil || is {
		t.Errorf("IsAgentClient() = %t, %v", is, err)
	}
}

// The ids of agents are no secret. Whoever may make clients in the tenant could name
// one whose creation has no known outcome, and would have the agent's secret.
func TestAClientOfNoneOfTheAttemptsNeverBecomesTheAgents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, tc := range map[string]struct {
		attempt around
		intent  string
	}{
		"none came, of no attempt":      {failBefore(reset), ""},
		"none came, of somebody else's": {failBefore(reset), "0198f000-0000-7000-8000-0000000000aa"},
		"one came":                      {failAfter(reset), "ffffffff-ffff-7fff-bfff-ffffffffffff"},
	} {
		w.run(name, func(t *testing.T) {
			w.script.once(createClient, tc.attempt)
			id := w.mustBegin()
			forged := oauthClient{AgentID: id, IntentID: tc.intent, Secret: "of the forger", Authentication: registry.ClientSecretPost}
			w.tenant.adopt("client-forged", forged)
			w.letPass()

			a := w.agent(id)
			if a.ClientID == "client-forged" || !a.IsReady() {
				t.Errorf("the agent has the client %s, and is %s", a.ClientID, states(a))
			}
			if diff := cmp.Diff(forged, w.tenant.all()["client-forged"]); diff != "" {
				t.Errorf("the client of somebody else was changed (-want +got):\n%s", diff)
			}
			w.tenant.remove("client-forged")
			w.wantOneOfEach(id)
			w.mustDecommission(id)
			w.converge()
		})
	}
}
