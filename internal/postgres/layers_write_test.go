package postgres_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/credenceproject/credence/internal/registry"
)

func TestPolicyWritesHoldTheirPreconditions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.putPolicy(t, fullPolicy())
	is := func(tag string) registry.Precondition {
		return registry.Precondition{IfMatch: &registry.Tags{List: []string{tag}}}
	}
	create := registry.Precondition{IfNoneMatch: &registry.Tags{Any: true}}
	b.deletePolicy(t, ofTeam)
	second := b.putPolicy(t, fullPolicy())
	for _, tt := range []struct {
		name string
		key  registry.LayerKey
		pre  registry.Precondition
		want error
	}{
		{"the state of a policy that was removed, of the same content", ofTeam, is(first.Tag()), registry.PreconditionFailed},
		{"none, where there is one", ofTeam, create, registry.PreconditionFailed},
		{"a state, where there is none", ofGlobal, is(second.Tag()), registry.PreconditionFailed},
		{"none, where there is none", ofGlobal, create, nil},
		{"the present state", ofTeam, is(second.Tag()), nil},
	} {
		_, _, err := b.store.PutPolicy(t.Context(), custom(tt.key, "too_late"), "put", tt.pre, nil, alice)
		if !errors.Is(err, tt.want) {
			t.Errorf("put, on condition of %s: error = %v, want %v", tt.name, err, tt.want)
		}
	}
	if err := b.store.DeletePolicy(t.Context(), ofTeam, is(second.Tag()), nil, alice); !errors.Is(err, registry.PreconditionFailed) {
		t.Errorf("delete of another state: error = %v", err)
	}
	b.deletePolicy(t, ofTeam)
	wantError(t, b.store.DeletePolicy(t.Context(), ofTeam, some, nil, alice), registry.NotFound, "not_found")
}

// Two writers that each read, change and write back with If-Match lose nothing, and
// of many creators one creates.
func TestWritersOfAPolicyLoseNoChange(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var created atomic.Int64
	var wg sync.WaitGroup
	for writer := range 3 {
		wg.Go(func() {
			for i := 0; i < 5; {
				p, err := b.store.Policy(t.Context(), ofTeam)
				pre := registry.Precondition{IfMatch: &registry.Tags{List: []string{p.Tag()}}}
				if errors.Is(err, registry.NotFound) {
					p.LayerKey, pre = ofTeam, registry.Precondition{IfNoneMatch: &registry.Tags{Any: true}}
				} else if err != nil {
					t.Error(err)
					return
				}
				p.Rules = append(p.Rules, registry.Rule{Code: fmt.Sprintf("rule_%d_%d", writer, i), Effect: registry.Deny})
				switch _, isNew, err := b.store.PutPolicy(t.Context(), p, "put", pre, nil, alice); {
				case errors.Is(err, registry.PreconditionFailed):
				case err != nil:
					t.Error(err)
					return
				default:
					i++
					if isNew {
						created.Add(1)
					}
				}
			}
		})
	}
	wg.Wait()
	p, err := b.store.Policy(t.Context(), ofTeam)
	if err != nil || len(p.Rules) != 15 || p.Version != 15 || created.Load() != 1 {
		t.Errorf("%d rules at version %d, created %d times, error %v; want 15, 15 and once", len(p.Rules), p.Version, created.Load(), err)
	}
}

func TestWhatNobodyHasHasNoPolicy(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	gone := b.provided(t, "gone", rules)
	b.update(t, gone.ID, "agent.decommission", remove)
	for name, key := range map[string]registry.LayerKey{
		"an agent that is gone":  ofAgent(gone),
		"an agent by its name":   {Tier: registry.TierAgent, ID: "triage"},
		"an agent of no id":      {Tier: registry.TierAgent, ID: uuid.NewString()},
		"an agent type":          {Tier: registry.TierAgentType, ID: "nobody"},
		"a tier":                 {Tier: "platform", ID: "support"},
		"a team of a bad name":   {Tier: registry.TierTeam, ID: "A/b"},
		"a team that is a UUID":  {Tier: registry.TierTeam, ID: gone.ID},
		"nothing":                {},
		"a global one of a path": {Tier: registry.TierGlobal, ID: "../x"},
	} {
		b.wantNothingWritten(t, name, func() {
			_, _, err := b.store.PutPolicy(t.Context(), registry.Policy{LayerKey: key}, "put", some, nil, alice)
			wantError(t, err, registry.NotFound, "not_found")
			wantError(t, b.store.DeletePolicy(t.Context(), key, some, nil, alice), registry.NotFound, "not_found")
			_, err = b.store.Policy(t.Context(), key)
			wantError(t, err, registry.NotFound, "not_found")
		})
	}
}

// An id in capitals is the same id.
func TestAnAgentsPolicyIsFoundHoweverTheIDIsSpelled(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.provided(t, "triage", b.rules(t))
	capitals := ofAgent(a)
	capitals.ID = strings.ToUpper(a.ID)
	saved := b.putPolicy(t, registry.Policy{LayerKey: capitals})
	got, err := b.store.Policy(t.Context(), capitals)
	if err != nil || saved.LayerKey != ofAgent(a) || got.LayerKey != ofAgent(a) {
		t.Errorf("put as %v, read as %v, error %v", saved.LayerKey, got.LayerKey, err)
	}
	if page, _, err := b.store.PolicyVersions(t.Context(), capitals, 0, 9); err != nil || len(page) != 1 {
		t.Errorf("%d versions, error %v", len(page), err)
	}
	b.deletePolicy(t, capitals)
}

func TestTextThatTheDatabaseCannotHoldIsMalformed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, p := range map[string]registry.Policy{
		"rego":      {LayerKey: ofGlobal, Rego: "a\x00b"},
		"a message": {LayerKey: ofGlobal, Rules: []registry.Rule{{Code: "a", Effect: registry.Deny, Message: "a\x00b"}}},
	} {
		_, _, err := b.store.PutPolicy(t.Context(), p, "put", some, nil, alice)
		if !errors.Is(err, registry.Malformed) {
			t.Errorf("%s: error = %v, want Malformed", name, err)
		}
	}
}

func TestAnAgentTypeWithAPolicyIsNotDeleted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.rules(t)
	b.putPolicy(t, registry.Policy{LayerKey: ofType})
	wantError(t, b.store.DeleteAgentType(t.Context(), "support", some, alice), registry.Conflict, "in_use")
	b.deletePolicy(t, ofType)
	if err := b.store.DeleteAgentType(t.Context(), "support", some, alice); err != nil {
		t.Error(err)
	}
	for i := range 10 { // never are both done
		agentType := fmt.Sprintf("type-%d", i)
		if _, _, err := b.store.PutAgentType(t.Context(), registry.AgentType{Name: agentType}, some, alice); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var put, deleted error
		wg.Go(func() {
			_, _, put = b.store.PutPolicy(t.Context(), registry.Policy{LayerKey: registry.LayerKey{Tier: registry.TierAgentType, ID: agentType}}, "put", some, nil, alice)
		})
		wg.Go(func() { deleted = b.store.DeleteAgentType(t.Context(), agentType, some, alice) })
		wg.Wait()
		if (put == nil) == (deleted == nil) || (put != nil && !errors.Is(put, registry.NotFound)) || (deleted != nil && !errors.Is(deleted, registry.Conflict)) {
			t.Errorf("put: %v, delete: %v; want exactly one of them done", put, deleted)
		}
	}
}

func TestPoliciesAreLoggedWithWhatWasAndWhatIs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.provided(t, "triage", b.rules(t))
	key := ofAgent(a)
	one, two := registry.Policy{LayerKey: key, Rego: "one", Tests: "t"}, registry.Policy{LayerKey: key, Rules: []registry.Rule{{Code: "c", Effect: registry.Deny}}}
	began := b.lastEvent(t)
	b.putPolicy(t, one)
	if _, _, err := b.store.PutPolicy(t.Context(), two, "rollback", some, nil, alice); err != nil {
		t.Fatal(err)
	}
	b.deletePolicy(t, key)
	b.putPolicy(t, registry.Policy{LayerKey: ofGlobal})
	page, _, err := b.store.Audit(t.Context(), registry.AuditFilter{Limit: 9})
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		action, id, team, actor string
		before, after           any
	}
	var got []row
	for _, e := range page {
		if e.ID > began && e.ObjectKind == "policy" && e.Outcome == registry.Success {
			got = append(got, row{e.Action, e.ObjectID, e.Team, e.Actor.Subject, decode(t, string(e.Before)), decode(t, string(e.After))})
		}
	}
	first := decode(t, `{"tier":"agent","id":"`+a.ID+`","environment":"production","rules":[],"rego":"one","tests":"t","required":false,"ceiling":null}`)
	second := decode(t, `{"tier":"agent","id":"`+a.ID+`","environment":"production","rules":[{"code":"c","effect":"deny"}],"rego":"","tests":"","required":false,"ceiling":null}`)
	team := a.Team
	want := []row{
		{"policy.put", "global/office-hours", "", alice.Subject, nil,
			decode(t, `{"tier":"global","id":"office-hours","environment":"","rules":[],"rego":"","tests":"","required":false,"ceiling":null}`)},
		{"policy.delete", key.String(), team, alice.Subject, second, nil},
		{"policy.rollback", key.String(), team, alice.Subject, first, second},
		{"policy.put", key.String(), team, alice.Subject, nil, first},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(row{})); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// lastEvent is the id of the newest event.
func (b *bundle) lastEvent(t *testing.T) int64 {
	t.Helper()
	return one[int64](t, b, `SELECT COALESCE(max(id), 0) FROM audit_events`)
}
