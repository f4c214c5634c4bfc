package apiclient

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/credenceproject/credence/api"
	"github.com/credenceproject/credence/internal/registry"
)

func TestATokenGoesOnlyToAnEncryptedOrLocalAddress(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"https://credence.example.com":       "",
		"https://credence.example.com/api/":  "",
		"http://127.0.0.1:8080":              "",
		"http://127.8.9.10:8080":             "",
		"http://localhost:8080":              "",
		"http://[::1]:8080":                  "",
		"http://credence.example.com":        "is not encrypted",
		"http://10.0.0.1:8080":               "is not encrypted",
		"http://localhost.example.com":       "is not encrypted",
		"http://127.0.0.1.example.com":       "is not encrypted",
		"127.0.0.1:8080":                     "is not an address",
		"ftp://credence.example.com":         "is not an address",
		"https://":                           "is not an address",
		"":                                   "is not an address",
		"https://u:hunter2@credence.example": "no user",
		"h t://u:hunter2@credence.example":   "is not an address",
		"https://credence.example.com/?x=y":  "no user, query or fragment",
		"https://credence.example.com/#here": "no user, query or fragment",
	} {
		_, err := New(Options{URL: address, Token: staticToken})
		if want == "" {
			if err != nil {
				t.Errorf("New(%q) = %v, want no error", address, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New(%q) = %v, want an error with %q", address, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("New(%q): the error shows the password: %v", address, err)
		}
	}
}

func TestARedirectIsNotFollowedWithTheToken(t *testing.T) {
	t.Parallel()
	elsewhere := newRecorder(t, func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, http.StatusOK, api.Agent{}) })
	server := newRecorder(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusTemporaryRedirect)
	})
	c := newClient(t, server.URL)
	_, err := c.Agent(t.Context(), "triage")
	p, ok := errors.AsType[*Problem](err)
	if !ok || p.Status != http.StatusTemporaryRedirect || !strings.Contains(p.Detail, elsewhere.URL) {
		t.Errorf("Agent = %v, want a problem that names where the redirect goes", err)
	}
	if seen := elsewhere.seen(); len(seen) != 0 {
		t.Errorf("the redirect was followed: %v", seen)
	}
}

func TestNoRequestCarriesATokenThatIsNone(t *testing.T) {
	t.Parallel()
	server := newRecorder(t, func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, http.StatusOK, api.Agent{}) })
	for _, token := range []string{"", "two words", "split\r\nX-Admin: 1", "naïve"} {
		c := newClient(t, server.URL)
		c.token = secretToken(token)
		if _, err := c.Agent(t.Context(), "triage"); err == nil || (token != "" && strings.Contains(err.Error(), token)) {
			t.Errorf("Agent with the token %q = %v, want an error without it", token, err)
		}
	}
	if seen := server.seen(); len(seen) != 0 {
		t.Errorf("the server saw %v", seen)
	}
}

func TestWithoutAnAnswerTheErrorTellsWhetherTheRequestLeft(t *testing.T) {
	t.Parallel()
	hangsUp := newRecorder(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	resets := newRecorder(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_ = conn.(*net.TCPConn).SetLinger(0) // the end of the connection is a reset
		_ = conn.Close()
	})
	away := httptest.NewServer(http.NotFoundHandler())
	away.Close()
	for address, want := range map[string]string{away.URL: Unreachable, hangsUp.URL: "connection_lost", resets.URL: "connection_lost"} {
		_, err := newClient(t, address).Register(t.Context(), []byte(`{}`))
		e, ok := registry.AsError(err)
		if !ok || e.Kind != registry.Unavailable || e.Code != want {
			t.Errorf("Register = %v, want Unavailable with the code %s", err, want)
		}
	}
	for _, server := range []*recorder{hangsUp, resets} {
		if seen := server.seen(); len(seen) != 1 {
			t.Errorf("the registration was sent %d times, want once", len(seen))
		}
	}
}

func TestCertificatesAreTheOnesGiven(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answerJSON(w, http.StatusOK, api.Agent{Name: r.TLS.PeerCertificates[0].Subject.Organization[0]})
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12}
	server.Config.ErrorLog = quiet()
	server.StartTLS()
	t.Cleanup(server.Close)
	ca, key := writePair(t, server.TLS.Certificates[0])

	c, err := New(Options{URL: server.URL, Token: staticToken, CACertFile: ca, ClientCertFile: ca, ClientKeyFile: key})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	got, err := c.Agent(t.Context(), "triage")
	if err != nil || got.Name != "Acme Co" {
		t.Errorf("Agent over mutual TLS = %q, %v, want the name in the client's certificate", got.Name, err)
	}

	_, err = newClient(t, server.URL).Agent(t.Context(), "triage")
	if err == nil || errors.Is(err, registry.Unavailable) || !strings.Contains(err.Error(), "not trusted") {
		t.Errorf("Agent of an unknown authority = %v, want an error of no kind that says so", err)
	}
}

func TestOptionsThatCannotBeUsedAreRefused(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]Options{
		"no token":            {},
		"no such authorities": {Token: staticToken, CACertFile: empty + ".gone"},
		"no authorities":      {Token: staticToken, CACertFile: empty},
		"half a pair":         {Token: staticToken, ClientCertFile: empty},
		"no pair":             {Token: staticToken, ClientCertFile: empty, ClientKeyFile: empty},
		"two ways to connect": {Token: staticToken, HTTPClient: http.DefaultClient, CACertFile: empty},
		"no verification":     {Token: staticToken, SkipVerify: true},
	} {
		o.URL = "https://credence.example.com"
		if _, err := New(o); err == nil {
			t.Errorf("%s: New returned no error", name)
		}
	}
}

// writePair writes a certificate and its key as PEM files.
func writePair(t *testing.T, pair tls.Certificate) (certFile, keyFile string) {
	t.Helper()
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write := func(file, kind string, der []byte) {
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(certFile, "CERTIFICATE", pair.Certificate[0])
	write(keyFile, "PRIVATE KEY", pkcs8(t, pair.PrivateKey))
	return certFile, keyFile
}
