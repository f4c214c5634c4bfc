package auth0

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/auth0/emulator"
	"github.com/credenceproject/credence/internal/registry"
)

const clientsPath = "/api/v2/clients"

func TestCreateClientStatesEverythingThatAuth0WouldDefault(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, nil)
	var sent map[string]any
	tn.faults.set("POST", clientsPath, func(w http.ResponseWriter, r *http.Request, tenant http.Handler) {
		body, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(body, &sent)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		tenant.ServeHTTP(w, r)
	})
	agent := newAgent()
	if _, err := tn.client(t, nil).CreateClient(t.Context(), agent, "intent-1"); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"name": "agent_" + agent.ID, "description": "support-triage", "app_type": "non_interactive",
		"is_first_party": true, "oidc_conformant": true, "grant_types": []any{"client_credentials"},
		"token_endpoint_auth_method": "client_secret_post",
		"jwt_configuration":          map[string]any{"alg": "RS256"},
		"client_metadata": map[string]any{
			"agent_id": agent.ID, "team": "customer-success", "agent_type": "support", "environment": "production",
			"managed_by": "credence/test", "intent_id": "intent-1",
		},
	}
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Errorf("body -want +got:\n%s", diff)
	}
}

// What the caller must hold for certain: whatever happens to the answer, one
// POST was sent, and only Refused says that nothing was made.
func TestCreateClientSendsOnePostWhateverHappens(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, nil)
	c := tn.client(t, nil)
	for name, row := range map[string]struct {
		fault fault
		kind  registry.Kind
		after time.Duration
	}{
		"the connection drops after reading":    {dropAfterReading, registry.Unavailable, 0},
		"the connection drops after the commit": {dropAfterCommit, registry.Unavailable, 0},
		"the body is cut":                       {truncate, registry.Unavailable, 0},
		"the rate limit":                        {answer(429, `{"statusCode":429,"error":"Too Many Requests","message":"Global limit has been reached","errorCode":"too_many_requests"}`, "Retry-After", "3"), registry.Unavailable, 3 * time.Second},
		"a broken server":                       {answer(500, `{"statusCode":400}`), registry.Unavailable, 0},
		"a gateway's page":                      {answer(503, `<html>`, "Retry-After", "20"), registry.Unavailable, 20 * time.Second},
		"an expired token":                      {answer(401, `{"statusCode":401,"error":"Unauthorized","message":"Expired token"}`), registry.Unavailable, 0},
		"a conflict":                            {answer(409, `{"statusCode":409,"error":"Conflict","message":"exists"}`), registry.Unavailable, 0},
		"a redirect that keeps the method":      {answer(307, ``, "Location", clientsPath), registry.Unavailable, 0},
		"a redirect to another host":            {answer(308, ``, "Location", "http://127.0.0.2:1/"), registry.Unavailable, 0},
		"an empty success":                      {answer(201, ``), registry.Unavailable, 0},
		"a success of nothing":                  {answer(201, `{}`), registry.Unavailable, 0},
		"a success of null":                     {answer(201, `null`), registry.Unavailable, 0},
		"a success without a secret":            {answer(201, `{"client_id":"abc"}`), registry.Unavailable, 0},
		"a success without an id":               {answer(201, `{"client_secret":"abc"}`), registry.Unavailable, 0},
		"a success with an id that is a path":   {answer(201, `{"client_id":"../x","client_secret":"abc"}`), registry.Unavailable, 0},
		"a success that is not JSON":            {answer(201, `<html>`), registry.Unavailable, 0},
		"a success without end":                 {answer(201, `{"client_id":"abc","client_secret":"abc","name":"`+strings.Repeat("x", maxResponse)+`"}`), registry.Unavailable, 0},
		"a bad request":                         {answer(400, `{"statusCode":400,"error":"Bad Request","message":"no","errorCode":"invalid_body"}`), registry.Refused, 0},
		"a missing scope":                       {answer(403, `{"statusCode":403,"error":"Forbidden","message":"no","errorCode":"insufficient_scope"}`), registry.Refused, 0},
	} {
		tn.faults.set("POST", clientsPath, row.fault)
		got, err := c.CreateClient(t.Context(), newAgent(), "intent-1")
		known, ok := registry.AsError(err)
		if !ok || known.Kind != row.kind || known.RetryAfter != row.after {
			t.Errorf("%s: %+v, want %s after %s", name, known, row.kind, row.after)
		}
		if got != (registry.Credentials{}) {
			t.Errorf("%s: credentials beside an error", name)
		}
		if n := tn.faults.count(); n != 1 {
			t.Errorf("%s: %d POSTs, want 1", name, n)
		}
	}
}

func TestCreateClientSendsOnePostWhenItHangsPastTheDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &faults{}
		e, config := offline(t, nil, func(next http.Handler) http.Handler {
			f.next = next
			return f
		})
		c, err := New(t.Context(), config.Config, nil)
		if err != nil {
			t.Fatal(err)
		}
		f.set("POST", clientsPath, hangAfterCommit)
		start := time.Now()
		_, err = c.CreateClient(t.Context(), newAgent(), "intent")
		if !errors.Is(err, registry.Unavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after the timeout of the configuration: %v", err)
		}
		if took := time.Since(start); took != DefaultTimeout {
			t.Errorf("took %s, want %s", took, DefaultTimeout)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		if _, err := c.CreateClient(ctx, newAgent(), "intent"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after the caller's deadline: %v", err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %s, want 1s", took)
		}
		if f.count() != 2 || len(e.Clients()) != 2 {
			t.Errorf("%d POSTs and %d applications for two calls", f.count(), len(e.Clients()))
		}
	})
}

func TestCreateClientRefusesWhatAuth0WouldWithoutACall(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, nil)
	c := tn.client(t, nil)
	for name, row := range map[string]struct {
		change func(*registry.Agent)
		intent string
		says   string
	}{
		"an id that is no UUID":     {func(a *registry.Agent) { a.ID = "x" }, "i", "UUID"},
		"no team":                   {func(a *registry.Agent) { a.Team = "" }, "i", "team"},
		"a type of 256 characters":  {func(a *registry.Agent) { a.AgentType = strings.Repeat("a", 256) }, "i", "agent_type"},
		"an environment in Unicode": {func(a *registry.Agent) { a.Environment = "prodüction" }, "i", "environment"},
		"a line break":              {func(a *registry.Agent) { a.Team = "a\nb" }, "i", "team"},
		"no intent":                 {func(*registry.Agent) {}, "", "intent_id"},
	} {
		agent := newAgent()
		row.change(&agent)
		_, err := c.CreateClient(t.Context(), agent, row.intent)
		if !errors.Is(err, registry.Refused) || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if calls := tn.Calls(); len(calls) != 0 {
		t.Errorf("calls were made: %v", calls)
	}
}

func TestDescriptionFitsAuth0(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                       "",
		"support":                "support",
		"<b>bold</b>\x00\n":      "bbold/b",
		"bad \xff utf-8":         "bad  utf-8",
		strings.Repeat("ü", 141): strings.Repeat("ü", 140),
	} {
		if got := describe(in); got != want {
			t.Errorf("describe(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestTwentyConcurrentCreatesMakeTwentyApplicationsUnderOneToken(t *testing.T) {
	t.Parallel()
	tn := prepared(t, nil)
	c := tn.client(t, nil)
	tokensBefore := tn.count("POST", tokenPath)
	const n = 20
	credentials := make([]registry.Credentials, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			got, err := c.CreateClient(t.Context(), newAgent(), "intent")
			if err == nil {
				_, err = c.EnsureGrant(t.Context(), got.ClientID, []string{"data:read"})
			}
			if err != nil {
				t.Errorf("create %d: %v", i, err)
			}
			credentials[i] = got
		})
	}
	wg.Wait()
	ids := map[string]bool{}
	for _, got := range credentials {
		ids[got.ClientID] = true
	}
	if len(ids) != n || len(tn.Clients()) != n {
		t.Errorf("%d ids and %d applications, want %d", len(ids), len(tn.Clients()), n)
	}
	if got := tn.count("POST", tokenPath) - tokensBefore; got != 1 {
		t.Errorf("%d management tokens were fetched, want 1", got)
	}
}

func TestFindClientsReadsEveryPageAndIgnoresOtherInstallations(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, nil)
	ours := tn.client(t, nil)
	theirs := tn.client(t, func(c *Config) { c.Installation = "other" })
	wanted := newAgent()
	create := func(c *Client, a registry.Agent) string {
		got, err := c.CreateClient(t.Context(), a, "intent")
		if err != nil {
			t.Fatal(err)
		}
		return got.ClientID
	}
	first := create(ours, wanted)
	create(theirs, wanted)
	for range 240 {
		create(ours, newAgent())
	}
	last := create(ours, wanted)

	got, err := ours.FindClients(t.Context(), wanted.ID)
	if err != nil {
		t.Fatal(err)
	}
	want := []registry.FoundClient{{ClientID: first, IntentID: "intent"}, {ClientID: last, IntentID: "intent"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if n := tn.count("GET", clientsPath); n != 3 {
		t.Errorf("%d pages were read, want 3", n)
	}
	if got, err := ours.FindClients(t.Context(), newAgent().ID); err != nil || len(got) != 0 {
		t.Errorf("an agent without applications: %v, %v", got, err)
	}
}

func TestFindClientsNeverTakesAShortPageForTheWholeList(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, nil)
	c := tn.client(t, nil)
	agent := newAgent()
	if _, err := c.CreateClient(t.Context(), agent, "intent"); err != nil {
		t.Fatal(err)
	}
	for name, fault := range map[string]fault{
		"the connection drops":        dropAfterReading,
		"the body is cut":             truncate,
		"an empty object":             answer(200, `{}`),
		"null":                        answer(200, `null`),
		"an empty body":               answer(200, ``),
		"a bare array":                answer(200, `[]`),
		"no totals":                   answer(200, `{"clients":[{"client_id":"x"}]}`),
		"fewer than the total":        answer(200, `{"total":2,"start":0,"limit":100,"clients":[{"client_id":"x"}]}`),
		"none of a hundred":           answer(200, `{"total":101,"start":0,"limit":100,"clients":[]}`),
		"another page":                answer(200, `{"total":1,"start":100,"limit":100,"clients":[{"client_id":"x"}]}`),
		"a broken server":             answer(502, `<html>`),
		"a page limit of the gateway": rewrite(func([]byte) []byte { return []byte(`{"total":60,"start":0,"limit":50,"clients":[null,null]}`) }),
	} {
		tn.faults.set("GET", clientsPath, fault)
		got, err := c.FindClients(t.Context(), agent.ID)
		if known, ok := registry.AsError(err); !ok || known.Kind != registry.Unavailable || known.Code != "identity_provider_unavailable" || got != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	tn.faults.set("GET", clientsPath, answer(200, `{"total":1,"start":0,"limit":100,"clients":[null]}`))
	if got, err := c.FindClients(t.Context(), agent.ID); err != nil || len(got) != 0 {
		t.Errorf("an element that is null: %v, %v", got, err)
	}
}

func TestFindClientsAdoptsWhatAnUnknownOutcomeLeft(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, nil)
	c := tn.client(t, nil)
	agent := newAgent()
	tn.faults.set("POST", clientsPath, dropAfterCommit)
	if _, err := c.CreateClient(t.Context(), agent, "intent"); !errors.Is(err, registry.Unavailable) {
		t.Fatalf("CreateClient: %v", err)
	}
	got, err := c.FindClients(t.Context(), agent.ID)
	if err != nil || len(got) != 1 || got[0].ClientID != tn.Clients()[0].ID {
		t.Errorf("%v, %v", got, err)
	}
}

func TestDeleteClientMayBeRepeated(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, nil)
	c := tn.client(t, nil)
	made, err := c.CreateClient(t.Context(), newAgent(), "intent")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.DeleteClient(t.Context(), made.ClientID); err != nil {
			t.Errorf("DeleteClient: %v", err)
		}
	}
	if left := tn.Clients(); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	tn.faults.set("DELETE", clientsPath+"/"+made.ClientID, answer(404, `{"statusCode":404,"errorCode":"inexistent_client"}`))
	if err := c.DeleteClient(t.Context(), made.ClientID); err != nil {
		t.Errorf("one that is reported missing: %v", err)
	}
	tn.faults.set("DELETE", clientsPath+"/"+made.ClientID, answer(503, ``))
	if err := c.DeleteClient(t.Context(), made.ClientID); !errors.Is(err, registry.Unavailable) {
		t.Errorf("a broken server: %v", err)
	}
}

func TestIDsThatAreNoClientIDsNeverReachAURL(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, nil)
	c := tn.client(t, nil)
	for _, id := range []string{"", ".", "..", "a/b", "a?b", "%2e%2e", "a b", strings.Repeat("a", 129)} {
		if err := c.DeleteClient(t.Context(), id); !errors.Is(err, registry.Refused) {
			t.Errorf("DeleteClient(%q): %v", id, err)
		}
		if _, err := c.EnsureGrant(t.Context(), id, nil); !errors.Is(err, registry.Refused) {
			t.Errorf("EnsureGrant(%q): %v", id, err)
		}
	}
	if calls := tn.Calls(); len(calls) != 0 {
		t.Errorf("calls were made: %v", calls)
	}
}

func TestEntityLimitTellsTheOperatorWhatToDo(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, func(o *emulator.Options) { o.MaxClients = 1 })
	c := tn.client(t, nil)
	if _, err := c.CreateClient(t.Context(), newAgent(), "intent"); err != nil {
		t.Fatal(err)
	}
	_, err := c.CreateClient(t.Context(), newAgent(), "intent")
	known, ok := registry.AsError(err)
	if !ok || known.Kind != registry.Refused || known.Code != "identity_provider_limit" || !strings.Contains(known.Message, "limit is reached; delete what is not used, or upgrade") {
		t.Errorf("%+v", known)
	}
}
