package auth0

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/auth0/go-auth0/management"
	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
)

func includeTotals() management.RequestOption { return management.IncludeTotals(true) }

// tamper changes an application behind the registry's back.
func (tn *tenant) tamper(t *testing.T, clientID string, change map[string]any) {
	t.Helper()
	m := tn.client(t, nil).management
	if err := m.Request(t.Context(), "PATCH", m.URI("clients", clientID), &change); err != nil {
		t.Fatal(err)
	}
}

func TestEnsureClientWritesNothingWhereNothingDiffers(t *testing.T) {
	t.Parallel()
	tn := prepared(t, nil)
	c := tn.client(t, nil)
	for name, row := range map[string]struct {
		keys  []string
		calls int
	}{
		"a secret": {nil, 1},
		"one key":  {[]string{"A"}, 2},
		"two keys": {[]string{"A", "B PS256"}, 2},
	} {
		agent, _ := made(t, c, row.keys...)
		before := len(tn.Calls())
		if err := c.EnsureClient(t.Context(), agent); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		calls := tn.Calls()[before:]
		for _, call := range calls {
			if call.Method != "GET" {
				t.Errorf("%s: %+v", name, call)
			}
		}
		if len(calls) != row.calls {
			t.Errorf("%s: %d calls, want %d", name, len(calls), row.calls)
		}
	}
}

func TestEnsureClientRepairsWhateverDiffers(t *testing.T) {
	t.Parallel()
	tn := prepared(t, nil)
	c := tn.client(t, nil)
	agent, credentials := made(t, c)
	want := tn.one(t, agent.ClientID)
	for name, change := range map[string]map[string]any{
		"its name":          {"name": "renamed"},
		"its description":   {"description": "another"},
		"its type":          {"app_type": "regular_web"},
		"its grant types":   {"grant_types": []string{"client_credentials", "password"}},
		"its algorithm":     {"jwt_configuration": map[string]any{"alg": "HS256"}},
		"its method":        {"token_endpoint_auth_method": "client_secret_basic"},
		"no method":         {"token_endpoint_auth_method": nil},
		"whose agent it is": {"client_metadata": map[string]any{"agent_id": newAgent().ID}},
		"its team":          {"client_metadata": map[string]any{"team": "other"}},
		"no metadata":       {"client_metadata": map[string]any{"team": nil, "managed_by": nil, "environment": nil}},
		"everything":        {"name": "x", "app_type": "native", "grant_types": []string{"implicit"}, "client_metadata": map[string]any{"agent_type": "x"}},
	} {
		tn.tamper(t, agent.ClientID, change)
		before := len(tn.writes())
		for range 2 {
			if err := c.EnsureClient(t.Context(), agent); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if diff := cmp.Diff(want, tn.one(t, agent.ClientID)); diff != "" {
			t.Errorf("%s -want +got:\n%s", name, diff)
		}
		if n := len(tn.writes()) - before; n != 1 {
			t.Errorf("%s: %d writes, want 1", name, n)
		}
	}
	if status := tn.secretSignIn(t, credentials); status != http.StatusOK {
		t.Errorf("the secret of before: %d", status)
	}
}

func TestEnsureClientPatchesOnlyWhatDiffersAndKeepsForeignMetadata(t *testing.T) {
	t.Parallel()
	tn := prepared(t, nil)
	c := tn.client(t, nil)
	agent, _ := made(t, c)
	tn.tamper(t, agent.ClientID, map[string]any{"client_metadata": map[string]any{"theirs": "kept"}})
	agent.Name, agent.Team = "renamed", "ml"
	var sent []byte
	tn.faults.set("PATCH", clientsPath+"/"+agent.ClientID, func(w http.ResponseWriter, r *http.Request, tenant http.Handler) {
		sent, _ = io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(sent)))
		tenant.ServeHTTP(w, r)
	})
	if err := c.EnsureClient(t.Context(), agent); err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(sent)); got != `{"client_metadata":{"team":"ml"},"description":"renamed"}` {
		t.Errorf("PATCH %s", got)
	}
	want := map[string]string{
		"agent_id": agent.ID, "team": "ml", "agent_type": "support", "environment": "production",
		"managed_by": "credence/test", "intent_id": "intent-1", "theirs": "kept",
	}
	if diff := cmp.Diff(want, tn.one(t, agent.ClientID).Metadata); diff != "" {
		t.Errorf("metadata -want +got:\n%s", diff)
	}
}

func TestEnsureClientAdoptsAClientWithItsSecret(t *testing.T) {
	t.Parallel()
	tn := prepared(t, nil)
	c := tn.client(t, nil)
	theirs := &management.Client{Name: new("legacy"), AppType: new("non_interactive"), ClientMetadata: &map[string]any{"a": "b"}}
	if err := c.management.Client.Create(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	credentials := registry.Credentials{ClientID: theirs.GetClientID(), ClientSecret: theirs.GetClientSecret()}
	found, err := c.InspectClient(t.Context(), credentials.ClientID)
	if err != nil {
		t.Fatal(err)
	}
	want := registry.ProviderClient{
		FoundClient: registry.FoundClient{ClientID: credentials.ClientID}, Name: "legacy",
		Metadata: map[string]string{"a": "b"}, GrantTypes: []string{"authorization_code", "implicit", "refresh_token", "client_credentials"},
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("InspectClient -want +got:\n%s", diff)
	}
	agent := newAgent()
	agent.ClientID = credentials.ClientID
	if err := c.EnsureClient(t.Context(), agent); err != nil {
		t.Fatal(err)
	}
	if _, err := c.EnsureGrant(t.Context(), agent.ClientID, []string{"data:read"}); err != nil {
		t.Fatal(err)
	}
	if got := tn.claims(t, credentials, testAudience)[testAudience+"agent_id"]; got != agent.ID {
		t.Errorf("agent_id of a token by the old secret: %v", got)
	}
}

func TestEnsureClientSaysThatMetadataDoesNotFit(t *testing.T) {
	t.Parallel()
	tn := prepared(t, nil)
	c := tn.client(t, nil)
	for n, fits := range map[int]bool{5: true, 6: false} {
		metadata := map[string]any{}
		for i := range n {
			metadata[string(rune('a'+i))] = "x"
		}
		theirs := &management.Client{Name: new("legacy"), AppType: new("non_interactive"), ClientMetadata: &metadata}
		if err := c.management.Client.Create(t.Context(), theirs); err != nil {
			t.Fatal(err)
		}
		agent := newAgent()
		agent.ClientID = theirs.GetClientID()
		err := c.EnsureClient(t.Context(), agent)
		known, _ := registry.AsError(err)
		if fits != (err == nil) || (!fits && (known.Kind != registry.Refused || !strings.Contains(known.Message, "it would be 11, and Auth0 keeps 10"))) {
			t.Errorf("%d of its own: %v", n, err)
		}
	}
}

func TestEnsureClientTouchesNoClientThatIsNotOurs(t *testing.T) {
	t.Parallel()
	tn := prepared(t, nil)
	c := tn.client(t, nil)
	theirs, err := tn.client(t, func(c *Config) { c.Installation = "other" }).CreateClient(t.Context(), newAgent(), "intent")
	if err != nil {
		t.Fatal(err)
	}
	own, _ := tn.ManagementCredentials()
	for name, row := range map[string]struct {
		clientID string
		kind     registry.Kind
		code     string
	}{
		"one of another installation": {theirs.ClientID, registry.Refused, "client_of_another_installation"},
		"our own":                     {own, registry.Refused, "identity_provider_refused"},
		"one that is gone":            {"gone", registry.NotFound, "client_gone"},
		"no id":                       {"", registry.Refused, "identity_provider_refused"},
		"a path":                      {"../x", registry.Refused, "identity_provider_refused"},
	} {
		before := len(tn.writes())
		agent := newAgent()
		agent.ClientID = row.clientID
		err := c.EnsureClient(t.Context(), agent)
		if known, ok := registry.AsError(err); !ok || known.Kind != row.kind || known.Code != row.code {
			t.Errorf("%s: %+v", name, err)
		}
		if len(tn.writes()) != before {
			t.Errorf("%s: something was written", name)
		}
	}
}

func TestAnAgentWithASecretNeedsNoScopeForKeys(t *testing.T) {
	t.Parallel()
	tn := prepared(t, nil)
	tn.limitedTo(t, "create:clients", "read:clients", "update:clients", "delete:clients", "update:client_keys",
		"create:client_grants", "read:client_grants", "update:client_grants", "delete:client_grants")
	c := tn.client(t, nil)
	agent, credentials := made(t, c)
	agent.Team = "ml"
	if err := c.EnsureClient(t.Context(), agent); err != nil {
		t.Errorf("EnsureClient: %v", err)
	}
	if _, err := c.RotateSecret(t.Context(), credentials.ClientID); err != nil {
		t.Errorf("RotateSecret: %v", err)
	}
	if list, err := c.ListClients(t.Context()); err != nil || len(list) != 1 || list[0].AuthMethod != registry.ClientSecretPost {
		t.Errorf("ListClients: %+v, %v", list, err)
	}
	_, err := c.CreateClient(t.Context(), withKeys(t, newAgent(), "A"), "intent")
	if known, ok := registry.AsError(err); !ok || known.Kind != registry.Refused || !strings.Contains(known.Message, "create:client") {
		t.Errorf("an agent with keys: %+v", err)
	}
}

func TestEnsureClientFailsWhole(t *testing.T) {
	t.Parallel()
	tn := prepared(t, nil)
	c := tn.client(t, nil)
	agent, _ := made(t, c)
	path := clientsPath + "/" + agent.ClientID
	for name, row := range map[string]struct {
		method string
		fault  fault
		kind   registry.Kind
	}{
		"the read, another client": {"GET", answer(200, `{"client_id":"other"}`), registry.Unavailable},
		"the read, nothing":        {"GET", answer(200, `{}`), registry.Unavailable},
		"the read, null":           {"GET", answer(200, `null`), registry.Unavailable},
		"the read, no JSON":        {"GET", answer(200, `<html>`), registry.Unavailable},
		"the read, broken":         {"GET", answer(503, ``), registry.Unavailable},
		"the write, gone":          {"PATCH", answer(404, `{"statusCode":404}`), registry.NotFound},
		"the write, refused":       {"PATCH", answer(400, `{"statusCode":400,"message":"no"}`), registry.Refused},
		"the write, truncated":     {"PATCH", truncate, registry.Unavailable},
		"the write, limited":       {"PATCH", answer(429, `{}`, "Retry-After", "3"), registry.Unavailable},
	} {
		tn.faults.set("", "", nil)
		tn.tamper(t, agent.ClientID, map[string]any{"name": "renamed"})
		tn.faults.set(row.method, path, row.fault)
		if err := c.EnsureClient(t.Context(), agent); !errors.Is(err, row.kind) {
			t.Errorf("%s: %v, want %s", name, err, row.kind)
		}
		if n := tn.faults.count(); n != 1 {
			t.Errorf("%s: asked %d times", name, n)
		}
	}
	tn.faults.set("", "", nil)
	if err := c.EnsureClient(t.Context(), agent); err != nil || tn.one(t, agent.ClientID).Name != "agent_"+agent.ID {
		t.Errorf("after all of them: %v", err)
	}
}
