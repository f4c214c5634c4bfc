package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// bound is how long anything may take before a test gives up on it.
const bound = 60 * time.Second

// output is what a program said. It is safe for concurrent use.
type output struct {
	mu   sync.Mutex
	all  bytes.Buffer
	line []byte
	tell func(line []byte) // may be nil
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all.Write(b)
	o.line = append(o.line, b...)
	for {
		line, rest, found := bytes.Cut(o.line, []byte("\n"))
		if !found {
			return len(b), nil
		}
		if o.tell != nil {
			o.tell(line)
		}
		o.line = bytes.Clone(rest)
	}
}

func (o *output) bytes() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Clone(o.all.Bytes())
}

func (o *output) String() string { return string(o.bytes()) }

// process is a run of the credence program.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr *output
	ended          chan struct{}
}

// start runs credence with nothing in its environment but env, in dir ("" for
// ours).
func start(t testing.TB, dir string, env map[string]string, onLog func([]byte), args ...string) *process {
	t.Helper()
	return startProgram(t, must(program())(t), dir, env, onLog, args...)
}

func startProgram(t testing.TB, path, dir string, env map[string]string, onLog func([]byte), args ...string) *process {
	t.Helper()
	p := &process{stdout: &output{}, stderr: &output{tell: onLog}, ended: make(chan struct{})}
	p.cmd = exec.Command(path, args...)
	p.cmd.Dir = dir
	// The race detector waits a second at each exit unless it is told not to.
	p.cmd.Env = []string{"GORACE=atexit_sleep_ms=0", "PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TMPDIR=" + os.TempDir()}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		p.cmd.Env = append(p.cmd.Env, name+"="+env[name])
	}
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	p.cmd.WaitDelay = time.Second // a child of ours may hold the pipe
	dieWithUs(p.cmd)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // the state says how it ended
		close(p.ended)
	}()
	t.Cleanup(func() { p.kill() })
	return p
}

// wait returns the exit code of a program that ends; -1 is a signal.
func (p *process) wait(t testing.TB) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(bound):
		p.kill()
		t.Fatalf("%v: %v\n%s%s", p.cmd.Args[1:], errStillRuns, p.stdout, p.stderr)
	}
	return p.cmd.ProcessState.ExitCode()
}

// signal sends sig to this one process.
func (p *process) signal(sig syscall.Signal) { _ = p.cmd.Process.Signal(sig) }

// kill ends the process as a crash of the machine would.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// credence runs a command to its end.
func credence(t testing.TB, env map[string]string, args ...string) *process {
	t.Helper()
	p := start(t, "", env, nil, args...)
	p.wait(t)
	return p
}

// mustCredence is credence for commands that have to succeed. It returns what
// they print.
func mustCredence(t testing.TB, env map[string]string, args ...string) string {
	t.Helper()
	p := credence(t, env, args...)
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("credence %v: exit %d\n%s%s", args, code, p.stdout, p.stderr)
	}
	return p.stdout.String()
}

// server is `credence server` as a process.
type server struct {
	*process
	api, metrics string // host:port
}

// serve starts a server and waits until it listens.
func serve(t testing.TB, env map[string]string) *server {
	t.Helper()
	return serveProgram(t, must(program())(t), env)
}

func serveProgram(t testing.TB, path string, env map[string]string) *server {
	t.Helper()
	listening := make(chan server, 1)
	p := startProgram(t, path, "", env, func(line []byte) {
		var said struct{ Msg, API, Metrics string }
		if json.Unmarshal(line, &said) == nil && said.Msg == "listening" {
			listening <- server{api: said.API, metrics: said.Metrics}
		}
	}, "server")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the server's log:\n%s", p.stderr)
		}
	})
	select {
	case s := <-listening:
		s.process = p
		t.Cleanup(func() { s.stop(t) })
		return &s
	case <-p.ended:
		t.Fatalf("the server ended: %s", p.stderr)
	case <-time.After(bound):
		t.Fatalf("the server does not listen: %s", p.stderr)
	}
	return nil
}

// stop asks the server to end, unless it has ended, and looks for what must not
// be in its log.
func (s *server) stop(t testing.TB) {
	t.Helper()
	select {
	case <-s.ended:
	default:
		s.signal(syscall.SIGTERM)
		if code := s.wait(t); code != 0 {
			t.Errorf("the server ended with %d", code)
		}
	}
	for _, bad := range []string{"DATA RACE", "panic:", "goroutine "} {
		if bytes.Contains(s.stderr.bytes(), []byte(bad)) {
			t.Errorf("the server's log has %q", bad)
		}
	}
}

// eventually asks done every few milliseconds until it says yes.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), bound, fmt.Errorf("not within %s", bound))
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, context.Cause(ctx))
		case <-tick.C:
		}
	}
}
