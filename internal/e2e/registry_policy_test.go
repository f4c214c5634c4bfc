package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/postgres"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/policy"
)

// newerPolicy is the policy of a later binary, which calls access_denied
// access_refused.
func newerPolicy(t testing.TB, version, layout int64) registry.PlatformPolicy {
	t.Helper()
	p := policy.Platform()
	changed := strings.Replace(p.Modules["authz.rego"], `"access_denied"`, fmt.Sprintf(`"access_refused_%d"`, version), 1)
	if changed == p.Modules["authz.rego"] {
		t.Fatal("the policy has no access_denied to replace")
	}
	p.Modules["authz.rego"] = changed
	p.Hash, p.Version, p.Layout = policy.Hash(p.Modules), version, layout
	return p
}

// activate does what the migrate of that later binary would do.
func (w *world) activate(p registry.PlatformPolicy) {
	w.t.Helper()
	pool := must(postgres.Open(w.t.Context(), func() (string, error) { return w.dsn, nil }, 1))(w.t)
	defer pool.Close()
	if !must(postgres.NewStore(pool).ActivatePolicy(w.t.Context(), p, false, registry.Actor{Subject: "test"}))(w.t) {
		w.t.Fatal("the policy was active already")
	}
}

// TestInvariant_B2_PolicyComesFromTheRegistry: what decides is the policy that is
// active, whatever binary serves it, and migrate of an older binary takes nothing
// back unless it is told to.
func TestInvariant_B2_PolicyComesFromTheRegistry(t *testing.T) {
	t.Parallel()
	w := newRegistry(t)
	r := newRecorder(t, w.api)
	opa := w.startOPA(r.URL)
	claims := w.claimsOf(w.agentToken(w.as(w.developer).register(registration("support-triage", nil))))
	opa.becomes(claims, "billing-system", "platform/access_denied")
	own := func() string {
		return codesOf(decisionIn(t, w.as(w.admin).get("/agents/support-triage/access?resource=billing-system").want(t, 200)))
	}
	before := r.state()

	newer := fmt.Sprintf("platform/access_refused_%d", policy.Version+1)
	w.activate(newerPolicy(t, policy.Version+1, policy.Layout))
	opa.becomes(claims, "billing-system", newer)
	if got := own(); got != newer {
		t.Errorf("the server itself decides %s", got)
	}
	if now := r.state(); tagPart(now, 3) == tagPart(before, 3) {
		t.Errorf("the modules changed and the hash did not: %s, %s", before, now)
	}
	w.stop(t)
	if said := mustCredence(t, w.env, "migrate"); !strings.Contains(said, "was left alone") {
		t.Errorf("migrate of the older binary: %s", said)
	}
	w.start()
	r.leadTo(w.api)
	if got := own(); got != newer {
		t.Errorf("a server that started anew decides %s", got)
	}
	if said := mustCredence(t, w.env, "migrate", "--activate-policy"); !strings.Contains(said, "is active now") {
		t.Errorf("migrate --activate-policy: %s", said)
	}
	opa.becomes(claims, "billing-system", "platform/access_denied")
	if got := own(); got != "platform/access_denied" {
		t.Errorf("afterwards the server itself decides %s", got)
	}
}

// TestInvariant_B2_AnUnknownLayoutKeepsTheLastGoodBundle: a binary that cannot
// build what the active policy reads serves what it had, says so once, and stays
// in service for the rest.
func TestInvariant_B2_AnUnknownLayoutKeepsTheLastGoodBundle(t *testing.T) {
	t.Parallel()
	w := newRegistry(t)
	r := newRecorder(t, w.api)
	opa := w.startOPA(r.URL)
	claims := w.claimsOf(w.agentToken(w.as(w.developer).register(registration("support-triage", nil))))
	opa.becomes(claims, "billing-system", "platform/access_denied")
	good := w.bundleReader().get("/bundles/production").want(t, 200).header.Get("ETag")

	w.activate(newerPolicy(t, policy.Version+1, policy.Layout+1))
	w.setVisibility("team") // a change that only a newer binary can tell OPA of
	eventually(t, "the server's word", func() bool { return strings.Contains(w.stderr.String(), "needs a newer version of this server") })
	polled := len(r.polls())
	eventually(t, "two polls", func() bool { return len(r.polls()) >= polled+2 })
	for _, p := range r.polls()[polled:] {
		if p.status != 304 || p.etag != good {
			t.Errorf("OPA, which has %s, got %+v", good, p)
		}
	}
	if got := codesOf(opa.decide(claims, "POST", "hello-skill")); got != "allow" {
		t.Errorf("OPA decides %s", got)
	}
	if got := w.bundleReader().get("/bundles/production").want(t, 200).header.Get("ETag"); got != good {
		t.Errorf("a new OPA is given %s, want %s", got, good)
	}
	w.as(w.admin).get("/agents/support-triage/access?resource=hello-skill").wantRefused(t, 503, "policy_unknown")
	w.as(w.admin).get("/resources/hello-skill/metadata").want(t, 200)
	if ready := readiness(w.as("")); !ready.Ready {
		t.Errorf("readiness %+v", ready)
	}
	if n := strings.Count(w.stderr.String(), `"a bundle cannot be made","bundle":"production"`); n != 1 {
		t.Errorf("the log tells %d times", n)
	}

	w.stop(t)
	w.start() // it has no last good bundle now
	r.leadTo(w.api)
	w.bundleReader().get("/bundles/production").wantRefused(t, 503, "policy_unknown")
	if got := codesOf(opa.decide(claims, "POST", "hello-skill")); got != "allow" {
		t.Errorf("OPA decides %s", got)
	}
	mustCredence(t, w.env, "migrate", "--activate-policy")
	opa.becomesWithin(4*time.Second, claims, "hello-skill", "platform/access_denied") // OPA backs off after the errors
}
