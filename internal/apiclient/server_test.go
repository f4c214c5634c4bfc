package apiclient

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/credenceproject/credence/api"
)

const testToken = "header.payload.signature"

func staticToken(context.Context) (string, error) { return testToken, nil }

// call is one request as a server saw it.
type call struct{ Method, URI, Authorization, ContentType, Body string }

// recorder is a server that keeps the requests and answers with next.
type recorder struct {
	*httptest.Server
	mu    sync.Mutex
	calls []call
}

func newRecorder(t *testing.T, next http.HandlerFunc) *recorder {
	t.Helper()
	r := &recorder{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		r.calls = append(r.calls, call{
			Method: req.Method, URI: req.RequestURI, Authorization: req.Header.Get("Authorization"),
			ContentType: req.Header.Get("Content-Type"), Body: string(body),
		})
		r.mu.Unlock()
		next(w, req)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *recorder) seen() []call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]call(nil), r.calls...)
}

func newClient(t *testing.T, url string) *Client {
	t.Helper()
	c, err := New(Options{URL: url, Token: staticToken})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return c
}

func answerJSON(w http.ResponseWriter, status int, doc any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(doc)
}

func answerProblem(w http.ResponseWriter, p api.Problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}

// transportFunc answers without a network, so that a test's clock can be a bubble's.
type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func response(status int, header http.Header, body string) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}
}

func secretToken(token string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return token, nil }
}

// quiet is a log for a server whose refused handshakes are the test.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

func pkcs8(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
