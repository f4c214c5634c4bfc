package auth0

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
)

const grantsPath = "/api/v2/client-grants"

// granted returns a prepared tenant, a client of it and an application in it.
func granted(t *testing.T) (*tenant, *Client, registry.Credentials) {
	t.Helper()
	tn := prepared(t, nil)
	c := tn.client(t, nil)
	made, err := c.CreateClient(t.Context(), newAgent(), "intent")
	if err != nil {
		t.Fatal(err)
	}
	return tn, c, made
}

func TestEnsureGrantEndsWithExactlyTheScopes(t *testing.T) {
	t.Parallel()
	tn, c, made := granted(t)
	var id string
	for name, row := range []struct {
		scopes []string
		patch  bool // whether the grant must change
	}{
		{[]string{"skills:invoke", "data:read"}, false}, // created
		{[]string{"data:read", "skills:invoke"}, false}, // the same set
		{[]string{"data:read", "data:read", "skills:invoke"}, false},
		{[]string{"data:read"}, true},
		{[]string{"data:write"}, true},
		{nil, true},
		{nil, false},
	} {
		before := len(tn.Calls())
		got, err := c.EnsureGrant(t.Context(), made.ClientID, row.scopes)
		if err != nil {
			t.Fatalf("row %d: %v", name, err)
		}
		if id == "" {
			id = got
		}
		grants := tn.Clients()[0].Grants
		if len(grants) != 1 || got != id || !registry.SameSet(grants[0].Scope, row.scopes) || grants[0].Audience != testAudience {
			t.Errorf("row %d: id %s, want %s; grants %+v", name, got, id, grants)
		}
		patched := false
		for _, call := range tn.Calls()[before:] {
			patched = patched || call.Method == "PATCH"
		}
		if patched != row.patch {
			t.Errorf("row %d: PATCH sent: %t, want %t", name, patched, row.patch)
		}
	}
}

func TestEnsureGrantNeverSharesItsConfigurationWithTheSDK(t *testing.T) {
	t.Parallel()
	tn, c, made := granted(t)
	tn.faults.set("POST", grantsPath, answer(201, `{"id":"cgr_1","client_id":"other","audience":"https://evil.example/","scope":["admin"]}`))
	scopes := []string{"data:read"}
	if _, err := c.EnsureGrant(t.Context(), made.ClientID, scopes); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"data:read"}, scopes); diff != "" || c.config.Audience != testAudience {
		t.Errorf("an answer changed our audience to %s or the scopes:\n%s", c.config.Audience, diff)
	}
}

func TestEnsureGrantRepeatsAfterEveryFault(t *testing.T) {
	t.Parallel()
	tn := prepared(t, nil)
	c := tn.client(t, nil)
	scopes := []string{"data:read"}
	for name, row := range map[string]struct {
		method string
		fault  fault
	}{
		"create, dropped before":   {"POST", dropAfterReading},
		"create, dropped after":    {"POST", dropAfterCommit},
		"create, cut":              {"POST", truncate},
		"create, without an id":    {"POST", answer(201, `{}`)},
		"create, limited":          {"POST", answer(429, `{}`)},
		"conflict, nothing listed": {"POST", answer(409, `{"statusCode":409}`)},
		"the list, dropped":        {"GET", dropAfterReading},
		"the list, null":           {"GET", answer(200, `null`)},
		"the list, of nulls":       {"GET", answer(200, `{"total":1,"client_grants":[null]}`)},
		"the list, of another":     {"GET", answer(200, `{"total":1,"client_grants":[{"id":"cgr_1","client_id":"x","audience":"y"}]}`)},
		"the list, of users' grants": {"GET", rewrite(func(b []byte) []byte {
			return []byte(strings.ReplaceAll(string(b), `"subject_type":"client"`, `"subject_type":"user"`))
		})},
	} {
		made, err := c.CreateClient(t.Context(), newAgent(), "intent")
		if err == nil && row.method == "GET" {
			_, err = c.EnsureGrant(t.Context(), made.ClientID, []string{"data:write"})
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		tn.faults.set(row.method, grantsPath, row.fault)
		if _, err := c.EnsureGrant(t.Context(), made.ClientID, scopes); !errors.Is(err, registry.Unavailable) {
			t.Errorf("%s: during the fault: %v", name, err)
		}
		tn.faults.set("", "", nil)
		if _, err := c.EnsureGrant(t.Context(), made.ClientID, scopes); err != nil {
			t.Errorf("%s: after the fault: %v", name, err)
		}
		if tn.count("PATCH", grantsPath+"/cgr_1") != 0 {
			t.Errorf("%s: somebody else's grant was changed", name)
		}
		all := tn.Clients()
		if grants := all[len(all)-1].Grants; len(grants) != 1 || !registry.SameSet(grants[0].Scope, scopes) {
			t.Errorf("%s: grants: %+v", name, grants)
		}
	}
}

func TestEnsureGrantTreatsAVanishedGrantAsUnavailable(t *testing.T) {
	t.Parallel()
	tn, c, made := granted(t)
	id, err := c.EnsureGrant(t.Context(), made.ClientID, []string{"data:read"})
	if err != nil {
		t.Fatal(err)
	}
	tn.faults.set("PATCH", grantsPath+"/"+id, answer(404, `{"statusCode":404,"errorCode":"inexistent_client_grant"}`))
	if _, err := c.EnsureGrant(t.Context(), made.ClientID, nil); !errors.Is(err, registry.Unavailable) {
		t.Errorf("%v", err)
	}
}

func TestEnsureGrantTakesAllScopesBack(t *testing.T) {
	t.Parallel()
	tn, c, made := granted(t)
	id, err := c.EnsureGrant(t.Context(), made.ClientID, []string{"data:read"})
	if err != nil {
		t.Fatal(err)
	}
	tn.faults.set("GET", grantsPath, answer(200, `{"total":1,"start":0,"limit":50,"client_grants":[{"id":"`+id+`","client_id":"`+made.ClientID+`","audience":"`+testAudience+`","allow_all_scopes":true}]}`))
	var sent map[string]any
	found, err := c.findGrant(t.Context(), made.ClientID)
	if err != nil {
		t.Fatal(err)
	}
	tn.faults.set("PATCH", grantsPath+"/"+id, func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_ = json.NewDecoder(r.Body).Decode(&sent)
		answer(200, `{"id":"`+id+`"}`)(w, r, nil)
	})
	if err := c.alignGrant(t.Context(), found, []string{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"scope": []any{}, "allow_all_scopes": false}, sent); diff != "" {
		t.Errorf("PATCH -want +got:\n%s", diff)
	}
}

func TestGrantRefusalsSendTheOperatorToSetup(t *testing.T) {
	t.Parallel()
	tn, c, made := granted(t)
	tn.faults.set("POST", grantsPath, answer(400, `{"statusCode":400,"error":"Bad Request","message":"The following scopes are not defined in the resource server: no:such"}`))
	_, err := c.EnsureGrant(t.Context(), made.ClientID, []string{"no:such"})
	known, ok := registry.AsError(err)
	if !ok || known.Kind != registry.Refused || !strings.Contains(known.Message, "credence setup auth0") {
		t.Errorf("an unknown scope: %+v", known)
	}

	bare := newTenant(t, nil)
	if _, err := bare.client(t, nil).EnsureGrant(t.Context(), made.ClientID, nil); !errors.Is(err, registry.Refused) {
		t.Errorf("a tenant that was not set up: %v", err)
	}
}
