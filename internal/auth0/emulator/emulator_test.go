package emulator_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/auth0/emulator"
	"github.com/google/go-cmp/cmp"
)

func TestInvariant_D3_OnlyKnownHostsAreServed(t *testing.T) {
	t.Parallel()
	e, err := emulator.New(options{Issuer: "http://127.0.0.1:8085/"})
	if err != nil {
		t.Fatal(err)
	}
	named, err := emulator.New(options{Issuer: "http://auth0.test/", AllowedHosts: []string{"auth0.test"}})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		emulator *emulator.Emulator
		host     string
		status   int
	}{
		{e, "127.0.0.1:8085", 200},
		{e, "127.0.0.1", 200},
		{e, "LOCALHOST:1", 200},
		{e, "[::1]:8085", 200},
		{e, "[::1]", 200},
		{e, "evil.example", 421},
		{e, "evil.example:8085", 421},
		{e, "localhost.evil.example", 421},
		{e, "127.0.0.1.evil.example:8085", 421},
		{e, "localhost:8085:evil.example", 421},
		{e, "", 421},
		{named, "auth0.test:443", 200},
		{named, "localhost", 421},
	}
	for _, tt := range tests {
		for _, path := range []string{"/.well-known/jwks.json", "/oauth/token", "/api/v2/clients"} {
			if path != "/.well-known/jwks.json" && tt.status == 200 {
				continue
			}
			req := httptest.NewRequestWithContext(t.Context(), "GET", path, nil)
			req.Host = tt.host
			rec := httptest.NewRecorder()
			tt.emulator.ServeHTTP(rec, req)
			if rec.Code != tt.status {
				t.Errorf("host %q, %s: %d, want %d", tt.host, path, rec.Code, tt.status)
			}
			if tt.status == 421 && !strings.Contains(rec.Body.String(), `"errorCode":"host_not_allowed"`) {
				t.Errorf("host %q: body %s", tt.host, rec.Body)
			}
		}
	}
}

func TestNewRefusesBadOptions(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]options{
		"no issuer":         {},
		"no trailing slash": {Issuer: "http://localhost:1"},
		"no host":           {Issuer: "http:///"},
		"a path":            {Issuer: "http://localhost/tenant/"},
		"a query":           {Issuer: "http://localhost/?x=/"},
		"a user":            {Issuer: "http://me@localhost/"},
		"another scheme":    {Issuer: "ftp://localhost/"},
		"not a URL":         {Issuer: "http://%zz/"},
		"half a rate":       {Issuer: "http://localhost/", TokenRate: emulator.Rate{PerSecond: 1}},
		"a negative rate":   {Issuer: "http://localhost/", ManagementRate: emulator.Rate{PerSecond: -1, Burst: 1}},
	} {
		if _, err := emulator.New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestManagementCredentialsAreThoseGiven(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, options{ManagementClientID: "me", ManagementClientSecret: "my secret+%"})
	id, secret := tn.ManagementCredentials()
	if id != "me" || secret != "my secret+%" || tn.token == "" {
		t.Errorf("got %q", id)
	}
}

func TestCallsAndClientsTellWhatHappened(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tn := newTenant(t, options{Now: clock.now, ManagementClientID: "me"})
	start := clock.now()
	tn.withAPI(t, "")
	id, secret := tn.agent(t, `,"grant_types":["client_credentials"],"client_metadata":{"team":"a","agent_id":"a1"}`)
	grantID := tn.grantAll(t, id)
	tn.manage(t, "GET", "clients/nobody?fields=name", "")
	clock.advance(time.Second)
	tn.exchange(t, credentialsForm(id, secret, testAudience))
	tn.exchange(t, credentialsForm(id, "wrong", testAudience))

	after := start.Add(time.Second)
	wantCalls := []emulator.Call{
		{At: start, Method: "POST", Path: "/oauth/token", Status: 200, ClientID: "me"},
		{At: start, Method: "POST", Path: "/api/v2/resource-servers", Status: 201},
		{At: start, Method: "POST", Path: "/api/v2/clients", Status: 201, ClientID: id, AgentID: "a1"},
		{At: start, Method: "POST", Path: "/api/v2/client-grants", Status: 201, ClientID: id, AgentID: "a1"},
		{At: start, Method: "GET", Path: "/api/v2/clients/nobody", Status: 404},
		{At: after, Method: "POST", Path: "/oauth/token", Status: 200, ClientID: id, AgentID: "a1"},
		{At: after, Method: "POST", Path: "/oauth/token", Status: 401},
	}
	if diff := cmp.Diff(wantCalls, tn.Calls()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	wantClients := []emulator.ClientInfo{{
		ID: id, Name: "agent", Metadata: map[string]string{"team": "a", "agent_id": "a1"}, GrantTypes: []string{"client_credentials"},
		Grants: []emulator.GrantInfo{{ID: grantID, Audience: testAudience, Scope: []string{"skills:invoke", "data:read"}}},
	}}
	if diff := cmp.Diff(wantClients, tn.Clients()); diff != "" {
		t.Errorf("clients (-want +got):\n%s", diff)
	}
	if dump := fmt.Sprintf("%+v %+v", tn.Calls(), tn.Clients()); strings.Contains(dump, secret) {
		t.Error("the secret can be inspected")
	}
}

func TestOnlyTheNewestCallsAreKept(t *testing.T) {
	t.Parallel()
	e, err := emulator.New(options{Issuer: "http://localhost/"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10_001 {
		e.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", fmt.Sprintf("http://localhost/%d", i), nil))
	}
	calls := e.Calls()
	if len(calls) != 10_000 || calls[0].Path != "/1" || calls[9_999].Path != "/10000" {
		t.Errorf("%d calls, from %v to %v", len(calls), calls[0], calls[len(calls)-1])
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, options{})
	tn.withAPI(t, "")
	const agents = 16
	var wg sync.WaitGroup
	for range agents {
		wg.Go(func() {
			id, secret := tn.agent(t, "")
			tn.grantAll(t, id)
			tn.must(t, "PATCH", "clients/"+id, `{"client_metadata":{"team":"a"}}`)
			tn.manage(t, "GET", "clients?include_totals=true", "")
			if a := tn.exchange(t, credentialsForm(id, secret, testAudience)); a.status != http.StatusOK {
				t.Errorf("%d %s", a.status, a.body)
			}
			_ = tn.Clients()
		})
	}
	wg.Go(func() {
		if err := tn.RotateSigningKey(); err != nil {
			t.Error(err)
		}
	})
	wg.Wait()
	if got := len(tn.Clients()); got != agents {
		t.Errorf("%d clients, want %d", got, agents)
	}
}

func TestOneOfManyEqualGrantsWins(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, options{})
	tn.withAPI(t, "")
	id, _ := tn.agent(t, "")
	statuses := make([]int, 10)
	var wg sync.WaitGroup
	for i := range statuses {
		wg.Go(func() {
			statuses[i] = tn.manage(t, "POST", "client-grants", `{"client_id":"`+id+`","audience":"`+testAudience+`","scope":[]}`).status
		})
	}
	wg.Wait()
	counts := map[int]int{}
	for _, s := range statuses {
		counts[s]++
	}
	if diff := cmp.Diff(map[int]int{201: 1, 409: 9}, counts); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
}
