package e2e_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// seen is a request that came to a proxy, and what the caller got: 0 is a
// connection that broke.
type seen struct {
	Method, Path string
	Status       int
}

// fault is what a proxy does to some requests instead of passing them on.
type fault struct {
	method string // "" is any
	path   string // what the path begins with
	times  int    // how often; 0 is until it is lifted
	do     func(w http.ResponseWriter, r *http.Request, next http.Handler)
	used   int
}

// proxy stands before a provider, notes what passes and breaks what it is told
// to. It is safe for concurrent use.
type proxy struct {
	*httptest.Server
	next http.Handler

	mu     sync.Mutex
	faults []*fault
	calls  []seen
}

func newProxy(t testing.TB) *proxy {
	t.Helper()
	p := &proxy{}
	p.Server = httptest.NewServer(p)
	t.Cleanup(func() {
		p.CloseClientConnections() // of those that are held
		p.Close()
	})
	return p
}

// set makes these the faults; of those that a request fits, the first strikes that
// is not used up. nil lifts them.
func (p *proxy) set(faults ...*fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = nil
	for _, f := range faults {
		if f != nil {
			f.used = 0
			p.faults = append(p.faults, f)
		}
	}
}

// hits is how often the present faults struck.
func (p *proxy) hits() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.faults {
		n += f.used
	}
	return n
}

// passed returns the requests so far whose path begins so.
func (p *proxy) passed(path string) []seen {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []seen
	for _, c := range p.calls {
		if strings.HasPrefix(c.Path, path) {
			found = append(found, c)
		}
	}
	return found
}

func (p *proxy) strike(r *http.Request) *fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.faults {
		if (f.method == "" || f.method == r.Method) && strings.HasPrefix(r.URL.Path, f.path) && (f.times == 0 || f.used < f.times) {
			f.used++
			return f
		}
	}
	return nil
}

// ServeHTTP reads the whole request first, so that its context ends when the
// caller hangs up.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	rec := &statusRecorder{ResponseWriter: w}
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.calls = append(p.calls, seen{r.Method, r.URL.Path, int(rec.status.Load())})
	}()
	if f := p.strike(r); f != nil {
		f.do(rec, r, p.next)
		return
	}
	p.next.ServeHTTP(rec, r)
}

type statusRecorder struct {
	http.ResponseWriter
	status atomic.Int32
}

func (s *statusRecorder) WriteHeader(status int) {
	s.status.Store(int32(status))
	s.ResponseWriter.WriteHeader(status)
}

// Unwrap lets a fault flush.
func (s *statusRecorder) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// The faults.

func dropBefore(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }

func dropAfter(_ http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// hang never answers, and the provider never hears of it.
func hang(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() }

// late never answers, though the provider has done what was asked.
func late(_ http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(httptest.NewRecorder(), r)
	<-r.Context().Done()
}

// truncate passes half of the provider's answer on.
func truncate(w http.ResponseWriter, r *http.Request, next http.Handler) {
	rec := httptest.NewRecorder()
	next.ServeHTTP(rec, r)
	for name, values := range rec.Header() {
		w.Header()[name] = values
	}
	whole := rec.Body.Bytes()
	w.Header().Set("Content-Length", "100000")
	w.WriteHeader(rec.Code)
	_, _ = w.Write(whole[:len(whole)/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// answer refuses in the provider's place.
func answerWith(status int, body string, header ...string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// hold keeps the answer of a request that the provider has answered. entered is
// closed when it does.
func hold(entered chan<- struct{}) func(http.ResponseWriter, *http.Request, http.Handler) {
	var once sync.Once
	return func(_ http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(httptest.NewRecorder(), r)
		once.Do(func() { close(entered) })
		<-r.Context().Done()
	}
}
