package e2e_test

import (
	"encoding/json"
	"testing"

	"github.com/credenceproject/credence/api"
)

// TestALostVaultTokenIsReplaced: OpenBao forgets the server's token, and the next
// registration works all the same.
func TestALostVaultTokenIsReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"one", "two"} {
		w.as(w.developer).register(registration(name, nil))
		if n := w.revokeAll(); n == 0 {
			t.Error("there was no token to revoke")
		}
	}
	r := w.as(w.developer).register(registration("three", nil))
	w.vaultToken(w.agentToken(r))
}

// revokeAll revokes every token of the world's namespace.
func (w *world) revokeAll() int {
	w.t.Helper()
	var list struct{ Data struct{ Keys []string } }
	if err := json.Unmarshal(w.bao("LIST", "auth/token/accessors", asRoot, nil).want(w.t, 200).body, &list); err != nil {
		w.t.Fatal(err)
	}
	for _, accessor := range list.Data.Keys {
		w.bao("POST", "auth/token/revoke-accessor", asRoot, map[string]string{"accessor": accessor}).want(w.t, 204)
	}
	return len(list.Data.Keys)
}

// TestProvidersAwayAreADetail: the server starts, stays in service and says what
// is amiss; what needs no provider works, and what does is done when they are back.
func TestProvidersAwayAreADetail(t *testing.T) {
	t.Parallel()
	w := newQuick(t)
	w.stop(t)
	w.vault.set(&fault{do: dropBefore})
	w.auth0.set(&fault{path: "/oauth/token", do: answerWith(503, raw)})
	w.start()
	amiss := map[string]bool{}
	for _, c := range readiness(w.as("")).Checks {
		amiss[string(c.Name)] = !c.Ok
	}
	if !amiss["secret_store"] || !amiss["identity_provider"] || amiss["database"] || amiss["schema"] {
		t.Errorf("amiss: %v", amiss)
	}
	dev := w.as(w.developer)
	dev.get("/agents").want(t, 200)
	dev.post("/agents", registration("waiting", nil)).want(t, 202)
	w.auth0.set(nil)
	dev.post("/agents", registration("waiting-too", nil)).want(t, 202)
	dev.post("/agents", registration("waiting", nil)).wantRefused(t, 409, "name_taken", "/name name_taken")
	if a := w.agent("waiting"); isReady(a) || a.Revision != 0 {
		t.Errorf("half an agent is shown as %+v", a)
	}
	w.vault.set(nil)
	eventually(t, "the secret store is back", func() bool {
		for _, c := range readiness(w.as("")).Checks {
			if !c.Ok {
				return false
			}
		}
		return true
	})
	var ready api.Agent
	dev.get("/agents/waiting?wait=ready&timeout=30s").want(t, 200).decode(t, &ready)
	if !isReady(ready) {
		t.Errorf("waited for %+v", ready)
	}
	w.settles()
	w.checkAgreement()
	w.vaultToken(w.agentToken(dev.collect("waiting")))
}

func readiness(c caller) api.Readiness {
	c.w.t.Helper()
	var r api.Readiness
	c.get("/readyz").want(c.w.t, 200).decode(c.w.t, &r)
	return r
}
