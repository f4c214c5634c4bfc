package e2e_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// recorder stands between OPA and one or more servers, as a load balancer does
// that gives each request to the next. It keeps what passes, and can answer in
// the servers' place.
type recorder struct {
	*httptest.Server
	fault atomic.Pointer[http.HandlerFunc]

	mu      sync.Mutex
	targets []string // host:port
	next    int
	seen    []poll
}

// poll is one request of OPA and its answer.
type poll struct {
	server                             string // host:port of the one that answered
	ifNoneMatch, prefer                string
	bearer                             bool // it came with a token
	status                             int
	etag, contentType, contentEncoding string
	length                             int64
}

// patience is how long the recorder waits for a server to begin its answer.
const patience = 2 * time.Second

func newRecorder(t testing.TB, targets ...string) *recorder {
	t.Helper()
	r := &recorder{targets: targets}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = patience
	t.Cleanup(transport.CloseIdleConnections)
	next := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite:   func(p *httputil.ProxyRequest) { p.SetURL(&url.URL{Scheme: "http", Host: r.turn()}) },
		ModifyResponse: func(a *http.Response) error {
			r.record(a.Request, a)
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, q *http.Request, _ error) {
			r.record(q, &http.Response{StatusCode: http.StatusBadGateway})
			w.WriteHeader(http.StatusBadGateway)
		},
	}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if f := r.fault.Load(); f != nil {
			(*f)(w, q)
			return
		}
		next.ServeHTTP(w, q)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *recorder) record(q *http.Request, a *http.Response) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, poll{
		server:      q.URL.Host,
		ifNoneMatch: q.Header.Get("If-None-Match"), prefer: q.Header.Get("Prefer"), bearer: strings.HasPrefix(q.Header.Get("Authorization"), "Bearer "),
		status: a.StatusCode, etag: a.Header.Get("ETag"), contentType: a.Header.Get("Content-Type"), contentEncoding: a.Header.Get("Content-Encoding"),
		length: a.ContentLength,
	})
}

// turn is the server that gets the next request.
func (r *recorder) turn() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next++
	return r.targets[r.next%len(r.targets)]
}

// leadTo replaces the servers.
func (r *recorder) leadTo(targets ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.targets = targets
}

func (r *recorder) polls() []poll {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen)
}

// state is the newest state that OPA was given; "" before the first.
func (r *recorder) state() string {
	polls := r.polls()
	for _, p := range slices.Backward(polls) {
		if p.status == http.StatusOK {
			return p.etag
		}
	}
	return ""
}

// tagPart is a part of an ETag: the scope, the epoch, the revision and the hash.
func tagPart(etag string, i int) string { return strings.Split(strings.Trim(etag, `"`), ".")[i] }
