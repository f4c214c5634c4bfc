package auth0

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
)

func TestNewMakesNoCall(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, nil)
	c := tn.client(t, nil)
	if got, want := c.TokenEndpoint(), tn.url+"/oauth/token"; got != want {
		t.Errorf("TokenEndpoint: %s, want %s", got, want)
	}
	if calls := tn.Calls(); len(calls) != 0 {
		t.Errorf("calls were made: %v", calls)
	}
}

func TestPingFetchesATokenOnceAndTellsTheObserver(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, nil)
	seen := &observed{}
	c, err := New(t.Context(), tn.config(), seen)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := c.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := tn.count("POST", tokenPath); n != 1 {
		t.Errorf("%d tokens were fetched, want 1", n)
	}
	_, err = c.FindClients(t.Context(), newAgent().ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteClient(cancelled(t), "abc"); !errors.Is(err, context.Canceled) || !errors.Is(err, registry.Unavailable) {
		t.Errorf("a cancelled call: %v", err)
	}
	want := []string{"auth0 fetch_token ok", "auth0 ping ok", "auth0 ping ok", "auth0 ping ok", "auth0 list_clients ok", "auth0 delete_client failed"}
	if diff := cmp.Diff(want, seen.operations); diff != "" {
		t.Errorf("observed -want +got:\n%s", diff)
	}
}

func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func TestARotatedSecretIsPickedUpWithTheNextToken(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, nil)
	_, right := tn.ManagementCredentials()
	var mu sync.Mutex
	secret, readErr := "an-old-secret", error(nil)
	c := tn.client(t, func(c *Config) {
		c.ClientSecret = func() (string, error) {
			mu.Lock()
			defer mu.Unlock()
			return secret, readErr
		}
	})
	err := c.Ping(t.Context())
	if known, ok := registry.AsError(err); !ok || known.Kind != registry.Refused || !strings.Contains(known.Message, "check the client id and secret") {
		t.Errorf("with the old secret: %v", err)
	}
	mu.Lock()
	readErr = errors.New("open management-secret: permission denied")
	mu.Unlock()
	if err := c.Ping(t.Context()); !errors.Is(err, registry.Unavailable) || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("with an unreadable secret: %v", err)
	}
	mu.Lock()
	secret, readErr = right, nil
	mu.Unlock()
	if err := c.Ping(t.Context()); err != nil {
		t.Errorf("with the new secret: %v", err)
	}
}

func TestATokenThatIsRefusedIsFetchedAnew(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, nil)
	c := tn.client(t, nil)
	if err := c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	tn.faults.set("GET", clientsPath, answer(401, `{"statusCode":401,"error":"Unauthorized","message":"Invalid token"}`))
	if _, err := c.FindClients(t.Context(), "x"); !errors.Is(err, registry.Unavailable) {
		t.Errorf("with a dead token: %v", err)
	}
	tn.faults.set("", "", nil)
	if _, err := c.FindClients(t.Context(), "x"); err != nil {
		t.Errorf("with a new token: %v", err)
	}
	if n := tn.count("POST", tokenPath); n != 2 {
		t.Errorf("%d tokens were fetched, want 2", n)
	}
}

func TestATokenThatEndsSoonIsReplaced(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, nil)
	c := tn.client(t, nil)
	for _, body := range []string{
		`{"access_token":"t1","token_type":"Bearer","expires_in":59}`,
		`{"access_token":"t2","token_type":"Bearer"}`,
	} {
		tn.faults.set("POST", tokenPath, answer(200, body))
		for range 2 {
			if err := c.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n := tn.faults.count(); n != 2 {
			t.Errorf("%s: fetched %d times, want 2", body, n)
		}
	}
}

// A slow token endpoint holds each caller no longer than its own deadline, and
// the fetch goes on for the others.
func TestADeadlineBoundsTheTokenFetch(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, nil)
	c := tn.client(t, nil)
	arrived, release := make(chan struct{}), make(chan struct{})
	tn.faults.set("POST", tokenPath, func(w http.ResponseWriter, r *http.Request, tenant http.Handler) {
		close(arrived)
		<-release
		tenant.ServeHTTP(w, r)
	})
	patient := make(chan error)
	go func() { patient <- c.Ping(t.Context()) }()
	<-arrived
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.CreateClient(ctx, newAgent(), "intent"); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, registry.Unavailable) {
		t.Errorf("the hurried caller: %v", err)
	}
	close(release)
	if err := <-patient; err != nil {
		t.Errorf("the patient caller: %v", err)
	}
	if n := tn.faults.count(); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
	if len(tn.Clients()) != 0 {
		t.Error("an application was made although no token came in time")
	}
}

func TestTheTimeoutOfTheConfigurationBoundsACall(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, nil)
	c := tn.client(t, func(c *Config) { c.Timeout = 30 * time.Millisecond })
	tn.faults.set("POST", tokenPath, hangAfterCommit)
	if err := c.Ping(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestTheProcessContextEndsTokenFetches(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, nil)
	c, err := New(cancelled(t), tn.config(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Ping(t.Context()); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestTheTokenNeverLeavesForAnotherHost(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, nil)
	c := tn.client(t, nil)
	for _, uri := range []string{"http://127.0.0.2:1/api/v2/clients", strings.Replace(tn.url, "http:", "https:", 1)} {
		if err := c.management.Request(t.Context(), "GET", uri, nil); err == nil || !strings.Contains(err.Error(), "not the tenant") {
			t.Errorf("%s: %v", uri, err)
		}
	}
}

// The caller need not look for an application that cannot have been made.
func TestACallThatNeverLeftIsToldFromOneThatMayHaveArrived(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, nil)
	c := tn.client(t, nil)
	tn.faults.set("POST", tokenPath, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	if _, err := c.CreateClient(t.Context(), newAgent(), "intent"); !errors.Is(err, registry.Unavailable) || !errors.Is(err, registry.ErrNotDone) {
		t.Errorf("without a token: %v, want Unavailable and ErrNotDone", err)
	}
	tn.faults.set("POST", tokenPath, nil)
	tn.faults.set("POST", "/api/v2/clients", func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	if _, err := c.CreateClient(t.Context(), newAgent(), "intent"); !errors.Is(err, registry.Unavailable) || errors.Is(err, registry.ErrNotDone) {
		t.Errorf("after an answer: %v, want Unavailable and not ErrNotDone", err)
	}
	if _, err := nobodyHome(t).CreateClient(t.Context(), newAgent(), "intent"); !errors.Is(err, registry.ErrNotDone) {
		t.Errorf("where nobody listens: %v, want ErrNotDone", err)
	}
}

// Whoever is turned away at the door has made nothing inside.
func TestWhatAuth0TurnedAwayWasNotDone(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, nil)
	for status, notDone := range map[int]bool{401: true, 429: true, 408: false, 409: false, 500: false, 502: false, 503: false} {
		c := tn.client(t, nil)
		tn.faults.set("POST", clientsPath, answer(status, `{}`))
		_, err := c.CreateClient(t.Context(), newAgent(), "intent")
		if !errors.Is(err, registry.Unavailable) || errors.Is(err, registry.ErrNotDone) != notDone {
			t.Errorf("%d: %v, not done: %t; want %t", status, err, errors.Is(err, registry.ErrNotDone), notDone)
		}
	}
}

// nobodyHome is a client of a port on which nobody listens.
func nobodyHome(t *testing.T) *Client {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := New(t.Context(), Config{
		Domain: "http://" + address, ClientID: "id", ClientSecret: func() (string, error) { return "secret", nil },
		Audience: "https://mcp.example.com/", Installation: "test",
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
