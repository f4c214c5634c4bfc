package postgres_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
)

// question is what a judge was asked.
type question struct {
	Present registry.Policy
	Exists  bool
	Owner   registry.Team
}

// A policy is judged by what is there when it is written, before anybody learns of
// its state: also by whom the agent belongs to by then, and what admins say of them.
func TestInvariant_A4_ThePolicyThatIsThereAndItsOwnersAreJudged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rules := b.rules(t)
	a := b.provided(t, "triage", rules)
	first := b.putPolicy(t, fullPolicy())
	blocked, _, err := b.store.PutTeam(t.Context(), registry.Team{Name: "blocked", MaxAgents: 5, Blocked: true}, some, alice)
	if err != nil {
		t.Fatal(err)
	}
	moved := b.provided(t, "moved", rules)
	b.update(t, moved.ID, "agent.transfer", func(a *registry.Agent) { a.Team = "blocked" })

	var asked []question
	refuse := func(present registry.Policy, exists bool, owner registry.Team) error {
		asked = append(asked, question{present, exists, owner})
		return registry.Forbidden.Errorf("team_not_allowed", "no")
	}
	wrong := registry.Precondition{IfMatch: &registry.Tags{List: []string{"other"}}} // whoever may not learns no state
	var want []question
	b.wantNothingWritten(t, "refused writes", func() {
		for _, tt := range []struct {
			key  registry.LayerKey
			want question
		}{
			{ofTeam, question{first, true, registry.NewTeam("customer-success")}},
			{ofGlobal, question{}},
			{ofType, question{}},
			{ofAgent(a), question{Owner: registry.NewTeam("customer-success")}},
			{ofAgent(moved), question{Owner: blocked}},
			{registry.LayerKey{Tier: registry.TierTeam, ID: "blocked"}, question{Owner: blocked}},
		} {
			want = append(want, tt.want, tt.want)
			_, _, err := b.store.PutPolicy(t.Context(), custom(tt.key, "mine"), "put", wrong, refuse, alice)
			if err := errors.Join(err, b.store.DeletePolicy(t.Context(), tt.key, wrong, refuse, alice)); !errors.Is(err, registry.Forbidden) || errors.Is(err, registry.PreconditionFailed) {
				t.Errorf("%v: error = %v, want Forbidden", tt.key, err)
			}
		}
	})
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("judged (-want +got):\n%s", diff)
	}
}

// What a write was judged by stays so until it is done: a transfer, a block, even of
// a team that nobody said anything about, comes after it.
func TestInvariant_A4_WhatAPolicyIsJudgedByStaysUntilItIsWritten(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.provided(t, "triage", b.rules(t))
	for name, change := range map[string]func() error{
		"transfer": func() error {
			_, _, err := b.store.UpdateAgent(t.Context(), a.ID, change("agent.transfer", func(a *registry.Agent) { a.Team = "other" }))
			return err
		},
		"block": func() error {
			_, _, err := b.store.PutTeam(t.Context(), registry.Team{Name: b.agent(t, a.ID).Team, Blocked: true}, some, alice)
			return err
		},
	} {
		changed := make(chan error, 1)
		judge := func(registry.Policy, bool, registry.Team) error {
			go func() { changed <- change() }()
			b.waiting(t)
			select {
			case err := <-changed:
				t.Errorf("%s: it was done under the write, error %v", name, err)
			default:
			}
			return nil
		}
		if _, _, err := b.store.PutPolicy(t.Context(), custom(ofAgent(a), name), "put", some, judge, alice); err != nil {
			t.Errorf("%s: PutPolicy() error = %v", name, err)
		}
		if err := <-changed; err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
