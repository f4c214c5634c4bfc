package vault_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/vault/api"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/vault"
)

const audience = "https://mcp.example.com/"

// world is a namespace of the real OpenBao that was prepared by Setup, and a
// client that logged in to it as the control plane. Nothing in it is root but
// root itself, with which tests look at things and play the operator.
type world struct {
	t      *testing.T
	setup  vault.SetupConfig
	result vault.Result
	root   *api.Client
	issuer *issuer
	client *vault.Client
	calls  *calls
	logs   *logs
	stop   func() // ends Run and waits for it
}

// newWorld prepares a namespace of its own. The options change how.
func newWorld(t *testing.T, options ...func(*vault.SetupConfig)) *world {
	t.Helper()
	w := bareWorld(t)
	for _, o := range options {
		o(&w.setup)
	}
	w.result = w.mustSetup()
	w.client, w.stop = w.start(w.config())
	return w
}

// bareWorld has an empty namespace and no client.
func bareWorld(t *testing.T) *world {
	t.Helper()
	if testing.Short() {
		t.Skip("needs OpenBao")
	}
	s, err := server()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, issuer: newIssuer(t), calls: newCalls(), logs: &logs{}}
	namespace := "t-" + uuid.NewString()
	w.root = rawClient(t, s.Address, s.RootToken, "")
	w.write(w.root, "sys/namespaces/"+namespace, nil)
	w.root.SetNamespace(namespace)
	w.setup = vault.SetupConfig{
		Address: s.Address, Token: s.RootToken, Namespace: namespace,
		Issuer: w.issuer.name, JWKSURL: w.issuer.jwks, Audience: audience,
		IssueSecretID: true,
	}
	return w
}

func (w *world) mustSetup() vault.Result {
	w.t.Helper()
	r, err := vault.Setup(w.t.Context(), w.setup)
	if err != nil {
		w.t.Fatalf("Setup() = %v", err)
	}
	return r
}

func (w *world) config() vault.Config {
	return vault.Config{
		Address: w.setup.Address, Namespace: w.setup.Namespace,
		RoleID: w.result.RoleID, SecretID: func() (string, error) { return w.result.SecretID, nil },
		Expected: vault.Expected{Issuer: w.setup.Issuer, JWKSURL: w.setup.JWKSURL, Audience: w.setup.Audience},
	}
}

// start runs a client until the test ends.
func (w *world) start(c vault.Config) (*vault.Client, func()) {
	w.t.Helper()
	client, err := vault.New(c, w.calls, slog.New(slog.NewJSONHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- client.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Run() = %v", err)
		}
	})
	w.t.Cleanup(stop)
	return client, stop
}

// register gives an agent its entity and alias, and returns it with the JWT
// that its client gets.
func (w *world) register(a registry.Agent) (registry.Agent, string) {
	w.t.Helper()
	var err error
	if a.EntityID, err = w.client.EnsureEntity(w.t.Context(), a); err != nil {
		w.t.Fatalf("EnsureEntity() = %v", err)
	}
	if a.AliasID, err = w.client.EnsureAlias(w.t.Context(), a.EntityID, a.Subject()); err != nil {
		w.t.Fatalf("EnsureAlias() = %v", err)
	}
	return a, w.issuer.token(w.t, a.Subject(), a.ID)
}

// inspect is the agent's entity as the client sees it.
func (w *world) inspect(agentID string) registry.ProviderEntity {
	w.t.Helper()
	e, err := w.client.InspectEntity(w.t.Context(), agentID)
	if err != nil {
		w.t.Fatalf("InspectEntity() = %v", err)
	}
	return e
}

// newAgent is an agent in a team and an environment, with a client of its own.
func newAgent(team, environment string) registry.Agent {
	id := uuid.Must(uuid.NewV7()).String()
	return registry.Agent{
		ID: id, Name: "triage-" + id[24:], Team: team, AgentType: "support", Environment: environment,
		ClientID: strings.ReplaceAll(uuid.NewString(), "-", ""),
	}
}

// login logs an agent in, as its SDK does.
func (w *world) login(jwt string) (*api.Client, *api.SecretAuth, error) {
	w.t.Helper()
	c := rawClient(w.t, w.setup.Address, "", w.setup.Namespace)
	secret, err := c.Logical().WriteWithContext(w.t.Context(), "auth/jwt/login", map[string]any{"role": "agent", "jwt": jwt})
	if err != nil {
		return nil, nil, err
	}
	c.SetToken(secret.Auth.ClientToken)
	return c, secret.Auth, nil
}

func (w *world) mustLogin(jwt string) (*api.Client, *api.SecretAuth) {
	w.t.Helper()
	c, auth, err := w.login(jwt)
	if err != nil {
		w.t.Fatalf("login: %v", err)
	}
	return c, auth
}

// asControlPlane is a client with the rights of the control plane's AppRole.
func (w *world) asControlPlane() *api.Client {
	w.t.Helper()
	c := rawClient(w.t, w.setup.Address, "", w.setup.Namespace)
	secret := w.write(c, "auth/approle/login", map[string]any{"role_id": w.result.RoleID, "secret_id": w.result.SecretID})
	c.SetToken(secret.Auth.ClientToken)
	return c
}

// put stores a secret below a folder and returns its path.
func (w *world) put(folder string) string {
	w.t.Helper()
	path := folder + "/key"
	w.write(w.root, path, map[string]any{"data": map[string]any{"value": path}})
	return path
}

func (w *world) write(c *api.Client, path string, data map[string]any) *api.Secret {
	w.t.Helper()
	secret, err := c.Logical().WriteWithContext(w.t.Context(), path, data)
	if err != nil {
		w.t.Fatalf("write %s: %v", path, err)
	}
	return secret
}

func (w *world) read(c *api.Client, path string) map[string]any {
	w.t.Helper()
	secret, err := c.Logical().ReadWithContext(w.t.Context(), path)
	if err != nil {
		w.t.Fatalf("read %s: %v", path, err)
	}
	if secret == nil {
		return nil
	}
	return secret.Data
}

// status is the HTTP status of a read; 200 means that there is something.
func status(t *testing.T, c *api.Client, path string) int {
	t.Helper()
	secret, err := c.Logical().ReadWithContext(t.Context(), path)
	return statusOf(t, secret != nil, err)
}

// writeStatus is the HTTP status of a write.
func writeStatus(t *testing.T, c *api.Client, path string, data map[string]any) int {
	t.Helper()
	_, err := c.Logical().WriteWithContext(t.Context(), path, data)
	return statusOf(t, true, err)
}

func statusOf(t *testing.T, found bool, err error) int {
	t.Helper()
	answer, ok := errors.AsType[*api.ResponseError](err)
	switch {
	case ok:
		return answer.StatusCode
	case err != nil:
		t.Fatal(err)
	case !found:
		return http.StatusNotFound
	}
	return http.StatusOK
}

func rawClient(t *testing.T, address, token, namespace string) *api.Client {
	t.Helper()
	c, err := api.NewClient(&api.Config{Address: address, HttpClient: &http.Client{}, Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	c.SetToken(token)
	if namespace != "" {
		c.SetNamespace(namespace)
	}
	return c
}

// calls is an Observer that counts, and lets tests wait for an operation.
type calls struct {
	mu      sync.Mutex
	good    map[string]int
	bad     map[string]int
	changed chan struct{}
}

func newCalls() *calls {
	return &calls{good: map[string]int{}, bad: map[string]int{}, changed: make(chan struct{})}
}

func (c *calls) Observe(_, operation string, _ time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.good[operation]++
	} else {
		c.bad[operation]++
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

// wait returns once at least n calls of the operation succeeded.
func (c *calls) wait(t *testing.T, operation string, n int) {
	t.Helper()
	c.waitFor(t, c.good, operation, n)
}

// waitFailed returns once at least n calls of the operation failed.
func (c *calls) waitFailed(t *testing.T, operation string, n int) {
	t.Helper()
	c.waitFor(t, c.bad, operation, n)
}

func (c *calls) waitFor(t *testing.T, counter map[string]int, operation string, n int) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		c.mu.Lock()
		got, changed := counter[operation], c.changed
		c.mu.Unlock()
		if got >= n {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%d calls of %s after 30 s, want %d", got, operation, n)
		}
	}
}

// counts returns how many calls of each operation succeeded and failed.
func (c *calls) counts() (good, bad map[string]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.good), maps.Clone(c.bad)
}

// logs keeps what was logged.
type logs struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
