package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/credenceproject/credence/internal/auth0/emulator"
	"github.com/credenceproject/credence/internal/testdb"
)

// The audiences, and the developer's team and another one.
const (
	apiAudience   = "https://credence.example.com/"
	agentAudience = "https://mcp.example.com/"

	team      = "customer-success"
	otherTeam = "platform"
)

// world is a whole system of its own: a tenant, a namespace of OpenBao, a
// database, and a server that was prepared by the commands that operators use.
type world struct {
	t         testing.TB
	dir       string
	tenant    *emulator.Emulator
	auth0     *proxy // between server and tenant
	vault     *proxy // between server and OpenBao
	namespace string
	dsn       string
	env       map[string]string
	*server

	admin, developer, outsider string // tokens; the outsider is in otherTeam

	secrets *secrets
}

// secrets are the bytes that must be nowhere, by what they are. It is safe for
// concurrent use.
type secrets struct {
	mu   sync.Mutex
	seen map[string]string
}

func (s *secrets) add(what, secret string) {
	if secret == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[secret] = what
}

func (s *secrets) all() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.seen)
}

// newWorld makes a world, with settings beside and instead of the usual ones.
func newWorld(t testing.TB, settings ...string) *world {
	t.Helper()
	return newWorldOf(t, emulator.Options{}, settings...)
}

// newWorldOf makes a world whose tenant has these options.
func newWorldOf(t testing.TB, tenant emulator.Options, settings ...string) *world {
	t.Helper()
	w := newLandOf(t, tenant)
	w.dsn = testdb.DSN(t)
	w.prepare()
	w.start(settings...)
	w.seed()
	return w
}

// newLand is a world in which nothing was prepared.
func newLand(t testing.TB) *world {
	t.Helper()
	return newLandOf(t, emulator.Options{})
}

func newLandOf(t testing.TB, tenant emulator.Options) *world {
	t.Helper()
	realParts(t)
	bao := must(openBao())(t)
	w := &world{t: t, dir: t.TempDir(), auth0: newProxy(t), vault: newProxy(t), namespace: "t-" + uuid.NewString(), secrets: &secrets{seen: map[string]string{}}}
	tenant.Issuer, tenant.SigningKey = w.auth0.URL+"/", must(signingKey())(t)
	w.tenant = must(emulator.New(tenant))(t)
	w.auth0.next = w.tenant
	target := must(url.Parse(bao.Address))(t)
	w.vault.next = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	w.bao("PUT", "sys/namespaces/"+w.namespace, asRootOfAll, nil).want(t, 200)

	id, secret := w.tenant.ManagementCredentials()
	w.secrets.add("the management client's secret", secret)
	w.secrets.add("the root token", bao.RootToken)
	w.env = map[string]string{
		"CREDENCE_AUTH0_DOMAIN": w.auth0.URL, "CREDENCE_AUTH0_CLIENT_ID": id, "CREDENCE_AUTH0_CLIENT_SECRET_FILE": w.file("management-secret", secret),
		"CREDENCE_AUTH_ISSUER": w.issuer(), "CREDENCE_AUTH_AUDIENCE": apiAudience, "CREDENCE_AGENT_AUDIENCE": agentAudience,
		"CREDENCE_INSTALLATION": "e2e", "CREDENCE_VAULT_ADDRESS": w.vault.URL, "CREDENCE_VAULT_NAMESPACE": w.namespace,
		"CREDENCE_LISTEN": "127.0.0.1:0", "CREDENCE_METRICS_LISTEN": "127.0.0.1:0", "CREDENCE_LOG_LEVEL": "DEBUG",
	}
	if raceDetector { // which takes several times the memory and the time
		w.env["CREDENCE_GATE_MEMORY"], w.env["CREDENCE_GATE_TIMEOUT"] = "4096", "6s"
	}
	return w
}

// in is the world for a subtest of its own.
func (w *world) in(t testing.TB) *world {
	other := *w
	other.t = t
	return &other
}

// issuer is that of all tokens.
func (w *world) issuer() string { return w.auth0.URL + "/" }

// file writes a file of the world and returns where it is.
func (w *world) file(name, content string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// prepare runs the operator's commands.
func (w *world) prepare() {
	w.t.Helper()
	w.env["CREDENCE_DATABASE_URL_FILE"] = w.file("database-url", w.dsn)
	mustCredence(w.t, w.env, "migrate")
	w.setupAuth0()
	out := w.setupVault("--secret-id-file", filepath.Join(w.dir, "secret-id"))
	w.env["CREDENCE_VAULT_ROLE_ID"] = regexp.MustCompile(`(?m)^CREDENCE_VAULT_ROLE_ID=(.+)$`).FindStringSubmatch(out)[1]
	w.env["CREDENCE_VAULT_SECRET_ID_FILE"] = filepath.Join(w.dir, "secret-id")
	w.secrets.add("the secret id", strings.TrimSpace(string(must(os.ReadFile(filepath.Join(w.dir, "secret-id")))(w.t))))
}

func (w *world) setupAuth0(more ...string) string {
	w.t.Helper()
	return mustCredence(w.t, w.env, append([]string{"setup", "auth0"}, more...)...)
}

func (w *world) setupVault(more ...string) string {
	w.t.Helper()
	root := w.file("root-token", must(openBao())(w.t).RootToken)
	return mustCredence(w.t, w.env, append([]string{"setup", "vault", "--agent-issuer", w.issuer(), "--operator-token-file", root}, more...)...)
}

// start starts the server, with settings as pairs of variable and value, sees
// that it is ready and makes the callers' tokens.
func (w *world) start(settings ...string) {
	w.t.Helper()
	for i := 0; i+1 < len(settings); i += 2 {
		w.env[settings[i]] = settings[i+1]
	}
	w.server = serve(w.t, w.env)
	if w.env["CREDENCE_TLS_CERT_FILE"] == "" {
		eventually(w.t, "a server that is ready", func() bool { return w.as("").get("/readyz").status == 200 })
	}
	w.admin = w.token("test|admin", []string{"admin"})
	w.developer = w.token("test|developer", developerPermissions, team)
	w.outsider = w.token("test|outsider", developerPermissions, otherTeam)
}

var developerPermissions = []string{"agents:register", "agents:read", "agents:write"}

// token makes a caller's token, as a log-in would give it.
func (w *world) token(subject string, permissions []string, teams ...string) string {
	w.t.Helper()
	token := must(w.tenant.MintUserToken(emulator.UserToken{
		Subject: subject, Audience: apiAudience, Permissions: permissions, Claims: map[string]any{apiAudience + "teams": teams},
	}))(w.t)
	w.secrets.add("a token of "+subject, token)
	return token
}

// seed writes the documents that registrations here are held to.
func (w *world) seed() {
	w.t.Helper()
	for path, document := range map[string]string{
		"/environments/production": `{}`,
		"/environments/staging":    `{}`,
		"/agent-types/support": `{
			"schema": {"type": "object", "properties": {"max_tickets_per_hour": {"type": "integer", "minimum": 1}}, "additionalProperties": false},
			"default_scopes": ["skills:invoke", "data:read"], "allowed_scopes": ["skills:invoke", "data:read", "data:write"],
			"allowed_environments": ["production", "staging"],
			"default_quota": {"requests_per_second": 10, "requests_per_day": 10000}, "max_quota": {"requests_per_second": 100, "requests_per_day": 1000000}}`,
	} {
		w.as(w.admin).put(path, document).want(w.t, 201)
	}
}

// registration is a document for POST /agents; changes replace its fields, and
// nil removes one.
func registration(name string, changes map[string]any) string {
	document := map[string]any{
		"name": name, "team": team, "agent_type": "support", "environment": "production", "owner": "ana@example.com",
	}
	for field, value := range changes {
		document[field] = value
		if value == nil {
			delete(document, field)
		}
	}
	b, err := json.Marshal(document)
	if err != nil {
		return fmt.Sprint(err) // no JSON, as the server will say
	}
	return string(b)
}
