package gate

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain makes the test's own program the child of the runners under test, as
// cmd/credence is that of a server.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 {
		if serve, ok := children[os.Args[1]]; ok {
			if err := serve(context.Background()); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

// children are what the program does instead of running tests.
var children = map[string]func(context.Context) error{
	"gate": func(ctx context.Context) error { return Main(ctx, os.Stdin, os.Stdout) },
	// The gate without its checks of the text: the limits alone are left.
	"gate-open":   func(ctx context.Context) error { return checker{open: true}.serve(ctx, os.Stdin, os.Stdout) },
	"gate-panics": func(context.Context) error { panic("a defect of ours") },
	"gate-sleeps": func(context.Context) error { time.Sleep(time.Hour); return nil },
	"gate-babbles": func(context.Context) error {
		_, err := os.Stdout.WriteString(`{"Verdict":{}}` + strings.Repeat(" ", 2*maxAnswer))
		return err
	},
	"gate-tells": tell,
}

// surroundings are what a child finds itself in.
type surroundings struct {
	Environment []string
	Directory   string
	Files       []string // but for pipes, and what the runtime reads of its own limits
	OwnGroup    bool
	Limits      map[string]uint64
}

func tell(context.Context) error {
	if err := closeInherited(); err != nil {
		return err
	}
	if err := restrict(limits{CPU: 3 * time.Second, Memory: 256 << 20}); err != nil {
		return err
	}
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	s := surroundings{Environment: os.Environ(), Directory: here, OwnGroup: syscall.Getpgrp() == os.Getpid(), Limits: map[string]uint64{}}
	for _, f := range files {
		target, err := os.Readlink("/proc/self/fd/" + f.Name())
		if err == nil && target[0] == '/' && !strings.HasPrefix(target, "/sys/fs/cgroup/") && target != fmt.Sprintf("/proc/%d/fd", os.Getpid()) {
			s.Files = append(s.Files, target)
		}
	}
	for name, resource := range map[string]int{"core": syscall.RLIMIT_CORE, "fsize": syscall.RLIMIT_FSIZE, "nofile": syscall.RLIMIT_NOFILE, "cpu": syscall.RLIMIT_CPU, "data": syscall.RLIMIT_DATA} {
		var l syscall.Rlimit
		if err := syscall.Getrlimit(resource, &l); err != nil {
			return err
		}
		s.Limits[name] = l.Max
	}
	return json.NewEncoder(os.Stdout).Encode(s)
}
