package e2e_test

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// link is one replica's way to the database, which can freeze and break while
// other replicas go on. It is safe for concurrent use.
type link struct {
	dsn      string
	listener net.Listener
	dial     func() (net.Conn, error)

	mu     sync.Mutex
	passes chan struct{} // closed while bytes pass
	broken bool
	open   map[net.Conn]struct{}
}

// newLink makes a way to the database at dsn, over TCP.
func newLink(t testing.TB, dsn string) *link {
	t.Helper()
	c := must(pgx.ParseConfig(dsn))(t)
	network, address := pgconn.NetworkAddress(c.Host, c.Port)
	l := &link{
		listener: must((&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0"))(t),
		dial:     func() (net.Conn, error) { return net.Dial(network, address) },
		passes:   make(chan struct{}), open: map[net.Conn]struct{}{},
	}
	close(l.passes)
	u := url.URL{Scheme: "postgres", User: url.UserPassword(c.User, c.Password), Host: l.listener.Addr().String(), Path: "/" + c.Database, RawQuery: "sslmode=disable"}
	l.dsn = u.String()
	go l.accept()
	t.Cleanup(func() {
		l.mend()
		_ = l.listener.Close()
	})
	return l
}

// freeze holds every byte back: nobody is told that anything is wrong.
func (l *link) freeze() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.passes = make(chan struct{})
}

// cut ends all connections and every new one at once, as a database that was
// stopped does.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = true
	for c := range l.open {
		_ = c.Close()
	}
}

// mend lets everything pass again, also what was held back.
func (l *link) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = false
	select {
	case <-l.passes:
	default:
		close(l.passes)
	}
}

func (l *link) gate() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.passes
}

func (l *link) accept() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return
		}
		go l.join(near)
	}
}

func (l *link) join(near net.Conn) {
	far, err := l.dial()
	if err != nil {
		_ = near.Close()
		return
	}
	if !l.keep(near, far) {
		return
	}
	defer l.drop(near, far)
	var wg sync.WaitGroup
	for _, pair := range [][2]net.Conn{{near, far}, {far, near}} {
		wg.Go(func() {
			_, _ = io.Copy(held{pair[1], l}, pair[0])
			_ = pair[0].Close()
			_ = pair[1].Close()
		})
	}
	wg.Wait()
}

// keep notes the connections, or ends them while the link is broken.
func (l *link) keep(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		if l.broken {
			_ = c.Close()
			continue
		}
		l.open[c] = struct{}{}
	}
	return !l.broken
}

func (l *link) drop(conns ...net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		delete(l.open, c)
	}
}

// held writes when bytes pass.
type held struct {
	io.Writer
	link *link
}

func (h held) Write(b []byte) (int, error) {
	<-h.link.gate()
	return h.Writer.Write(b)
}
