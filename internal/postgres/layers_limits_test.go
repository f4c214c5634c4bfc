package postgres_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/credenceproject/credence/internal/registry"
)

// fill makes n policies of the tier, past the store.
func (b *bundle) fill(t *testing.T, tier registry.Tier, n int, rego string) {
	t.Helper()
	const sql = `
	INSERT INTO policies (tier, id, rules, rego, tests, required, revision, version)
	SELECT $1, 'filler-' || i, '[]', $3, '', false, 1, 1 FROM generate_series(1, $2) i`
	if _, err := b.pool.Exec(t.Context(), sql, string(tier), n, rego); err != nil {
		t.Fatal(err)
	}
}

// wantNoRoom tries to write the policies, of which there are too many.
func (b *bundle) wantNoRoom(t *testing.T, policies ...registry.Policy) {
	t.Helper()
	for _, p := range policies {
		b.wantNothingWritten(t, p.String(), func() {
			_, _, err := b.store.PutPolicy(t.Context(), p, "put", some, nil, alice)
			wantError(t, err, registry.Conflict, "too_many_layers")
		})
	}
}

// Every global layer is asked about every call.
func TestThereAreAtMostFiftyGlobalLayers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fill(t, registry.TierGlobal, 50, "")
	last := registry.LayerKey{Tier: registry.TierGlobal, ID: "filler-50"}
	b.wantNoRoom(t, registry.Policy{LayerKey: ofGlobal}, custom(ofGlobal, "too_many"))
	b.putPolicy(t, custom(last, "changed")) // what is there can be changed
	b.putPolicy(t, custom(ofTeam, "no_global_one"))
	b.deletePolicy(t, last)
	b.putPolicy(t, registry.Policy{LayerKey: ofGlobal})
}

// Every module is compiled by every policy engine.
func TestThereAreAtMostAThousandModules(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.rules(t)
	b.fill(t, registry.TierTeam, 999, "package a")
	b.putPolicy(t, custom(ofGlobal, "last"))
	b.wantNoRoom(t, custom(ofTeam, "too_many"), custom(ofType, "too_many"))
	b.putPolicy(t, registry.Policy{LayerKey: ofTeam}) // rules there may be without number
	b.wantNoRoom(t, custom(ofTeam, "too_many"))
	b.putPolicy(t, custom(ofGlobal, "changed"))
	b.putPolicy(t, registry.Policy{LayerKey: ofGlobal})
	b.putPolicy(t, custom(ofTeam, "there_is_room"))
}

// One team does not crowd out the others.
func TestATeamAndItsAgentsHaveAtMostTwentyModules(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	for i := range 19 {
		b.putPolicy(t, custom(ofAgent(b.provided(t, fmt.Sprintf("agent-%d", i), rules)), "mine"))
	}
	b.putPolicy(t, custom(ofTeam, "mine"))
	fresh := ofAgent(b.provided(t, "fresh", rules))
	b.wantNoRoom(t, custom(fresh, "too_many"))
	b.putPolicy(t, registry.Policy{LayerKey: fresh})
	b.putPolicy(t, custom(ofType, "admins"))
	b.putPolicy(t, custom(registry.LayerKey{Tier: registry.TierTeam, ID: "other"}, "another_teams"))
	b.deletePolicy(t, ofTeam)
	b.putPolicy(t, custom(fresh, "there_is_room"))
	b.wantNoRoom(t, custom(ofTeam, "too_many"))
}

func TestTheLastPlaceIsGivenOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fill(t, registry.TierGlobal, 49, "")
	done := make(chan error, 5)
	var wg sync.WaitGroup
	for i := range cap(done) {
		wg.Go(func() {
			_, _, err := b.store.PutPolicy(t.Context(), registry.Policy{LayerKey: registry.LayerKey{Tier: registry.TierGlobal, ID: fmt.Sprintf("l%d", i)}}, "put", some, nil, alice)
			done <- err
		})
	}
	wg.Wait()
	close(done)
	for err := range done {
		if err != nil {
			wantError(t, err, registry.Conflict, "too_many_layers")
		}
	}
	if n := one[int](t, b, `SELECT count(*) FROM policies`); n != 50 {
		t.Errorf("%d global layers, want 50", n)
	}
}

// The schema holds what the code means to, whoever writes.
func TestThePoliciesTableRefusesWhatIsNoPolicy(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.provided(t, "triage", b.rules(t))
	for _, tt := range []struct{ tier, id, environment, ceiling, constraint string }{
		{"platform", "a", "", "", "policies_tier_check"},
		{"team", "A", "", "", "policies_id_check"},
		{"team", `a"]`, "", "", "policies_id_check"},
		{"team", a.ID, "", "", "policies_id_check"},
		{"agent", a.ID, "", "", "policies_environment_check"},
		{"team", "a", "production", "", "policies_environment_check"},
		{"agent", agentID("9"), "production", "", "policies_agent_id_fkey"},
		{"global", "a", "", "{}", "policies_ceiling_check"},
		{"agent", a.ID, "production", "{}", "policies_ceiling_check"},
		{"agent", a.ID, "production", "", ""},
		{"agent_type", "a", "", "{}", ""},
	} {
		_, err := b.pool.Exec(t.Context(), `
			INSERT INTO policies (tier, id, environment, ceiling, rules, rego, tests, required, revision, version)
			VALUES ($1, $2, $3, NULLIF($4, '')::jsonb, '[]', '', '', false, 1, 1)`, tt.tier, tt.id, tt.environment, tt.ceiling)
		if (err == nil) != (tt.constraint == "") || (err != nil && !contains(err, tt.constraint)) {
			t.Errorf("%+v: error = %v", tt, err)
		}
	}
}

// All modules are compiled where one of them is checked, in seconds.
func TestModulesAreBoundedInAllAndATeamsToo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.rules(t)
	long := func(key registry.LayerKey, size int) registry.Policy {
		p := custom(key, "long")
		p.Rego += strings.Repeat("#", size-len(p.Rego))
		return p
	}
	b.wantNoRoom(t, long(ofTeam, 256<<10+1))
	b.putPolicy(t, long(ofTeam, 256<<10))
	b.putPolicy(t, long(ofTeam, 256<<10)) // nothing is counted twice
	b.fill(t, registry.TierTeam, 7, strings.Repeat("#", 256<<10))
	b.wantNoRoom(t, custom(ofGlobal, "no_room"))
	b.putPolicy(t, long(ofTeam, 128<<10))
	b.putPolicy(t, custom(ofGlobal, "room"))
}
