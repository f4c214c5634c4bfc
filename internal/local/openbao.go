package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// startBound is how long a program may take until it answers, when the caller's
// context has no earlier deadline. It takes about a second on an idle machine.
const startBound = time.Minute

// startTries is how often a program is started on another free port after one
// that looked free was taken.
const startTries = 5

// OpenBaoOptions say how to run OpenBao in its dev mode: in memory, unsealed, with
// a KV v2 engine at "secret/".
type OpenBaoOptions struct {
	Tools     Tools
	Port      int    // 0 picks a free one; OpenBao uses the next one too
	PortFlag  string // named when Port is taken; default "--vault-port"
	Dir       string // gets openbao.log and openbao.hcl; "" for a temporary one that Stop removes
	RootToken string // must not contain a dot; "" for a random one
	Config    string // further configuration (HCL), such as an audit device
}

// OpenBao is a running server. Its fields are not to be changed; its methods are
// safe for concurrent use.
type OpenBao struct {
	Address   string // such as "http://127.0.0.1:8200"
	RootToken string
	Log       string // path of its log, in which the root token is blotted out

	proc *process
}

// StartOpenBao starts a server and waits until it answers and its KV engine does.
// ctx bounds the start alone. The error is one line: a *PortTakenError, or what
// OpenBao said last and where its log is.
func StartOpenBao(ctx context.Context, o OpenBaoOptions) (*OpenBao, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startBound, errors.New("gave up after "+startBound.String()))
	defer cancel()
	if o.RootToken == "" {
		o.RootToken = "root-" + rand.Text()
	}
	if o.PortFlag == "" {
		o.PortFlag = "--vault-port"
	}
	return withPort(o.Port, 2, o.PortFlag, func(port int) (*OpenBao, error) {
		o.Port = port
		return startOpenBao(ctx, o)
	})
}

func startOpenBao(ctx context.Context, o OpenBaoOptions) (*OpenBao, error) {
	s, err := openBaoSpec(o)
	if err != nil {
		return nil, err
	}
	p, err := start(s)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.temporary))
	}
	b := &OpenBao{Address: "http://" + net.JoinHostPort(loopback, strconv.Itoa(o.Port)), RootToken: o.RootToken, Log: s.log, proc: p}
	if err := p.await(ctx, b.ready); err != nil {
		_ = p.end()
		return nil, err
	}
	return b, nil
}

// openBaoSpec hands the root token over in the environment: arguments are visible
// to every user of the machine.
func openBaoSpec(o OpenBaoOptions) (spec, error) {
	s := spec{
		name: "OpenBao", path: o.Tools.Bao, dir: o.Dir,
		args:    []string{"server", "-dev", "-dev-no-store-token", "-dev-listen-address=" + net.JoinHostPort(loopback, strconv.Itoa(o.Port))},
		secrets: []string{o.RootToken},
		onDeath: syscall.SIGKILL, // it keeps nothing
		stop:    []stopSignal{{syscall.SIGTERM, 10 * time.Second}},
	}
	if o.Dir == "" {
		dir, err := os.MkdirTemp("", "credence-openbao-")
		if err != nil {
			return spec{}, fmt.Errorf("make a directory for OpenBao: %w", err)
		}
		s.dir, s.temporary = dir, dir
	} else if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return spec{}, fmt.Errorf("make a directory for OpenBao: %w", err)
	}
	s.log = filepath.Join(s.dir, "openbao.log")
	s.env = []string{"PATH=/usr/bin:/bin", "HOME=" + s.dir, "BAO_DEV_ROOT_TOKEN_ID=" + o.RootToken}
	if o.Config != "" {
		file := filepath.Join(s.dir, "openbao.hcl")
		if err := os.WriteFile(file, []byte(o.Config), 0o600); err != nil {
			return spec{}, fmt.Errorf("write OpenBao's configuration: %w", err)
		}
		s.args = append(s.args, "-config="+file)
	}
	return s, nil
}

// ready asks for what is set up last, by our own token: another server that
// listens on the port, or one that is half up, does not answer 200.
func (b *OpenBao) ready(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.Address+"/v1/secret/config", nil)
	if err != nil {
		return false
	}
	req.Header.Set("X-Vault-Token", b.RootToken)
	client := http.Client{Timeout: 2 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

// Done is closed once the server is gone, asked or not.
func (b *OpenBao) Done() <-chan struct{} { return b.proc.done }

// Err says in one line how the server ended; nil while it lives.
func (b *OpenBao) Err() error { return b.proc.err() }

// Stop ends the server and waits until it is gone. It returns an error when the
// server had to be killed.
func (b *OpenBao) Stop() error { return b.proc.end() }

// withPort calls start with a port that is free, with the n-1 ports above it. A
// fixed port is tried once; of free ports another one when it was taken meanwhile.
func withPort[T any](fixed, n int, flag string, start func(port int) (T, error)) (T, error) {
	var none T
	if fixed != 0 {
		for i := range n {
			if err := CheckPort(fixed+i, flag); err != nil {
				return none, err
			}
		}
		return start(fixed)
	}
	for try := 1; ; try++ {
		port, err := freePorts(n)
		if err != nil {
			return none, err
		}
		server, err := start(port)
		if err == nil || try == startTries || !strings.Contains(err.Error(), "address already in use") {
			return server, err
		}
	}
}
