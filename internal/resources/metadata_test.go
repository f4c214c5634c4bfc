package resources_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/resources"
	"github.com/credenceproject/credence/internal/snapshot"
)

func TestMetadataFollowsTheRegistry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	follower := w.follow()
	service := resources.NewService(w.store, follower)
	if _, err := service.Metadata(t.Context(), "hello-skill", ""); !errors.Is(err, registry.NotFound) {
		t.Errorf("Metadata() of nothing = %v, want NotFound", err)
	}
	r := w.mustPut(ana, hello())
	w.catchUp(follower)
	head, err := w.store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := resources.Metadata{
		ResourceFacts: registry.ResourceFacts{
			Name: "hello-skill", Type: registry.Skill, Team: "platform", DataClassification: "low", RequiredPermissions: []string{},
			Access:       registry.Access{Visibility: registry.VisibleToTeam, Teams: []string{}, AgentTypes: []string{}},
			Environments: []string{"production", "staging"}, Labels: map[string]string{}, Revision: r.Revision,
		},
		Epoch: head.Epoch,
	}
	tags := map[string]bool{}
	for _, environment := range []string{"", "production", "staging"} {
		got, err := service.Metadata(t.Context(), "hello-skill", environment)
		if err != nil {
			t.Fatal(err)
		}
		want.Environment = environment
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Metadata(%q) (-want +got):\n%s", environment, diff)
		}
		tags[got.Tag()] = true
	}
	if len(tags) != 3 {
		t.Errorf("three answers have the tags %v", tags)
	}
	for _, environment := range []string{"nowhere", "Production", "production ", "*"} {
		if _, err := service.Metadata(t.Context(), "hello-skill", environment); !errors.Is(err, registry.NotFound) {
			t.Errorf("Metadata() in %q = %v, want NotFound", environment, err)
		}
	}
}

func TestTheTagOfMetadataIsThatOfItsState(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	follower := w.follow()
	service := resources.NewService(w.store, follower)
	tag := func() string {
		t.Helper()
		w.catchUp(follower)
		m, err := service.Metadata(t.Context(), "hello-skill", "production")
		if err != nil {
			t.Fatal(err)
		}
		return m.Tag()
	}
	w.mustPut(ana, hello())
	first := tag()
	other := hello()
	other.Name = "other"
	w.mustPut(ana, other)
	if now := tag(); now != first {
		t.Errorf("a change of another resource made the tag %s of %s", now, first)
	}
	changed := hello()
	changed.Access.Visibility = registry.VisibleToOrganization
	w.mustPut(ana, changed)
	second := tag()
	w.mustPut(ana, hello())
	third := tag()
	if _, err := w.store.RenewEpoch(t.Context(), "", snapshot.NewEpoch(), registry.Actor{}); err != nil {
		t.Fatal(err)
	}
	if all := map[string]bool{first: true, second: true, third: true, tag(): true}; len(all) != 4 {
		t.Errorf("four states have the tags %v", all)
	}
}

func TestMetadataNeedsNoDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustPut(ana, hello())
	service := resources.NewService(nil, w.follow())
	w.pool.Close()
	if _, err := service.Metadata(t.Context(), "hello-skill", "production"); err != nil {
		t.Errorf("Metadata() = %v", err)
	}
}

func TestBeforeTheFirstSnapshotMetadataIsUnavailable(t *testing.T) {
	t.Parallel()
	_, err := resources.NewService(nil, unloaded{}).Metadata(t.Context(), "hello-skill", "")
	wantError(t, err, registry.Unavailable, "snapshot_missing")
}
