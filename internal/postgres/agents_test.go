package postgres_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
)

func TestAgentComesBackAsItWasRecorded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	n := newAgent(t, "triage", b.rules(t))
	perSecond := int64(10)
	n.Agent.Labels = map[string]string{"cost-center": "cx-12"}
	n.Agent.Config = []byte(`{"max":  1e2}`)
	n.Agent.Quota = registry.Quota{RequestsPerSecond: &perSecond}
	n.Agent.Capabilities = []registry.Capability{{Name: "triage", Description: "Sorts", Input: []byte(`{"type":"object"}`)}}
	n.Agent.ExpiresAt = time.Date(2100, 1, 2, 3, 4, 5, 678_000, time.UTC)
	n.Agent.CredentialsExpireAt = n.Agent.ExpiresAt.Add(time.Hour)
	n.Agent.Authentication, n.Agent.Keys = registry.PrivateKeyJWT, []byte(`{"keys":  []}`)

	recorded, lease, err := b.store.CreateAgent(t.Context(), n, alice)
	if err != nil {
		t.Fatal(err)
	}
	want := n.Agent
	want.Lifecycle, want.Version, want.CreatedBy = registry.Active, 1, alice.Subject
	want.Convergence = registry.Convergence{Generation: 1, DueAt: recorded.CreatedAt, HeldUntil: recorded.CreatedAt.Add(long)}
	for _, step := range registry.Steps {
		want.Steps = append(want.Steps, registry.Step{Name: step, State: registry.StepPending, At: recorded.CreatedAt})
	}
	want.CreatedAt, want.UpdatedAt = recorded.CreatedAt, recorded.UpdatedAt
	if diff := cmp.Diff(want, recorded); diff != "" {
		t.Errorf("CreateAgent() (-want +got):\n%s", diff)
	}
	if lease.AgentID != n.Agent.ID || lease.Epoch != 1 || time.Until(lease.Expires) > long || time.Until(lease.Expires) < long-time.Minute {
		t.Errorf("the lease is %+v", lease)
	}
	for _, ref := range []string{"triage", n.Agent.ID} {
		read, err := b.store.Agent(t.Context(), ref, false)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(recorded, read); diff != "" {
			t.Errorf("Agent(%q) differs from what was recorded (-recorded +read):\n%s", ref, diff)
		}
	}
}

// Revisions have no gaps and no doubles, whoever writes at once.
func TestRevisionsAreConsecutiveUnderConcurrentWriters(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var wg sync.WaitGroup
	const writers, each = 6, 10
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				team := registry.Team{Name: fmt.Sprintf("team-%d", w), MaxAgents: int64(i + 1)}
				if _, _, err := b.store.PutTeam(t.Context(), team, some, alice); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := b.revision(t); got != writers*each {
		t.Errorf("head = %d, want %d", got, writers*each)
	}
	if n := one[int64](t, b, `SELECT count(*) FROM changes c JOIN registry_head h USING (epoch) WHERE c.revision BETWEEN 1 AND h.revision`); n != writers*each {
		t.Errorf("%d rows of changes, want %d", n, writers*each)
	}
}

func TestNameIsFreeAfterDecommissionAndTombstonesStay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	first := b.create(t, "triage", rules).Agent
	_, _, err := b.store.CreateAgent(t.Context(), newAgent(t, "triage", rules), alice)
	wantError(t, err, registry.Conflict, "name_taken")
	if gone, _ := b.update(t, first.ID, "agent.decommission", remove); gone.DecommissionedAt.IsZero() || gone.Lifecycle != registry.Decommissioned {
		t.Errorf("the agent is %s since %s", gone.Lifecycle, gone.DecommissionedAt)
	}
	if _, err := b.store.Agent(t.Context(), "triage", false); !errors.Is(err, registry.NotFound) {
		t.Errorf("Agent() of a decommissioned name: error = %v, want NotFound", err)
	}
	second := b.create(t, "triage", rules).Agent
	for ref, want := range map[string]string{"triage": second.ID, first.ID: first.ID} {
		got, err := b.store.Agent(t.Context(), ref, true)
		if err != nil || got.ID != want {
			t.Errorf("Agent(%q) with tombstones = %s, %v; want %s", ref, got.ID, err, want)
		}
	}
}

func TestInvariant_C7_TeamCapHoldsWhoeverRegistersAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	team, _, err := b.store.PutTeam(t.Context(), registry.Team{Name: "customer-success", MaxAgents: 3}, some, alice)
	if err != nil {
		t.Fatal(err)
	}
	rules.Team = team
	var mu sync.Mutex
	outcomes := map[string]int{}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			_, _, err := b.store.CreateAgent(t.Context(), newAgent(t, fmt.Sprintf("agent-%d", i), rules), alice)
			outcome := "recorded"
			if e, ok := registry.AsError(err); ok {
				outcome = e.Code
			} else if err != nil {
				outcome = err.Error()
			}
			mu.Lock()
			defer mu.Unlock()
			outcomes[outcome]++
		})
	}
	wg.Wait()
	if diff := cmp.Diff(map[string]int{"recorded": 3, "team_limit_reached": 5}, outcomes); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

// An agent must be recorded under the rules that it was judged by, or not at all.
func TestInvariant_A1_RulesThatChangedMeanwhileAreNotOutrun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	changes := map[string]func() error{
		"agent type": func() error {
			_, _, err := b.store.PutAgentType(t.Context(), registry.AgentType{Name: "support"}, some, alice)
			return err
		},
		"environment": func() error {
			_, _, err := b.store.PutEnvironment(t.Context(), registry.Environment{Name: "production", Grants: "explicit", MaxStaleness: "1m"}, some, alice)
			return err
		},
		"team": func() error {
			_, _, err := b.store.PutTeam(t.Context(), registry.Team{Name: "customer-success", Blocked: true}, some, alice)
			return err
		},
	}
	for name, change := range changes {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		_, _, err := b.store.CreateAgent(t.Context(), newAgent(t, "triage", rules), alice)
		if e, ok := registry.AsError(err); !ok || e.Code != "rules_changed" {
			t.Errorf("after a change of the %s: error = %v, want rules_changed", name, err)
		}
	}
}

func TestInvariant_A2_AClientThatWasEverAnAgentsIsKnown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.create(t, "triage", b.rules(t))
	b.progress(t, c.Lease, registry.Progress{Steps: []registry.StepName{registry.StepClient}, State: registry.StepDone, ClientID: "client-1"})
	b.update(t, c.Agent.ID, "agent.decommission", remove)
	for client, want := range map[string]bool{"client-1": true, "client-2": false} {
		if got, err := b.store.IsAgentClient(t.Context(), client); err != nil || got != want {
			t.Errorf("IsAgentClient(%s) = %t, %v; want %t", client, got, err, want)
		}
	}
}

func TestAgentsPagesInOrderAndFilters(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	for i := range 5 {
		b.create(t, fmt.Sprintf("agent-%d", i), rules)
	}
	var names []string
	filter := registry.AgentFilter{Lifecycle: registry.Active, Team: "customer-success", Capability: "triage", Limit: 2}
	for {
		page, _, err := b.store.Agents(t.Context(), filter)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, a := range page {
			names = append(names, a.Name)
		}
		last := page[len(page)-1]
		filter.After = registry.AgentPosition{Name: last.Name, ID: last.ID}
	}
	if diff := cmp.Diff([]string{"agent-0", "agent-1", "agent-2", "agent-3", "agent-4"}, names); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
	for _, f := range []registry.AgentFilter{
		{Lifecycle: registry.Decommissioned, Limit: 9}, {Lifecycle: registry.Active, Team: "other", Limit: 9},
		{Lifecycle: registry.Active, AgentType: "other", Limit: 9}, {Lifecycle: registry.Active, Environment: "other", Limit: 9},
		{Lifecycle: registry.Active, Capability: "other", Limit: 9},
	} {
		if page, _, err := b.store.Agents(t.Context(), f); err != nil || len(page) != 0 {
			t.Errorf("Agents(%+v) = %d agents, %v; want none", f, len(page), err)
		}
	}
}

// A document that is made anew has the version that the first one had.
func TestInvariant_A1_RulesThatWereMadeAnewAreOthers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	if err := b.store.DeleteAgentType(t.Context(), "support", some, alice); err != nil {
		t.Fatal(err)
	}
	anew, _, err := b.store.PutAgentType(t.Context(), registry.AgentType{Name: "support"}, some, alice)
	if err != nil || anew.Version != rules.AgentType.Version {
		t.Fatalf("version %d, %v; want %d again", anew.Version, err, rules.AgentType.Version)
	}
	_, _, err = b.store.CreateAgent(t.Context(), newAgent(t, "a", rules), alice)
	if e, ok := registry.AsError(err); !ok || e.Code != "rules_changed" {
		t.Errorf("CreateAgent() = %v, want rules_changed", err)
	}
}

// One caller's large agents must not cost every lister a hundred megabytes.
func TestAPageOfLargeAgentsEndsEarlyAndTheNextGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	const agents = 12
	for i := range agents {
		n := newAgent(t, fmt.Sprintf("agent-%02d", i), rules)
		n.Agent.Capabilities = []registry.Capability{{Name: "large", Input: []byte(`{"x":"` + strings.Repeat("x", 1<<20) + `"}`)}}
		if _, _, err := b.store.CreateAgent(t.Context(), n, alice); err != nil {
			t.Fatal(err)
		}
	}
	var sizes []int
	for filter, more := (registry.AgentFilter{Lifecycle: registry.Active, Limit: 200}), true; more; {
		var page []registry.Agent
		var err error
		if page, more, err = b.store.Agents(t.Context(), filter); err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(page))
		last := page[len(page)-1]
		filter.After = registry.AgentPosition{Name: last.Name, ID: last.ID}
	}
	total := 0
	for _, n := range sizes {
		total += n
		if n > 5 {
			t.Errorf("a page of %d MiB", n)
		}
	}
	if total != agents {
		t.Errorf("pages of %v agents, want %d in all", sizes, agents)
	}
}
