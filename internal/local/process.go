package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// spec describes a child process.
type spec struct {
	name      string // for messages
	path      string
	args      []string
	env       []string
	dir       string // its working directory
	log       string // the file that gets its output; made anew, mode 0600
	secrets   []string
	asUser    *syscall.Credential
	onDeath   syscall.Signal // what it gets when this process dies
	stop      []stopSignal   // what ends it, gentlest first
	temporary string         // a directory that goes with it; "" for none
}

// stopSignal is one try to end a process, and how long it may take.
type stopSignal struct {
	signal syscall.Signal
	within time.Duration
}

// process is a child that is bound to the life of this process: the kernel
// (on Linux) and a watchdog end it when we die, even by SIGKILL. It has a process
// group of its own, so that a Ctrl-C in the terminal reaches only us.
type process struct {
	spec  spec
	cmd   *exec.Cmd
	watch *watchdog
	done  chan struct{} // closed once the child is gone and exit is set
	exit  error         // what Wait said
	end   func() error  // ends the child; see signalUntilDone
}

// noCoreDumps keeps secrets in the child's memory off the disk. A shell sets the
// limit and becomes the program: prlimit(2) on a child of another user needs a
// capability that containers rarely have.
const noCoreDumps = `ulimit -c 0; exec "$@"`

// start runs the child and returns once the system has started it.
func start(s spec) (*process, error) {
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", s.name, err)
	}
	p := &process{spec: s, done: make(chan struct{})}
	p.end = sync.OnceValue(p.signalUntilDone)
	argv := append([]string{"-c", noCoreDumps, s.name, s.path}, s.args...)
	p.cmd = exec.Command("/bin/sh", argv...) //nolint:noctx // ended by p.end, which asks before it kills
	p.cmd.Dir, p.cmd.Env = s.dir, s.env
	p.cmd.SysProcAttr = childAttr(s.asUser, s.onDeath)
	p.cmd.WaitDelay = time.Second
	out := io.WriteCloser(log) // a file is inherited; anything else is a pipe that we copy from
	if len(s.secrets) > 0 {
		out = newRedactor(log, s.secrets)
	}
	p.cmd.Stdout, p.cmd.Stderr = out, out

	started := make(chan error, 1)
	go p.run(out, started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", s.name, err)
	}
	return p, nil
}

// run forks the child and stays until it is gone. The kernel's signal on a
// parent's death is in truth one on the death of the thread that forked, so the
// goroutine keeps its thread.
func (p *process) run(out io.Closer, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.fork()
	started <- err
	if err == nil {
		if p.exit = p.cmd.Wait(); p.exit == nil {
			p.exit = errors.New("exit status 0")
		}
		p.watch.gone()
	}
	_ = out.Close()
	close(p.done)
}

// fork starts the child and its watchdog, and ties them by a pipe.
func (p *process) fork() error {
	alive, held, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _, _ = alive.Close(), held.Close() }()
	p.cmd.ExtraFiles = []*os.File{held}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.watch, err = watch(p.cmd.Process.Pid, p.spec.onDeath, p.spec.temporary, alive)
	if err != nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
	return err
}

// await calls ready every few milliseconds until it reports true. It fails when
// the child ends before that or ctx does.
func (p *process) await(ctx context.Context, ready func(context.Context) bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if ready(ctx) && !p.ended() {
			return nil
		}
		select {
		case <-p.done:
			return p.err()
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer (%w): %s", p.spec.name, context.Cause(ctx), p.lastWords())
		case <-tick.C:
		}
	}
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// err says in one line how the child ended; nil while it lives.
func (p *process) err() error {
	if !p.ended() {
		return nil
	}
	return fmt.Errorf("%s ended (%w): %s", p.spec.name, p.exit, p.lastWords())
}

// lastWords is the end of the child's log, on one line, and where the rest is.
func (p *process) lastWords() string {
	tail := logTail(p.spec.log)
	if tail == "" {
		tail = "it said nothing"
	}
	return tail + " (" + p.spec.log + ")"
}

// signalUntilDone ends the child, waits until it is gone and clears up after it.
// It returns an error when the child had to be killed.
func (p *process) signalUntilDone() error {
	err := p.signals()
	if p.spec.temporary != "" {
		err = errors.Join(err, os.RemoveAll(p.spec.temporary))
	}
	p.watch.dismiss()
	return err
}

func (p *process) signals() error {
	for _, s := range p.spec.stop {
		if p.ended() {
			return nil
		}
		_ = p.cmd.Process.Signal(s.signal) // fails only when it is gone already
		select {
		case <-p.done:
			return nil
		case <-time.After(s.within):
		}
	}
	if p.ended() {
		return nil // its number may be another's by now
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
	return fmt.Errorf("%s did not stop and was killed", p.spec.name)
}
