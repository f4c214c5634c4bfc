package auth0

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/auth0/emulator"
	"github.com/credenceproject/credence/internal/registry"
)

func TestListClientsTellsEverythingOfOursAndNothingOfOthers(t *testing.T) {
	t.Parallel()
	tn := prepared(t, nil)
	ours := tn.client(t, nil)
	first, _ := made(t, ours)
	for range 150 {
		if _, err := ours.CreateClient(t.Context(), newAgent(), "filler"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tn.client(t, func(c *Config) { c.Installation = "other" }).CreateClient(t.Context(), newAgent(), "x"); err != nil {
		t.Fatal(err)
	}
	last, _ := made(t, ours, "A")
	tn.tamper(t, last.ClientID, map[string]any{"grant_types": []string{"implicit"}, "name": "renamed"})

	list, err := ours.ListClients(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 152 {
		t.Fatalf("%d clients, want 152", len(list))
	}
	client := func(a registry.Agent, name, grantType string) registry.ProviderClient {
		return registry.ProviderClient{
			FoundClient: registry.FoundClient{ClientID: a.ClientID, IntentID: "intent-1"}, Name: name, AgentID: a.ID,
			GrantTypes: []string{grantType}, AuthMethod: a.Authentication,
			Metadata: map[string]string{
				"agent_id": a.ID, "team": "customer-success", "agent_type": "support", "environment": "production",
				"managed_by": "credence/test", "intent_id": "intent-1",
			},
		}
	}
	want := []registry.ProviderClient{client(first, "agent_"+first.ID, "client_credentials"), client(last, "renamed", "implicit")}
	if diff := cmp.Diff(want, []registry.ProviderClient{list[0], list[151]}); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestListGrantsTellsWhoMayAskForWhat(t *testing.T) {
	t.Parallel()
	tn := prepared(t, nil)
	c := tn.client(t, nil)
	want := map[string]registry.ProviderGrant{}
	var some registry.Agent
	for range 120 {
		agent, _ := made(t, c)
		some = agent
		want[agent.ClientID] = registry.ProviderGrant{ID: tn.one(t, agent.ClientID).Grants[0].ID, Scopes: []string{"data:read"}}
	}
	m := c.management
	for _, body := range []map[string]any{
		{"client_id": some.ClientID, "audience": testAudience, "scope": []string{"data:write"}, "subject_type": "user"},
		{"client_id": some.ClientID, "audience": testAPIAudience, "scope": []string{}},
	} {
		if err := m.Request(t.Context(), "POST", m.URI("client-grants"), &body); err != nil {
			t.Fatal(err)
		}
	}
	got, err := c.ListGrants(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	tn.faults.set("GET", grantsPath, answer(200, `{"total":1,"start":0,"limit":100,"client_grants":[
		{"id":"cgr_1","client_id":"abc","audience":"`+testAudience+`","allow_all_scopes":true}]}`))
	got, err = c.ListGrants(t.Context())
	if diff := cmp.Diff(map[string]registry.ProviderGrant{"abc": {ID: "cgr_1", Scopes: []string{}, AllowAll: true}}, got); diff != "" || err != nil {
		t.Errorf("all scopes: %v, -want +got:\n%s", err, diff)
	}
}

// A sweep that believed a short list would take the rest for gone.
func TestListsNeverTakeAShortPageForTheWhole(t *testing.T) {
	t.Parallel()
	tn := prepared(t, nil)
	c := tn.client(t, nil)
	made(t, c)
	for name, broken := range map[string]fault{
		"dropped":              dropAfterReading,
		"dropped after commit": dropAfterCommit,
		"truncated":            truncate,
		"broken":               answer(500, ``),
		"away":                 answer(503, ``),
		"an empty object":      answer(200, `{}`),
		"null":                 answer(200, `null`),
		"nothing":              answer(200, ``),
		"a bare array":         answer(200, `[]`),
		"fewer than the total": answer(200, `{"total":2,"start":0,"limit":100,"clients":[{"client_id":"x"}],"client_grants":[{"id":"x"}]}`),
		"another page":         answer(200, `{"total":1,"start":100,"limit":100,"clients":[{"client_id":"x"}],"client_grants":[{"id":"x"}]}`),
		"a list without end":   endless,
	} {
		for _, path := range []string{clientsPath, grantsPath} {
			tn.faults.set("GET", path, broken)
			clients, errClients := c.ListClients(t.Context())
			grants, errGrants := c.ListGrants(t.Context())
			errDelete := c.DeleteGrants(t.Context(), "abc")
			failed := map[string][]error{clientsPath: {errClients}, grantsPath: {errGrants, errDelete}}[path]
			for _, err := range failed {
				if !errors.Is(err, registry.Unavailable) {
					t.Errorf("%s, %s: %v", name, path, err)
				}
			}
			if path == clientsPath && clients != nil || path == grantsPath && grants != nil {
				t.Errorf("%s, %s: something beside an error", name, path)
			}
		}
	}
}

// endless answers every page with full hundreds of items, of a million.
func endless(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	nulls := strings.Repeat(",null", 100)[1:]
	answer(200, fmt.Sprintf(`{"total":1000000,"start":%d,"limit":100,"clients":[%s],"client_grants":[%s]}`, page*100, nulls, nulls))(w, r, nil)
}

func TestDeleteGrantsTakesAllOfTheAudienceAndMayBeRepeated(t *testing.T) {
	t.Parallel()
	tn := prepared(t, nil)
	c := tn.client(t, nil)
	agent, _ := made(t, c)
	other, _ := made(t, c)
	m := c.management
	for _, body := range []map[string]any{
		{"client_id": agent.ClientID, "audience": testAudience, "scope": []string{"data:write"}, "subject_type": "user"},
		{"client_id": agent.ClientID, "audience": testAPIAudience, "scope": []string{}},
	} {
		if err := m.Request(t.Context(), "POST", m.URI("client-grants"), &body); err != nil {
			t.Fatal(err)
		}
	}
	for name, broken := range map[string]fault{
		"": nil, "dropped": dropAfterReading, "dropped after commit": dropAfterCommit, "limited": answer(429, ``, "Retry-After", "1"),
		"broken": answer(500, ``), "away": answer(503, ``),
	} {
		if _, err := c.EnsureGrant(t.Context(), agent.ClientID, []string{"data:read"}); err != nil {
			t.Fatal(err)
		}
		if broken != nil {
			tn.faults.setMatch(func(r *http.Request) bool { return r.Method == "DELETE" }, broken)
			if err := c.DeleteGrants(t.Context(), agent.ClientID); !errors.Is(err, registry.Unavailable) {
				t.Errorf("%s: %v", name, err)
			}
			tn.faults.set("", "", nil)
		}
		for range 2 {
			if err := c.DeleteGrants(t.Context(), agent.ClientID); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		want := [][]string{{testAPIAudience}, {testAudience}}
		if diff := cmp.Diff(want, [][]string{audiences(tn.one(t, agent.ClientID)), audiences(tn.one(t, other.ClientID))}); diff != "" {
			t.Errorf("%s: audiences of the grants that are left -want +got:\n%s", name, diff)
		}
	}
	tn.faults.setMatch(func(r *http.Request) bool { return r.Method == "DELETE" }, answer(404, `{"statusCode":404}`))
	if err := c.DeleteGrants(t.Context(), other.ClientID); err != nil {
		t.Errorf("one that is gone: %v", err)
	}
}

func TestDeleteGrantsTouchesNoGrantThatWasNotAskedFor(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, nil)
	tn.faults.set("GET", grantsPath, answer(200, `{"total":2,"start":0,"limit":100,"client_grants":[
		{"id":"cgr_1","client_id":"other","audience":"`+testAudience+`"},{"id":"cgr_2","client_id":"abc","audience":"https://other/"}]}`))
	if err := tn.client(t, nil).DeleteGrants(t.Context(), "abc"); err != nil {
		t.Error(err)
	}
	tn.faults.set("GET", grantsPath, answer(200, `{"total":1,"start":0,"limit":100,"client_grants":[{"id":"../clients/abc","client_id":"abc","audience":"`+testAudience+`"}]}`))
	if err := tn.client(t, nil).DeleteGrants(t.Context(), "abc"); !errors.Is(err, registry.Unavailable) {
		t.Errorf("an id that is a path: %v", err)
	}
	if writes := tn.writes(); len(writes) != 0 {
		t.Errorf("writes: %v", writes)
	}
}

func audiences(c emulator.ClientInfo) (all []string) {
	for _, g := range c.Grants {
		all = append(all, g.Audience)
	}
	return all
}

func TestEntityLimitOfGrantsTellsTheOperatorWhatToDo(t *testing.T) {
	t.Parallel()
	tn := prepared(t, func(o *emulator.Options) { o.MaxGrants = 1 })
	c := tn.client(t, nil)
	made(t, c)
	second, err := c.CreateClient(t.Context(), newAgent(), "intent")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.EnsureGrant(t.Context(), second.ClientID, []string{"data:read"})
	known, ok := registry.AsError(err)
	const says = "Auth0 refused to grant the agent its scopes: the tenant's limit is reached; delete what is not used, or upgrade the plan"
	if !ok || known.Kind != registry.Refused || known.Code != "identity_provider_limit" || known.Message != says {
		t.Errorf("%+v", known)
	}
}
