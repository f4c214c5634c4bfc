package e2e_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/vault/api"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/credenceproject/credence/api/schemas"
	"github.com/credenceproject/credence/internal/agents"
	"github.com/credenceproject/credence/internal/auth0"
	"github.com/credenceproject/credence/internal/auth0/emulator"
	"github.com/credenceproject/credence/internal/authn"
	"github.com/credenceproject/credence/internal/httpapi"
	"github.com/credenceproject/credence/internal/postgres"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/rulebook"
	"github.com/credenceproject/credence/internal/schema"
	"github.com/credenceproject/credence/internal/telemetry"
	"github.com/credenceproject/credence/internal/testdb"
	"github.com/credenceproject/credence/internal/vault"
)

// benchSystem is the server in this process, so that its steps can be timed.
type benchSystem struct {
	url    string
	token  string // of a member of the team
	steps  *stepTimes
	client *http.Client
}

// newBenchSystem makes one whose tenant takes its time as latencies says.
func newBenchSystem(b *testing.B, latencies map[string]time.Duration) *benchSystem {
	b.Helper()
	realParts(b)
	log := slog.New(slog.DiscardHandler)
	metrics := prometheus.NewRegistry()

	dsn := testdb.DSN(b)
	pool := must(postgres.Open(b.Context(), func() (string, error) { return dsn, nil }, 16))(b)
	b.Cleanup(pool.Close)
	store := postgres.NewStore(pool)

	issuer := httptest.NewUnstartedServer(nil)
	issuerURL := "http://" + issuer.Listener.Addr().String() + "/"
	tenant := must(emulator.New(emulator.Options{Issuer: issuerURL, SigningKey: must(signingKey())(b), Latencies: latencies}))(b)
	issuer.Config.Handler = tenant
	issuer.Start()
	b.Cleanup(issuer.Close)

	s := &benchSystem{steps: &stepTimes{}, client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{}}}
	s.steps.reset()
	identity := benchIdentity(b, tenant, issuerURL, s.steps)
	secrets := benchSecrets(b, issuerURL, s.steps, log)
	verifier := must(authn.New(authn.Config{Issuer: issuerURL, Audience: apiAudience}, store, log))(b)
	server := httptest.NewServer(httpapi.New(httpapi.Options{
		Agents:   agents.NewService(store, identity, secrets, s.steps, log, agents.Options{}),
		Rulebook: rulebook.NewService(store), Schemas: must(schema.New(schemas.FS))(b), Authenticator: verifier, Auditor: store,
		Health: httpapi.NewHealth("bench"), Metrics: telemetry.NewHTTPMetrics(metrics), Log: log,
		Handout: httpapi.Handout{SecretPaths: func(a registry.Agent) httpapi.SecretPaths {
			return httpapi.SecretPaths(vault.Paths(vault.DefaultKVMount, a))
		}},
	}))
	b.Cleanup(server.Close)
	s.url = server.URL
	s.token = must(tenant.MintUserToken(emulator.UserToken{
		Subject: "bench|developer", Audience: apiAudience, Permissions: developerPermissions, Claims: map[string]any{apiAudience + "teams": []string{team}},
	}))(b)
	benchRules(b, store)
	return s
}

// benchIdentity is the adapter on a tenant that setup prepared.
func benchIdentity(b *testing.B, tenant *emulator.Emulator, issuerURL string, o *stepTimes) *auth0.Client {
	b.Helper()
	id, secret := tenant.ManagementCredentials()
	c := auth0.Config{
		Domain: issuerURL, ClientID: id, ClientSecret: func() (string, error) { return secret, nil }, Audience: agentAudience, Installation: "bench",
	}
	_ = must(auth0.Setup(b.Context(), auth0.SetupConfig{Config: c, APIAudience: apiAudience}))(b)
	return must(auth0.New(b.Context(), c, o))(b)
}

// benchSecrets is the adapter on a namespace of OpenBao that setup prepared,
// logged in as the control plane.
func benchSecrets(b *testing.B, issuerURL string, o *stepTimes, log *slog.Logger) *vault.Client {
	b.Helper()
	bao := must(openBao())(b)
	namespace := "t-" + uuid.NewString()
	root := must(api.NewClient(&api.Config{Address: bao.Address}))(b)
	root.SetToken(bao.RootToken)
	_ = must(root.Logical().WriteWithContext(b.Context(), "sys/namespaces/"+namespace, nil))(b)

	result := must(vault.Setup(b.Context(), vault.SetupConfig{
		Address: bao.Address, Token: bao.RootToken, Namespace: namespace, Issuer: issuerURL, JWKSURL: issuerURL + ".well-known/jwks.json",
		Audience: agentAudience, IssueSecretID: true,
	}))(b)
	client := must(vault.New(vault.Config{
		Address: bao.Address, Namespace: namespace, RoleID: result.RoleID, SecretID: func() (string, error) { return result.SecretID, nil },
	}, o, log))(b)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- client.Run(ctx) }()
	b.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	return client
}

// benchRules admits any number of agents.
func benchRules(b *testing.B, store *postgres.Store) {
	b.Helper()
	by := registry.Actor{Subject: "bench|admin"}
	scopes := []string{"skills:invoke", "data:read", "data:write"}
	_, _, err := store.PutEnvironment(b.Context(), registry.Environment{Name: "production", Grants: "permissions", MaxStaleness: "15m"}, registry.Precondition{}, by)
	if err != nil {
		b.Fatal(err)
	}
	_, _, err = store.PutAgentType(b.Context(), registry.AgentType{
		Name: "support", AllowedEnvironments: []string{"production"}, DefaultScopes: scopes, AllowedScopes: scopes,
		Schema: []byte(`{"type": "object", "properties": {"max_tickets_per_hour": {"type": "integer", "minimum": 1}}}`),
	}, registry.Precondition{}, by)
	if err != nil {
		b.Fatal(err)
	}
	if _, _, err = store.PutTeam(b.Context(), registry.Team{Name: team, MaxAgents: 1_000_000_000}, registry.Precondition{}, by); err != nil {
		b.Fatal(err)
	}
}

func (s *benchSystem) register(b *testing.B, name string) {
	b.Helper()
	document := registration(name, map[string]any{
		"description": "Sorts incoming tickets", "config": map[string]any{"max_tickets_per_hour": 200}, "labels": map[string]string{"cost-center": "cx-12"},
		"capabilities": []any{map[string]any{"name": "triage", "input": map[string]any{"type": "object"}}},
	})
	r := must(http.NewRequestWithContext(b.Context(), http.MethodPost, s.url+"/agents", strings.NewReader(document)))(b)
	r.Header.Set("Authorization", "Bearer "+s.token)
	r.Header.Set("Content-Type", "application/json")
	response, err := s.client.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	if body := must(io.ReadAll(response.Body))(b); response.StatusCode != http.StatusCreated {
		b.Fatalf("%d: %s", response.StatusCode, body)
	}
}
