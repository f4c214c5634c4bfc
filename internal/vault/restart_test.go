package vault_test

import (
	"net/url"
	"strconv"
	"testing"

	"github.com/credenceproject/credence/internal/local"
)

// The store goes away and comes back without our token. Calls say that it is
// away, and work again once the store is what it was.
func TestAStoreThatRestartsWithoutOurTokenIsLoggedInToAgain(t *testing.T) {
	t.Parallel()
	w := bareWorld(t)
	tools, err := local.FindTools("")
	if err != nil {
		t.Fatal(err)
	}
	start := func(o local.OpenBaoOptions) *local.OpenBao {
		t.Helper()
		s, err := local.StartOpenBao(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Stop() })
		return s
	}
	first := start(local.OpenBaoOptions{Tools: tools})
	w.setup.Address, w.setup.Token, w.setup.Namespace = first.Address, first.RootToken, ""
	w.root = rawClient(t, first.Address, first.RootToken, "")
	w.result = w.mustSetup()
	w.client, _ = w.start(w.config())
	a, _ := w.register(newAgent("customer-success", "production"))

	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := w.client.Ping(t.Context()); !isUnavailable(err) {
		t.Errorf("Ping() of a store that is away = %v, want Unavailable", err)
	}

	u, err := url.Parse(first.Address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	start(local.OpenBaoOptions{Tools: tools, Port: port, RootToken: first.RootToken})
	before := w.result
	w.mustSetup()
	w.write(w.root, "auth/approle/role/credence/role-id", map[string]any{"role_id": before.RoleID})
	w.write(w.root, "auth/approle/role/credence/custom-secret-id", map[string]any{"secret_id": before.SecretID})
	again, token := w.register(a)
	if _, auth := w.mustLogin(token); auth.EntityID != again.EntityID {
		t.Errorf("login landed on %s, want %s", auth.EntityID, again.EntityID)
	}
}
