package postgres_test

import (
	"testing"

	"github.com/credenceproject/credence/internal/registry"
)

// judged are the rules with the ceilings that hold now.
func (b *bundle) judged(t *testing.T, rules registry.Rules) registry.Rules {
	t.Helper()
	bounds, err := b.store.Bounds(t.Context(), rules.Team.Name, rules.AgentType.Name)
	if err != nil {
		t.Fatal(err)
	}
	rules.Bounds = bounds
	return rules
}

func ceiling(key registry.LayerKey, permissions ...string) registry.Policy {
	return registry.Policy{LayerKey: key, Ceiling: &registry.Ceiling{Permissions: permissions}}
}

func TestBoundsAreTheCeilingsOfTeamAndType(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	wantEqual(t, "bounds of nobody", []registry.Bound{{LayerKey: ofTeam}, {LayerKey: ofType}}, b.judged(t, rules).Bounds)
	team, agentType := b.putPolicy(t, ceiling(ofTeam, "data:read")), b.putPolicy(t, registry.Policy{LayerKey: ofType})
	b.putPolicy(t, ceiling(registry.LayerKey{Tier: registry.TierTeam, ID: "support"}, "another:ones"))
	wantEqual(t, "bounds", []registry.Bound{
		{LayerKey: ofTeam, Ceiling: team.Ceiling, Revision: team.Revision}, {LayerKey: ofType, Revision: agentType.Revision},
	}, b.judged(t, rules).Bounds)
}

// A ceiling that came, changed, went, or was made anew after an agent was judged by
// it is not outrun: neither by a registration nor by a change.
func TestInvariant_A4_CeilingsThatChangedMeanwhileAreNotOutrun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	a := b.provided(t, "triage", rules)
	write := func(rules registry.Rules) []error {
		_, _, created := b.store.CreateAgent(t.Context(), newAgent(t, "new", rules), alice)
		u := change("agent.change", describe("changed"))
		u.Rules = &rules
		_, _, updated := b.store.UpdateAgent(t.Context(), a.ID, u)
		return []error{created, updated}
	}
	for _, step := range []struct {
		name   string
		change func()
	}{
		{"came", func() { b.putPolicy(t, ceiling(ofTeam, "data:read")) }},
		{"changed", func() { b.putPolicy(t, ceiling(ofTeam, "data:write")) }},
		{"went", func() { b.deletePolicy(t, ofTeam) }},
		{"came for the type", func() { b.putPolicy(t, ceiling(ofType, "data:write")) }},
		{"was made anew", func() {
			b.deletePolicy(t, ofType)
			b.putPolicy(t, ceiling(ofType, "data:write"))
		}},
	} {
		before := b.judged(t, rules)
		step.change()
		b.wantNothingWritten(t, step.name, func() {
			for _, err := range write(before) {
				wantError(t, err, registry.Conflict, "rules_changed")
			}
		})
	}
	other := b.judged(t, rules)
	other.Bounds = other.Bounds[:1]
	for _, err := range write(other) { // of the type nobody asked
		wantError(t, err, registry.Conflict, "rules_changed")
	}
	b.putPolicy(t, registry.Policy{LayerKey: ofAgent(a)})
	b.putPolicy(t, ceiling(registry.LayerKey{Tier: registry.TierTeam, ID: "other"}, "data:read"))
	for _, err := range write(b.judged(t, rules)) {
		if err != nil {
			t.Errorf("by the ceilings that hold: %v", err)
		}
	}
	b.putPolicy(t, ceiling(ofTeam, "data:read"))
	for _, err := range write(rules)[1:] {
		if err != nil {
			t.Errorf("a change that no ceiling is about: %v", err)
		}
	}
}

// A ceiling that is written while an agent is comes after it, also where there was
// none to lock.
func TestInvariant_A4_CeilingsStayUntilTheAgentIsWritten(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	if _, _, err := b.store.PutTeam(t.Context(), registry.Team{Name: rules.Team.Name, MaxAgents: 9}, some, alice); err != nil {
		t.Fatal(err)
	}
	rules.Team, _ = b.store.Team(t.Context(), rules.Team.Name)
	for _, first := range []registry.LayerKey{ofTeam, ofType} {
		// A registration writes its steps last: without them it waits, with all that it
		// was judged by held.
		tx, err := b.pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), `LOCK TABLE agent_steps IN ACCESS EXCLUSIVE MODE`); err != nil {
			t.Fatal(err)
		}
		created, written := make(chan error, 1), make(chan error, 1)
		n := newAgent(t, "new-"+string(first.Tier[0])+"-agent", b.judged(t, rules))
		go func() {
			_, _, err := b.store.CreateAgent(t.Context(), n, alice)
			created <- err
		}()
		b.waiting(t)
		go func() {
			_, _, err := b.store.PutPolicy(t.Context(), ceiling(first, "nothing"), "put", some, nil, alice)
			written <- err
		}()
		b.waitingFor(t, 2)
		select {
		case err := <-written:
			t.Errorf("%v was written under the registration, error %v", first, err)
		default:
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		for what, done := range map[string]chan error{"registration": created, "ceiling": written} {
			if err := <-done; err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}
