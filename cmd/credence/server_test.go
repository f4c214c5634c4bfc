package main

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// pipes is a listener in memory, so that time can be a bubble's.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	conn, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (p pipes) Close() error { close(p); return nil }

func (pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// Whoever asks and never reads, and needs no token to, would keep a connection
// and what is written to it for ever.
func TestClientsThatDoNotReadAreLetGo(t *testing.T) {
	t.Parallel()
	const longest = 40 * time.Second
	large := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(longest)
		_, _ = w.Write(make([]byte, 1<<20))
	})
	for _, tt := range []struct {
		name string
		path string
		srv  func() *http.Server
	}{
		{"of the API", "/", func() *http.Server { return httpServer(large, nil, longest, slog.New(slog.DiscardHandler)) }},
		{"of the metrics", "/debug/pprof/", func() *http.Server { return metricsServer(prometheus.NewRegistry(), nil) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv, l := tt.srv(), make(pipes)
				go func() { _ = srv.Serve(l) }()
				defer func() { _ = srv.Close() }()

				silent := ask(t, l, tt.path)
				time.Sleep(longest + writeTimeout + time.Second)
				if _, err := silent.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
					t.Errorf("the connection of a client that does not read is still open: write = %v", err)
				}

				response, err := http.ReadResponse(bufio.NewReader(ask(t, l, tt.path)), nil)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = response.Body.Close() }()
				if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK {
					t.Errorf("a client that reads gets status %d, error %v", response.StatusCode, err)
				}
			})
		})
	}
}

// ask opens a connection and sends a request.
func ask(t *testing.T, l pipes, path string) net.Conn {
	t.Helper()
	near, far := net.Pipe()
	l <- far
	if _, err := near.Write([]byte("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	return near
}
