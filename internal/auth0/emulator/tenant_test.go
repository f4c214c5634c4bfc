package emulator_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/credenceproject/credence/internal/auth0/emulator"
)

type options = emulator.Options

// sharedKey spares each test the making of a key. Every tenant publishes it under
// a kid of its own.
var sharedKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// tenant is an emulator behind a real listener with a management token.
type tenant struct {
	*emulator.Emulator
	url   string // the issuer
	token string
}

// newTenant starts an emulator whose issuer is its own address.
func newTenant(t testing.TB, o options) *tenant {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if o.SigningKey, err = sharedKey(); err != nil {
		t.Fatal(err)
	}
	o.Issuer = "http://" + listener.Addr().String() + "/"
	e, err := emulator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(e)
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	tn := &tenant{Emulator: e, url: o.Issuer}
	if o.TokenRate == (emulator.Rate{}) {
		tn.token = tn.managementToken(t)
	}
	return tn
}

// answer is a response that was read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

// json returns the body as an object.
func (a answer) json(t testing.TB) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil {
		t.Fatalf("body %q: %v", a.body, err)
	}
	return doc
}

func do(t testing.TB, req *http.Request) answer {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// manage sends a request to the Management API with the tenant's token. path
// follows /api/v2/.
func (tn *tenant) manage(t testing.TB, method, path, body string) answer {
	t.Helper()
	return tn.manageAs(t, tn.token, method, path, body)
}

func (tn *tenant) manageAs(t testing.TB, token, method, path, body string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, tn.url+"api/v2/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return do(t, req)
}

// must sends a management request that must succeed and returns its answer.
func (tn *tenant) must(t testing.TB, method, path, body string) map[string]any {
	t.Helper()
	a := tn.manage(t, method, path, body)
	if a.status >= 300 {
		t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
	}
	if a.body == "" {
		return nil
	}
	return a.json(t)
}

// exchange asks the token endpoint with a form.
func (tn *tenant) exchange(t testing.TB, form url.Values) answer {
	t.Helper()
	return tn.exchangeWith(t, form.Encode(), "application/x-www-form-urlencoded", "", "")
}

// exchangeWith asks the token endpoint with any body, and Basic credentials
// unless the id is "".
func (tn *tenant) exchangeWith(t testing.TB, body, contentType, basicID, basicSecret string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, tn.url+"oauth/token", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	if basicID != "" {
		req.SetBasicAuth(basicID, basicSecret)
	}
	return do(t, req)
}

func (tn *tenant) managementToken(t testing.TB) string {
	t.Helper()
	id, secret := tn.ManagementCredentials()
	a := tn.exchange(t, credentialsForm(id, secret, tn.url+"api/v2/"))
	if a.status != http.StatusOK {
		t.Fatalf("no management token: %d %s", a.status, a.body)
	}
	return a.json(t)["access_token"].(string)
}

func credentialsForm(id, secret, audience string) url.Values {
	return url.Values{
		"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}, "audience": {audience},
	}
}
