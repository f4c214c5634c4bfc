package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/local"
)

// policyServer is a real OPA of the world that polls the bundle of production
// every second, with a token for that scope alone.
type policyServer struct {
	w   *world
	opa *local.OPA
}

func (w *world) startOPA(controlURL string) policyServer {
	w.t.Helper()
	p := w.startOPAWith(controlURL, func(*local.OPAOptions) {})
	eventually(w.t, "OPA's first bundle", func() bool { return p.opa.Activated(w.t.Context()) })
	return p
}

// startPollingOPA is an OPA whose polls are held.
func (w *world) startPollingOPA(controlURL string) policyServer {
	w.t.Helper()
	p := w.startOPAWith(controlURL, func(o *local.OPAOptions) { o.LongPoll = 10 * time.Second })
	eventually(w.t, "OPA's first bundle", func() bool { return p.opa.Activated(w.t.Context()) })
	return p
}

// startOPAWith starts an OPA with other options. Whether it gets a bundle is the
// caller's to see.
func (w *world) startOPAWith(controlURL string, change func(*local.OPAOptions)) policyServer {
	w.t.Helper()
	o := local.OPAOptions{
		Tools: must(local.FindTools(""))(w.t), ControlURL: controlURL, Resource: "bundles/production",
		Token: w.token("test|opa", []string{"bundles:read:production"}), PollEvery: time.Second,
	}
	change(&o)
	opa := must(local.StartOPA(w.t.Context(), o))(w.t)
	w.t.Cleanup(func() {
		if err := opa.Stop(); err != nil {
			w.t.Error(err)
		}
	})
	return policyServer{w: w, opa: opa}
}

// ask asks OPA what it says of claims that call a resource.
func (p policyServer) ask(claims map[string]any, method, resource string) response {
	p.w.t.Helper()
	input := map[string]any{"request": map[string]any{"method": method, "path": []string{}}, "resource": map[string]any{"type": "", "id": resource}}
	if claims != nil {
		input["jwt"] = map[string]any{"valid": true, "payload": claims}
	}
	body := must(json.Marshal(map[string]any{"input": input}))(p.w.t)
	r := must(http.NewRequestWithContext(p.w.t.Context(), http.MethodPost, p.opa.Address+"/v1/data/mcp/authz/decision", bytes.NewReader(body)))(p.w.t)
	return send(p.w.t, client, r)
}

// decide is the decision that OPA answers.
func (p policyServer) decide(claims map[string]any, method, resource string) api.Decision {
	p.w.t.Helper()
	answer := p.ask(claims, method, resource).want(p.w.t, 200)
	var d struct{ Result api.Decision }
	if err := json.Unmarshal(answer.body, &d); err != nil {
		p.w.t.Fatalf("%s: %v", answer.body, err)
	}
	if d.Result.Allow != d.Result.Allowed || (d.Result.Allow && len(d.Result.Reasons) > 0) || (!d.Result.Allow && len(d.Result.Reasons) == 0) {
		p.w.t.Errorf("the decision contradicts itself: %s", answer.body)
	}
	return d.Result
}

// becomes waits until OPA says what is wanted, which may take two seconds.
func (p policyServer) becomes(claims map[string]any, resource, want string) {
	p.w.t.Helper()
	p.becomesWithin(2*time.Second, claims, resource, want)
}

func (p policyServer) becomesWithin(d time.Duration, claims map[string]any, resource, want string) {
	p.w.t.Helper()
	got := ""
	eventually(p.w.t, "any decision", func() bool { return !bytes.Equal(p.ask(claims, "POST", resource).body, undefinedAnswer) })
	within(p.w.t, d, func() string { return fmt.Sprintf("OPA still says %s of %s, want %s", got, resource, want) }, func() bool {
		got = codesOf(p.decide(claims, "POST", resource))
		return got == want
	})
}

// undefinedAnswer is what OPA says before it has a bundle.
var undefinedAnswer = []byte("{}\n")

// within asks done every few milliseconds until it says yes, for no longer than d.
func within(t testing.TB, d time.Duration, still func() string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); !done(); <-tick.C {
		if time.Since(began) > d {
			t.Fatalf("%s later: %s", d, still())
		}
	}
}

// codesOf is "allow", or the reasons' codes.
func codesOf(d api.Decision) string {
	if d.Allow {
		return "allow"
	}
	codes := ""
	for _, r := range d.Reasons {
		codes += r.Tier + "/" + r.Code + " "
	}
	return codes[:len(codes)-1]
}

func resourceDocument(kind, owner, visibility string, environments ...string) string {
	deployments := map[string]any{}
	for _, e := range environments {
		deployments[e] = map[string]string{"endpoint": "https://skills.example.com"}
	}
	b, _ := json.Marshal(map[string]any{ // of strings, it always encodes
		"type": kind, "team": owner, "access": map[string]any{"visibility": visibility}, "deployments": deployments,
		"description": "a description that no bundle holds",
	})
	return string(b)
}

// newRegistry is a world with resources, one for each way to be denied.
func newRegistry(t testing.TB, settings ...string) *world {
	t.Helper()
	w := newWorld(t, settings...)
	w.seedResources()
	return w
}

func (w *world) seedResources() {
	w.t.Helper()
	admin := w.as(w.admin)
	for _, e := range []string{"production", "staging"} {
		admin.put("/environments/"+e, `{"allowed_endpoints": ["skills.example.com:443"]}`).want(w.t, 200)
	}
	for name, document := range map[string]string{
		"hello-skill":    resourceDocument("skill", "platform", "organization", "production"),
		"staging-skill":  resourceDocument("skill", "platform", "organization", "staging"),
		"billing-system": resourceDocument("skill", "finance", "team", "production"),
		"admin-tool":     resourceDocument("tool", "platform", "organization", "production"),
	} {
		admin.put("/resources/"+name, document).want(w.t, 201)
	}
}

// setVisibility says who but its owner's team may call hello-skill.
func (w *world) setVisibility(visibility string) {
	w.t.Helper()
	w.as(w.admin).put("/resources/hello-skill", resourceDocument("skill", "platform", visibility, "production")).want(w.t, 200)
}

// TestOPADecidesByTheRegistry is the registry's half of the story: what was
// registered is what a real OPA enforces, by polls alone.
func TestOPADecidesByTheRegistry(t *testing.T) {
	t.Parallel()
	w := newRegistry(t)
	opa := w.startOPA("http://" + w.api)
	triage := w.as(w.developer).register(registration("support-triage", nil))
	claims := w.claimsOf(w.agentToken(triage))
	opa.becomes(claims, "hello-skill", "allow")

	checkDecisions(w, opa, triage, claims)
	changed := func(claim string, value any) map[string]any {
		c := map[string]any{}
		for k, v := range claims {
			c[k] = v
		}
		c[claim] = value
		return c
	}
	for _, tt := range []struct {
		name     string
		claims   map[string]any
		resource string
		want     string
	}{
		{"no token", nil, "hello-skill", "platform/no_verified_token"},
		{"expired", changed("exp", time.Now().Unix()-1), "hello-skill", "platform/token_expired"},
		{"a subject that is no agent's", changed("sub", "nobody@clients"), "hello-skill", "platform/agent_unknown"},
		{"a resource that is not there", claims, "nothing", "platform/resource_unknown"},
		{"deployed elsewhere", claims, "staging-skill", "platform/environment_mismatch"},
		{"the owner admits others", claims, "billing-system", "platform/access_denied"},
		{"a permission that the token lacks", claims, "admin-tool", "platform/missing_permission"},
		{"claims that contradict the registry", changed(agentAudience+"environment", "staging"), "staging-skill", "platform/environment_mismatch"},
	} {
		if got := codesOf(opa.decide(tt.claims, "POST", tt.resource)); got != tt.want {
			t.Errorf("%s: OPA says %s, want %s", tt.name, got, tt.want)
		}
	}
	checkChangesReachOPA(w, opa, triage, claims)
}

// checkDecisions compares what OPA answers with the contract's decision, field by
// field; what is beside that is for Envoy.
func checkDecisions(w *world, opa policyServer, triage api.RegisteredAgent, claims map[string]any) {
	w.t.Helper()
	agent := map[string]any{"id": triage.Agent.ID, "name": "support-triage", "team": team, "agent_type": "support", "environment": "production"}
	bundle := w.bundleReader().get("/bundles/production").want(w.t, 200)
	revision := must(strconv.ParseFloat(tagPart(bundle.header.Get("ETag"), 2), 64))(w.t)
	for resource, want := range map[string]map[string]any{
		"hello-skill": {
			"allow": true, "allowed": true, "reasons": []any{}, "agent": agent,
			"resource": map[string]any{"name": "hello-skill", "type": "skill", "team": "platform"}, "revision": revision,
		},
		"billing-system": {
			"allow": false, "allowed": false, "reasons": []any{map[string]any{"tier": "platform", "id": "access", "code": "access_denied"}}, "agent": agent,
			"resource": map[string]any{"name": "billing-system", "type": "skill", "team": "finance"}, "revision": revision,
		},
		"nothing": {
			"allow": false, "allowed": false, "reasons": []any{map[string]any{"tier": "platform", "id": "resource", "code": "resource_unknown"}}, "agent": agent,
			"revision": revision,
		},
	} {
		var got struct{ Result map[string]any }
		if err := json.Unmarshal(opa.ask(claims, "POST", resource).want(w.t, 200).body, &got); err != nil {
			w.t.Fatal(err)
		}
		for _, name := range []string{"http_status", "headers", "request_headers_to_remove", "body", "dynamic_metadata"} {
			delete(got.Result, name)
		}
		if diff := cmp.Diff(want, got.Result); diff != "" {
			w.t.Errorf("decision on %s (-want +got):\n%s", resource, diff)
		}
	}
}

func checkChangesReachOPA(w *world, opa policyServer, triage api.RegisteredAgent, claims map[string]any) {
	w.t.Helper()
	admin := w.as(w.admin)
	admit := fmt.Sprintf(`{"type": "skill", "team": "finance", "access": {"teams": [%q]}, "deployments": {"production": {"endpoint": "https://skills.example.com"}}}`, team)
	admin.put("/resources/billing-system", admit).want(w.t, 200)
	opa.becomes(claims, "billing-system", "allow")
	admin.put("/environments/production", `{"allowed_endpoints": ["skills.example.com:443"], "grants": "explicit"}`).want(w.t, 200)
	opa.becomes(claims, "hello-skill", "platform/no_grant")
	admin.put("/environments/production", `{"allowed_endpoints": ["skills.example.com:443"]}`).want(w.t, 200)
	opa.becomes(claims, "hello-skill", "allow")
	admin.delete("/resources/billing-system").want(w.t, 204)
	opa.becomes(claims, "billing-system", "platform/resource_unknown")

	// The server's own decision is the same, for people and for programs.
	var own api.Decision
	reader := w.as(w.token("test|reader", []string{"agents:read", "resources:read"}))
	reader.get("/agents/support-triage/access?resource=admin-tool").want(w.t, 200).decode(w.t, &own)
	if got := codesOf(own); got != "platform/missing_permission" {
		w.t.Errorf("the server says %s of admin-tool", got)
	}
	var callers api.CallerPage
	reader.get("/resources/hello-skill/access").want(w.t, 200).decode(w.t, &callers)
	if len(callers.Items) != 1 || callers.Items[0].ID != triage.Agent.ID {
		w.t.Errorf("callers of hello-skill: %+v", callers)
	}

	w.as(w.developer).delete("/agents/"+triage.Agent.ID).want(w.t, 204)
	opa.becomes(claims, "hello-skill", "platform/agent_unknown")
}
