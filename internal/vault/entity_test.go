package vault_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/vault"
)

func isRefused(err error) bool     { return errors.Is(err, registry.Refused) }
func isUnavailable(err error) bool { return errors.Is(err, registry.Unavailable) }

// code is the stable code of err, or "".
func code(err error) string {
	if e, ok := registry.AsError(err); ok {
		return e.Code
	}
	return ""
}

func TestEnsureEntityWritesOnceAndOnlyWhatDiffers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := newAgent("customer-success", "production")
	first, err := w.client.EnsureEntity(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.client.EnsureEntity(t.Context(), a)
	if err != nil || again != first {
		t.Fatalf("EnsureEntity() again = %q, %v, want %q", again, err, first)
	}
	if good, _ := w.calls.counts(); good["write_entity"] != 1 {
		t.Errorf("wrote %d times, want once", good["write_entity"])
	}
	path := "identity/entity/name/" + vault.EntityName(a.ID)
	want := map[string]any{
		"agent_id": a.ID, "agent_name": a.Name, "team": "customer-success",
		"agent_type": "support", "environment": "production", "managed_by": "credence",
	}
	if diff := cmp.Diff(want, w.read(w.root, path)["metadata"]); diff != "" {
		t.Error(diff)
	}

	w.write(w.root, path, map[string]any{"metadata": map[string]any{"team": "billing", "extra": "x"}})
	if mended, err := w.client.EnsureEntity(t.Context(), a); err != nil || mended != first {
		t.Fatalf("EnsureEntity() after drift = %q, %v, want %q", mended, err, first)
	}
	if diff := cmp.Diff(want, w.read(w.root, path)["metadata"]); diff != "" {
		t.Errorf("drift was not mended: %s", diff)
	}
}

// Vault expands an entity's "+" or "*" in a templated policy, so nothing but
// plain names may ever reach the store.
func TestValuesThatCouldWidenATemplateNeverReachTheStore(t *testing.T) {
	t.Parallel()
	reached := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the store was asked for %s", r.URL.Path)
	}))
	t.Cleanup(reached.Close)
	c, err := vault.New(vault.Config{
		Address: reached.URL, RoleID: "r", SecretID: func() (string, error) { return "s", nil },
		Timeout: time.Millisecond, // nobody logs in
	}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{
		"", "+", "*", "a/b", "..", "../x", "{{identity.entity.name}}", "Team", "a_b", "a b", "a\x00", "a\n",
		"ｔeam", "-a", uuid.NewString(), string(make([]byte, 64)),
	} {
		for field, set := range map[string]func(*registry.Agent){
			"id":          func(a *registry.Agent) { a.ID = bad + "x" },
			"name":        func(a *registry.Agent) { a.Name = bad },
			"team":        func(a *registry.Agent) { a.Team = bad },
			"type":        func(a *registry.Agent) { a.AgentType = bad },
			"environment": func(a *registry.Agent) { a.Environment = bad },
		} {
			a := newAgent("customer-success", "production")
			set(&a)
			if _, err := c.EnsureEntity(t.Context(), a); !isRefused(err) {
				t.Errorf("EnsureEntity() with %s %q = %v, want Refused", field, bad, err)
			}
		}
		for call, err := range map[string]error{
			"DisableEntity": c.DisableEntity(t.Context(), bad+"x"),
			"EnableEntity":  c.EnableEntity(t.Context(), bad+"x"),
			"InspectEntity": second(c.InspectEntity(t.Context(), bad+"x")),
			"DeleteEntity":  c.DeleteEntity(t.Context(), bad+"x"),
			"EnsureAlias":   second(c.EnsureAlias(t.Context(), uuid.NewString(), bad)),
			"EnsureAlias 2": second(c.EnsureAlias(t.Context(), bad+"x", "client@clients")),
		} {
			if !isRefused(err) {
				t.Errorf("%s(%q) = %v, want Refused", call, bad, err)
			}
		}
	}
	upper := newAgent("customer-success", "production")
	upper.ID = "0197A000-0000-7000-8000-000000000001"
	if _, err := c.EnsureEntity(t.Context(), upper); !isRefused(err) {
		t.Errorf("EnsureEntity() with an upper-case id = %v, want Refused", err)
	}
}

func second[T any](_ T, err error) error { return err }

// A disabled entity refuses the tokens that it has and every further login.
func TestDisableEntityShutsTheAgentOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, token := w.register(newAgent("customer-success", "production"))
	agent, _ := w.mustLogin(token)
	path := w.put(vault.Paths("secret", a).Own)
	if got := status(t, agent, path); got != http.StatusOK {
		t.Fatalf("before: %d, want 200", got)
	}
	for range 2 {
		if err := w.client.DisableEntity(t.Context(), a.ID); err != nil {
			t.Fatalf("DisableEntity() = %v", err)
		}
	}
	if got := status(t, agent, path); got != http.StatusForbidden {
		t.Errorf("the live token reads: %d, want 403", got)
	}
	if _, _, err := w.login(token); statusOf(t, true, err) != http.StatusForbidden {
		t.Errorf("login = %v, want HTTP 403", err)
	}
	_, err := w.client.EnsureEntity(t.Context(), a)
	if !errors.Is(err, registry.Conflict) || code(err) != vault.CodeEntityDisabled {
		t.Errorf("EnsureEntity() of a disabled entity = %v, want Conflict", err)
	}
	if _, err := w.client.EnsureAlias(t.Context(), a.EntityID, a.Subject()); err != nil {
		t.Errorf("EnsureAlias() of a disabled entity = %v", err)
	}
	if got := status(t, agent, path); got != http.StatusForbidden {
		t.Errorf("ensuring revived the token: %d, want 403", got)
	}
}

// Enabling revives the tokens from before, which is why nothing else enables.
func TestEnableEntityLetsTheAgentInAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, token := w.register(newAgent("customer-success", "production"))
	agent, _ := w.mustLogin(token)
	own := w.put(vault.Paths("secret", a).Own)
	if err := w.client.DisableEntity(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.client.EnableEntity(t.Context(), a.ID); err != nil {
			t.Fatalf("EnableEntity() = %v", err)
		}
	}
	if got := status(t, agent, own); got != http.StatusOK {
		t.Errorf("the token from before reads: %d, want 200", got)
	}
	w.mustLogin(token)
	if good, _ := w.calls.counts(); good["write_entity"] != 3 {
		t.Errorf("wrote %d times, want to create, to disable and to enable", good["write_entity"])
	}
	if _, err := w.client.EnsureEntity(t.Context(), a); err != nil {
		t.Errorf("the metadata is gone: EnsureEntity() = %v", err)
	}
}

func TestAnEntityThatIsGoneIsNotEnabled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := newAgent("customer-success", "production")
	for call, err := range map[string]error{
		"EnableEntity":  w.client.EnableEntity(t.Context(), a.ID),
		"InspectEntity": second(w.client.InspectEntity(t.Context(), a.ID)),
	} {
		if !errors.Is(err, registry.NotFound) || code(err) != vault.CodeEntityGone {
			t.Errorf("%s() = %v, want NotFound %s", call, err, vault.CodeEntityGone)
		}
	}
	if got := w.read(w.root, "identity/entity/name/"+vault.EntityName(a.ID)); got != nil {
		t.Errorf("enabling made an entity: %v", got)
	}
}

// What a resume that revokes tokens relies on: the entity made anew has the name
// and the folder of the old one, and none of its tokens.
func TestInvariant_C5_AnEntityMadeAnewRevivesNoToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, token := w.register(newAgent("customer-success", "production"))
	before, _ := w.mustLogin(token)
	own := w.put(vault.Paths("secret", a).Own)
	for _, step := range []func() error{
		func() error { return w.client.DisableEntity(t.Context(), a.ID) },
		func() error { return w.client.DeleteEntity(t.Context(), a.ID) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	a, token = w.register(a)
	if got := status(t, before, own); got != http.StatusForbidden {
		t.Errorf("the token from before reads: %d, want 403", got)
	}
	after, auth := w.mustLogin(token)
	if got := status(t, after, own); auth.EntityID != a.EntityID || got != http.StatusOK {
		t.Errorf("the new login is on %s and reads %d, want %s and 200", auth.EntityID, got, a.EntityID)
	}
}

func TestWhatIsNotThereIsDisabledAndDeletedAlready(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := newAgent("customer-success", "production")
	if err := w.client.DisableEntity(t.Context(), a.ID); err != nil {
		t.Errorf("DisableEntity() = %v", err)
	}
	if got := w.read(w.root, "identity/entity/name/"+vault.EntityName(a.ID)); got != nil {
		t.Errorf("disabling made an entity: %v", got)
	}
	w.register(a)
	for range 2 {
		if err := w.client.DeleteEntity(t.Context(), a.ID); err != nil {
			t.Errorf("DeleteEntity() = %v", err)
		}
	}
}

// Deleting takes the tokens but not the login: why a decommissioned agent is
// disabled, and what a login after a deletion is worth.
func TestDeletionIsNotRevocation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, token := w.register(newAgent("customer-success", "production"))
	agent, _ := w.mustLogin(token)
	paths := vault.Paths("secret", a)
	own, common := w.put(paths.Own), w.put(paths.Common)
	if err := w.client.DeleteEntity(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	if got := status(t, agent, own); got != http.StatusForbidden {
		t.Errorf("the live token reads: %d, want 403", got)
	}
	revenant, auth := w.mustLogin(token)
	if auth.EntityID == a.EntityID {
		t.Error("login landed on the deleted entity")
	}
	for _, path := range []string{own, common} {
		if got := status(t, revenant, path); got != http.StatusForbidden {
			t.Errorf("a login after the deletion reads %s: %d, want 403", path, got)
		}
	}
}
