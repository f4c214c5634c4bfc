package vault_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/vault"
)

// faultyStore answers logins as a store does and everything else with a fault.
// What a real OpenBao cannot be brought to do on demand is tested with it.
type faultyStore struct {
	mu       sync.Mutex
	requests []*http.Request
	fault    func(w http.ResponseWriter, r *http.Request)
}

func (s *faultyStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r)
	s.mu.Unlock()
	switch r.URL.Path {
	case "/v1/auth/approle/login":
		answer(w, http.StatusOK, map[string]any{"auth": map[string]any{"client_token": "s.tokenOfTheControlPlane01", "lease_duration": 600, "renewable": true}})
	case "/v1/sys/auth":
		answer(w, http.StatusOK, map[string]any{"data": map[string]any{"jwt/": map[string]any{"type": "jwt", "accessor": "auth_jwt_1"}}})
	case "/v1/auth/token/revoke-self":
		w.WriteHeader(http.StatusNoContent)
	default:
		s.fault(w, r)
	}
}

// count is how often a path was asked for.
func (s *faultyStore) count(path string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.requests {
		if r.URL.Path == path {
			n++
		}
	}
	return n
}

// countPrefix is how often paths with one of the prefixes were asked for.
func (s *faultyStore) countPrefix(prefixes ...string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.requests {
		if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(r.URL.Path, p) }) {
			n++
		}
	}
	return n
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// against runs a client against a faulty store.
func against(t *testing.T, fault func(http.ResponseWriter, *http.Request)) (*vault.Client, *faultyStore, *world) {
	t.Helper()
	s := &faultyStore{fault: fault}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	w := &world{t: t, calls: newCalls(), logs: &logs{}}
	c, _ := w.start(vault.Config{Address: server.URL, RoleID: "role", SecretID: func() (string, error) { return "secret-id-of-the-test", nil }})
	return c, s, w
}

// What may be repeated is, three times at most; an alias is not written again
// before somebody has looked who has it.
func TestOnlyWhatMayBeRepeatedIs(t *testing.T) {
	t.Parallel()
	a := newAgent("customer-success", "production")
	entityPath := "/v1/identity/entity/name/" + vault.EntityName(a.ID)
	writesFail := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/identity/lookup/entity" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		sealed(w, r)
	}
	writesAreCutOff := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/identity/entity-alias" {
			panic(http.ErrAbortHandler)
		}
		writesFail(w, r)
	}
	ensureEntity := func(t *testing.T, c *vault.Client) error { return second(c.EnsureEntity(t.Context(), a)) }
	ensureAlias := func(t *testing.T, c *vault.Client) error {
		return second(c.EnsureAlias(t.Context(), uuid.NewString(), "client@clients"))
	}
	for name, row := range map[string]struct {
		fault func(http.ResponseWriter, *http.Request)
		call  func(*testing.T, *vault.Client) error
		path  string
		want  int
	}{
		"sealed, reading":          {sealed, ensureEntity, entityPath, 3},
		"sealed, deleting":         {sealed, func(t *testing.T, c *vault.Client) error { return c.DeleteEntity(t.Context(), a.ID) }, entityPath, 3},
		"sealed, looking up":       {sealed, ensureAlias, "/v1/identity/lookup/entity", 3},
		"sealed, writing aliases":  {writesFail, ensureAlias, "/v1/identity/entity-alias", 1},
		"cut off, writing aliases": {writesAreCutOff, ensureAlias, "/v1/identity/entity-alias", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s, _ := against(t, row.fault)
			err := row.call(t, c)
			e, ok := registry.AsError(err)
			if !ok || e.Kind != registry.Unavailable || e.Code != vault.CodeUnavailable || e.RetryAfter != 0 {
				t.Errorf("error = %v, want Unavailable without a RetryAfter", err)
			}
			if got := s.count(row.path); got != row.want {
				t.Errorf("%s was asked for %d times, want %d", row.path, got, row.want)
			}
		})
	}
}

// The store's words stay in the cause, and tokens do not even get there.
func TestInvariant_D2_RawTextIsNoMessageAndTokensAreRedacted(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		secret string
		status int
		kind   registry.Kind
	}{
		"OpenBao":           {"s.abcdefghijklmnopqrstuvwx", http.StatusBadRequest, registry.Refused},
		"OpenBao namespace": {"s.abcdefghijklmnopqrstuvwx.YwWqau", http.StatusBadRequest, registry.Refused},
		"Vault":             {"hvs.CAESIJ" + strings.Repeat("a", 80), http.StatusInternalServerError, registry.Unavailable},
		"Vault batch":       {"hvb.AAAAAQ" + strings.Repeat("b-", 40), http.StatusBadRequest, registry.Refused},
		"Credence":          {"crd_" + strings.Repeat("c", 32), http.StatusBadRequest, registry.Refused},
		"our own":           {"s.tokenOfTheControlPlane01", http.StatusTooManyRequests, registry.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _, w := against(t, func(w http.ResponseWriter, _ *http.Request) {
				answer(w, row.status, map[string]any{"errors": []string{"RAW TEXT <" + row.secret + ">"}})
			})
			_, err := c.EnsureEntity(t.Context(), newAgent("customer-success", "production"))
			e, ok := registry.AsError(err)
			if !ok || e.Kind != row.kind {
				t.Fatalf("error = %v, want %s", err, row.kind)
			}
			if strings.Contains(e.Message, "RAW TEXT") {
				t.Errorf("message: %s", e.Message)
			}
			if said := fmt.Sprintf("%v %+v %#v", err, err, e.Err); !strings.Contains(said, "RAW TEXT <[redacted]>") || strings.Contains(said, row.secret) {
				t.Errorf("cause: %s", said)
			}
			if strings.Contains(w.logs.String(), row.secret) {
				t.Errorf("log: %s", w.logs)
			}
		})
	}
}

// A token of the person who starts us must not become ours.
func TestTheEnvironmentIsIgnored(t *testing.T) { //nolint:paralleltest // sets the environment
	for k, v := range map[string]string{
		"VAULT_ADDR": "http://127.0.0.1:1", "VAULT_AGENT_ADDR": "http://127.0.0.1:1", "VAULT_TOKEN": "s.somebodyElsesToken0001",
		"VAULT_NAMESPACE": "elsewhere", "VAULT_HEADERS": `{"X-Extra": "x"}`, "VAULT_WRAP_TTL": "5m", "VAULT_MAX_RETRIES": "5",
		"HTTP_PROXY": "http://127.0.0.1:1", "VAULT_PROXY_ADDR": "http://127.0.0.1:1",
	} {
		t.Setenv(k, v)
	}
	c, s, _ := against(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, map[string]any{}) })
	if err := c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.requests {
		token := r.Header.Get("X-Vault-Token")
		if token != "" && token != "s.tokenOfTheControlPlane01" || r.Header.Get("X-Vault-Namespace") != "" ||
			r.Header.Get("X-Extra") != "" || r.Header.Get("X-Vault-Wrap-Ttl") != "" {
			t.Errorf("%s has headers %v", r.URL.Path, r.Header)
		}
	}
}

// timeoutFor is short where no login is to be waited for.
func timeoutFor(works bool) time.Duration {
	if works {
		return 0
	}
	return 200 * time.Millisecond
}

func TestTheStoresCertificateIsChecked(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(&faultyStore{fault: func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, map[string]any{}) }})
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it says that we hung up
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}
	if err := os.WriteFile(ca, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		file string
		want bool
	}{{ca, true}, {"", false}} {
		w := &world{t: t, calls: newCalls(), logs: &logs{}}
		c, _ := w.start(vault.Config{
			Address: server.URL, CACertFile: row.file, Timeout: timeoutFor(row.want),
			RoleID: "role", SecretID: func() (string, error) { return "secret-id-of-the-test", nil },
		})
		if err := c.Ping(t.Context()); (err == nil) != row.want {
			t.Errorf("CA %q: Ping() = %v", row.file, err)
		}
	}
}
