package gate

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"time"
)

// limits bound a child. What a parent asks for can only be less than what the child
// gives itself before it reads anything.
type limits struct {
	CPU    time.Duration // of all threads together, rounded up to seconds
	Memory int64         // bytes of data, the runtime's own included
}

// most that a child ever takes.
var hard = limits{CPU: 30 * time.Second, Memory: 1 << 30}

const (
	openFiles = 32       // of the child: pipes, the poller and time zones
	maxStack  = 64 << 20 // bytes of one goroutine's
)

// order is what a child reads after its limits, and reply each thing that it writes:
// first that what follows is not the module's doing, then the verdict.
type (
	order struct{ Request Request }
	reply struct {
		Others  bool     `json:",omitempty"`
		Verdict *Verdict `json:",omitempty"`
	}
)

// Main is the child that a Runner starts: it limits itself, reads one request from in
// and writes the verdict to out. Nobody else calls it: the limits are those of the
// whole process and stay. It returns an error where it cannot limit itself, read or
// write.
func Main(ctx context.Context, in io.Reader, out io.Writer) error {
	return checker{}.serve(ctx, in, out)
}

func (c checker) serve(ctx context.Context, in io.Reader, out io.Writer) error {
	if err := closeInherited(); err != nil {
		return fmt.Errorf("close inherited files: %w", err)
	}
	if err := restrict(hard); err != nil {
		return err
	}
	decoder, encoder := json.NewDecoder(bufio.NewReader(in)), json.NewEncoder(out)
	var less limits
	if err := decoder.Decode(&less); err != nil {
		return fmt.Errorf("read the limits: %w", err)
	}
	if err := restrict(less); err != nil {
		return err
	}
	var o order
	if err := decoder.Decode(&o); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	var told error
	v := c.check(ctx, o.Request, func() { told = encoder.Encode(reply{Others: true}) })
	if told == nil {
		told = encoder.Encode(reply{Verdict: &v})
	}
	if told != nil {
		return fmt.Errorf("write the verdict: %w", told)
	}
	return nil
}

// restrict lowers the limits of this process. The runtime collects garbage before
// the system refuses it memory.
func restrict(l limits) error {
	runtime.GOMAXPROCS(min(2, runtime.NumCPU()))
	debug.SetMaxStack(maxStack)
	debug.SetMemoryLimit(l.Memory / 4 * 3)
	if err := limitProcess(l); err != nil {
		return fmt.Errorf("limit this process: %w", err)
	}
	return nil
}
