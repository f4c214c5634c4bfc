package postgres_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
)

func TestAgentTypeComesBackAsItWasPut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	most := int64(100)
	want := registry.AgentType{
		Name: "support", Schema: []byte(`{"type": "object",  "properties": {"b": {"const": 1e308}, "a": true}}`),
		DefaultScopes: []string{"skills:invoke"}, AllowedScopes: []string{"skills:invoke", "data:read"}, AllowedEnvironments: []string{"production"},
		DefaultQuota: registry.Quota{RequestsPerSecond: &most}, MaxQuota: &registry.Quota{RequestsPerDay: &most},
		Meta: registry.Meta{Revision: 1, Version: 1},
	}
	put, created, err := b.store.PutAgentType(t.Context(), want, some, alice)
	if err != nil || !created {
		t.Fatalf("PutAgentType() = created %t, error %v", created, err)
	}
	got, err := b.store.AgentType(t.Context(), "support")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, ignoreTimes); diff != "" {
		t.Errorf("AgentType() (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(put, got); diff != "" {
		t.Errorf("AgentType() differs from what PutAgentType() returned (-put +got):\n%s", diff)
	}
}

func TestPutThatChangesNothingTakesNoRevision(t *testing.T) {
	t.Parallel()
	b := setup(t)
	team := registry.Team{Name: "support", MaxAgents: 5}
	first, _, err := b.store.PutTeam(t.Context(), team, some, alice)
	if err != nil {
		t.Fatal(err)
	}
	again, created, err := b.store.PutTeam(t.Context(), team, some, alice)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, again); diff != "" || created {
		t.Errorf("the second PUT made a state of its own (created %t):\n%s", created, diff)
	}
	team.Blocked = true
	changed, _, err := b.store.PutTeam(t.Context(), team, some, alice)
	if err != nil {
		t.Fatal(err)
	}
	if changed.Tag() == first.Tag() || changed.Revision != first.Revision+1 {
		t.Errorf("a change kept tag %s and revision %d", changed.Tag(), changed.Revision)
	}
}

func TestPutHoldsItsPreconditions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first, _, err := b.store.PutTeam(t.Context(), registry.Team{Name: "support", MaxAgents: 5}, some, alice)
	if err != nil {
		t.Fatal(err)
	}
	any := &registry.Tags{Any: true}
	tests := []struct {
		name string
		team string
		pre  registry.Precondition
		want error
	}{
		{"If-Match of the present state", "support", registry.Precondition{IfMatch: &registry.Tags{List: []string{"other", first.Tag()}}}, nil},
		{"If-Match of another state", "support", registry.Precondition{IfMatch: &registry.Tags{List: []string{"other"}}}, registry.PreconditionFailed},
		{"If-Match * of nothing", "nobody", registry.Precondition{IfMatch: any}, registry.PreconditionFailed},
		{"If-None-Match * of something", "support", registry.Precondition{IfNoneMatch: any}, registry.PreconditionFailed},
		{"If-None-Match * of nothing", "fresh", registry.Precondition{IfNoneMatch: any}, nil},
	}
	for _, tt := range tests {
		// In order: each case may change the state that the next one meets.
		_, _, err := b.store.PutTeam(t.Context(), registry.Team{Name: tt.team, MaxAgents: 5}, tt.pre, alice)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: error = %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestOnlyOneOfManyCreatorsCreates(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var created, refused atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			team := registry.Team{Name: "support", MaxAgents: int64(i)}
			_, isNew, err := b.store.PutTeam(t.Context(), team, registry.Precondition{IfNoneMatch: &registry.Tags{Any: true}}, alice)
			switch {
			case err == nil && isNew:
				created.Add(1)
			case errors.Is(err, registry.PreconditionFailed):
				refused.Add(1)
			default:
				t.Errorf("PutTeam() = created %t, error %v", isNew, err)
			}
		})
	}
	wg.Wait()
	if created.Load() != 1 || refused.Load() != 7 {
		t.Errorf("created %d, refused %d, want 1 and 7", created.Load(), refused.Load())
	}
}

func TestDocumentsInUseAreNotDeleted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	if _, _, err := b.store.PutTeam(t.Context(), registry.NewTeam("customer-success"), some, alice); err != nil {
		t.Fatal(err)
	}
	rules.Team, _ = b.store.Team(t.Context(), "customer-success")
	a := b.create(t, "triage", rules).Agent
	deletes := map[string]func() error{
		"environment": func() error { return b.store.DeleteEnvironment(t.Context(), "production", some, alice) },
		"agent type":  func() error { return b.store.DeleteAgentType(t.Context(), "support", some, alice) },
		"team":        func() error { return b.store.DeleteTeam(t.Context(), "customer-success", some, alice) },
	}
	for name, del := range deletes {
		if err := del(); !errors.Is(err, registry.Conflict) {
			t.Errorf("delete %s in use: error = %v, want Conflict", name, err)
		}
	}
	b.update(t, a.ID, "agent.decommission", remove)
	for name, del := range deletes {
		if err := del(); err != nil {
			t.Errorf("delete %s that is no longer in use: %v", name, err)
		}
		if err := del(); !errors.Is(err, registry.NotFound) {
			t.Errorf("delete %s again: error = %v, want NotFound", name, err)
		}
	}
}
