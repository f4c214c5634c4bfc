package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// SocketOnly as a port makes PostgreSQL listen on its Unix socket alone.
const SocketOnly = -1

// superuser is the role that owns a cluster.
const superuser = "postgres"

// PostgresOptions say how to run PostgreSQL: fast, and without regard to what a
// crash of the machine would lose.
type PostgresOptions struct {
	Tools    Tools
	Dir      string // gets the log and, but for root, the cluster; "" for a temporary one that Stop removes
	Port     int    // on 127.0.0.1, with a random password; 0 picks a free one; SocketOnly for none
	PortFlag string // named when Port is taken; default "--postgres-port"
}

// Postgres is a running server with a cluster that began empty. Its fields are not to
// be changed; its methods are safe for concurrent use.
type Postgres struct {
	Port int    // SocketOnly when it does not listen on TCP
	Log  string // path of its log

	socketDir string // mode 0700; a connection through it needs no password
	password  string
	proc      *process
}

// StartPostgres makes a cluster, starts a server on it and waits until it answers.
// ctx bounds the start alone. The error is one line: a *PortTakenError, or what
// PostgreSQL said last and where its log is.
//
// PostgreSQL refuses to run as root. For root it therefore runs as user nobody,
// and its cluster always lies in a temporary directory, which nobody can reach.
func StartPostgres(ctx context.Context, o PostgresOptions) (*Postgres, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startBound, errors.New("gave up after "+startBound.String()))
	defer cancel()
	if o.PortFlag == "" {
		o.PortFlag = "--postgres-port"
	}
	if o.Port == SocketOnly {
		return startPostgres(ctx, o)
	}
	return withPort(o.Port, 1, o.PortFlag, func(port int) (*Postgres, error) {
		o.Port = port
		return startPostgres(ctx, o)
	})
}

func startPostgres(ctx context.Context, o PostgresOptions) (_ *Postgres, err error) {
	c, err := newCluster(o)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(c.run)
		}
	}()
	if err := c.initialize(ctx); err != nil {
		return nil, err
	}
	p, err := start(c.server(o.Port))
	if err != nil {
		return nil, err
	}
	s := &Postgres{Port: o.Port, Log: c.log, socketDir: c.run, proc: p}
	if err = p.await(ctx, s.answers); err == nil && o.Port != SocketOnly {
		err = s.setPassword(ctx)
	}
	if err != nil {
		_ = p.end()
		return nil, err
	}
	return s, nil
}

func (c *cluster) server(port int) spec {
	args := []string{"-D", c.data, "-k", c.run, "-c", "max_connections=500",
		"-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"}
	if port == SocketOnly {
		args = append(args, "-c", "listen_addresses=")
	} else {
		args = append(args, "-c", "listen_addresses="+loopback, "-p", strconv.Itoa(port))
	}
	s := c.command("PostgreSQL", "postgres", args...)
	s.temporary = c.run
	s.onDeath = syscall.SIGQUIT // an immediate shutdown: open transactions do not hold it up
	s.stop = []stopSignal{{syscall.SIGINT, 10 * time.Second}, {syscall.SIGQUIT, 5 * time.Second}}
	return s
}

func (s *Postgres) answers(ctx context.Context) bool { return s.Exec(ctx, "SELECT 1") == nil }

// setPassword lets the superuser in by TCP. The password reaches the server through
// the private socket, so that no argument and no file ever has it.
func (s *Postgres) setPassword(ctx context.Context) error {
	password := rand.Text()
	if err := s.Exec(ctx, "ALTER ROLE "+superuser+" PASSWORD '"+password+"'"); err != nil {
		return fmt.Errorf("set the password of PostgreSQL's superuser: %w", err)
	}
	s.password = password
	return nil
}

// DSN is the address of a database for the superuser, as a URL: over TCP with the
// password, or over the Unix socket when there is no TCP.
func (s *Postgres) DSN(db string) string {
	if s.Port == SocketOnly {
		return s.socketDSN(db)
	}
	u := url.URL{Scheme: "postgres", User: url.UserPassword(superuser, s.password), Path: "/" + db,
		Host: net.JoinHostPort(loopback, strconv.Itoa(s.Port)), RawQuery: "sslmode=disable"}
	return u.String()
}

func (s *Postgres) socketDSN(db string) string {
	q := url.Values{"host": {s.socketDir}, "sslmode": {"disable"}}
	if s.Port != SocketOnly {
		q.Set("port", strconv.Itoa(s.Port)) // names the socket
	}
	u := url.URL{Scheme: "postgres", User: url.User(superuser), Path: "/" + db, RawQuery: q.Encode()}
	return u.String()
}

// Exec runs one statement as the superuser in database "postgres".
func (s *Postgres) Exec(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, s.socketDSN("postgres"))
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err = conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("run a statement: %w", err)
	}
	return nil
}

// Done is closed once the server is gone, asked or not.
func (s *Postgres) Done() <-chan struct{} { return s.proc.done }

// Err says in one line how the server ended; nil while it lives.
func (s *Postgres) Err() error { return s.proc.err() }

// Stop ends the server at once, whoever is connected, waits until it is gone and
// removes what was temporary. It returns an error when the server had to be killed.
func (s *Postgres) Stop() error { return s.proc.end() }

// command describes a program of PostgreSQL that works on the cluster.
func (c *cluster) command(name, program string, args ...string) spec {
	return spec{
		name: name, path: filepath.Join(c.bin, program), args: args, dir: c.run, log: c.log, asUser: c.user,
		env:     []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC", "HOME=" + c.run},
		onDeath: syscall.SIGKILL,
	}
}
