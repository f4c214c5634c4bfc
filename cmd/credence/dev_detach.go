package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// startDetached runs this command again as a process of its own, waits until it
// is ready, and shows what it said.
func startDetached(ctx context.Context, io streams) error {
	state := devStateIn(".")
	running, pid, err := state.holder()
	if err != nil {
		return err
	}
	if running {
		return fmt.Errorf("a dev system runs in this directory already (process %d); stop it with credence dev stop", pid)
	}
	if err := state.prepare(); err != nil {
		return err
	}
	if err := os.RemoveAll(state.infoFile()); err != nil {
		return fmt.Errorf("remove what an earlier system left: %w", err)
	}
	out, err := state.create(state.outFile())
	if err != nil {
		return err
	}
	defer out.Close()
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	// It must outlive us, so it gets no context of ours.
	child := exec.Command(self, detachedArgs(os.Args[1:])...) //nolint:gosec,noctx // our own program with our own arguments, outliving us
	child.Stdout, child.Stderr = out, out
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := child.Start(); err != nil {
		return fmt.Errorf("start the dev system: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()

	err = poll(ctx, 3*time.Minute, func() (bool, error) {
		select {
		case how := <-ended:
			if how == nil {
				how = errors.New("exit status 0")
			}
			return false, fmt.Errorf("the dev system ended while it started: %w", how)
		default:
		}
		info, err := state.read()
		return err == nil && info.Ready, nil
	})
	said, readErr := os.ReadFile(state.outFile())
	if readErr == nil {
		_, _ = io.out.Write(said)
	}
	if err != nil {
		_ = child.Process.Signal(syscall.SIGTERM) // it may have ended already
		return fmt.Errorf("%w; see %s", err, state.outFile())
	}
	fmt.Fprintf(io.out, "\nIt runs in the background as process %d.\n", child.Process.Pid)
	return nil
}

// detachedArgs are the arguments of the process that stays: those of the one that
// was told to detach, less every spelling of that, or it would detach as well.
func detachedArgs(args []string) []string {
	detached := slices.Clone(args)
	for i, a := range detached {
		if a == "--detach" || strings.HasPrefix(a, "--detach=") {
			detached[i] = "--detached"
		}
	}
	return detached
}
