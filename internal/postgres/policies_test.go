package postgres_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
	"github.com/credenceproject/credence/internal/testdb/registrytest"
)

// What a binary's migrate does with the policy that it holds (invariant B2).
func TestInvariant_B2_ActivatePolicyNeverGoesBackByItself(t *testing.T) {
	t.Parallel()
	same := registrytest.Policy(1)
	same.Version = 4 // the modules of version 1 again
	newest := same
	newest.Version = 5
	steps := []struct {
		name   string
		policy registry.PlatformPolicy
		force  bool
		want   bool
		err    error
		active int64
	}{
		{"the first", registrytest.Policy(1), false, true, nil, 1},
		{"the same again", registrytest.Policy(1), false, false, nil, 1},
		{"the same again, forced", registrytest.Policy(1), true, false, nil, 1},
		{"a newer one", registrytest.Policy(3), false, true, nil, 3},
		{"an older one", registrytest.Policy(1), false, false, registry.Conflict, 3},
		{"an older one, forced", registrytest.Policy(2), true, true, nil, 2},
		{"the newer one again", registrytest.Policy(3), false, true, nil, 3},
		{"a newer version that says what an old one said", same, false, true, nil, 4},
		{"one that is older than that", registrytest.Policy(3), false, false, registry.Conflict, 4},
		{"an older version of the same modules", registrytest.Policy(1), false, false, nil, 4},
		{"a newer version of the same modules", newest, false, true, nil, 5},
	}
	b := setup(t)
	s := b.session(t)
	for _, step := range steps {
		before := b.revision(t)
		got, err := b.store.ActivatePolicy(t.Context(), step.policy, step.force, alice)
		if got != step.want || !errors.Is(err, step.err) || (step.err == nil && err != nil) {
			t.Fatalf("%s: ActivatePolicy() = %t, %v; want %t, %v", step.name, got, err, step.want, step.err)
		}
		taken := int64(0)
		if step.want {
			taken = 1
		}
		if after := b.revision(t); after != before+taken {
			t.Errorf("%s: took %d revisions, want %d", step.name, after-before, taken)
		}
		f, err := s.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if f.Policy.Version != step.active {
			t.Errorf("%s: version %d is active, want %d", step.name, f.Policy.Version, step.active)
		}
		if diff := cmp.Diff(replay(t, s, f.Head).Policy, f.Policy); diff != "" {
			t.Errorf("%s: a follower has another policy (-follower +load):\n%s", step.name, diff)
		}
	}
}

// A follower that was away has each policy as it was at its revision.
func TestChangesOfThePolicyAreAsTheyWereThen(t *testing.T) {
	t.Parallel()
	b := setup(t)
	want := []registry.PlatformPolicy{registrytest.Policy(1), registrytest.Policy(2), registrytest.Policy(1)}
	want[2].Version = 3
	for i := range want {
		if _, err := b.store.ActivatePolicy(t.Context(), want[i], false, alice); err != nil {
			t.Fatal(err)
		}
		want[i].Revision = int64(i + 1)
	}
	s := b.session(t)
	head, err := s.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	changes, err := s.Changes(t.Context(), registry.Head{Epoch: head.Epoch}, 10)
	if err != nil {
		t.Fatal(err)
	}
	var got []registry.PlatformPolicy
	for _, c := range changes {
		got = append(got, *c.Policy)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("policies (-want +got):\n%s", diff)
	}
}

// Replicas are updated together: all of them may migrate at once.
func TestOneOfManyActivatesAPolicy(t *testing.T) {
	t.Parallel()
	b := setup(t)
	activated := make(chan bool, 6)
	var wg sync.WaitGroup
	for range cap(activated) {
		wg.Go(func() {
			did, err := b.store.ActivatePolicy(t.Context(), registrytest.Policy(1), false, alice)
			if err != nil {
				t.Error(err)
			}
			activated <- did
		})
	}
	wg.Wait()
	close(activated)
	n := 0
	for did := range activated {
		if did {
			n++
		}
	}
	if n != 1 || b.revision(t) != 1 {
		t.Errorf("%d activations at revision %d, want 1 and 1", n, b.revision(t))
	}
}

func TestInvariant_B1_RenewEpochComparesAndSets(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, _, err := b.store.PutTeam(t.Context(), registry.NewTeam("support"), some, alice); err != nil {
		t.Fatal(err)
	}
	old, err := b.store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	heads := make(chan registry.Head, 6)
	var wg sync.WaitGroup
	for range cap(heads) {
		wg.Go(func() {
			h, err := b.store.RenewEpoch(t.Context(), old.Epoch, snapshot.NewEpoch(), alice)
			if err != nil {
				t.Error(err)
			}
			heads <- h
		})
	}
	wg.Wait()
	close(heads)
	now, err := b.store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for h := range heads {
		if h != now {
			t.Errorf("RenewEpoch() = %v, want the head after the one renewal, %v", h, now)
		}
	}
	if now.Epoch == old.Epoch || now.Revision != old.Revision {
		t.Errorf("head %v after %v", now, old)
	}
	forced, err := b.store.RenewEpoch(t.Context(), "", snapshot.NewEpoch(), alice)
	if err != nil || forced.Epoch == now.Epoch {
		t.Errorf("RenewEpoch() without an old epoch = %v, %v", forced, err)
	}
	if n := one[int](t, b, `SELECT count(*) FROM audit_events WHERE action = 'registry.renew_epoch'`); n != 2 {
		t.Errorf("%d audit events, want 2", n)
	}
}
