package gate

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"time"

	"github.com/credenceproject/credence/internal/registry"
)

const (
	maxAnswer = 1 << 20  // bytes of a child's answer that are read
	maxErrors = 64 << 10 // bytes of what it says to its standard error that are kept
	retry     = 2 * time.Second
)

// Options say how a Runner runs its children. What is zero has the default.
type Options struct {
	Command  []string      // runs Main, such as the path of this program and "gate"; required
	CPU      time.Duration // that a child may use, in whole seconds; 5 s
	Memory   int64         // bytes that a child may use; 512 MiB
	Timeout  time.Duration // after which a child is killed, whatever it does; 20 s
	Children int           // at once; 2
	Wait     time.Duration // for another child to end; 5 s
}

// Runner runs the gate in child processes: what a module does to one of them, it does
// to nobody else (invariant E2). A child has no environment, no open files but its
// pipes, a process group of its own, and limits on CPU and memory. It is safe for
// concurrent use.
type Runner struct {
	options Options
	slots   chan struct{}
}

// NewRunner returns a Runner. It starts nothing yet.
func NewRunner(o Options) *Runner {
	o.CPU = cmp.Or(o.CPU, 5*time.Second)
	o.Memory = cmp.Or(o.Memory, 512<<20)
	o.Timeout = cmp.Or(o.Timeout, 20*time.Second)
	o.Children = cmp.Or(o.Children, 2)
	o.Wait = cmp.Or(o.Wait, 5*time.Second)
	return &Runner{options: o, slots: make(chan struct{}, o.Children)}
}

// Check returns what the gate says of q, from a child.
//
// A module that a child died of, by the limits, is too expensive: that is a Fault.
// Check returns Unavailable where the child failed for another reason, with code
// gate_failed, or where too many others are being checked, with code gate_busy; and
// ctx's error when ctx ends.
func (r *Runner) Check(ctx context.Context, q Request) (Verdict, error) {
	if err := r.enter(ctx); err != nil {
		return Verdict{}, err
	}
	defer func() { <-r.slots }()
	c := r.run(ctx, q)
	if ctx.Err() != nil {
		return Verdict{}, fmt.Errorf("check custom Rego: %w", ctx.Err())
	}
	return r.verdict(c)
}

// enter waits for a slot.
func (r *Runner) enter(ctx context.Context) error {
	wait := time.NewTimer(r.options.Wait)
	defer wait.Stop()
	select {
	case r.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait to check custom Rego: %w", ctx.Err())
	case <-wait.C:
		e := registry.Unavailable.Errorf("gate_busy", "too many policies are being checked at once; try again in a moment")
		e.RetryAfter = retry
		return e
	}
}

// child is one that has ended.
type child struct {
	err       error // how, if not well
	killed    bool
	cpu       time.Duration
	out, errs *head
}

func (r *Runner) run(ctx context.Context, q Request) child {
	bounded, cancel := context.WithTimeout(ctx, r.options.Timeout)
	defer cancel()
	in, out := io.Pipe()
	defer in.Close()
	go func() {
		e := json.NewEncoder(out)
		out.CloseWithError(cmp.Or(e.Encode(limits{CPU: r.options.CPU, Memory: r.options.Memory}), e.Encode(order{Request: q})))
	}()
	c := child{out: &head{limit: maxAnswer}, errs: &head{limit: maxErrors}}
	cmd := exec.CommandContext(bounded, r.options.Command[0], r.options.Command[1:]...) // the command is configuration
	cmd.Env = []string{}                                                                // nil would be ours
	cmd.Dir = "/"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, c.out, c.errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	c.err = cmd.Run()
	if s := cmd.ProcessState; s != nil {
		c.killed = !s.Exited()
		c.cpu = s.UserTime() + s.SystemTime()
	}
	return c
}

// verdict is what a child's end means.
func (r *Runner) verdict(c child) (Verdict, error) {
	others := false
	if answer := json.NewDecoder(bytes.NewReader(c.out.bytes)); !c.out.cut {
		for {
			var said reply
			if err := answer.Decode(&said); err != nil {
				break
			}
			if said.Verdict != nil && c.err == nil {
				return *said.Verdict, nil
			}
			others = others || said.Others
		}
	}
	if limit := r.limitOf(c); limit != "" && !others {
		return Verdict{Faults: []Fault{{
			File: FileRego, Rule: "too_expensive",
			Message: fmt.Sprintf("Checking the module, or running its tests, took more %s than is given to it. Go through fewer collections within each other, and make fewer values of others.", limit),
		}}}, nil
	}
	cause := cmp.Or(c.err, errors.New("it said nothing"))
	e := registry.Unavailable.Wrap(fmt.Errorf("the gate's child: %w: %.2000s", cause, c.errs.bytes), "gate_failed", "custom Rego could not be checked; try again")
	e.RetryAfter = retry
	return Verdict{}, e
}

// limitOf says which limit a child died of, if it did. Of being killed the module is
// the reason only if it used the time: the kernel counts CPU roughly, and a timeout
// may be a busy machine's.
func (r *Runner) limitOf(c child) string {
	switch {
	case c.err == nil:
		return ""
	case c.errs.hasAny("SIGXCPU"), c.killed && c.cpu >= r.options.CPU/2:
		return "time"
	case c.errs.hasAny("out of memory", "cannot allocate memory", "goroutine stack exceeds", "stack overflow",
		"ThreadSanitizer failed to allocate"): // as builds with the race detector say it
		return "memory"
	}
	return ""
}

// head keeps the beginning of what is written to it.
type head struct {
	limit int
	bytes []byte
	cut   bool
}

func (h *head) Write(p []byte) (int, error) {
	room := min(h.limit-len(h.bytes), len(p))
	h.bytes = append(h.bytes, p[:room]...)
	h.cut = h.cut || room < len(p)
	return len(p), nil
}

func (h *head) hasAny(parts ...string) bool {
	for _, part := range parts {
		if bytes.Contains(h.bytes, []byte(part)) {
			return true
		}
	}
	return false
}
