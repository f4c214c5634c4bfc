package httpapi

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/registry"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

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
		Lifecycle: registry.Decommissioned, Suspended: true, Revision: 42, Version: 7, CredentialGeneration: 1,
		ClientID: "Qm4", GrantID: "cgr_1", EntityID: "e-1", AliasID: "a-1",
		CreatedAt: noon.In(east), UpdatedAt: noon.Add(time.Minute).In(east), CreatedBy: "auth0|ana", DecommissionedAt: noon.Add(time.Hour).In(east),
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
	golden(t, "testdata/agent.golden.json", agentToAPI(wholeAgent()))
	responseSchemas(t).check(t, "Agent", agentToAPI(wholeAgent()))
}

// The least that there can be of an agent has no null in it.
func TestABareAgentOnTheWire(t *testing.T) {
	t.Parallel()
	bare := registry.Agent{ID: agentID, Name: "a", Team: "b", AgentType: "c", Environment: "d", Owner: "e", Config: json.RawMessage(`{}`), Lifecycle: registry.Active}
	for _, name := range registry.Steps {
		bare.Steps = append(bare.Steps, registry.Step{Name: name, State: registry.StepPending, At: noon})
	}
	golden(t, "testdata/bare-agent.golden.json", agentToAPI(bare))
	responseSchemas(t).check(t, "Agent", agentToAPI(bare))
}

func TestARegisteredAgentOnTheWire(t *testing.T) {
	t.Parallel()
	s := &Server{handout: handout}
	r := s.registeredToAPI(agents.Registered{Agent: wholeAgent(), Credentials: registry.Credentials{ClientID: "Qm4", ClientSecret: "shown-once"}})
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
