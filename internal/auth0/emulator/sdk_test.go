package emulator_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/auth0/go-auth0"
	"github.com/auth0/go-auth0/management"
	"github.com/google/go-cmp/cmp"
)

// sdk returns Auth0's own client for the tenant.
func (tn *tenant) sdk(t testing.TB) *management.Management {
	t.Helper()
	id, secret := tn.ManagementCredentials()
	host := strings.TrimSuffix(strings.TrimPrefix(tn.url, "http://"), "/")
	m, err := management.New(host,
		management.WithInsecure(),
		management.WithClientCredentials(t.Context(), id, secret),
		management.WithNoRetries())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestTheSDKRegistersAnAgent(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, options{})
	m, ctx := tn.sdk(t), t.Context()

	api := &management.ResourceServer{
		Identifier: auth0.String(testAudience), Name: auth0.String("MCP"), EnforcePolicies: auth0.Bool(true),
		TokenDialect: auth0.String("access_token_authz"), TokenLifetime: auth0.Int(600),
		Scopes: &[]management.ResourceServerScope{{Value: auth0.String("skills:invoke"), Description: auth0.String("Call skills")}},
	}
	check(t, m.ResourceServer.Create(ctx, api))
	read, err := m.ResourceServer.Read(ctx, testAudience)
	check(t, err)
	if read.GetID() != api.GetID() {
		t.Errorf("by identifier: %v", read)
	}

	action := &management.Action{
		Name: auth0.String("credence claims"), Code: auth0.String(claimsCode), Runtime: auth0.String("node22"),
		SupportedTriggers: []management.ActionTrigger{{ID: auth0.String("credentials-exchange"), Version: auth0.String("v2")}},
	}
	check(t, m.Action.Create(ctx, action))
	for action.GetStatus() != management.ActionStatusBuilt {
		action, err = m.Action.Read(ctx, action.GetID())
		check(t, err)
	}
	_, err = m.Action.Deploy(ctx, action.GetID())
	check(t, err)
	check(t, m.Action.UpdateBindings(ctx, "credentials-exchange", []*management.ActionBinding{{
		Ref:         &management.ActionBindingReference{Type: auth0.String("action_id"), Value: action.ID},
		DisplayName: auth0.String("Credence"),
	}}))
	bindings, err := m.Action.Bindings(ctx, "credentials-exchange")
	check(t, err)
	if len(bindings.Bindings) != 1 || bindings.Bindings[0].GetDisplayName() != "Credence" {
		t.Errorf("bindings %v", bindings)
	}

	client := &management.Client{
		Name: auth0.String("agent_1"), AppType: auth0.String("non_interactive"),
		GrantTypes: &[]string{"client_credentials"}, TokenEndpointAuthMethod: auth0.String("client_secret_post"),
		JWTConfiguration: &management.ClientJWTConfiguration{Algorithm: auth0.String("RS256")},
		ClientMetadata:   &map[string]any{"agent_id": "1", "team": "support"},
	}
	check(t, m.Client.Create(ctx, client))
	check(t, m.ClientGrant.Create(ctx, &management.ClientGrant{
		ClientID: client.ClientID, Audience: auth0.String(testAudience), Scope: &[]string{"skills:invoke"},
	}))
	_, claims := claimsOf(t, accessToken(t, tn.exchange(t, credentialsForm(client.GetClientID(), client.GetClientSecret(), testAudience))))
	want := map[string]any{"permissions": []any{"skills:invoke"}, testAudience + "agent_id": "1", testAudience + "team": "support"}
	if diff := cmp.Diff(want, pick(claims, "permissions", testAudience+"agent_id", testAudience+"team")); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}

	rotated, err := m.Client.RotateSecret(ctx, client.GetClientID())
	check(t, err)
	if rotated.GetClientSecret() == "" || rotated.GetClientSecret() == client.GetClientSecret() {
		t.Error("the rotation gave no new secret")
	}
	check(t, m.Client.Delete(ctx, client.GetClientID()))
	_, err = m.Client.Read(ctx, client.GetClientID())
	if fault, ok := errors.AsType[management.Error](err); !ok || fault.Status() != http.StatusNotFound {
		t.Errorf("reading a deleted client: %v", err)
	}
}

func TestTheSDKPagesThroughLists(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, options{})
	m, ctx := tn.sdk(t), t.Context()
	for range 3 {
		check(t, m.Client.Create(ctx, &management.Client{Name: auth0.String("x"), AppType: auth0.String("non_interactive")}))
	}
	seen := 0
	for page := 0; ; page++ {
		list, err := m.Client.List(ctx, management.Page(page), management.PerPage(2),
			management.Parameter("app_type", "non_interactive"), management.IncludeFields("client_id", "name", "client_metadata"))
		check(t, err)
		seen += len(list.Clients)
		if !list.HasNext() {
			break
		}
	}
	if seen != 4 {
		t.Errorf("saw %d clients, want three and the bootstrap client", seen)
	}
	triggers, err := m.Action.Triggers(ctx)
	check(t, err)
	if len(triggers.Triggers) == 0 {
		t.Error("no triggers")
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func pick(doc map[string]any, names ...string) map[string]any {
	picked := map[string]any{}
	for _, name := range names {
		picked[name] = doc[name]
	}
	return picked
}
