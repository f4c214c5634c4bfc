package auth0

import (
	"errors"
	"net/http"
	"strings"
	"testing"

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
	c.Transport = onlyReads{t, newTransport(nil)}
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
	c := tn.client(t, func(c *Config) { c.Transport = readOnly{newTransport(nil)} })
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
