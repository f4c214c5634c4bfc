package snapshot_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/credenceproject/credence/internal/postgres"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/snapshot"
)

// Postgres is stopped for a while: what is known keeps being answered, its age
// shows, and it is current soon after the return.
func TestAFollowerOutlivesItsDatabase(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := newProxy(t, b.dsn)
	failures := make(chan error)
	r := b.follow(t, snapshot.Options{CheckEvery: promise / 10, Connect: func(ctx context.Context) (snapshot.Session, error) {
		s, err := postgres.NewFeed(func() (string, error) { return p.dsn, nil }).Session(ctx)
		if err == nil {
			return s, nil
		}
		select {
		case failures <- err:
		default: // nobody counts
		}
		return nil, err
	}})
	r.await(t, promise, at(b.write(t, 5)))

	p.cut()
	cut := time.Now()
	view := r.View()
	h := b.write(t, 10)
	for range 6 { // of the follower and of its listener
		if err := <-failures; !errors.Is(err, registry.Unavailable) {
			t.Errorf("a failed connection: error = %v, want Unavailable", err)
		}
	}
	if r.View() != view || r.Ready(t.Context()) != nil {
		t.Error("the view is gone")
	}
	if r.Checked().After(cut) {
		t.Errorf("a view that nobody could check says that it was checked %s after the cut", r.Checked().Sub(cut))
	}
	p.mend()
	r.await(t, promise, at(h))
	b.expectEqual(t, r)
	r.expectReloads(t, snapshot.ReloadFirst)
}

// proxy stands between a follower and its database, and can be cut.
type proxy struct {
	dsn string
	to  *pgx.ConnConfig

	mu    sync.Mutex
	down  bool
	conns []net.Conn
}

func newProxy(t *testing.T, dsn string) *proxy {
	t.Helper()
	to, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := url.URL{Scheme: "postgres", User: url.UserPassword(to.User, to.Password), Host: l.Addr().String(), Path: "/" + to.Database, RawQuery: "sslmode=disable"}
	p := &proxy{dsn: address.String(), to: to}
	var wg sync.WaitGroup
	wg.Go(func() { p.serve(l, &wg) })
	t.Cleanup(func() {
		_ = l.Close()
		p.cut()
		wg.Wait()
	})
	return p
}

func (p *proxy) serve(l net.Listener, wg *sync.WaitGroup) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		if server, ok := p.open(client); ok {
			wg.Go(func() { pipe(client, server) })
			wg.Go(func() { pipe(server, client) })
		}
	}
}

func (p *proxy) open(client net.Conn) (net.Conn, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		_ = client.Close()
		return nil, false
	}
	network, address := pgconn.NetworkAddress(p.to.Host, p.to.Port)
	server, err := net.Dial(network, address)
	if err != nil {
		_ = client.Close()
		return nil, false
	}
	p.conns = append(p.conns, client, server)
	return server, true
}

// pipe copies until either side is gone, and then ends both.
func pipe(from, to net.Conn) {
	_, _ = io.Copy(to, from)
	_, _ = from.Close(), to.Close()
}

// cut ends all connections and takes no new ones.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = true
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

func (p *proxy) mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
}
