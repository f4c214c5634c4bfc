package emulator_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/credenceproject/credence/internal/auth0/emulator"
)

// serve answers one request without a network.
func serve(t *testing.T, e *emulator.Emulator, path, contentType, authorization, body string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost"+path, strings.NewReader(body))
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Authorization", authorization)
	rec := httptest.NewRecorder()
	e.ServeHTTP(rec, req)
	return rec
}

func FuzzToken(f *testing.F) {
	e, err := emulator.New(options{Issuer: "http://localhost/", ManagementClientID: "id", ManagementClientSecret: "secret"})
	if err != nil {
		f.Fatal(err)
	}
	const form, jsonType = "application/x-www-form-urlencoded", "application/json"
	f.Add(form, "", "grant_type=client_credentials&client_id=id&client_secret=secret&audience=http://localhost/api/v2/")
	f.Add(form, "Basic aWQ6c2VjcmV0", "grant_type=client_credentials&audience=http://localhost/api/v2/&scope=read:clients")
	f.Add(jsonType, "", `{"grant_type":"client_credentials","client_id":"id","client_secret":"secret","audience":"x"}`)
	f.Add(jsonType, "Bearer x", `{"grant_type":[[[]]]}`)
	f.Add("a;;b", "Basic %", "%zz&&==")
	f.Fuzz(func(t *testing.T, contentType, authorization, body string) {
		rec := serve(t, e, "/oauth/token", contentType, authorization, body)
		var doc map[string]any
		if err := json.Unmarshal(rec.Body.Bytes(), &doc); err != nil {
			t.Fatalf("%d %q: %v", rec.Code, rec.Body, err)
		}
		_, token := doc["access_token"]
		_, fault := doc["error"]
		if rec.Code >= 500 || token != (rec.Code == http.StatusOK) || fault == token {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
	})
}

func FuzzCreateClient(f *testing.F) {
	e, err := emulator.New(options{Issuer: "http://localhost/"})
	if err != nil {
		f.Fatal(err)
	}
	token, err := e.MintUserToken(emulator.UserToken{Subject: "x", Audience: "http://localhost/api/v2/", Scope: "create:clients"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(`{"name":"x","client_metadata":{"a":"b"},"jwt_configuration":{"alg":"RS256"}}`)
	f.Add(`{"name":"x","client_authentication_methods":{"private_key_jwt":{"credentials":[{"credential_type":"public_key","pem":"x"}]}}}`)
	f.Add(`{"name":"x","signed_request_object":{"credentials":{}}}`)
	f.Add(`{"name":"x","grant_types":[1],"addons":[[[[{}]]]]}`)
	f.Add(`{"name":1e400}`)
	f.Fuzz(func(t *testing.T, body string) {
		rec := serve(t, e, "/api/v2/clients", "application/json", "Bearer "+token, body)
		var doc map[string]any
		if err := json.Unmarshal(rec.Body.Bytes(), &doc); err != nil {
			t.Fatalf("%d %q: %v", rec.Code, rec.Body, err)
		}
		if made := doc["client_id"] != nil && doc["client_secret"] != nil; rec.Code >= 500 || made != (rec.Code == http.StatusCreated) {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
	})
}
