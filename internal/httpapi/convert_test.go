package httpapi

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/registry"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// atNoon is a server that only converts.
var atNoon = &Server{handout: handout, now: func() time.Time { return noon }}

// wholeAgent has something in every field.
func wholeAgent() registry.Agent {
	east := time.FixedZone("", 2*60*60) // times on the wire are in UTC, wherever we run
	a := registry.Agent{
		ID: agentID, Name: "support-triage", Team: "customer-success", AgentType: "support", Environment: "production",
		Owner: "ana@example.com", Description: "Sorts incoming tickets", Scopes: []string{"skills:invoke", "data:read"},
		Capabilities: []registry.Capability{
			{Name: "triage", Description: "Sorts", Input: json.RawMessage(`{"type":"object"}`), Output: json.RawMessage(`true`)}, {Name: "bare"},
		},
		Labels: map[string]string{"cost-center": "cx-12"}, Config: json.RawMessage(`{"max_tickets_per_hour":200}`),
		Quota:     registry.Quota{RequestsPerSecond: new(int64(10)), RequestsPerDay: new(int64(10_000))},
		Lifecycle: registry.Active, Suspended: true, SuspendReason: "It leaked its secret", Revision: 42, Version: 7, CredentialGeneration: 1,
		ClientID: "Qm4", GrantID: "cgr_1", EntityID: "e-1", AliasID: "a-1",
		CreatedAt: noon.In(east), UpdatedAt: noon.Add(time.Minute).In(east), CreatedBy: "auth0|ana", DecommissionedAt: noon.Add(time.Hour).In(east),
		ExpiresAt: noon.Add(time.Hour).In(east), CredentialsExpireAt: noon.Add(2 * time.Hour).In(east), TokensValidAfter: noon.In(east),
		Authentication: registry.PrivateKeyJWT, Keys: json.RawMessage(`{"keys":[]}`),
		Convergence: registry.Convergence{
			Generation: 5, Observed: 4, Attempts: 2, LastError: "The secret store is not available.", DueAt: noon.Add(3 * time.Second).In(east),
		},
	}
	for i, name := range registry.Steps {
		a.Steps = append(a.Steps, registry.Step{Name: name, State: registry.StepDone, At: noon.Add(time.Duration(i) * time.Second).In(east)})
	}
	a.Steps[3].State, a.Steps[3].LastError = registry.StepFailed, "The secret store is not available."
	return a
}

// golden holds the wire to files that reviewers can read.
func golden(t *testing.T, file string, v any) {
	t.Helper()
	got, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v: run the test with -update", err)
	}
	if !bytes.Equal(want, got) {
		wantEqual(t, file+", which -update writes anew", string(want), string(got))
	}
}

func TestAnAgentOnTheWire(t *testing.T) {
	t.Parallel()
	a := atNoon.agentToAPI(wholeAgent())
	golden(t, "testdata/agent.golden.json", a)
	responseSchemas(t).check(t, "Agent", a)
}

// The least that there can be of an agent has no null in it.
func TestABareAgentOnTheWire(t *testing.T) {
	t.Parallel()
	bare := registry.Agent{ID: agentID, Name: "a", Team: "b", AgentType: "c", Environment: "d", Owner: "e", Config: json.RawMessage(`{}`), Lifecycle: registry.Active}
	for _, name := range registry.Steps {
		bare.Steps = append(bare.Steps, registry.Step{Name: name, State: registry.StepPending, At: noon})
	}
	golden(t, "testdata/bare-agent.golden.json", atNoon.agentToAPI(bare))
	responseSchemas(t).check(t, "Agent", atNoon.agentToAPI(bare))
}

func TestARegisteredAgentOnTheWire(t *testing.T) {
	t.Parallel()
	a := wholeAgent()
	a.Authentication, a.Keys = registry.ClientSecretPost, nil
	r := atNoon.registeredToAPI(agents.Registered{Agent: a, Credentials: &registry.Credentials{ClientID: "Qm4", ClientSecret: "shown-once"}})
	responseSchemas(t).check(t, "RegisteredAgent", r)
	document, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(document, []byte("shown-once")); n != 1 {
		t.Errorf("the secret is in the answer %d times, want once", n)
	}
	golden(t, "testdata/registered.golden.json", r)
}

// An agent that signs is told how it gets a token without a secret.
func TestAnAgentThatSignsIsRegisteredWithoutASecret(t *testing.T) {
	t.Parallel()
	r := atNoon.registeredToAPI(agents.Registered{Agent: wholeAgent(), Credentials: &registry.Credentials{ClientID: "Qm4"}})
	responseSchemas(t).check(t, "RegisteredAgent", r)
	if r.Credentials.ClientSecret != nil || !strings.Contains(r.Next[0], "client_assertion=") {
		t.Errorf("secret %v, next %q; want no secret, and an assertion", r.Credentials.ClientSecret, r.Next)
	}
}

func TestAnAgentWithoutCredentialsIsToldWhereToCollectThem(t *testing.T) {
	t.Parallel()
	ready := registry.Agent{ID: agentID, Name: "support-triage", Authentication: registry.ClientSecretPost}
	for _, name := range registry.Steps {
		ready.Steps = append(ready.Steps, registry.Step{Name: name, State: registry.StepDone, At: noon})
	}
	lagging, signing := ready, ready
	lagging.Convergence.Generation = 1
	signing.Authentication, signing.Convergence.Generation = registry.PrivateKeyJWT, 1
	const wait, collect = "GET /agents/support-triage?wait=ready", "POST /agents/support-triage/credentials"
	for name, tc := range map[string]struct {
		agent registry.Agent
		want  []string
	}{
		"ready": {ready, []string{collect}}, "lagging": {lagging, []string{wait, collect}}, "signing": {signing, []string{wait}},
	} {
		wantEqual(t, name, tc.want, atNoon.pendingToAPI(tc.agent).Next)
	}
}

func TestWhenToLookAgainIsWhenTheNextAttemptIsDue(t *testing.T) {
	t.Parallel()
	for due, want := range map[time.Duration]int{-time.Hour: 1, 0: 1, 1500 * time.Millisecond: 2, 29 * time.Second: 29, time.Hour: 30} {
		a := registry.Agent{Convergence: registry.Convergence{DueAt: noon.Add(due)}}
		wantEqual(t, due.String(), want, *atNoon.lookAgain(a))
	}
	wantEqual(t, "never", 1, *atNoon.lookAgain(registry.Agent{}))
}
