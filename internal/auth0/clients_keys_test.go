package auth0

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
)

func TestAnAgentWithKeysHasNoSecret(t *testing.T) {
	t.Parallel()
	tn := prepared(t, nil)
	c := tn.client(t, nil)
	agent, credentials := made(t, c, "A", "B PS256")
	if credentials.ClientSecret != "" || credentials.ClientID == "" {
		t.Errorf("credentials: %+v", credentials)
	}
	info := tn.one(t, agent.ClientID)
	if diff := cmp.Diff(thumbprints(t, "A", "B"), info.Keys); diff != "" || info.AuthMethod != "private_key_jwt" {
		t.Errorf("%s, keys -want +got:\n%s", info.AuthMethod, diff)
	}
	for name, want := range map[string]int{"A": 200, "B PS256": 200, "B": 401, "A PS256": 401, "C": 401} {
		if got := tn.signIn(t, agent.ClientID, name); got != want {
			t.Errorf("with %s: %d, want %d", name, got, want)
		}
	}
	_, err := c.RotateSecret(t.Context(), agent.ClientID)
	if !errors.Is(err, registry.Refused) {
		t.Errorf("RotateSecret: %v", err)
	}
}

func TestKeysThatAreNotFitAreRefusedWithoutACall(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, nil)
	c := tn.client(t, nil)
	for name, change := range map[string]func(*registry.Agent){
		"no keys":        func(a *registry.Agent) { a.Keys = nil },
		"an empty set":   func(a *registry.Agent) { a.Keys = []byte(`{"keys":[]}`) },
		"three keys":     func(a *registry.Agent) { a.Keys = jwks(t, "A", "B", "C") },
		"another method": func(a *registry.Agent) { a.Authentication = "tls_client_auth" },
	} {
		agent := withKeys(t, newAgent(), "A")
		agent.ClientID = "abc"
		change(&agent)
		if _, err := c.CreateClient(t.Context(), agent, "intent"); !errors.Is(err, registry.Refused) {
			t.Errorf("%s: CreateClient: %v", name, err)
		}
		if err := c.EnsureClient(t.Context(), agent); !errors.Is(err, registry.Refused) {
			t.Errorf("%s: EnsureClient: %v", name, err)
		}
	}
	if calls := tn.Calls(); len(calls) != 0 {
		t.Errorf("calls were made: %v", calls)
	}
}

// replacements are changes of how an agent authenticates; no keys are a secret.
var replacements = []struct{ before, after []string }{
	{nil, []string{"A"}},
	{[]string{"A"}, []string{"B"}},
	{[]string{"A"}, []string{"A", "B"}},
	{[]string{"A", "B"}, []string{"C", "D"}},
	{[]string{"A", "B"}, []string{"A PS256", "B"}},
	{[]string{"A"}, []string{"A RS384"}},
	{[]string{"A", "B"}, nil},
}

// moreReplacements take no step that those above do not take.
var moreReplacements = []struct{ before, after []string }{
	{nil, []string{"A", "B"}},
	{[]string{"A", "B"}, []string{"B"}},
	{[]string{"A", "B"}, []string{"B", "C"}},
	{[]string{"A"}, []string{"C", "D"}},
	{[]string{"A", "B"}, []string{"B PS256", "A PS256"}},
	{[]string{"A"}, nil},
}

// gapless reports whether some key works at any time of the replacement.
func gapless(before, after []string) bool {
	return len(before) > 0 && len(after) > 0 && !slices.Equal(after, []string{"A RS384"})
}

func TestKeysAreReplacedAndTheFormerOnesEnd(t *testing.T) {
	t.Parallel()
	tn := prepared(t, nil)
	c := tn.client(t, nil)
	for _, row := range slices.Concat(replacements, moreReplacements) {
		agent, credentials := made(t, c, row.before...)
		agent = withKeys(t, agent, row.after...)
		if err := c.EnsureClient(t.Context(), agent); err != nil {
			t.Errorf("%v to %v: %v", row.before, row.after, err)
			continue
		}
		expectKeys(t, tn, agent, row.after)
		for _, key := range row.after {
			if status := tn.signIn(t, agent.ClientID, key); status != http.StatusOK {
				t.Errorf("%v to %v: %s answers %d", row.before, row.after, key, status)
			}
		}
		for _, key := range row.before {
			if want := map[bool]int{true: 200, false: 401}[slices.Contains(row.after, key)]; tn.signIn(t, agent.ClientID, key) != want {
				t.Errorf("%v to %v: %s does not answer %d", row.before, row.after, key, want)
			}
		}
		if len(row.before) == 0 && tn.secretSignIn(t, credentials) != http.StatusUnauthorized {
			t.Errorf("%v to %v: the secret still works", row.before, row.after)
		}
		before := len(tn.writes())
		if err := c.EnsureClient(t.Context(), agent); err != nil || len(tn.writes()) != before {
			t.Errorf("%v to %v, again: %v, and %v", row.before, row.after, err, tn.writes()[before:])
		}
	}
}

// expectKeys checks that the client uses the named keys, and holds no others.
func expectKeys(t *testing.T, tn *tenant, agent registry.Agent, names []string) {
	t.Helper()
	info := tn.one(t, agent.ClientID)
	if diff := cmp.Diff(thumbprints(t, names...), info.Keys); diff != "" {
		t.Errorf("keys of %v -want +got:\n%s", names, diff)
	}
	if len(names) > 0 && info.Credentials != len(names) {
		t.Errorf("%d credentials of %v", info.Credentials, names)
	}
	if want := string(agent.Authentication); info.AuthMethod != want {
		t.Errorf("method %s, want %s", info.AuthMethod, want)
	}
}

// Whatever happens to whichever request, repeating ends where the registry says,
// and on the way the agent is never locked out.
func TestReplacingKeysSurvivesAnyFaultAtAnyStep(t *testing.T) {
	t.Parallel()
	tn := prepared(t, nil)
	c := tn.client(t, nil)
	faults := map[string]fault{
		"dropped before":       dropAfterReading,
		"dropped after commit": dropAfterCommit,
		"truncated":            truncate,
		"limited":              answer(429, `{"statusCode":429}`, "Retry-After", "1"),
		"broken":               answer(500, ``),
		"away":                 answer(503, ``),
	}
	for _, row := range replacements {
		for name, broken := range faults {
			for step := 0; ; step++ {
				what := fmt.Sprintf("%v to %v, request %d %s", row.before, row.after, step, name)
				agent, _ := made(t, c, row.before...)
				agent = withKeys(t, agent, row.after...)
				hit := tn.faults.setNth(step, broken)
				err := c.EnsureClient(t.Context(), agent)
				tn.faults.set("", "", nil)
				if err != nil && !errors.Is(err, registry.Unavailable) {
					t.Errorf("%s: %v", what, err)
				}
				if info := tn.one(t, agent.ClientID); gapless(row.before, row.after) && len(info.Keys) == 0 {
					t.Errorf("%s: no key is left", what)
				}
				if err := c.EnsureClient(t.Context(), agent); err != nil {
					t.Errorf("%s: after it: %v", what, err)
				}
				expectKeys(t, tn, agent, row.after)
				if err := c.DeleteClient(t.Context(), agent.ClientID); err != nil {
					t.Fatal(err)
				}
				if !hit() {
					break
				}
			}
		}
	}
}

func TestEnsureClientTrustsNoAnswerAboutKeysThatCannotBe(t *testing.T) {
	t.Parallel()
	tn := prepared(t, nil)
	c := tn.client(t, nil)
	for name, row := range map[string]struct {
		method string
		fault  fault
		kind   registry.Kind
	}{
		"a list without the key in use": {"GET", answer(200, `[]`), registry.Unavailable},
		"no list":                       {"GET", answer(200, `null`), registry.Unavailable},
		"an empty body":                 {"GET", answer(200, ``), registry.Unavailable},
		"an id that is a path":          {"GET", rewrite(func(b []byte) []byte { return []byte(`[{"id":"../../x"},` + string(b[1:])) }), registry.Unavailable},
		"a list that is forbidden":      {"GET", answer(403, `{"statusCode":403,"errorCode":"insufficient_scope"}`), registry.Refused},
		"a client that went away":       {"GET", answer(404, `{"statusCode":404}`), registry.NotFound},
		"created without an id":         {"POST", answer(201, `{"kid":"x"}`), registry.Unavailable},
		"created as another key":        {"POST", answer(201, `{"id":"cred_x","kid":"x","alg":"RS256"}`), registry.Unavailable},
		"created by somebody else":      {"POST", answer(400, `{"statusCode":400,"message":"credentials contains public keys that already exist in client"}`), registry.Unavailable},
		"a conflict":                    {"POST", answer(409, `{"statusCode":409}`), registry.Unavailable},
		"a plan without keys":           {"POST", answer(403, `{"statusCode":403,"message":"not in your plan"}`), registry.Refused},
	} {
		agent, _ := made(t, c, "A")
		agent = withKeys(t, agent, "A", "B")
		tn.faults.set(row.method, clientsPath+"/"+agent.ClientID+"/credentials", row.fault)
		before := len(tn.writes())
		if err := c.EnsureClient(t.Context(), agent); !errors.Is(err, row.kind) {
			t.Errorf("%s: %v, want %s", name, err, row.kind)
		}
		if writes := tn.writes()[before:]; len(writes) != 0 {
			t.Errorf("%s: writes: %v", name, writes)
		}
		tn.faults.set("", "", nil)
		if status := tn.signIn(t, agent.ClientID, "A"); status != http.StatusOK {
			t.Errorf("%s: the key of before: %d", name, status)
		}
	}
}

func TestNoListOfKeysIsNotAnEmptyOne(t *testing.T) {
	t.Parallel()
	tn := prepared(t, nil)
	c := tn.client(t, nil)
	agent, _ := made(t, c)
	for name, broken := range map[string]fault{"null": answer(200, `null`), "an empty body": answer(200, ``), "an object": answer(200, `{}`)} {
		tn.faults.set("GET", clientsPath+"/"+agent.ClientID+"/credentials", broken)
		if err := c.EnsureClient(t.Context(), withKeys(t, agent, "A")); !errors.Is(err, registry.Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if info := tn.one(t, agent.ClientID); info.Credentials != 0 || info.AuthMethod != "client_secret_post" {
		t.Errorf("something was written: %+v", info)
	}
}

func TestNoCallIsMadeOnceTheContextHasEnded(t *testing.T) {
	t.Parallel()
	tn := prepared(t, nil)
	c := tn.client(t, nil)
	agent, _ := made(t, c, "A", "B")
	agent = withKeys(t, agent, "C", "D")
	for name, call := range callsOf(agent) {
		before := len(tn.Calls())
		for what, ctx := range map[string]context.Context{"cancelled": cancelled(t), "past its deadline": past(t)} {
			err := call(ctx, c)
			if !errors.Is(err, registry.Unavailable) || !errors.Is(err, registry.ErrNotDone) || !errors.Is(err, ctx.Err()) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
		if n := len(tn.Calls()) - before; n != 0 {
			t.Errorf("%s: %d calls", name, n)
		}
	}
}

func past(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	t.Cleanup(cancel)
	return ctx
}

// frozen is a context of a process that was stopped between a look at the context
// and the call: the deadline has passed, and no timer has fired.
type frozen struct{ context.Context }

func (frozen) Deadline() (time.Time, bool) { return time.Now().Add(-time.Millisecond), true }
func (frozen) Done() <-chan struct{}       { return nil }
func (frozen) Err() error                  { return nil }

// Invariant C2: somebody else may hold the agent's lease by then.
func TestInvariant_C2_NoCallLeavesAfterItsDeadlineThoughNoTimerHasFired(t *testing.T) {
	t.Parallel()
	tn := prepared(t, nil)
	c := tn.client(t, nil)
	agent, _ := made(t, c, "A", "B")
	agent = withKeys(t, agent, "C", "D")
	before := len(tn.Calls())
	for name, call := range callsOf(agent) {
		err := call(frozen{t.Context()}, c)
		if !errors.Is(err, registry.Unavailable) || !errors.Is(err, registry.ErrNotDone) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(tn.Calls()) - before; n != 0 {
		t.Errorf("%d calls were made", n)
	}
}

// callsOf are all that a Client does about an agent and the tenant.
func callsOf(agent registry.Agent) map[string]func(context.Context, *Client) error {
	second := func(_ any, err error) error { return err }
	return map[string]func(context.Context, *Client) error{
		"CreateClient":  func(ctx context.Context, c *Client) error { return second(c.CreateClient(ctx, agent, "intent")) },
		"FindClients":   func(ctx context.Context, c *Client) error { return second(c.FindClients(ctx, agent.ID)) },
		"InspectClient": func(ctx context.Context, c *Client) error { return second(c.InspectClient(ctx, agent.ClientID)) },
		"EnsureClient":  func(ctx context.Context, c *Client) error { return c.EnsureClient(ctx, agent) },
		"RotateSecret":  func(ctx context.Context, c *Client) error { return second(c.RotateSecret(ctx, agent.ClientID)) },
		"ListClients":   func(ctx context.Context, c *Client) error { return second(c.ListClients(ctx)) },
		"ListGrants":    func(ctx context.Context, c *Client) error { return second(c.ListGrants(ctx)) },
		"EnsureGrant": func(ctx context.Context, c *Client) error {
			return second(c.EnsureGrant(ctx, agent.ClientID, []string{"data:write"}))
		},
		"DeleteGrants":  func(ctx context.Context, c *Client) error { return c.DeleteGrants(ctx, agent.ClientID) },
		"DeleteClient":  func(ctx context.Context, c *Client) error { return c.DeleteClient(ctx, agent.ClientID) },
		"InspectTenant": func(ctx context.Context, c *Client) error { return second(c.InspectTenant(ctx)) },
	}
}
