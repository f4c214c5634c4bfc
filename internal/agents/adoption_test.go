package agents_test

import (
	"context"
	"testing"

	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/registry"
)

// yore is a client that exists, and its registration with an agent.
func (w *world) yore(c oauthClient) agents.Registration {
	w.t.Helper()
	c.Secret, c.Authentication = "known", registry.ClientSecretPost
	w.tenant.adopt("client-of-yore", c)
	r := w.triage()
	r.AdoptClientID = "client-of-yore"
	return r
}

// A refused adoption costs the client nothing: it may be adopted once the cause is
// mended, as soon as nobody can take anything from it any more.
func TestARefusedAdoptionMayBeRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, step := range []string{ensureClient, ensureGrant, ensureEntity, ensureAlias} {
		w.run(step, func(t *testing.T) {
			r := w.yore(oauthClient{})
			w.script.once(step, failBefore(refused("it is not to be")))
			_, err := w.service.Register(w.request(), admin, r)
			wantError(t, err, registry.Refused, "provider_refused")
			if is, err := w.store.IsAgentClient(t.Context(), r.AdoptClientID); err != nil || is {
				t.Errorf("IsAgentClient() = %t, %v: the client is shut out of the control plane", is, err)
			}
			if step != ensureClient {
				_, err = w.service.Register(w.request(), admin, r)
				if e := asError(t, err, registry.Conflict, "client_taken"); e.RetryAfter <= 0 {
					t.Error("while the first is taken back, nobody says when to repeat it")
				}
			}
			w.letPass()
			got, err := w.service.Register(w.request(), admin, r)
			if err != nil || !got.Agent.IsReady() {
				t.Fatalf("Register() again = %s, %v", states(got.Agent), err)
			}
			if is, err := w.store.IsAgentClient(t.Context(), r.AdoptClientID); err != nil || !is {
				t.Errorf("IsAgentClient() = %t, %v, of a ready agent's", is, err)
			}
			w.letPass()
			if c := w.tenant.all()[r.AdoptClientID]; !c.Granted || c.AgentID != got.Agent.ID {
				t.Errorf("the client is %+v", c)
			}
			w.mustDecommission(got.Agent.ID)
			w.letPass()
			w.exec(`TRUNCATE agent_clients`) // for the next
		})
	}
}

// Orphans name an agent, too: what counts is whether it lives.
func TestAClientThatNamesAnAgentIsAdoptedUnlessThatLives(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.triage()
	other.Name = "other"
	living, err := w.service.Register(w.request(), ana, other)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.service.Register(w.request(), admin, w.yore(oauthClient{AgentID: living.Agent.ID}))
	wantError(t, err, registry.Conflict, "client_taken")
	w.mustDecommission(living.Agent.ID)
	r := w.yore(oauthClient{AgentID: living.Agent.ID})
	_, err = w.service.Register(w.request(), admin, r)
	wantError(t, err, registry.Conflict, "client_taken") // a pass might still find and delete it
	w.tenant.remove(r.AdoptClientID)
	w.letPass()

	for name, named := range map[string]string{
		"one that is gone": living.Agent.ID, "none": "0198f000-0000-7000-8000-0000000000aa", "no id": "support-triage",
	} {
		w.run(name, func(t *testing.T) {
			got, err := w.service.Register(w.request(), admin, w.yore(oauthClient{AgentID: named}))
			if err != nil || !got.Agent.IsReady() {
				t.Fatalf("Register() = %s, %v", states(got.Agent), err)
			}
			w.mustDecommission(got.Agent.ID)
			w.letPass()
			_, err = w.service.Register(w.request(), admin, w.yore(oauthClient{}))
			wantError(t, err, registry.Conflict, "client_taken") // it was an agent's
			w.tenant.remove(r.AdoptClientID)
			w.exec(`TRUNCATE agent_clients`) // for the next
		})
	}
}

// Of two adoptions with one key the slower is told what the faster came to, also
// when it finds the client an agent's by then.
func TestInvariant_C3_ARepeatedAdoptionIsNotToldThatItsClientIsTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.yore(oauthClient{})
	r.Key, r.Fingerprint = "key-1", "f1"
	w.script.once(ensureGrant, func(_ context.Context, call func() error) error { // the client names the agent
		_, err := w.other.Register(w.request(), admin, r)
		wantError(t, err, registry.Conflict, "idempotency_key_in_progress")
		return call()
	})
	first, err := w.service.Register(w.request(), admin, r)
	if err != nil || !first.Agent.IsReady() {
		t.Fatalf("Register() = %s, %v", states(first.Agent), err)
	}
	again, err := w.other.Register(w.request(), admin, r)
	if err != nil || !again.Replayed || again.Agent.ID != first.Agent.ID || again.Credentials != nil {
		t.Errorf("Register() again = %+v, %v", again, err)
	}
	r.Key = "key-2"
	_, err = w.service.Register(w.request(), admin, r)
	wantError(t, err, registry.Conflict, "client_taken")
}
