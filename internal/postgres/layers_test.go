package postgres_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

var (
	ofTeam   = registry.LayerKey{Tier: registry.TierTeam, ID: "customer-success"}
	ofType   = registry.LayerKey{Tier: registry.TierAgentType, ID: "support"}
	ofGlobal = registry.LayerKey{Tier: registry.TierGlobal, ID: "office-hours"}
)

func ofAgent(a registry.Agent) registry.LayerKey {
	return registry.LayerKey{Tier: registry.TierAgent, ID: a.ID}
}

// custom is a policy with a module that denies with the code.
func custom(key registry.LayerKey, code string) registry.Policy {
	return registry.Policy{LayerKey: key, Rego: registrytest.LayerModule(key, code)}
}

// fullPolicy has something of everything.
func fullPolicy() registry.Policy {
	p := custom(ofTeam, "too_late")
	p.Tests, p.Required = "package a_test", true
	p.Rules = []registry.Rule{
		{Code: "no_writes", Effect: registry.Deny, Message: "Read-only <&> \"for\" you", When: registry.Conditions{
			Resources: []string{"billing"}, ResourceTypes: []registry.ResourceType{registry.DataSink}, Methods: []string{"POST", "PUT"},
			Environments: []string{"production"}, DataClassification: []string{"restricted"}, Permissions: []string{"data:write"},
			AgentTypes: []string{"support"}, OutsideHours: &registry.Hours{From: "09:00", To: "24:00", Days: []string{"mon", "fri"}, Timezone: "Europe/Berlin"},
		}},
		{Code: "always", Effect: registry.Allow},
		{Code: "never", Effect: registry.Deny, When: registry.Conditions{Methods: []string{}, OutsideHours: &registry.Hours{From: "22:00", To: "06:00"}}},
	}
	p.Ceiling = &registry.Ceiling{Permissions: []string{}} // none at all, of whatever classification
	return p
}

// putPolicy writes a policy that must go well.
func (b *bundle) putPolicy(t *testing.T, p registry.Policy) registry.Policy {
	t.Helper()
	saved, _, err := b.store.PutPolicy(t.Context(), p, "put", some, nil, alice)
	if err != nil {
		t.Fatal(err)
	}
	return saved
}

func (b *bundle) deletePolicy(t *testing.T, key registry.LayerKey) {
	t.Helper()
	if err := b.store.DeletePolicy(t.Context(), key, some, nil, alice); err != nil {
		t.Fatal(err)
	}
}

func TestPolicyComesBackAsItWasPut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.rules(t)
	of := func(p registry.Policy, change func(*registry.Policy)) registry.Policy {
		change(&p)
		return p
	}
	for name, want := range map[string]registry.Policy{
		"everything": fullPolicy(),
		"nothing":    {LayerKey: ofGlobal},
		"a ceiling that bounds nothing": of(fullPolicy(), func(p *registry.Policy) {
			p.LayerKey, p.Ceiling = ofType, &registry.Ceiling{DataClassification: []string{"low"}}
		}),
	} {
		put, created, err := b.store.PutPolicy(t.Context(), want, "put", some, nil, alice)
		if err != nil || !created {
			t.Fatalf("%s: PutPolicy() = created %t, error %v", name, created, err)
		}
		got, err := b.store.Policy(t.Context(), want.LayerKey)
		if err != nil {
			t.Fatal(err)
		}
		want.Meta = registry.Meta{Revision: b.revision(t), Version: 1}
		if diff := cmp.Diff(want, got, ignoreTimes); diff != "" {
			t.Errorf("%s: Policy() (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(put, got); diff != "" {
			t.Errorf("%s: Policy() differs from what PutPolicy() returned (-put +got):\n%s", name, diff)
		}
	}
}

func TestThePolicyThatIsThereAlreadyIsNoWrite(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.provided(t, "triage", b.rules(t))
	for _, p := range []registry.Policy{fullPolicy(), {LayerKey: ofGlobal, Rules: []registry.Rule{}}, custom(ofAgent(a), "too_late")} {
		first := b.putPolicy(t, p)
		b.wantNothingWritten(t, "the same again", func() {
			again, created, err := b.store.PutPolicy(t.Context(), p, "rollback", some, nil, alice)
			if diff := cmp.Diff(first, again); diff != "" || created || err != nil {
				t.Errorf("created %t, error %v; (-first +again):\n%s", created, err, diff)
			}
		})
		p.Tests = "package another_test"
		if changed := b.putPolicy(t, p); changed.Version != 2 || changed.Tag() == first.Tag() {
			t.Errorf("other tests make version %d, state %s", changed.Version, changed.Tag())
		}
	}
}

// What ever was is kept: a number stands for one document for ever, also where the
// policy was removed and made anew.
func TestVersionsKeepEveryWriteAndCountOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	bob := registry.Actor{Subject: "auth0|bob"}
	one, two := fullPolicy(), custom(ofTeam, "too_early")
	b.putPolicy(t, one)
	b.putPolicy(t, two)
	if _, _, err := b.store.PutPolicy(t.Context(), one, "rollback", some, nil, bob); err != nil {
		t.Fatal(err)
	}
	if err := b.store.DeletePolicy(t.Context(), ofTeam, some, nil, bob); err != nil {
		t.Fatal(err)
	}
	fresh, created, err := b.store.PutPolicy(t.Context(), two, "put", some, nil, alice)
	if err != nil || !created || fresh.Version != 5 {
		t.Fatalf("made anew: created %t at version %d, error %v", created, fresh.Version, err)
	}
	b.putPolicy(t, registry.Policy{LayerKey: ofGlobal}) // another one's versions are its own

	version := func(p registry.Policy, n int64, action string, by registry.Actor) registry.PolicyVersion {
		p.Meta = registry.Meta{Revision: n, Version: n}
		return registry.PolicyVersion{Policy: p, Action: action, By: by.Subject, Deleted: action == "delete"}
	}
	want := []registry.PolicyVersion{
		version(two, 5, "put", alice), version(one, 4, "delete", bob), version(one, 3, "rollback", bob), version(two, 2, "put", alice), version(one, 1, "put", alice),
	}
	got, more, err := b.store.PolicyVersions(t.Context(), ofTeam, 0, 9)
	if err != nil || more {
		t.Fatalf("PolicyVersions(): more %t, error %v", more, err)
	}
	for i := range got {
		if at := got[i].At; at.IsZero() || !got[i].Policy.UpdatedAt.Equal(at) || got[i].Policy.CreatedAt.After(at) {
			t.Errorf("version %d: made at %v, of a policy made at %v", got[i].Policy.Version, at, got[i].Policy.CreatedAt)
		}
		single, err := b.store.PolicyVersion(t.Context(), ofTeam, got[i].Policy.Version)
		if diff := cmp.Diff(got[i], single); err != nil || diff != "" {
			t.Errorf("PolicyVersion(%d): error %v, (-list +single):\n%s", got[i].Policy.Version, err, diff)
		}
		got[i].At = want[i].At
	}
	if diff := cmp.Diff(want, got, ignoreTimes); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
	page, more, err := b.store.PolicyVersions(t.Context(), ofTeam, 4, 2)
	if err != nil || !more || len(page) != 2 || page[0].Policy.Version != 3 || page[1].Policy.Version != 2 {
		t.Errorf("a page before version 4: %+v, more %t, error %v", page, more, err)
	}
	_, err = b.store.PolicyVersion(t.Context(), ofTeam, 6)
	wantError(t, err, registry.NotFound, "not_found")
	if none, more, err := b.store.PolicyVersions(t.Context(), ofType, 0, 9); len(none) != 0 || more || err != nil {
		t.Errorf("versions of what never was: %+v, more %t, error %v", none, more, err)
	}
	for _, sql := range []string{`UPDATE policy_versions SET actor = 'nobody'`, `DELETE FROM policy_versions`, `TRUNCATE policy_versions`} {
		if _, err := b.pool.Exec(t.Context(), sql); !contains(err, "only ever added") {
			t.Errorf("%s: error = %v", sql, err)
		}
	}
}

func TestPoliciesAreListedByTierAndIDAndPagesEndEarly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.provided(t, "triage", b.rules(t))
	zulu := registry.LayerKey{Tier: registry.TierGlobal, ID: "zulu"}
	for _, key := range []registry.LayerKey{ofTeam, zulu, ofAgent(a), ofType, ofGlobal} {
		b.putPolicy(t, registry.Policy{LayerKey: key})
	}
	all := []registry.LayerKey{ofAgent(a), ofType, ofGlobal, zulu, ofTeam}
	for _, tt := range []struct {
		name  string
		tier  registry.Tier
		after registry.LayerKey
		limit int
		want  []registry.LayerKey
		more  bool
	}{
		{"all", "", registry.LayerKey{}, 9, all, false},
		{"as many as there are", "", registry.LayerKey{}, 5, all, false},
		{"the first", "", registry.LayerKey{}, 2, all[:2], true},
		{"those after", "", ofType, 2, all[2:4], true},
		{"of a tier", registry.TierGlobal, registry.LayerKey{}, 9, all[2:4], false},
		{"of a tier, after", registry.TierGlobal, ofGlobal, 9, all[3:4], false},
		{"of no tier", "platform", registry.LayerKey{}, 9, nil, false},
	} {
		page, more, err := b.store.Policies(t.Context(), tt.tier, tt.after, tt.limit)
		if err != nil {
			t.Fatal(err)
		}
		var got []registry.LayerKey
		for _, p := range page {
			got = append(got, p.LayerKey)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || more != tt.more {
			t.Errorf("%s: more %t, want %t; (-want +got):\n%s", tt.name, more, tt.more, diff)
		}
	}
	if _, err := b.pool.Exec(t.Context(), `UPDATE policies SET tests = repeat('x', 5 << 20)`); err != nil {
		t.Fatal(err)
	}
	page, more, err := b.store.Policies(t.Context(), "", registry.LayerKey{}, 9)
	if err != nil || len(page) != 1 || !more {
		t.Errorf("a page of large ones has %d, more %t, error %v", len(page), more, err)
	}
}
