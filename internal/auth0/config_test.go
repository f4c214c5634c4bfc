package auth0

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseDomainTakesPlainHTTPForLoopbackOnly(t *testing.T) {
	t.Parallel()
	for domain, want := range map[string]string{
		"tenant.eu.auth0.com":        "https://tenant.eu.auth0.com/oauth/token",
		"login.example.com":          "https://login.example.com/oauth/token",
		"http://127.0.0.1:8085":      "http://127.0.0.1:8085/oauth/token",
		"http://127.0.0.1:8085/":     "http://127.0.0.1:8085/oauth/token",
		"http://[::1]:8085":          "http://[::1]:8085/oauth/token",
		"http://localhost:8085":      "http://localhost:8085/oauth/token",
		"http://LocalHost:8085":      "http://LocalHost:8085/oauth/token",
		"http://127.0.0.1:0":         "",
		"http://127.0.0.1?":          "",
		"":                           "",
		"127.0.0.1:8085":             "",
		"http://tenant.eu.auth0.com": "",
		"http://10.0.0.1":            "",
		"http://127.0.0.1.evil.com":  "",
		"http://localhost.evil.com":  "",
		"https://tenant.auth0.com":   "",
		"tenant.eu.auth0.com/api":    "",
		"tenant.eu.auth0.com:443":    "",
		"user@tenant.eu.auth0.com":   "",
		"http://u:p@127.0.0.1":       "",
		"http://127.0.0.1/path":      "",
		"http://127.0.0.1?x=1":       "",
		"ftp://127.0.0.1":            "",
		"tenant":                     "",
		"-tenant.auth0.com":          "",
		"tenant..auth0.com":          "",
		"http://%zz":                 "",
	} {
		ep, err := parseDomain(domain)
		got := ""
		if err == nil {
			got = ep.url(tokenPath)
		}
		if got != want {
			t.Errorf("parseDomain(%q): %q, %v; want %q", domain, got, err, want)
		}
	}
}

func TestAPasswordInTheDomainIsNotTold(t *testing.T) {
	t.Parallel()
	for _, domain := range []string{"http://me:hunter2@127.0.0.1", "https://me:hunter2@tenant.auth0.com", "http://me:hunter2@tenant.auth0.com:port"} {
		if _, err := parseDomain(domain); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("parseDomain(%q): %v", domain, err)
		}
	}
}

func TestNewReportsEveryFaultAtOnce(t *testing.T) {
	t.Parallel()
	_, err := New(t.Context(), Config{Domain: "http://example.com", Installation: "a b"}, nil)
	if err == nil {
		t.Fatal("New accepted it")
	}
	for _, want := range []string{"loopback", "client id", "client secret", "installation", "audience"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error says nothing of the %s: %v", want, err)
		}
	}
}

func TestNewRefusesTheManagementAPIAsTheAgentsAudience(t *testing.T) {
	t.Parallel()
	for _, audience := range []string{"https://tenant.auth0.com/api/v2/", "https://tenant.auth0.com/api/v2", "https://TENANT.auth0.com/api/v2/"} {
		c := Config{
			Domain: "tenant.auth0.com", ClientID: "id", Installation: "test", Audience: audience,
			ClientSecret: func() (string, error) { return "secret", nil },
		}
		if _, err := New(t.Context(), c, nil); err == nil || !strings.Contains(err.Error(), "Management API") {
			t.Errorf("audience %s: %v", audience, err)
		}
	}
}

func TestSetupConfigReportsEveryFault(t *testing.T) {
	t.Parallel()
	good := SetupConfig{APIAudience: testAPIAudience, Config: Config{
		Domain: "tenant.auth0.com", ClientID: "id", Installation: "test", Audience: testAudience,
		ClientSecret: func() (string, error) { return "secret", nil },
	}}
	if err := good.withDefaults().check(); err != nil {
		t.Fatalf("a good configuration: %v", err)
	}
	for name, row := range map[string]struct {
		change func(*SetupConfig)
		want   string
	}{
		"invariant A2: equal audiences":     {func(c *SetupConfig) { c.APIAudience = testAudience }, "must differ"},
		"audiences that differ in a slash":  {func(c *SetupConfig) { c.APIAudience = "https://mcp.example.com" }, "must differ"},
		"audiences that differ in case":     {func(c *SetupConfig) { c.APIAudience = "https://MCP.example.com/" }, "must differ"},
		"no audience of the control plane":  {func(c *SetupConfig) { c.APIAudience = "" }, "control plane's audience is missing"},
		"the Management API":                {func(c *SetupConfig) { c.APIAudience = "https://tenant.auth0.com/api/v2/" }, "Management API"},
		"claims without a slash":            {func(c *SetupConfig) { c.Audience = "https://mcp.example.com" }, "ends in a slash"},
		"claims that are no URL":            {func(c *SetupConfig) { c.Audience = "urn:mcp/" }, "want a URL"},
		"claims under Auth0's domain":       {func(c *SetupConfig) { c.Audience = "https://mcp.auth0.com/" }, "own domains"},
		"a lifetime of half seconds":        {func(c *SetupConfig) { c.TokenLifetime = 1500 * time.Millisecond }, "whole seconds"},
		"a negative lifetime":               {func(c *SetupConfig) { c.TokenLifetime = -time.Hour }, "whole seconds"},
		"a lifetime of a year":              {func(c *SetupConfig) { c.TokenLifetime = 365 * 24 * time.Hour }, "at most"},
		"a scope with a space":              {func(c *SetupConfig) { c.Scopes = []Scope{{Value: "data read"}} }, `scope "data read"`},
		"an empty scope":                    {func(c *SetupConfig) { c.Scopes = []Scope{{}} }, `scope ""`},
		"a fault of the connection as well": {func(c *SetupConfig) { c.Domain = "http://example.com" }, "loopback"},
	} {
		c := good
		row.change(&c)
		if err := c.withDefaults().check(); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The proxy carries the requests, and nothing follows where it points.
func TestNewGoesThroughTheProxy(t *testing.T) {
	t.Parallel()
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.String())
		http.Redirect(w, r, "http://elsewhere.example.com/", http.StatusTemporaryRedirect)
	}))
	t.Cleanup(proxy.Close)
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(t.Context(), Config{
		Domain: "http://127.0.0.1:1", ClientID: "id", ClientSecret: func() (string, error) { return "secret", nil },
		Audience: testAudience, Installation: "test", Proxy: http.ProxyURL(at),
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Ping(t.Context()); err == nil {
		t.Error("Ping() = nil")
	}
	if diff := cmp.Diff([]string{"POST http://127.0.0.1:1/oauth/token"}, asked); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}
