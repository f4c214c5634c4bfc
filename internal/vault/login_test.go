package vault_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/vault"
)

// With short real lifetimes: a token of 3 s that may be renewed up to 6 s is
// renewed, and replaced before it ends, with no call failing meanwhile.
func TestTheTokenIsRenewedAndReplacedBeforeItsMaximalAge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *vault.SetupConfig) { c.ControlPlaneTTL, c.ControlPlaneMaxTTL = 3*time.Second, 6*time.Second })
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			if err := w.client.Ping(ctx); err != nil && ctx.Err() == nil {
				failed <- err
				return
			}
		}
		failed <- nil
	}()
	w.calls.wait(t, "renew", 2)
	w.calls.wait(t, "login", 2)
	cancel()
	if err := <-failed; err != nil {
		t.Errorf("Ping() = %v", err)
	}
	if _, bad := w.calls.counts(); bad["renew"]+bad["login"] > 0 {
		t.Errorf("failed calls: %v", bad)
	}
}

// A store that was restored or lost its tokens answers 403; the call that meets
// that leads to a new login and succeeds under it.
func TestACallThatMeetsAForgottenTokenLogsInAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.client.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	for n := 2; n <= 3; n++ {
		w.write(w.root, "sys/leases/revoke-prefix/auth/approle/login", nil)
		if _, err := w.client.EnsureEntity(t.Context(), newAgent("customer-success", "production")); err != nil {
			t.Errorf("EnsureEntity() after the token is gone = %v", err)
		}
		w.calls.wait(t, "login", n)
	}
}

// A denial under a living token is a denial, not a reason to log in again.
func TestADeniedCallIsRefusedAndSaysWhatToDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(w.root, "sys/policies/acl/credence-control-plane", map[string]any{"policy": `
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/revoke-self" { capabilities = ["update"] }`})
	_, err := w.client.EnsureEntity(t.Context(), newAgent("customer-success", "production"))
	if !isRefused(err) || code(err) != vault.CodeRefused || !strings.Contains(err.Error(), "credence setup vault") {
		t.Errorf("EnsureEntity() = %v, want Refused that names the command", err)
	}
	if good, _ := w.calls.counts(); good["login"] != 1 {
		t.Errorf("logged in %d times, want once", good["login"])
	}
}

func TestRunRevokesItsTokenOnTheWayOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.client.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.tokens(); got != 1 {
		t.Fatalf("%d tokens of the AppRole, want 1", got)
	}
	w.stop()
	if got := w.tokens(); got != 0 {
		t.Errorf("%d tokens of the AppRole after Run, want none", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := w.client.Ping(ctx); !isUnavailable(err) {
		t.Errorf("Ping() after Run = %v, want Unavailable", err)
	}
}

// tokens counts the living tokens that the AppRole gave.
func (w *world) tokens() int {
	w.t.Helper()
	leases, err := w.root.Logical().ListWithContext(w.t.Context(), "sys/leases/lookup/auth/approle/login")
	if err != nil {
		w.t.Fatal(err)
	}
	if leases == nil {
		return 0
	}
	keys, _ := leases.Data["keys"].([]any)
	return len(keys)
}

func TestCallsWaitForTheFirstLogin(t *testing.T) {
	t.Parallel()
	w := bareWorld(t)
	w.result = w.mustSetup()
	letIn := make(chan struct{})
	c := w.config()
	c.SecretID = func() (string, error) { <-letIn; return w.result.SecretID, nil }
	client, _ := w.start(c)

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := client.Ping(ctx); !isUnavailable(err) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Ping() before the login = %v, want Unavailable", err)
	}
	pinged := make(chan error, 1)
	go func() { pinged <- client.Ping(t.Context()) }()
	close(letIn)
	if err := <-pinged; err != nil {
		t.Errorf("Ping() across the login = %v", err)
	}
}

// The file with the secret id is replaced while we run: the old one is refused,
// the new one is read at the next attempt.
func TestARotatedSecretIDIsReadAtTheNextLogin(t *testing.T) {
	t.Parallel()
	w := bareWorld(t)
	w.result = w.mustSetup()
	rotated := make(chan struct{})
	c := w.config()
	c.SecretID = func() (string, error) {
		select {
		case <-rotated:
			return w.result.SecretID, nil
		default:
			return "00000000-0000-0000-0000-000000000000", nil
		}
	}
	client, _ := w.start(c)
	w.calls.waitFailed(t, "login", 1)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := client.Ping(ctx); !isUnavailable(err) {
		t.Errorf("Ping() without a login = %v, want Unavailable", err)
	}
	close(rotated)
	if err := client.Ping(t.Context()); err != nil {
		t.Errorf("Ping() = %v", err)
	}
	if logged := w.logs.String(); !strings.Contains(logged, "secret store login failed") || strings.Contains(logged, "00000000-") {
		t.Errorf("logged: %s", logged)
	}
}

// Nothing that opens the store may be in what we log or return.
func TestInvariant_D2_NoTokenOrSecretInLogsAndErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *vault.SetupConfig) { c.ControlPlaneTTL, c.ControlPlaneMaxTTL = 2*time.Second, 4*time.Second })
	var said strings.Builder
	note := func(err error) {
		if err != nil {
			said.WriteString(err.Error() + "\n")
		}
	}
	a, jwt := w.register(newAgent("customer-success", "production"))
	w.calls.wait(t, "login", 2)
	w.write(w.root, "sys/leases/revoke-prefix/auth/approle/login", nil)
	note(w.client.Ping(t.Context()))
	note(second(w.client.EnsureAlias(t.Context(), a.EntityID, "other@clients")))
	w.write(w.root, "sys/policies/acl/credence-control-plane", map[string]any{"policy": `path "x" {}`})
	note(second(w.client.EnsureEntity(t.Context(), newAgent("billing", "production"))))
	w.stop()
	said.WriteString(w.logs.String())
	for name, secret := range map[string]string{"secret id": w.result.SecretID, "role id": w.result.RoleID, "JWT": jwt, "root token": w.setup.Token} {
		if strings.Contains(said.String(), secret) {
			t.Errorf("the %s is in logs or errors", name)
		}
	}
	if i := strings.Index(said.String(), "s."); i >= 0 && tokenLike(said.String()[i:]) {
		t.Error("a token is in logs or errors")
	}
	if said.Len() == 0 || !strings.Contains(said.String(), http.StatusText(http.StatusForbidden)) && !strings.Contains(said.String(), "403") {
		t.Errorf("no refusal in what was said: %s", said.String())
	}
}

func tokenLike(s string) bool { return len(s) > 26 && !strings.ContainsAny(s[2:26], " \"\n.:,") }
