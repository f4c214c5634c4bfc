package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/credenceproject/credence/api"
)

func TestHealthcheckExitsWithZeroOrOneAndSaysOneLine(t *testing.T) {
	t.Parallel()
	gone, reason := httptest.NewServer(http.NotFoundHandler()), "the database\nis older"
	gone.Close()
	notReady := api.Readiness{Checks: []api.Check{{Name: api.Database, Ok: true}, {Name: api.Schema, Reason: &reason}}}
	server := newAPIServer(t, map[string]http.HandlerFunc{
		"GET /readyz":    answer(200, api.Readiness{Ready: true}),
		"GET /unready":   answer(503, notReady),
		"GET /elsewhere": http.RedirectHandler("/readyz", http.StatusFound).ServeHTTP,
	})
	encrypted := httptest.NewTLSServer(answer(200, api.Readiness{Ready: true}))
	t.Cleanup(encrypted.Close)
	for _, tt := range []struct {
		url      string
		code     int
		out, err string
	}{
		{server.URL + "/readyz", 0, "ready\n", ""},
		{encrypted.URL, 0, "ready\n", ""}, // its certificate is not for this machine
		{server.URL + "/unready", 1, "", "credence: not ready: HTTP status 503; schema: the database\\u000ais older\n"},
		{server.URL + "/elsewhere", 1, "", "credence: not ready: HTTP status 302\n"},
		{server.URL + "/nothing", 1, "", "credence: not ready: HTTP status 404\n"},
		{"nonsense", 1, "", "credence: not ready: --url is not an address such as http://127.0.0.1:8080/readyz\n"},
	} {
		c := &terminal{dir: t.TempDir()}
		code := c.run(t.Context(), "healthcheck", "--url", tt.url)
		if code != tt.code {
			t.Errorf("%s: exit code %d, want %d", tt.url, code, tt.code)
		}
		want(t, tt.url+": stdout", tt.out, c.out)
		want(t, tt.url+": stderr", tt.err, c.err)
	}
	c := &terminal{dir: t.TempDir()}
	if code := c.run(t.Context(), "healthcheck", "--url", gone.URL); code != 1 {
		t.Errorf("a server that is away: exit code %d, want 1", code)
	}
	if code := c.run(t.Context(), "healthcheck", "--url", server.URL+"/readyz", "--timeout", "1ns"); code != 1 {
		t.Errorf("no time: exit code %d, want 1", code)
	}
}
