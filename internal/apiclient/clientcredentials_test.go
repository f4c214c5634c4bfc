package apiclient

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/internal/auth0/emulator"
	"github.com/credenceproject/credence/internal/registry"
)

func TestATenantGivesATokenForTheRightSecretAlone(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(nil)
	issuer := "http://" + server.Listener.Addr().String() + "/"
	tenant, err := emulator.New(emulator.Options{Issuer: issuer})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = tenant
	server.Start()
	t.Cleanup(server.Close)
	id, secret := tenant.ManagementCredentials()
	right := TokenRequest{Endpoint: issuer + "oauth/token", ClientID: id, ClientSecret: secret, Audience: issuer + "api/v2/"}

	token, err := ClientCredentials(t.Context(), Options{}, right)
	if err != nil {
		t.Fatalf("ClientCredentials: %v", err)
	}
	raw, err := Claims(token.AccessToken)
	if err != nil {
		t.Fatalf("Claims: %v", err)
	}
	var claims struct{ Iss, Sub string }
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	if claims.Iss != issuer || claims.Sub != id+"@clients" || token.TokenType != "Bearer" || token.ExpiresIn <= 0 {
		t.Errorf("the token %+v has the claims %s", token, raw)
	}

	for name, change := range map[string]func(*TokenRequest){
		"wrong secret":   func(r *TokenRequest) { r.ClientSecret = "not-" + secret },
		"wrong client":   func(r *TokenRequest) { r.ClientID = "nobody" },
		"wrong audience": func(r *TokenRequest) { r.Audience = "https://else.example.com/" },
	} {
		wrong := right
		change(&wrong)
		_, err := ClientCredentials(t.Context(), Options{}, wrong)
		refused, ok := errors.AsType[*OAuthError](err)
		if !ok || refused.Code == "" || refused.Description == "" || (!errors.Is(err, registry.Unauthenticated) && !errors.Is(err, registry.Forbidden)) {
			t.Errorf("%s: %v, want a refusal with its reason", name, err)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error shows the secret", name)
		}
	}
}

func TestTheRefusalsOfATokenEndpoint(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		status int
		header http.Header
		body   string
		want   *OAuthError
		kind   registry.Kind
	}{
		{"RFC 6749", 401, nil, `{"error":"invalid_client","error_description":"Unknown client."}`,
			&OAuthError{Status: 401, Code: "invalid_client", Description: "Unknown client."}, registry.Unauthenticated},
		{"too many", 429, http.Header{"Retry-After": {"4"}}, `{"error":"too_many_requests"}`,
			&OAuthError{Status: 429, Code: "too_many_requests", RetryAfter: 4 * time.Second}, registry.TooManyRequests},
		{"a page", 503, nil, `<html>`, &OAuthError{Status: 503}, registry.Unavailable},
		{"elsewhere", 307, http.Header{"Location": {"https://else.example.com/"}}, ``,
			&OAuthError{Status: 307, Description: "it redirects, and a redirect is not followed with a secret"}, ""},
	} {
		transport := transportFunc(func(*http.Request) (*http.Response, error) { return response(tt.status, tt.header, tt.body), nil })
		_, err := ClientCredentials(t.Context(), Options{HTTPClient: &http.Client{Transport: transport}},
			TokenRequest{Endpoint: "https://tenant.example.com/oauth/token", ClientID: "c", ClientSecret: "s"})
		got, _ := errors.AsType[*OAuthError](err)
		if diff := cmp.Diff(tt.want, got); diff != "" || got.Kind() != tt.kind {
			t.Errorf("%s: kind %q, want %q (-want +got):\n%s", tt.name, got.Kind(), tt.kind, diff)
		}
	}
}

func TestASecretGoesOnlyToAnEncryptedOrLocalEndpoint(t *testing.T) {
	t.Parallel()
	_, err := ClientCredentials(t.Context(), Options{}, TokenRequest{Endpoint: "http://tenant.example.com/oauth/token", ClientID: "c", ClientSecret: "hunter2"})
	if err == nil || !strings.Contains(err.Error(), "is not encrypted") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("ClientCredentials = %v, want a refusal without the secret", err)
	}
}

func TestOnlyAJWTHasClaims(t *testing.T) {
	t.Parallel()
	for _, token := range []string{"", "opaque", "a.b", "a.!.c", "a.bnVsbA.c", "a.WzFd.c", "a.e30.c.d"} { // null and [1] are no objects
		if got, err := Claims(token); !errors.Is(err, registry.Invalid) {
			t.Errorf("Claims(%q) = %s, %v, want Invalid", token, got, err)
		}
	}
	if got, err := Claims("a.e30.c"); err != nil || string(got) != "{}" {
		t.Errorf("Claims of an empty object = %s, %v", got, err)
	}
}
