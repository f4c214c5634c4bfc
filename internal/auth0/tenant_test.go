package auth0

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/credenceproject/credence/internal/auth0/emulator"
	"github.com/credenceproject/credence/internal/registry"
)

const (
	testAudience    = "https://mcp.example.com/"
	testAPIAudience = "https://credence.example.com/"
)

// tenant is an emulated tenant behind a real HTTP server that can be told to
// fail.
type tenant struct {
	*emulator.Emulator
	url    string
	faults *faults
}

// newTenant starts a tenant; change may be nil.
func newTenant(t *testing.T, change func(*emulator.Options)) *tenant {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	at := "http://" + server.Listener.Addr().String()
	options := emulator.Options{Issuer: at + "/"}
	if change != nil {
		change(&options)
	}
	e, err := emulator.New(options)
	if err != nil {
		t.Fatalf("start the emulator: %v", err)
	}
	f := &faults{next: e}
	server.Config.Handler = f
	server.Start()
	t.Cleanup(server.Close)
	return &tenant{Emulator: e, url: at, faults: f}
}

// config is that of installation "test" in the tenant.
func (tn *tenant) config() Config {
	id, secret := tn.ManagementCredentials()
	return Config{
		Domain:       tn.url,
		ClientID:     id,
		ClientSecret: func() (string, error) { return secret, nil },
		Audience:     testAudience,
		Installation: "test",
	}
}

// client returns a client of the tenant; change may be nil.
func (tn *tenant) client(t *testing.T, change func(*Config)) *Client {
	t.Helper()
	config := tn.config()
	if change != nil {
		change(&config)
	}
	transport := newTransport(nil)
	t.Cleanup(transport.CloseIdleConnections)
	if config.Transport == nil {
		config.Transport = transport
	}
	c, err := New(t.Context(), config, nil)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return c
}

func (tn *tenant) setupConfig() SetupConfig {
	return SetupConfig{Config: tn.config(), APIAudience: testAPIAudience}
}

// prepared returns a tenant after Setup.
func prepared(t *testing.T, change func(*emulator.Options)) *tenant {
	t.Helper()
	tn := newTenant(t, change)
	if _, err := Setup(t.Context(), tn.setupConfig()); err != nil {
		t.Fatalf("Setup: %v", err)
	}
	return tn
}

// count returns how many requests with the method and path were answered.
func (tn *tenant) count(method, path string) int {
	n := 0
	for _, call := range tn.Calls() {
		if call.Method == method && call.Path == path {
			n++
		}
	}
	return n
}

// claims gets a token with the credentials and returns its payload.
func (tn *tenant) claims(t *testing.T, c registry.Credentials, audience string) map[string]any {
	t.Helper()
	resp, err := http.PostForm(tn.url+tokenPath, url.Values{
		"grant_type": {"client_credentials"}, "client_id": {c.ClientID}, "client_secret": {c.ClientSecret}, "audience": {audience},
	})
	if err != nil {
		t.Fatalf("get a token: %v", err)
	}
	defer resp.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("get a token: status %d, %v", resp.StatusCode, err)
	}
	parts := strings.Split(answer.AccessToken, ".")
	if len(parts) != 3 {
		t.Fatalf("the token has %d parts", len(parts))
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// newAgent returns an agent that may be registered.
func newAgent() registry.Agent {
	return registry.Agent{
		ID: uuid.Must(uuid.NewV7()).String(), Name: "support-triage", Team: "customer-success",
		AgentType: "support", Environment: "production",
	}
}

// observed is an Observer that remembers.
type observed struct {
	mu         sync.Mutex
	operations []string
}

func (o *observed) Observe(provider, operation string, _ time.Time, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	outcome := " ok"
	if err != nil {
		outcome = " failed"
	}
	o.operations = append(o.operations, provider+" "+operation+outcome)
}

// inProcess carries requests to a handler without a network, so that a test may
// run on synctest's clock.
type inProcess struct{ handler http.Handler }

func (p inProcess) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		defer req.Body.Close()
	}
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	served := req.Clone(req.Context())
	served.RequestURI = req.URL.RequestURI()
	served.Host = req.URL.Host
	if served.Body == nil {
		served.Body = http.NoBody
	}
	p.handler.ServeHTTP(w, served)
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}
