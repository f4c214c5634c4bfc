package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/credenceproject/credence/api"
)

// newQuickRegistry is a quick world with resources.
func newQuickRegistry(t testing.TB, settings ...string) *world {
	t.Helper()
	w := newQuick(t, settings...)
	w.seedResources()
	return w
}

// TestASuspensionBitesAtOnce: at Vault with the answer, at an OPA with its next poll,
// and at OPA even while no provider can be told.
func TestASuspensionBitesAtOnce(t *testing.T) {
	t.Parallel()
	w := newQuickRegistry(t)
	opa := w.startOPA("http://" + w.api)
	dev := w.as(w.developer)
	r := dev.register(registration("support-triage", nil))
	w.keep(r.Vault.SecretPaths.Own, "own")
	jwt := w.agentToken(r)
	token, _ := w.vaultToken(jwt)
	claims := w.claimsOf(jwt)
	opa.becomes(claims, "hello-skill", "allow")

	dev.post("/agents/support-triage/suspend", `{"reason": "it calls too often"}`).want(t, 200)
	if _, status := w.read(r.Vault.SecretPaths.Own, token); status != 403 {
		t.Errorf("its Vault token reads: %d", status)
	}
	w.logIn(jwt).want(t, 403)
	opa.becomes(claims, "hello-skill", "platform/agent_suspended")

	dev.post("/agents/support-triage/resume", `{"reason": "it was mended"}`).want(t, 200)
	opa.becomes(claims, "hello-skill", "allow")

	w.auth0.set(&fault{path: "/api/v2/", do: dropBefore})
	w.vault.set(&fault{path: "/v1/identity/", do: dropBefore})
	dev.post("/agents/support-triage/suspend", `{"reason": "at three in the morning"}`).want(t, 202)
	opa.becomes(claims, "hello-skill", "platform/agent_suspended")
	w.auth0.set(nil)
	w.vault.set(nil)
	w.settles()
	w.checkAgreement()
}

// TestAnExpiryIsExact: OPA, which was told beforehand, denies at that second and not
// before; a job suspends the agent and says why; renewed, it works again.
func TestAnExpiryIsExact(t *testing.T) {
	t.Parallel()
	w := newQuickRegistry(t, "CREDENCE_EXPIRY_INTERVAL", "1s")
	opa := w.startOPA("http://" + w.api)
	dev := w.as(w.developer)
	at := time.Now().Add(6 * time.Second).UTC().Truncate(time.Millisecond)
	r := dev.register(registration("short-lived", map[string]any{"expires_at": at.Format(time.RFC3339Nano)}))
	claims := w.claimsOf(w.agentToken(r))
	opa.becomes(claims, "hello-skill", "allow")

	denied := ""
	within(t, bound, func() string { return "OPA still allows it" }, func() bool {
		asked := time.Now()
		got := codesOf(opa.decide(claims, "POST", "hello-skill"))
		answered := time.Now()
		if got == "allow" && asked.After(at) {
			t.Fatalf("OPA allows it %s late", asked.Sub(at))
		}
		if got != "allow" && answered.Before(at) {
			t.Fatalf("OPA says %s %s early", got, at.Sub(answered))
		}
		denied = got
		return got != "allow"
	})
	if !strings.Contains(denied, "platform/agent_expired") {
		t.Errorf("OPA says %s, want agent_expired", denied)
	}
	var a api.Agent
	within(t, bound, func() string { return "nobody suspends it" }, func() bool {
		a = w.agent("short-lived")
		return a.Suspended
	})
	if a.SuspendReason == nil || !strings.HasPrefix(*a.SuspendReason, "expired at ") {
		t.Errorf("it is suspended for %v", a.SuspendReason)
	}
	w.settles()
	w.checkAgreement()

	dev.post("/agents/short-lived/resume", `{"reason": "it is needed"}`).wantRefused(t, 409, "agent_expired")
	w.patch("short-lived", fmt.Sprintf(`{"expires_at": %q}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))).want(t, 200)
	dev.post("/agents/short-lived/resume", `{"reason": "it is needed"}`).want(t, 200)
	opa.becomes(claims, "hello-skill", "allow")
}

// TestNarrowerScopesReachOPA: of a token that was issued before, too, and while no
// provider can be told; wider ones only once they have been.
func TestNarrowerScopesReachOPA(t *testing.T) {
	t.Parallel()
	w := newQuickRegistry(t)
	opa := w.startOPA("http://" + w.api)
	r := w.as(w.developer).register(registration("narrowed", nil))
	claims := w.claimsOf(w.agentToken(r))
	opa.becomes(claims, "hello-skill", "allow")
	w.patch("narrowed", `{"scopes": ["data:read"]}`).want(t, 200)
	opa.becomes(claims, "hello-skill", "platform/missing_permission")
	if got := w.claimsOf(w.agentToken(r))["scope"]; got != "data:read" {
		t.Errorf("a new token has the scopes %v", got)
	}
	w.checkAgreement()

	w.auth0.set(&fault{path: "/api/v2/", do: dropBefore})
	w.patch("narrowed", `{"scopes": ["data:read", "skills:invoke"]}`).want(t, 202)
	if got := codesOf(opa.decide(claims, "POST", "hello-skill")); got != "platform/missing_permission" {
		t.Errorf("OPA says %s while Auth0 has not followed", got)
	}
	w.auth0.set(nil)
	w.settles()
	opa.becomes(claims, "hello-skill", "allow")
	w.auth0.set(&fault{path: "/api/v2/", do: dropBefore})
	w.patch("narrowed", `{"scopes": []}`).want(t, 202)
	opa.becomes(claims, "hello-skill", "platform/missing_permission")
	w.auth0.set(nil)
	w.settles()
	w.checkAgreement()
	w.patch("narrowed", `{"name": "renamed"}`).wantRefused(t, 422, "immutable_field", "/name immutable_field")
}

// patch changes the agent by a merge patch of its present state.
func (w *world) patch(name, document string) response {
	w.t.Helper()
	tag := w.as(w.developer).get("/agents/"+name).want(w.t, 200).header.Get("ETag")
	return w.as(w.developer).with("If-Match", tag).do("PATCH", "/agents/"+name, "application/merge-patch+json", strings.NewReader(document))
}
