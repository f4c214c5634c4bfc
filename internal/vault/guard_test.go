package vault_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/vault"
)

// Whoever can answer in the store's place must not be sent our token and log-in.
func TestARedirectIsNeverFollowed(t *testing.T) {
	t.Parallel()
	var reached atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	t.Cleanup(elsewhere.Close)
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		c, _, _ := against(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL+r.URL.Path, status) })
		if _, err := c.EnsureEntity(t.Context(), newAgent("customer-success", "production")); !errors.Is(err, registry.Unavailable) {
			t.Errorf("%d: error = %v, want Unavailable", status, err)
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("%d requests went where the redirects pointed", n)
	}
}

// An answer without end fails the call and not the process.
func TestAnAnswerWithoutEndIsCutOff(t *testing.T) {
	t.Parallel()
	blanks := strings.Repeat(" ", 64<<10)
	var sent atomic.Int64
	c, _, _ := against(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 1 << 10 { // 64 MiB, unless we are cut off
			n, err := w.Write([]byte(blanks))
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	if _, err := c.EnsureEntity(t.Context(), newAgent("customer-success", "production")); !errors.Is(err, registry.Unavailable) {
		t.Errorf("error = %v, want Unavailable", err)
	}
	if n := sent.Load(); n > 3*(16<<20) {
		t.Errorf("%d bytes were taken", n)
	}
}

// A second installation in one store must not rewrite the policies of the first.
func TestTwoInstallationsOfOneStoreKeepTheirPoliciesApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.setup
	other.JWTMount, other.KVMount, other.AppRoleMount = "jwt-two", "secret-two", "approle-two"
	if _, err := vault.Setup(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if again := w.mustSetup(); again.Report.Changed() {
		t.Errorf("the second installation changed the first: %+v", again.Report.Changes)
	}
	if one, two := w.setup.AgentPolicy(), other.AgentPolicy(); one == two {
		t.Errorf("both installations have the policy %s", one)
	}
}
