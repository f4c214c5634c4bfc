package e2e_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credenceproject/credence/api"
)

// caller is somebody who calls the API of a server.
type caller struct {
	w       *world
	token   string
	headers []string // pairs
}

func (w *world) as(token string) caller { return caller{w: w, token: token} }

// with adds headers, given as pairs.
func (c caller) with(headers ...string) caller {
	c.headers = append(c.headers[:len(c.headers):len(c.headers)], headers...)
	return c
}

func (c caller) get(path string) response    { return c.do("GET", path, "", nil) }
func (c caller) delete(path string) response { return c.do("DELETE", path, "", nil) }
func (c caller) put(path, document string) response {
	return c.do("PUT", path, "application/json", strings.NewReader(document))
}
func (c caller) post(path, document string) response {
	return c.do("POST", path, "application/json", strings.NewReader(document))
}

// register registers an agent, which must work.
func (c caller) register(document string) api.RegisteredAgent {
	c.w.t.Helper()
	var r api.RegisteredAgent
	answer := c.post("/agents", document)
	answer.want(c.w.t, 201)
	answer.decode(c.w.t, &r)
	c.w.secrets.add("the secret of "+r.Agent.Name, secretOf(r))
	return r
}

// secretOf is the secret that was handed out, or "".
func secretOf(r api.RegisteredAgent) string {
	if r.Credentials.ClientSecret == nil {
		return ""
	}
	return *r.Credentials.ClientSecret
}

func (c caller) do(method, path, contentType string, body io.Reader) response {
	c.w.t.Helper()
	r := must(http.NewRequestWithContext(c.w.t.Context(), method, "http://"+c.w.api+path, body))(c.w.t)
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(c.headers); i += 2 {
		r.Header.Set(c.headers[i], c.headers[i+1])
		if c.headers[i] == "Host" {
			r.Host = c.headers[i+1]
		}
	}
	return send(c.w.t, client, r)
}

var client = &http.Client{Timeout: bound}

// response is a whole answer.
type response struct {
	status int
	header http.Header
	body   []byte
}

// send sends r and holds a failure to what every problem must be.
func send(t testing.TB, client *http.Client, r *http.Request) response {
	t.Helper()
	answer, err := client.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	defer answer.Body.Close()
	got := response{status: answer.StatusCode, header: answer.Header, body: must(io.ReadAll(answer.Body))(t)}
	if got.status >= 400 && r.URL.Path != "/readyz" && answer.Header.Get("X-Request-Id") != "" {
		got.checkProblem(t, r)
	}
	return got
}

func (r response) checkProblem(t testing.TB, of *http.Request) {
	t.Helper()
	p := r.problem(t)
	if r.header.Get("Content-Type") != "application/problem+json" || r.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s %s: problem with headers %v", of.Method, of.URL, r.header)
	}
	if p.Status != r.status || p.Title == "" || p.Code == "" || p.Type != "https://credence.example/problems/"+p.Code || p.RequestID != r.header.Get("X-Request-Id") {
		t.Errorf("%s %s: %d with the problem %s", of.Method, of.URL, r.status, r.body)
	}
	if (r.status == 503) != (r.header.Get("Retry-After") != "") {
		t.Errorf("%s %s: %d with Retry-After %q", of.Method, of.URL, r.status, r.header.Get("Retry-After"))
	}
	if (r.status == 401) != strings.HasPrefix(r.header.Get("WWW-Authenticate"), `Bearer realm="credence"`) {
		t.Errorf("%s %s: %d with WWW-Authenticate %q", of.Method, of.URL, r.status, r.header.Get("WWW-Authenticate"))
	}
}

func (r response) problem(t testing.TB) api.Problem {
	t.Helper()
	var p api.Problem
	r.decode(t, &p)
	return p
}

// decode reads the body, in which nothing is unknown.
func (r response) decode(t testing.TB, v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(r.body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%d %s: %v", r.status, r.body, err)
	}
}

// want ends the test unless the status is one of these.
func (r response) want(t testing.TB, status int) response {
	t.Helper()
	if r.status != status {
		t.Fatalf("status %d, want %d: %s", r.status, status, r.body)
	}
	return r
}

// refused is a refusal in short: its status, its code, and of each fault the
// pointer and the code.
type refused struct {
	Status int
	Code   string
	Faults []string
}

func (r response) refused(t testing.TB) refused {
	t.Helper()
	got := refused{Status: r.status}
	if r.status < 400 {
		return got
	}
	p := r.problem(t)
	got.Code = p.Code
	if p.Errors != nil {
		for _, f := range *p.Errors {
			got.Faults = append(got.Faults, f.Pointer+" "+f.Code)
		}
	}
	return got
}

// wantRefused compares a refusal.
func (r response) wantRefused(t testing.TB, status int, code string, faults ...string) {
	t.Helper()
	r.wantRefusedAs(t, "refusal", refused{status, code, faults})
}

// wantRefusedAs compares the refusal of what is called name.
func (r response) wantRefusedAs(t testing.TB, name string, want refused) {
	t.Helper()
	if diff := cmp.Diff(want, r.refused(t)); diff != "" {
		t.Errorf("%s (-want +got):\n%s\n%s", name, diff, r.body)
	}
}

// metricsPage is what the server says of itself.
func (w *world) metricsPage() []byte {
	w.t.Helper()
	r := must(http.NewRequestWithContext(w.t.Context(), "GET", "http://"+w.metrics+"/metrics", nil))(w.t)
	return send(w.t, &http.Client{Timeout: 10 * time.Second}, r).want(w.t, 200).body
}
