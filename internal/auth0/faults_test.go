package auth0

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
)

// faults is a proxy in front of the tenant. While a fault is set, matching
// requests suffer it; all others pass.
type faults struct {
	next http.Handler

	mu    sync.Mutex
	match func(*http.Request) bool
	fault fault
	hits  int
}

// fault answers a request in the tenant's place. It may pass it on first.
type fault func(w http.ResponseWriter, r *http.Request, tenant http.Handler)

// set makes requests with the method and path suffer f; nil ends it.
func (f *faults) set(method, path string, broken fault) {
	f.setMatch(func(r *http.Request) bool { return r.Method == method && r.URL.Path == path }, broken)
}

// setMatch makes requests that match suffer f; nil ends it.
func (f *faults) setMatch(match func(*http.Request) bool, broken fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.match, f.fault, f.hits = match, broken, 0
}

// setNth makes the n-th request to the Management API from now on suffer f,
// counted from 0. The function it returns says whether there was such a request.
func (f *faults) setNth(n int, broken fault) (hit func() bool) {
	seen := 0 // guarded by mu, like match
	f.setMatch(func(r *http.Request) bool {
		if r.URL.Path == tokenPath {
			return false
		}
		seen++
		return seen == n+1
	}, broken)
	return func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return seen > n
	}
}

// count returns how many requests suffered since set.
func (f *faults) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hits
}

func (f *faults) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	broken := f.fault
	if broken != nil && f.match(r) {
		f.hits++
	} else {
		broken = nil
	}
	f.mu.Unlock()
	if broken == nil {
		f.next.ServeHTTP(w, r)
		return
	}
	broken(w, r, f.next)
}

// dropAfterCommit lets the tenant do its work and closes the connection instead
// of answering.
func dropAfterCommit(_ http.ResponseWriter, r *http.Request, tenant http.Handler) {
	tenant.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// dropAfterReading closes the connection when the request was read.
func dropAfterReading(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
	_, _ = io.Copy(io.Discard, r.Body)
	panic(http.ErrAbortHandler)
}

// hangAfterCommit lets the tenant do its work and answers nothing until the
// caller gives up.
func hangAfterCommit(_ http.ResponseWriter, r *http.Request, tenant http.Handler) {
	tenant.ServeHTTP(httptest.NewRecorder(), r)
	<-r.Context().Done()
}

// truncate lets the tenant do its work and answers with half of its body.
func truncate(w http.ResponseWriter, r *http.Request, tenant http.Handler) {
	whole := httptest.NewRecorder()
	tenant.ServeHTTP(whole, r)
	w.Header().Set("Content-Type", whole.Header().Get("Content-Type"))
	w.Header().Set("Content-Length", strconv.Itoa(whole.Body.Len()))
	w.WriteHeader(whole.Code)
	_, _ = w.Write(whole.Body.Bytes()[:whole.Body.Len()/2])
	panic(http.ErrAbortHandler)
}

// answer answers with the status, the body and pairs of header names and values.
func answer(status int, body string, header ...string) fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// rewrite lets the tenant do its work and changes its body.
func rewrite(change func(body []byte) []byte) fault {
	return func(w http.ResponseWriter, r *http.Request, tenant http.Handler) {
		whole := httptest.NewRecorder()
		tenant.ServeHTTP(whole, r)
		w.Header().Set("Content-Type", whole.Header().Get("Content-Type"))
		w.WriteHeader(whole.Code)
		_, _ = w.Write(change(whole.Body.Bytes()))
	}
}
