package policies_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/credenceproject/credence/internal/policies"
	"github.com/credenceproject/credence/internal/registry"
)

func TestAPolicyIsPutChangedRolledBackAndDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, created, err := w.service.Put(t.Context(), ana, quiet(ofTeam), create)
	if err != nil || !created {
		t.Fatalf("Put() = created %t, error %v", created, err)
	}
	second, created, err := w.service.Put(t.Context(), ana, custom(ofTeam), on(first))
	if err != nil || created {
		t.Fatalf("Put() = created %t, error %v", created, err)
	}
	got, err := w.service.Get(t.Context(), ofTeam)
	if diff := cmp.Diff(second, got); err != nil || diff != "" {
		t.Errorf("Get() differs from what Put() returned: %v (-put +got):\n%s", err, diff)
	}
	third, err := w.service.Rollback(t.Context(), ana, ofTeam, first.Version, on(second))
	want := first
	want.Meta = third.Meta
	if diff := cmp.Diff(want, third); err != nil || diff != "" {
		t.Errorf("Rollback() is not what the version was: %v (-want +got):\n%s", err, diff)
	}
	if third.Version != 3 || third.Revision <= second.Revision {
		t.Errorf("a rollback of version 2 at revision %d is version %d at revision %d", second.Revision, third.Version, third.Revision)
	}
	if err := w.service.Delete(t.Context(), ana, ofTeam, on(third).Pre); err != nil {
		t.Fatal(err)
	}
	_, err = w.service.Get(t.Context(), ofTeam)
	wantError(t, err, registry.NotFound, "not_found")
	wantError(t, w.service.Delete(t.Context(), ana, ofTeam, replace.Pre), registry.PreconditionFailed, "precondition_failed")

	_, err = w.service.Rollback(t.Context(), ana, ofTeam, 4, create)
	wantError(t, err, registry.Invalid, "invalid_rollback", "/version deleted")
	_, err = w.service.Rollback(t.Context(), ana, ofTeam, 5, create)
	wantError(t, err, registry.NotFound, "not_found")
	if _, err = w.service.Rollback(t.Context(), ana, ofTeam, 2, create); err != nil {
		t.Errorf("Rollback() of what was deleted = %v", err)
	}

	var history []string
	for before := int64(0); ; {
		page, next, err := w.service.Versions(t.Context(), ofTeam, before, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range page {
			history = append(history, v.Action+" by "+v.By)
			one, err := w.service.Version(t.Context(), ofTeam, v.Policy.Version)
			if diff := cmp.Diff(v, one); err != nil || diff != "" {
				t.Errorf("a version is another one in the list: %v (-list +alone):\n%s", err, diff)
			}
		}
		if before = next; next == 0 {
			break
		}
	}
	if diff := cmp.Diff("rollback, delete, rollback, put, put", strings.ReplaceAll(strings.Join(history, ", "), " by auth0|ana", "")); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
}

func TestPoliciesAreListedByTierAndID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, key := range []registry.LayerKey{ofAll, ofTeam, ofType, w.ofAgent(), {Tier: registry.TierTeam, ID: "platform"}, {Tier: registry.TierTeam, ID: "a"}} {
		w.mustPut(quiet(key), create)
	}
	list := func(tier registry.Tier, limit int) (pages []string) {
		for after := (registry.LayerKey{}); ; {
			page, next, err := w.service.List(t.Context(), tier, after, limit)
			if err != nil {
				t.Fatal(err)
			}
			var keys []string
			for _, p := range page {
				keys = append(keys, strings.ReplaceAll(p.String(), w.agent.ID, "ID"))
			}
			pages = append(pages, strings.Join(keys, " "))
			if after = next; next == (registry.LayerKey{}) {
				return pages
			}
		}
	}
	for _, tc := range []struct {
		tier  registry.Tier
		limit int
		want  []string
	}{
		{"", 100, []string{"agent/ID agent_type/assistant global/office-hours team/a team/platform team/support"}},
		{"", 4, []string{"agent/ID agent_type/assistant global/office-hours team/a", "team/platform team/support"}},
		{registry.TierTeam, 2, []string{"team/a team/platform", "team/support"}},
		{registry.TierTeam, 3, []string{"team/a team/platform team/support"}},
		{registry.TierAgent, 1, []string{"agent/ID"}},
	} {
		if diff := cmp.Diff(tc.want, list(tc.tier, tc.limit)); diff != "" {
			t.Errorf("tier %q by %d (-want +got):\n%s", tc.tier, tc.limit, diff)
		}
	}
}

func TestAWriteNeedsToKnowWhatIsThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	there := w.mustPut(quiet(ofTeam), create)
	stale := policies.Write{Pre: registry.Precondition{IfMatch: &registry.Tags{List: []string{"team.support.1.1"}}}}
	unlike := policies.Write{Pre: registry.Precondition{IfNoneMatch: &registry.Tags{List: []string{"other"}}}}
	rollback := func(how policies.Write) error {
		_, err := w.service.Rollback(t.Context(), ana, ofTeam, there.Version, how)
		return err
	}
	for _, how := range []policies.Write{{}, unlike} {
		wantError(t, w.put(ana, custom(ofTeam), how), registry.PreconditionRequired, "precondition_required")
		wantError(t, rollback(how), registry.PreconditionRequired, "precondition_required")
		wantError(t, w.service.Delete(t.Context(), ana, ofTeam, how.Pre), registry.PreconditionRequired, "precondition_required")
	}
	for _, how := range []policies.Write{stale, create} {
		wantError(t, w.put(ana, custom(ofTeam), how), registry.PreconditionFailed, "precondition_failed")
		wantError(t, rollback(how), registry.PreconditionFailed, "precondition_failed")
		wantError(t, w.service.Delete(t.Context(), ana, ofTeam, how.Pre), registry.PreconditionFailed, "precondition_failed")
	}
	wantError(t, w.put(admin, quiet(ofAll), replace), registry.PreconditionFailed, "precondition_failed")
	if len(w.gate.asked) > 0 {
		t.Errorf("the gate was asked %d times about writes that could not happen", len(w.gate.asked))
	}
}

// What no policy can be called is not there, whatever is asked of it.
func TestAPolicyIsNamedByItsTierAndID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, key := range []registry.LayerKey{
		{Tier: registry.TierAgent, ID: "triage"}, {Tier: registry.TierTeam, ID: w.agent.ID}, {Tier: registry.TierGlobal, ID: "Office"}, {Tier: registry.TierPlatform, ID: "a"},
		{Tier: "org", ID: "a"}, {Tier: "", ID: ""}, {Tier: registry.TierTeam, ID: ""}, {Tier: registry.TierTeam, ID: "a/b"},
	} {
		_, get := w.service.Get(t.Context(), key)
		_, _, versions := w.service.Versions(t.Context(), key, 0, 10)
		_, version := w.service.Version(t.Context(), key, 1)
		_, rollback := w.service.Rollback(t.Context(), admin, key, 1, create)
		_, validate := w.service.Validate(t.Context(), quiet(key))
		for what, err := range map[string]error{
			"get": get, "versions": versions, "version": version, "rollback": rollback, "validate": validate,
			"put": w.put(admin, quiet(key), create), "delete": w.service.Delete(t.Context(), admin, key, replace.Pre),
		} {
			e, ok := registry.AsError(err)
			if !ok || e.Kind != registry.NotFound {
				t.Errorf("%s of %q: %v, want NotFound", what, key, err)
				continue
			}
			if byName := key.Tier == registry.TierAgent; byName != strings.Contains(e.Message, "the agent's id, not its name") {
				t.Errorf("%s of %q says %q", what, key, e.Message)
			}
		}
	}

	// An id is the same in capitals.
	loud := registry.LayerKey{Tier: registry.TierAgent, ID: strings.ToUpper(w.agent.ID)}
	saved := w.mustPut(quiet(loud), create)
	if diff := cmp.Diff(w.ofAgent(), saved.LayerKey); diff != "" {
		t.Errorf("saved as (-want +got):\n%s", diff)
	}
	got, err := w.service.Get(t.Context(), loud)
	if diff := cmp.Diff(saved, got); err != nil || diff != "" {
		t.Errorf("Get() = %v (-want +got):\n%s", err, diff)
	}
}

func TestAPolicyIsAboutSomebodyWhoIsThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wantError(t, w.put(admin, quiet(nobodys), create), registry.NotFound, "not_found")
	_, err := w.service.Validate(t.Context(), quiet(nobodys))
	wantError(t, err, registry.NotFound, "not_found")
	wantError(t, w.put(admin, quiet(registry.LayerKey{Tier: registry.TierAgentType, ID: "nothing"}), create), registry.NotFound, "not_found")
	w.mustPut(quiet(registry.LayerKey{Tier: registry.TierTeam, ID: "later"}), create) // a team is whoever carries its name
}

func TestNothingIsWrittenThatNobodyWouldEnforce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	there := w.mustPut(quiet(ofTeam), create)
	ask := func() map[string]error {
		_, rollback := w.service.Rollback(t.Context(), admin, ofTeam, 1, on(there))
		_, validate := w.service.Validate(t.Context(), custom(ofTeam))
		return map[string]error{
			"put": w.put(admin, custom(ofTeam), on(there)), "rollback": rollback, "validate": validate, "delete": w.service.Delete(t.Context(), admin, ofTeam, on(there).Pre),
		}
	}
	for _, layout := range []int64{0, 2} {
		w.memory.view = viewWith(layout)
		for what, err := range ask() {
			if e, ok := registry.AsError(err); !ok || e.Kind != registry.Unavailable || e.Code != "policy_unknown" || !strings.Contains(e.Message, "credence migrate") {
				t.Errorf("%s with layout %d: %v, want policy_unknown", what, layout, err)
			}
		}
	}
	w.memory.view = nil
	for what, err := range ask() {
		if e, ok := registry.AsError(err); !ok || e.Code != "snapshot_missing" {
			t.Errorf("%s before the registry was loaded: %v", what, err)
		}
	}
	got, err := w.service.Get(t.Context(), ofTeam) // reading goes on
	if diff := cmp.Diff(there, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
		t.Errorf("the policy: %v (-before +after):\n%s", err, diff)
	}
}

// A dry run says what the write would, and keeps nothing.
func TestARehearsalKeepsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rehearsal := w.serviceOn(w.store.Rehearsal())
	saved, created, err := rehearsal.Put(t.Context(), ana, custom(ofTeam), create)
	if err != nil || !created || saved.Version != 1 {
		t.Errorf("Put() = version %d, created %t, error %v", saved.Version, created, err)
	}
	if len(w.gate.asked) != 1 {
		t.Errorf("the gate was asked %d times", len(w.gate.asked))
	}
	_, _, err = w.service.Versions(t.Context(), ofTeam, 0, 10)
	wantError(t, err, registry.NotFound, "not_found")
	_, _, err = rehearsal.Put(t.Context(), ben, custom(ofTeam), create)
	wantError(t, err, registry.Forbidden, "team_not_allowed")
}
