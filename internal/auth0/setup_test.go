package auth0

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/auth0/go-auth0/management"
	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/auth0/emulator"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/setup"
)

// objects are what Setup reports, in order.
var objects = []string{
	"resource server " + testAudience,
	"resource server " + testAPIAudience,
	"action credence-claims-test",
	"binding of credence-claims-test to credentials-exchange",
}

func actionsOf(r setup.Report) (actions []setup.Action) {
	for _, c := range r.Changes {
		actions = append(actions, c.Action)
	}
	return actions
}

// writes are the calls that changed the tenant, or tried to.
func (tn *tenant) writes() (writes []emulator.Call) {
	for _, call := range tn.Calls() {
		if call.Method != "GET" && call.Path != tokenPath {
			writes = append(writes, call)
		}
	}
	return writes
}

func TestSetupTwiceChangesNothingTheSecondTime(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, nil)
	first, err := Setup(t.Context(), tn.setupConfig())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range first.Changes {
		got = append(got, c.Object)
	}
	if diff := cmp.Diff(objects, got); diff != "" {
		t.Errorf("objects -want +got:\n%s", diff)
	}
	created := []setup.Action{setup.Created, setup.Created, setup.Created, setup.Created}
	if diff := cmp.Diff(created, actionsOf(first)); diff != "" {
		t.Errorf("first run -want +got:\n%s", diff)
	}

	before := len(tn.writes())
	second, err := Setup(t.Context(), tn.setupConfig())
	if err != nil {
		t.Fatal(err)
	}
	if second.Changed() || len(second.Changes) != len(objects) {
		t.Errorf("second run: %+v", second)
	}
	if writes := tn.writes()[before:]; len(writes) != 0 {
		t.Errorf("the second run wrote: %v", writes)
	}
}

func TestSetupDryRunWritesNothingAndTellsWhatItWould(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, nil)
	c := tn.setupConfig()
	c.DryRun = true
	c.Transport = onlyReads{t, newTransport()}
	for round, want := range [][]setup.Action{
		{setup.Created, setup.Created, setup.Created, setup.Created},
		{setup.Unchanged, setup.Unchanged, setup.Unchanged, setup.Unchanged},
		{setup.Updated, setup.Unchanged, setup.Updated, setup.Unchanged},
	} {
		switch round {
		case 1:
			if _, err := Setup(t.Context(), tn.setupConfig()); err != nil {
				t.Fatal(err)
			}
		case 2:
			tn.spoil(t)
		}
		before := len(tn.writes())
		report, err := Setup(t.Context(), c)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if diff := cmp.Diff(want, actionsOf(report)); diff != "" || !report.DryRun {
			t.Errorf("round %d -want +got:\n%s", round, diff)
		}
		if writes := tn.writes()[before:]; len(writes) != 0 {
			t.Errorf("round %d wrote: %v", round, writes)
		}
	}
}

// onlyReads fails the test on any write.
type onlyReads struct {
	t    *testing.T
	base http.RoundTripper
}

func (o onlyReads) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != "GET" && req.URL.Path != tokenPath {
		o.t.Errorf("a dry run sent %s %s", req.Method, req.URL.Path)
	}
	return o.base.RoundTrip(req)
}

func TestADryRunCannotWriteEvenIfItTries(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, nil)
	c := tn.client(t, func(c *Config) { c.Transport = readOnly{newTransport()} })
	if _, err := c.CreateClient(t.Context(), newAgent(), "intent"); err == nil || !strings.Contains(err.Error(), "dry run") {
		t.Errorf("%v", err)
	}
	if writes := tn.writes(); len(writes) != 0 {
		t.Errorf("wrote: %v", writes)
	}
}

// spoil changes the agents' API and the Action as a careless person might.
func (tn *tenant) spoil(t *testing.T) {
	t.Helper()
	m := tn.client(t, nil).management
	server, err := tn.server(t, testAudience)
	if err != nil {
		t.Fatal(err)
	}
	kept := []management.ResourceServerScope{{Value: new("theirs:own"), Description: new("Not ours")}, {Value: new("data:read"), Description: new("Another text")}}
	if err := m.ResourceServer.Update(t.Context(), server.GetID(), &management.ResourceServer{
		Name: new("Renamed"), Scopes: &kept, EnforcePolicies: new(false), TokenDialect: new("access_token"),
		TokenLifetime: new(86400), TokenLifetimeForWeb: new(7200),
	}); err != nil {
		t.Fatal(err)
	}
	id := tn.actionID(t, "credence-claims-test")
	if err := m.Action.Update(t.Context(), id, &management.Action{
		Name:              new("credence-claims-test"),
		SupportedTriggers: []management.ActionTrigger{{ID: new(trigger), Version: new("v2")}},
		Code:              new("exports.onExecuteCredentialsExchange = async () => {};"),
	}); err != nil {
		t.Fatal(err)
	}
}

func (tn *tenant) server(t *testing.T, identifier string) (*management.ResourceServer, error) {
	t.Helper()
	p := &preparer{config: tn.setupConfig(), client: tn.client(t, nil)}
	return p.findServer(t.Context(), identifier)
}

func (tn *tenant) actionID(t *testing.T, name string) string {
	t.Helper()
	list, err := tn.client(t, nil).management.Action.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list.Actions {
		if a.GetName() == name {
			return a.GetID()
		}
	}
	t.Fatalf("no action %s", name)
	return ""
}

func TestSetupMendsWhatDriftedAndKeepsWhatOthersMade(t *testing.T) {
	t.Parallel()
	tn := prepared(t, nil)
	tn.spoil(t)
	report, err := Setup(t.Context(), tn.setupConfig())
	if err != nil {
		t.Fatal(err)
	}
	want := []setup.Action{setup.Updated, setup.Unchanged, setup.Updated, setup.Unchanged}
	if diff := cmp.Diff(want, actionsOf(report)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	server, err := tn.server(t, testAudience)
	if err != nil {
		t.Fatal(err)
	}
	var scopes []string
	for _, s := range server.GetScopes() {
		scopes = append(scopes, s.GetValue()+": "+s.GetDescription())
	}
	wantScopes := []string{"theirs:own: Not ours", "data:read: Another text", "skills:invoke: Invoke skills", "tools:access: Use tools", "data:write: Write data"}
	if diff := cmp.Diff(wantScopes, scopes); diff != "" {
		t.Errorf("scopes -want +got:\n%s", diff)
	}
	got := []any{server.GetName(), server.GetEnforcePolicies(), server.GetTokenDialect(), server.GetTokenLifetime(), server.GetTokenLifetimeForWeb()}
	if diff := cmp.Diff([]any{"Renamed", true, "access_token_authz", 3600, 3600}, got); diff != "" {
		t.Errorf("resource server -want +got:\n%s", diff)
	}
	action, err := tn.client(t, nil).management.Action.Read(t.Context(), tn.actionID(t, "credence-claims-test"))
	if err != nil {
		t.Fatal(err)
	}
	code, err := claimsCode(testAudience, "credence/test")
	if err != nil {
		t.Fatal(err)
	}
	if action.GetCode() != code || !isDeployed(action, code) {
		t.Error("the code that runs is not ours")
	}
}

func TestSetupGivesTheControlPlaneItsPermissions(t *testing.T) {
	t.Parallel()
	tn := prepared(t, nil)
	server, err := tn.server(t, testAPIAudience)
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, p := range registry.Permissions {
		want = append(want, string(p.Name)+": "+p.Description)
	}
	for _, s := range server.GetScopes() {
		got = append(got, s.GetValue()+": "+s.GetDescription())
	}
	if diff := cmp.Diff(want, got); diff != "" || !server.GetEnforcePolicies() || server.GetSigningAlgorithm() != "RS256" {
		t.Errorf("enforce_policies %t, %s, scopes -want +got:\n%s", server.GetEnforcePolicies(), server.GetSigningAlgorithm(), diff)
	}
}

// foreignAction makes, deploys and binds an Action that is not ours.
func (tn *tenant) foreignAction(t *testing.T, name, displayName string) {
	t.Helper()
	p := &preparer{config: tn.setupConfig(), client: tn.client(t, nil)}
	action := &management.Action{
		Name:              &name,
		SupportedTriggers: []management.ActionTrigger{{ID: new(trigger), Version: new("v2")}},
		Code:              new(`exports.onExecuteCredentialsExchange = async (event, api) => { api.accessToken.setCustomClaim("https://other.example/` + name + `", "ran"); };`),
	}
	code := action.GetCode()
	if err := p.client.management.Action.Create(t.Context(), action); err != nil {
		t.Fatal(err)
	}
	if err := p.deploy(t.Context(), action.GetID(), code); err != nil {
		t.Fatal(err)
	}
	bound, err := p.bindings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	list, err := p.extend(bound, action.GetID())
	if err != nil {
		t.Fatal(err)
	}
	list[len(list)-1].DisplayName = &displayName
	if err := p.client.management.Action.UpdateBindings(t.Context(), trigger, list); err != nil {
		t.Fatal(err)
	}
}

func TestSetupKeepsForeignBindingsWithOrderAndNames(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, nil)
	tn.foreignAction(t, "second", "B: the second")
	tn.foreignAction(t, "first", "A: the first")
	for range 2 {
		if _, err := Setup(t.Context(), tn.setupConfig()); err != nil {
			t.Fatal(err)
		}
	}
	tn.foreignAction(t, "third", "C: the third")
	c := tn.setupConfig()
	c.Installation = "other"
	if _, err := Setup(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	bound, err := (&preparer{client: tn.client(t, nil)}).bindings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, b := range bound {
		got = append(got, b.GetDisplayName())
	}
	want := []string{"B: the second", "A: the first", "credence-claims-test", "C: the third", "credence-claims-other"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestSetupDoesNotTouchBindingsItCannotKeep(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, nil)
	for name, body := range map[string]string{
		"secrets":   `{"bindings":[{"id":"b1","display_name":"theirs","action":{"id":"a1"},"secrets":[{"name":"s"}]}],"total":1,"per_page":50}`,
		"no action": `{"bindings":[{"id":"b1","display_name":"theirs"}],"total":1,"per_page":50}`,
		"null":      `{"bindings":[null],"total":1,"per_page":50}`,
		"cut short": `{"bindings":[],"total":1,"per_page":50}`,
		"empty":     `{}`,
	} {
		tn.faults.set("GET", "/api/v2/actions/triggers/credentials-exchange/bindings", answer(200, body))
		_, err := Setup(t.Context(), tn.setupConfig())
		if _, ok := registry.AsError(err); !ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := tn.count("PATCH", "/api/v2/actions/triggers/credentials-exchange/bindings"); n != 0 {
		t.Errorf("the bindings were written %d times", n)
	}
}

func TestClaimsAppearAfterSetupAndOnlyForThisInstallationAndAudience(t *testing.T) {
	t.Parallel()
	tn := prepared(t, nil)
	ours := tn.client(t, nil)
	register := func(c *Client, a registry.Agent) registry.Credentials {
		got, err := c.CreateClient(t.Context(), a, "intent")
		if err == nil {
			_, err = c.EnsureGrant(t.Context(), got.ClientID, []string{"data:read"})
		}
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	custom := func(credentials registry.Credentials, audience string) map[string]any {
		claims := tn.claims(t, credentials, audience)
		for name := range claims {
			if !strings.Contains(name, "/") {
				delete(claims, name)
			}
		}
		return claims
	}
	agent := newAgent()
	credentials := register(ours, agent)
	want := map[string]any{
		testAudience + "agent_id": agent.ID, testAudience + "team": agent.Team,
		testAudience + "agent_type": agent.AgentType, testAudience + "environment": agent.Environment,
	}
	if diff := cmp.Diff(want, custom(credentials, testAudience)); diff != "" {
		t.Errorf("claims -want +got:\n%s", diff)
	}
	if got := tn.claims(t, credentials, testAudience)["permissions"]; !cmp.Equal(got, []any{"data:read"}) {
		t.Errorf("permissions: %v", got)
	}

	other := register(tn.client(t, func(c *Config) { c.Installation = "other" }), newAgent())
	if got := custom(other, testAudience); len(got) != 0 {
		t.Errorf("another installation's agent has claims: %v", got)
	}
	elsewhere := tn.client(t, func(c *Config) { c.Audience = testAPIAudience })
	if _, err := elsewhere.EnsureGrant(t.Context(), credentials.ClientID, nil); err != nil {
		t.Fatal(err)
	}
	if got := custom(credentials, testAPIAudience); len(got) != 0 {
		t.Errorf("claims for another audience: %v", got)
	}

	if err := ours.management.Action.UpdateBindings(t.Context(), trigger, []*management.ActionBinding{}); err != nil {
		t.Fatal(err)
	}
	if got := custom(credentials, testAudience); len(got) != 0 {
		t.Errorf("claims without the Action: %v", got)
	}
	if _, err := Setup(t.Context(), tn.setupConfig()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, custom(credentials, testAudience)); diff != "" {
		t.Errorf("claims after another setup -want +got:\n%s", diff)
	}
}

func TestClaimsCodeTakesNoValueForCode(t *testing.T) {
	t.Parallel()
	code, err := claimsCode(`https://x/"; api.access.deny("x"); "`+"\u2028</script>", `credence/a"b`)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`const audience = "https://x/\"; api.access.deny(\"x\"); \"\u2028\u003c/script\u003e";`, `const managedBy = "credence/a\"b";`, `const claims = ["agent_id","team","agent_type","environment"];`} {
		if !strings.Contains(code, want) {
			t.Errorf("want %s in:\n%s", want, code)
		}
	}
}

func TestSetupSaysWhatWasDoneBeforeItFailedAndGoesOnLater(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, nil)
	const unavailable = `{"statusCode":503,"error":"Service Unavailable","message":"down"}`
	for _, row := range []struct {
		method, path string
		says         []string
	}{
		{"POST", "/api/v2/resource-servers", []string{"nothing was written"}},
		{"POST", "/api/v2/actions/actions", []string{"written so far: the resource server " + testAudience + ", the resource server " + testAPIAudience}},
		{"POST", "deploy", []string{"written so far: the action credence-claims-test"}},
		{"PATCH", "/api/v2/actions/triggers/credentials-exchange/bindings", []string{"written so far: the deployment of the action credence-claims-test"}},
	} {
		path := row.path
		if path == "deploy" {
			// The Action does not exist yet: fail whatever deploys it.
			tn.faults.setMatch(func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/deploy") }, answer(503, unavailable))
		} else {
			tn.faults.set(row.method, path, answer(503, unavailable))
		}
		_, err := Setup(t.Context(), tn.setupConfig())
		known, ok := registry.AsError(err)
		if !ok || known.Kind != registry.Unavailable {
			t.Fatalf("%s: %v", row.path, err)
		}
		for _, want := range append(row.says, "the command may be repeated") {
			if !strings.Contains(known.Message, want) {
				t.Errorf("%s: want %q in %q", row.path, want, known.Message)
			}
		}
	}
	tn.faults.set("", "", nil)
	report, err := Setup(t.Context(), tn.setupConfig())
	if err != nil {
		t.Fatal(err)
	}
	want := []setup.Action{setup.Unchanged, setup.Unchanged, setup.Unchanged, setup.Created}
	if diff := cmp.Diff(want, actionsOf(report)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestSetupNeedsItsScopes(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, nil)
	tn.faults.set("GET", "/api/v2/resource-servers", answer(403, `{"statusCode":403,"error":"Forbidden","message":"Insufficient scope, expected any of: read:resource_servers","errorCode":"insufficient_scope"}`))
	_, err := Setup(t.Context(), tn.setupConfig())
	if known, ok := registry.AsError(err); !ok || known.Kind != registry.Refused || !strings.Contains(known.Message, "grant the scope read:resource_servers") {
		t.Errorf("%v", err)
	}
}

func TestSetupRefusesAuth0sOwnAPIsAndForeignActionsOfItsName(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, nil)
	tn.faults.set("GET", "/api/v2/resource-servers", answer(200, `{"total":1,"start":0,"limit":50,"resource_servers":[{"id":"1","identifier":"`+testAudience+`","is_system":true}]}`))
	if _, err := Setup(t.Context(), tn.setupConfig()); !errors.Is(err, registry.Refused) || !strings.Contains(err.Error(), "Auth0's own") {
		t.Errorf("a system API: %v", err)
	}
	tn.faults.set("GET", "/api/v2/actions/actions", answer(200, `{"total":1,"per_page":50,"actions":[{"id":"1","name":"credence-claims-test","supported_triggers":[{"id":"post-login","version":"v3"}]}]}`))
	if _, err := Setup(t.Context(), tn.setupConfig()); !errors.Is(err, registry.Refused) || !strings.Contains(err.Error(), "another trigger") {
		t.Errorf("an Action of another trigger: %v", err)
	}
	tn.faults.set("GET", "/api/v2/actions/triggers", answer(200, `{"triggers":[{"id":"credentials-exchange","version":"v1","status":"DEPRECATED"}]}`))
	if _, err := Setup(t.Context(), tn.setupConfig()); !errors.Is(err, registry.Refused) || !strings.Contains(err.Error(), "no current version") {
		t.Errorf("no current trigger: %v", err)
	}
}

// offline returns the configuration of a tenant that is reached without a
// network, for tests on synctest's clock.
func offline(t *testing.T, change func(*emulator.Options), wrap func(http.Handler) http.Handler) (*emulator.Emulator, SetupConfig) {
	t.Helper()
	options := emulator.Options{Issuer: "http://127.0.0.1:8085/"}
	if change != nil {
		change(&options)
	}
	e, err := emulator.New(options)
	if err != nil {
		t.Fatal(err)
	}
	id, secret := e.ManagementCredentials()
	return e, SetupConfig{APIAudience: testAPIAudience, Config: Config{
		Domain: "http://127.0.0.1:8085", ClientID: id, ClientSecret: func() (string, error) { return secret, nil },
		Audience: testAudience, Installation: "test", Transport: inProcess{wrap(e)},
	}}
}

func unchanged(h http.Handler) http.Handler { return h }

func TestSetupWaitsForTheRateLimitOfAFreeTenant(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e, c := offline(t, func(o *emulator.Options) { o.ManagementRate = emulator.Rate{PerSecond: 2, Burst: 2} }, unchanged)
		if _, err := Setup(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		limited := slices.ContainsFunc(e.Calls(), func(call emulator.Call) bool { return call.Status == http.StatusTooManyRequests })
		if !limited {
			t.Error("the limit was never reached, so nothing was shown")
		}
	})
}

func TestSetupStopsWaitingWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limited := func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == tokenPath {
					answer(200, `{"access_token":"t","token_type":"Bearer","expires_in":3600}`)(w, r, nil)
					return
				}
				answer(429, `{}`, "Retry-After", "60")(w, r, nil)
			})
		}
		_, c := offline(t, nil, limited)
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		start := time.Now()
		_, err := Setup(ctx, c)
		if known, ok := registry.AsError(err); !ok || known.Kind != registry.Unavailable || !strings.Contains(known.Message, "rate limit") || known.RetryAfter != time.Minute {
			t.Errorf("%v", err)
		}
		if took := time.Since(start); took != 90*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestSetupWaitsForTheBuildOnlySoLong(t *testing.T) {
	t.Parallel()
	for status, row := range map[string]struct {
		kind    registry.Kind
		atLeast time.Duration
	}{
		"building": {registry.Unavailable, buildTimeout},
		"failed":   {registry.Refused, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			stuck := func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if id, ok := strings.CutPrefix(r.URL.Path, "/api/v2/actions/actions/"); ok && r.Method == "GET" {
						answer(200, fmt.Sprintf(`{"id":%q,"status":%q}`, id, status))(w, r, nil)
						return
					}
					next.ServeHTTP(w, r)
				})
			}
			_, c := offline(t, nil, stuck)
			start := time.Now()
			_, err := Setup(t.Context(), c)
			if !errors.Is(err, row.kind) || !strings.Contains(err.Error(), "written so far") {
				t.Errorf("%s: %v", status, err)
			}
			if took := time.Since(start); took < row.atLeast || took > row.atLeast+2*maxBuildInterval {
				t.Errorf("%s: took %s", status, took)
			}
		})
	}
}
