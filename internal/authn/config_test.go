package authn

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNew_RefusesWhatCannotBeTrusted(t *testing.T) {
	t.Parallel()
	good := Config{Issuer: "https://tenant.eu.auth0.com/", Audience: testAudience}
	rows := map[string]func(c *Config){
		"no issuer":              func(c *Config) { c.Issuer = "" },
		"a bare host":            func(c *Config) { c.Issuer = "tenant.eu.auth0.com" },
		"a relative issuer":      func(c *Config) { c.Issuer = "/issuer" },
		"no host":                func(c *Config) { c.Issuer = "https:///issuer" },
		"http beyond loopback":   func(c *Config) { c.Issuer = "http://tenant.eu.auth0.com/" },
		"http to a look-alike":   func(c *Config) { c.Issuer = "http://localhost.example/" },
		"http to 127 as a name":  func(c *Config) { c.Issuer = "http://127.0.0.1.example/" },
		"http to all interfaces": func(c *Config) { c.Issuer = "http://0.0.0.0/" },
		"a file":                 func(c *Config) { c.Issuer = "file:///issuer" },
		"port 0":                 func(c *Config) { c.Issuer = "https://tenant.example:0/" },
		"a user":                 func(c *Config) { c.Issuer = "https://me:secret@tenant.example/" },
		"a query":                func(c *Config) { c.Issuer = "https://tenant.example/?" },
		"a fragment":             func(c *Config) { c.Issuer = "https://tenant.example/#x" },
		"no URL":                 func(c *Config) { c.Issuer = "https://%zz/" },
		"no audience":            func(c *Config) { c.Audience = "" },
		"negative skew":          func(c *Config) { c.ClockSkew = -1 },
		"negative refetch":       func(c *Config) { c.KeyRefetch = -1 },
		"negative cache":         func(c *Config) { c.CacheSize = -1 },
	}
	for name, spoil := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := good
			spoil(&c)
			if _, err := New(c, &testAgents{}, slog.New(slog.DiscardHandler)); err == nil {
				t.Errorf("New accepted %+v", c)
			}
		})
	}
	if _, err := New(good, nil, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("New accepted no registry to ask about clients")
	}
	if _, err := New(good, &testAgents{}, nil); err == nil {
		t.Error("New accepted no logger")
	}
}

func TestNew_HasDefaults(t *testing.T) {
	t.Parallel()
	for _, issuer := range []string{"https://tenant.eu.auth0.com/", "http://localhost:8081/", "http://127.0.0.1:1/", "http://[::1]:1/x", "http://LOCALHOST:1/"} {
		v, err := New(Config{Issuer: issuer, Audience: testAudience}, &testAgents{}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Errorf("New with issuer %s: %v", issuer, err)
			continue
		}
		c := v.config
		if c.TeamsClaim != testAudience+"teams" || c.ClockSkew != 30*time.Second || c.KeyRefetch != 10*time.Second ||
			c.CacheSize != 10_000 || c.Now == nil || c.HTTPClient.Timeout != 5*time.Second {
			t.Errorf("defaults are %+v", c)
		}
	}
}

func TestNew_BoundsACopyOfTheClient(t *testing.T) {
	t.Parallel()
	theirs := &http.Client{Timeout: time.Second}
	ours := boundedClient(theirs, nil)
	if ours.Timeout != time.Second || ours.CheckRedirect == nil || ours.Transport == nil {
		t.Errorf("the client is not bounded: %+v", ours)
	}
	if theirs.CheckRedirect != nil || theirs.Transport != nil {
		t.Errorf("the caller's client was changed: %+v", theirs)
	}
}

// The proxy carries the requests, and the bounds hold for it too.
func TestNew_GoesThroughTheProxy(t *testing.T) {
	t.Parallel()
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.String())
		http.Redirect(w, r, "http://elsewhere.example.com/", http.StatusFound)
	}))
	t.Cleanup(proxy.Close)
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	v, err := New(Config{Issuer: "http://localhost:1/", Audience: testAudience, Proxy: http.ProxyURL(at)}, &testAgents{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Ready(t.Context()); err == nil {
		t.Error("Ready() = nil")
	}
	if diff := cmp.Diff([]string{"GET http://localhost:1/.well-known/openid-configuration"}, asked); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}
