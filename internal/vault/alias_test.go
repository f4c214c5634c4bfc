package vault_test

import (
	"errors"
	"net/http"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/vault"
)

func TestEnsureAliasTwiceIsOneAlias(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, _ := w.register(newAgent("customer-success", "production"))
	again, err := w.client.EnsureAlias(t.Context(), a.EntityID, a.Subject())
	if err != nil || again != a.AliasID {
		t.Errorf("EnsureAlias() again = %q, %v, want %q", again, err, a.AliasID)
	}
	if good, _ := w.calls.counts(); good["write_alias"] != 1 {
		t.Errorf("wrote %d times, want once", good["write_alias"])
	}
}

// The store would move the alias, and the first agent's next login would read
// the second one's secrets.
func TestAnAliasOfAnotherEntityIsNotMoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, token := w.register(newAgent("customer-success", "production"))
	thief := newAgent("billing", "production")
	id, err := w.client.EnsureEntity(t.Context(), thief)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.client.EnsureAlias(t.Context(), id, a.Subject())
	if !errors.Is(err, registry.Conflict) || code(err) != vault.CodeAliasTaken {
		t.Errorf("EnsureAlias() of a taken subject = %v, want Conflict %s", err, vault.CodeAliasTaken)
	}
	if _, auth := w.mustLogin(token); auth.EntityID != a.EntityID {
		t.Errorf("login landed on %s, want %s", auth.EntityID, a.EntityID)
	}
}

// An agent that logged in before its alias was there has a bare entity in the
// way. It is taken over, unless somebody has given it a meaning.
func TestABareEntityInTheWayIsTakenOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, row := range map[string]struct {
		meaning map[string]any
		want    registry.Kind
	}{
		"bare":          {nil, ""},
		"with metadata": {map[string]any{"metadata": map[string]any{"owner": "ana"}}, registry.Conflict},
		"with a policy": {map[string]any{"policies": []string{"something"}}, registry.Conflict},
		"disabled":      {map[string]any{"disabled": true}, registry.Conflict},
	} {
		a := newAgent("customer-success", "production")
		token := w.issuer.token(t, a.Subject(), a.ID)
		early, auth := w.mustLogin(token)
		if row.meaning != nil {
			w.write(w.root, "identity/entity/id/"+auth.EntityID, row.meaning)
		}
		var err error
		if a.EntityID, err = w.client.EnsureEntity(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		_, err = w.client.EnsureAlias(t.Context(), a.EntityID, a.Subject())
		if row.want != "" {
			if !errors.Is(err, row.want) || code(err) != vault.CodeAliasTaken {
				t.Errorf("%s: EnsureAlias() = %v, want %s", name, err, row.want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: EnsureAlias() = %v", name, err)
			continue
		}
		own := w.put(vault.Paths("secret", a).Own)
		late, auth := w.mustLogin(token)
		if auth.EntityID != a.EntityID || status(t, late, own) != http.StatusOK {
			t.Errorf("%s: login landed on %s, want %s and its secrets", name, auth.EntityID, a.EntityID)
		}
		if got := status(t, early, own); got != http.StatusForbidden {
			t.Errorf("%s: the early token reads: %d, want 403", name, got)
		}
	}
}

func TestAnEntityKeepsItsFirstAlias(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, _ := w.register(newAgent("customer-success", "production"))
	_, err := w.client.EnsureAlias(t.Context(), a.EntityID, "other@clients")
	if !errors.Is(err, registry.Conflict) || code(err) != vault.CodeAliasConflict {
		t.Errorf("EnsureAlias() of a second subject = %v, want Conflict %s", err, vault.CodeAliasConflict)
	}
}

// A mount that was made anew has another accessor, and the control plane's
// policy is pinned to it. Once setup has run, the running client follows.
func TestAMountMadeAnewIsNoticed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.register(newAgent("customer-success", "production"))
	if err := w.root.Sys().DisableAuthWithContext(t.Context(), "jwt"); err != nil {
		t.Fatal(err)
	}
	a := newAgent("customer-success", "production")
	id, err := w.client.EnsureEntity(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.EnsureAlias(t.Context(), id, a.Subject()); !isRefused(err) {
		t.Errorf("EnsureAlias() without a mount = %v, want Refused", err)
	}
	w.mustSetup()
	a, token := w.register(a)
	if _, auth := w.mustLogin(token); auth.EntityID != a.EntityID {
		t.Errorf("login landed on %s, want %s", auth.EntityID, a.EntityID)
	}
}

// The aliases at a mount that is gone stay on their entities and look as if they
// were good. Nobody logs in through them.
func TestAnAliasAtAMountThatIsGoneIsRepaired(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, token := w.register(newAgent("customer-success", "production"))
	other, otherToken := w.register(newAgent("billing", "production"))
	dead := w.inspect(a.ID)
	if err := w.root.Sys().DisableAuthWithContext(t.Context(), "jwt"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.EnsureAlias(t.Context(), a.EntityID, a.Subject()); !isRefused(err) {
		t.Errorf("EnsureAlias() without a mount = %v, want Refused", err)
	}
	w.write(w.root, "sys/auth/jwt", map[string]any{"type": "jwt"})
	if _, err := w.client.EnsureAlias(t.Context(), a.EntityID, a.Subject()); !isRefused(err) {
		t.Errorf("EnsureAlias() while we are tied to the old mount = %v, want Refused", err)
	}
	got := w.inspect(a.ID)
	want := dead
	want.AliasID, want.MountAccessor = "", got.MountAccessor
	if got.MountAccessor == dead.MountAccessor {
		t.Fatal("the mount has its old accessor")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	w.mustSetup()
	repaired, err := w.client.EnsureAlias(t.Context(), a.EntityID, a.Subject())
	if err != nil || repaired == a.AliasID {
		t.Fatalf("EnsureAlias() = %q, %v, want another alias than %q", repaired, err, a.AliasID)
	}
	want.AliasID, want.AliasAccessor = repaired, want.MountAccessor
	if diff := cmp.Diff(want, w.inspect(a.ID)); diff != "" {
		t.Error(diff)
	}
	if again, err := w.client.EnsureAlias(t.Context(), a.EntityID, a.Subject()); err != nil || again != repaired {
		t.Errorf("EnsureAlias() again = %q, %v, want %q", again, err, repaired)
	}
	agent, auth := w.mustLogin(token)
	if auth.EntityID != a.EntityID || status(t, agent, w.put(vault.Paths("secret", a).Own)) != http.StatusOK {
		t.Errorf("login landed on %s, want %s and its secrets", auth.EntityID, a.EntityID)
	}

	// The other agent logs in before its own alias is repaired: that is still done.
	if _, auth := w.mustLogin(otherToken); auth.EntityID == other.EntityID {
		t.Error("the other agent's alias was repaired with the first one's")
	}
	if _, err := w.client.EnsureAlias(t.Context(), other.EntityID, other.Subject()); err != nil {
		t.Errorf("EnsureAlias() of the other agent = %v", err)
	}
	if _, auth := w.mustLogin(otherToken); auth.EntityID != other.EntityID {
		t.Errorf("login landed on %s, want %s", auth.EntityID, other.EntityID)
	}
	if err := w.client.DeleteEntity(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{dead.AliasID, repaired} {
		if got := w.read(w.root, "identity/entity-alias/id/"+id); got != nil {
			t.Errorf("alias %s outlived its entity", id)
		}
	}
}

// Whoever got the subject at the new mount first keeps it.
func TestARepairTakesNobodysAlias(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, _ := w.register(newAgent("customer-success", "production"))
	if err := w.root.Sys().DisableAuthWithContext(t.Context(), "jwt"); err != nil {
		t.Fatal(err)
	}
	w.mustSetup()
	accessor := w.read(w.root, "sys/auth")["jwt/"].(map[string]any)["accessor"]
	if got := w.inspect(a.ID); got.AliasID != "" || got.MountAccessor != accessor {
		t.Errorf("InspectEntity() = %+v, want no alias at the mount %s", got, accessor)
	}
	person := w.write(w.root, "identity/entity", map[string]any{"name": "ana", "policies": []string{"admin"}}).Data["id"]
	hers := w.write(w.root, "identity/entity-alias", map[string]any{
		"name": a.Subject(), "canonical_id": person, "mount_accessor": accessor,
	}).Data["id"].(string)
	_, err := w.client.EnsureAlias(t.Context(), a.EntityID, a.Subject())
	if !errors.Is(err, registry.Conflict) || code(err) != vault.CodeAliasTaken {
		t.Errorf("EnsureAlias() = %v, want Conflict %s", err, vault.CodeAliasTaken)
	}
	if got := w.read(w.root, "identity/entity-alias/id/"+hers)["canonical_id"]; got != person {
		t.Errorf("ana's alias belongs to %v, want %v", got, person)
	}
}

func TestThirtyAgentsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			a := newAgent("customer-success", "production")
			id, err := w.client.EnsureEntity(t.Context(), a)
			if err == nil {
				_, err = w.client.EnsureAlias(t.Context(), id, a.Subject())
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
