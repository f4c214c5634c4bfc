package emulator_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// keys are RSA keys that tests share: making one takes long.
var keys = sync.OnceValues(func() ([]*rsa.PrivateKey, error) {
	made := make([]*rsa.PrivateKey, 3)
	for i := range made {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, err
		}
		made[i] = key
	}
	return made, nil
})

func testKey(t testing.TB, i int) *rsa.PrivateKey {
	t.Helper()
	made, err := keys()
	if err != nil {
		t.Fatal(err)
	}
	return made[i]
}

func pemOf(t testing.TB, public any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// newKeyBody is the body of a new credential; extra is JSON that follows.
func newKeyBody(t testing.TB, i int, extra string) string {
	t.Helper()
	text, err := json.Marshal(pemOf(t, testKey(t, i).Public()))
	if err != nil {
		t.Fatal(err)
	}
	return `{"credential_type":"public_key","name":"key","pem":` + string(text) + extra + `}`
}

// keyAgent makes a client that authenticates with the test's first key.
func (tn *tenant) keyAgent(t testing.TB, extra string) (clientID, credentialID string) {
	t.Helper()
	made := tn.must(t, "POST", "clients", `{"name":"agent","app_type":"non_interactive","grant_types":["client_credentials"],
		"jwt_configuration":{"alg":"RS256"},
		"client_authentication_methods":{"private_key_jwt":{"credentials":[`+newKeyBody(t, 0, extra)+`]}}}`)
	methods := made["client_authentication_methods"].(map[string]any)["private_key_jwt"].(map[string]any)
	return made["client_id"].(string), methods["credentials"].([]any)[0].(map[string]any)["id"].(string)
}

func attach(ids ...string) string {
	var entries []string
	for _, id := range ids {
		entries = append(entries, fmt.Sprintf(`{"id":%q}`, id))
	}
	return `{"client_authentication_methods":{"private_key_jwt":{"credentials":[` + strings.Join(entries, ",") + `]}}}`
}

func TestCredentialsLiveApartFromTheirUse(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, options{})
	id, first := tn.keyAgent(t, "")
	path := "clients/" + id + "/credentials"
	second := tn.must(t, "POST", path, newKeyBody(t, 1, `,"alg":"PS256"`))["id"].(string)

	info := tn.Clients()[0]
	if info.AuthMethod != "private_key_jwt" || len(info.Keys) != 1 || info.Credentials != 2 {
		t.Errorf("a credential that was added: %+v", info)
	}
	if a := tn.manage(t, "POST", path, newKeyBody(t, 2, "")); a.status != http.StatusBadRequest || !strings.Contains(a.body, "maximum of 2") {
		t.Errorf("a third: %d %s", a.status, a.body)
	}
	if a := tn.manage(t, "DELETE", path+"/"+first, ""); a.status != http.StatusBadRequest || !strings.Contains(a.body, "still associated with a client") {
		t.Errorf("delete one in use: %d %s", a.status, a.body)
	}
	tn.must(t, "PATCH", "clients/"+id, attach(second))
	tn.must(t, "DELETE", path+"/"+first, "")
	tn.must(t, "DELETE", path+"/"+first, "")
	if a := tn.manage(t, "GET", path+"/"+first, ""); a.status != http.StatusNotFound {
		t.Errorf("one that is gone: %d %s", a.status, a.body)
	}
	read := tn.must(t, "GET", path+"/"+second, "")
	if read["alg"] != "PS256" || read["expires_at"] != nil || read["pem"] != nil {
		t.Errorf("read: %v", read)
	}
	want := attach(second)
	got, err := json.Marshal(map[string]any{"client_authentication_methods": tn.must(t, "GET", "clients/"+id, "")["client_authentication_methods"]})
	if err != nil || cmp.Diff(want, string(got)) != "" {
		t.Errorf("the client shows %s, want %s; %v", got, want, err)
	}
}

func TestCredentialsThatAuth0RefusesAreRefused(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, options{})
	id, _ := tn.keyAgent(t, "")
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	body := func(public any) string {
		text, err := json.Marshal(pemOf(t, public))
		if err != nil {
			t.Fatal(err)
		}
		return `{"credential_type":"public_key","pem":` + string(text) + `}`
	}
	path := "clients/" + id + "/credentials"
	for name, row := range map[string]struct{ method, path, body, says string }{
		"the same key again":       {"POST", path, newKeyBody(t, 0, ""), "already exist in client"},
		"a weak key":               {"POST", path, body(weak.Public()), "1024 bits"},
		"a curve":                  {"POST", path, body(curve.Public()), "Not an RSA public key"},
		"no PEM":                   {"POST", path, `{"credential_type":"public_key","pem":"x"}`, "Invalid PEM"},
		"no PEM at all":            {"POST", path, `{"credential_type":"public_key"}`, "Invalid PEM"},
		"another algorithm":        {"POST", path, newKeyBody(t, 1, `,"alg":"RS512"`), "No enum match"},
		"a kind of its own":        {"POST", path, `{"credential_type":"jwk"}`, "No enum match"},
		"an end that is no time":   {"POST", path, newKeyBody(t, 1, `,"expires_at":"soon"`), "Invalid format"},
		"a new one in a PATCH":     {"PATCH", "clients/" + id, `{"client_authentication_methods":{"private_key_jwt":{"credentials":[` + newKeyBody(t, 1, "") + `]}}}`, "no such credential"},
		"one of nobody":            {"PATCH", "clients/" + id, attach("cred_nobody"), "no such credential"},
		"three":                    {"PATCH", "clients/" + id, attach("a", "b", "c"), "maximum 2"},
		"a method of secrets too":  {"PATCH", "clients/" + id, `{"token_endpoint_auth_method":"client_secret_post"}`, "exclude each other"},
		"HS256 beside keys":        {"PATCH", "clients/" + id, `{"jwt_configuration":{"alg":"HS256"}}`, "exclude HS256"},
		"a rotation of the secret": {"POST", "clients/" + id + "/rotate-secret", "", "does not authenticate with a secret"},
	} {
		if a := tn.manage(t, row.method, row.path, row.body); a.status != http.StatusBadRequest || !strings.Contains(a.body, row.says) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	for _, method := range []string{"GET", "POST", "DELETE"} {
		if a := tn.manage(t, method, "clients/nobody/credentials"+map[string]string{"DELETE": "/cred_x"}[method], newKeyBody(t, 0, "")); a.status != http.StatusNotFound {
			t.Errorf("%s of no client: %d %s", method, a.status, a.body)
		}
	}
	if info := tn.Clients(); len(info) != 1 || info[0].Credentials != 1 || len(info[0].Keys) != 1 {
		t.Errorf("left: %+v", info)
	}
}

func TestCredentialsHaveScopesOfTheirOwn(t *testing.T) {
	t.Parallel()
	tn := newTenant(t, options{})
	id, credential := tn.keyAgent(t, "")
	limited := tn.scoped(t, "create:clients read:clients update:clients delete:clients update:client_keys")
	body := newKeyBody(t, 1, "")
	for _, row := range []struct{ method, path, body, scope string }{
		{"POST", "clients/" + id + "/credentials", body, "create:client_credentials"},
		{"GET", "clients/" + id + "/credentials", "", "read:client_credentials"},
		{"GET", "clients/" + id + "/credentials/" + credential, "", "read:client_credentials"},
		{"PATCH", "clients/" + id + "/credentials/" + credential, "{}", "update:client_credentials"},
		{"DELETE", "clients/" + id + "/credentials/" + credential, "", "delete:client_credentials"},
		{"PATCH", "clients/" + id, attach(credential), "update:client_credentials"},
		{"PATCH", "clients/" + id, `{"client_authentication_methods":null}`, "update:client_credentials"},
		{"POST", "clients", `{"name":"x","jwt_configuration":{"alg":"RS256"},"client_authentication_methods":{"private_key_jwt":{"credentials":[` + body + `]}}}`, "create:client_credentials"},
	} {
		if a := tn.manageAs(t, limited, row.method, row.path, row.body); a.status != http.StatusForbidden || !strings.Contains(a.body, row.scope) {
			t.Errorf("%s %s: %d %s", row.method, row.path, a.status, a.body)
		}
	}
	for token, shown := range map[string]bool{
		limited: false,
		tn.scoped(t, "read:clients read:client_credentials"): true,
		tn.scoped(t, "read:client_keys"):                     true,
	} {
		for _, path := range []string{"clients/" + id, "clients?include_totals=true"} {
			if a := tn.manageAs(t, token, "GET", path, ""); a.status != http.StatusOK || strings.Contains(a.body, credential) != shown {
				t.Errorf("%s: %d %s, want it shown: %t", path, a.status, a.body, shown)
			}
		}
	}
}

// scoped returns a management token with some scopes.
func (tn *tenant) scoped(t testing.TB, scopes string) string {
	t.Helper()
	token, err := tn.MintUserToken(userToken(tn.url+"api/v2/", scopes))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestLatenciesAreThoseOfTheEndpoint(t *testing.T) {
	t.Parallel()
	latencies := map[string]time.Duration{"POST clients": 550 * time.Millisecond, "POST client-grants": 380 * time.Millisecond}
	if _, err := newEmulator(options{Issuer: "http://localhost/", Latencies: map[string]time.Duration{"POST nothing": 1}}); err == nil {
		t.Error("an endpoint that there is not was accepted")
	}
	e, err := newEmulator(options{Issuer: "http://localhost/", Latencies: latencies, Latency: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	measureLatencies(t, e, map[string]time.Duration{
		"POST clients": 550 * time.Millisecond, "POST client-grants": 380 * time.Millisecond, "GET clients": time.Second,
		"DELETE clients/x": time.Second,
	})
}
