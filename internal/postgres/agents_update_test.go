package postgres_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/credenceproject/credence/internal/registry"
)

// rows is everything that the database holds, as text, whatever the order in it.
func (b *bundle) rows(t *testing.T) string {
	t.Helper()
	tables := one[[]string](t, b, `SELECT array_agg(tablename::text ORDER BY tablename) FROM pg_tables WHERE schemaname = 'public'`)
	var all strings.Builder
	for _, table := range tables {
		fmt.Fprintf(&all, "%s:\n%s\n", table, one[string](t, b, `SELECT COALESCE(string_agg(r::text, E'\n' ORDER BY r::text), '') FROM `+table+` r`))
	}
	return all.String()
}

// wantNothingWritten runs f, which must leave every row as it is.
func (b *bundle) wantNothingWritten(t *testing.T, what string, f func()) {
	t.Helper()
	before := b.rows(t)
	f()
	if diff := cmp.Diff(before, b.rows(t)); diff != "" {
		t.Errorf("%s wrote something (-before +after):\n%s", what, diff)
	}
}

func TestAChangeBeginsAnotherGenerationThatIsDueAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	before := b.provided(t, "triage", b.rules(t))
	expires := time.Date(2100, 1, 1, 0, 0, 0, 999_999_999, time.UTC) // more exact than it is kept
	after, lease := b.update(t, before.ID, "agent.change", func(a *registry.Agent) {
		a.Team, a.AgentType, a.Owner, a.Description = "other", "worker", "bo@example.com", "changed"
		a.Scopes, a.Labels, a.Config = []string{"data:read"}, map[string]string{"tier": "gold"}, []byte(`{"a":1}`)
		a.Capabilities = []registry.Capability{{Name: "sort"}}
		a.ExpiresAt, a.CredentialsExpireAt, a.TokensValidAfter = expires, expires, expires
		a.Authentication, a.Keys = registry.PrivateKeyJWT, []byte(`{"keys":[]}`)
		a.Suspended, a.SuspendReason = true, "why not"
		a.Convergence.Renewal = registry.RenewEntity
		a.Reopen(registry.StepGrant)
		a.Published = &registry.AgentFacts{Environment: "production", ExpiresAt: expires, ValidAfter: expires}
	})
	want := before
	want.Team, want.AgentType, want.Owner, want.Description = "other", "worker", "bo@example.com", "changed"
	want.Scopes, want.Labels, want.Config = []string{"data:read"}, map[string]string{"tier": "gold"}, []byte(`{"a":1}`)
	want.Capabilities = []registry.Capability{{Name: "sort"}}
	kept := expires.Truncate(time.Microsecond)
	want.ExpiresAt, want.CredentialsExpireAt, want.TokensValidAfter = kept, kept, kept
	want.Published = &registry.AgentFacts{
		Environment: "production", ExpiresAt: kept, ValidAfter: kept, Scopes: []string{}, Labels: map[string]string{},
	}
	want.Authentication, want.Keys = registry.PrivateKeyJWT, []byte(`{"keys":[]}`)
	want.Suspended, want.SuspendReason = true, "why not"
	want.Steps = append([]registry.Step(nil), before.Steps...)
	want.Steps[1] = registry.Step{Name: registry.StepGrant, State: registry.StepPending, At: after.UpdatedAt}
	want.Revision, want.Version, want.UpdatedAt = before.Revision+1, before.Version+1, after.UpdatedAt
	want.Convergence = registry.Convergence{
		Generation: 2, Observed: 1, Renewal: registry.RenewEntity, DueAt: after.UpdatedAt, HeldUntil: after.UpdatedAt.Add(long),
	}
	wantEqual(t, "the changed agent", want, after)
	wantEqual(t, "the agent as it is read", after, b.agent(t, before.ID))
	if lease == nil || lease.AgentID != before.ID || time.Until(lease.Expires) > long {
		t.Fatalf("the lease is %+v", lease)
	}
	if page, _, err := b.store.Agents(t.Context(), registry.AgentFilter{Lifecycle: registry.Active, Capability: "sort", Limit: 9}); err != nil || len(page) != 1 {
		t.Errorf("%d agents have the new capability, error %v; want 1", len(page), err)
	}
}

func TestAChangeThatIsRefusedWritesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	a := b.provided(t, "triage", rules)
	gone := b.create(t, "gone", rules).Agent
	b.update(t, gone.ID, "agent.decommission", remove)
	busy := b.create(t, "busy", rules).Agent
	stale := rules
	stale.AgentType.Revision--
	full := rules
	full.Team = registry.Team{Name: "full", MaxAgents: 0}
	never := func(*registry.Agent) error { t.Error("the change was made all the same"); return nil }
	move := func(a *registry.Agent) error { a.Team = "full"; return nil }
	for _, tt := range []struct {
		name  string
		agent string
		u     registry.AgentUpdate
		kind  registry.Kind
		code  string
	}{
		{"of nobody", uuid.NewString(), registry.AgentUpdate{Apply: never}, registry.NotFound, "not_found"},
		{"of the decommissioned", gone.ID, registry.AgentUpdate{Apply: never}, registry.NotFound, "not_found"},
		{"of another state", a.ID, registry.AgentUpdate{
			Pre: registry.Precondition{IfMatch: &registry.Tags{List: []string{"other"}}}, Apply: never,
		}, registry.PreconditionFailed, "precondition_failed"},
		{"while somebody has the lease", busy.ID, registry.AgentUpdate{NeedLease: true, Lease: long, Apply: never}, registry.Conflict, "agent_busy"},
		{"that does not want to", a.ID, registry.AgentUpdate{Apply: func(a *registry.Agent) error {
			a.Description = "half"
			return registry.Conflict.Errorf("not_suspended", "no")
		}}, registry.Conflict, "not_suspended"},
		{"by rules that changed", a.ID, registry.AgentUpdate{Rules: &stale, Apply: func(*registry.Agent) error { return nil }}, registry.Conflict, "rules_changed"},
		{"to a team that is full", a.ID, registry.AgentUpdate{Rules: &full, Apply: move}, registry.Forbidden, "team_limit_reached"},
	} {
		b.wantNothingWritten(t, tt.name, func() {
			_, lease, err := b.store.UpdateAgent(t.Context(), tt.agent, tt.u)
			wantError(t, err, tt.kind, tt.code)
			if lease != nil {
				t.Errorf("%s: there is a lease", tt.name)
			}
			if e, ok := registry.AsError(err); ok && tt.code == "agent_busy" && e.RetryAfter <= 0 {
				t.Errorf("%s: nobody is told when to come back", tt.name)
			}
		})
	}
	b.wantNothingWritten(t, "a change of nothing", func() {
		same, lease, err := b.store.UpdateAgent(t.Context(), a.ID, registry.AgentUpdate{Lease: long, Apply: func(a *registry.Agent) error {
			a.Description = "half"
			return registry.ErrUnchanged
		}})
		if err != nil || lease != nil {
			t.Errorf("a change of nothing: lease %v, error %v", lease, err)
		}
		wantEqual(t, "the agent", a, same)
	})
}

// A team that has as many agents as it may can still change them.
func TestAFullTeamMayChangeItsAgents(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	a := b.provided(t, "triage", rules)
	team, _, err := b.store.PutTeam(t.Context(), registry.Team{Name: rules.Team.Name, MaxAgents: 1}, some, alice)
	if err != nil {
		t.Fatal(err)
	}
	rules.Team = team
	u := change("agent.change", describe("changed"))
	u.Rules = &rules
	if _, _, err := b.store.UpdateAgent(t.Context(), a.ID, u); err != nil {
		t.Errorf("UpdateAgent() error = %v", err)
	}
}

func TestAChangeTakesTheLeaseOnlyWhereNobodyHasIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.create(t, "triage", b.rules(t))
	if _, lease := b.update(t, c.Agent.ID, "agent.change", describe("one")); lease != nil {
		t.Errorf("the lease was given twice: %+v", lease)
	}
	b.progress(t, c.Lease, registry.Progress{}) // whoever has it still has it
	if err := b.store.PostponePass(t.Context(), c.Lease, "no", long); err != nil {
		t.Fatal(err)
	}
	u := change("agent.change", describe("two"))
	u.Lease = 0
	if _, lease, err := b.store.UpdateAgent(t.Context(), c.Agent.ID, u); err != nil || lease != nil {
		t.Errorf("a lease that nobody asked for: %+v, error %v", lease, err)
	}
	_, lease := b.update(t, c.Agent.ID, "agent.change", describe("three"))
	if lease == nil || lease.Epoch <= c.Lease.Epoch {
		t.Fatalf("the free lease: %+v", lease)
	}
	b.progress(t, *lease, registry.Progress{})
}

func TestADryRunShowsWhatWouldBeAndKeepsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	a := b.provided(t, "triage", rules)
	b.wantNothingWritten(t, "a dry run", func() {
		n := newAgent(t, "new", rules)
		n.DryRun, n.Key = true, &registry.IdempotencyKey{Principal: "p", Key: "k", Fingerprint: "f"}
		created, _, err := b.store.CreateAgent(t.Context(), n, alice)
		if err != nil || created.Name != "new" || created.Convergence.Generation != 1 {
			t.Errorf("CreateAgent() = %+v, %v", created, err)
		}
		n.Agent.Name = "triage"
		_, _, err = b.store.CreateAgent(t.Context(), n, alice)
		wantError(t, err, registry.Conflict, "name_taken")

		u := change("agent.suspend", suspend)
		u.DryRun = true
		changed, lease, err := b.store.UpdateAgent(t.Context(), a.ID, u)
		if err != nil || lease != nil || !changed.Suspended || changed.Convergence.Generation != 2 || !changed.Published.Suspended {
			t.Errorf("UpdateAgent() = %+v, %v, %v", changed, lease, err)
		}
	})
	b.wantNothingWritten(t, "a rehearsal", func() {
		store := b.store.Rehearsal()
		team, created, err := store.PutTeam(t.Context(), registry.Team{Name: "new", MaxAgents: 5}, some, alice)
		if err != nil || !created || team.MaxAgents != 5 {
			t.Errorf("PutTeam() = %+v, %t, %v", team, created, err)
		}
		if err := store.DeleteEnvironment(t.Context(), "production", some, alice); !errors.Is(err, registry.Conflict) {
			t.Errorf("DeleteEnvironment() in use: error = %v, want Conflict", err)
		}
	})
}
