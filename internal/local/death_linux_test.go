package local_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/credenceproject/credence/internal/local"
)

// deathBound is how long a process may take to end, on a busy machine.
const deathBound = 30 * time.Second

func TestNothingSurvivesAKilledParent(t *testing.T) {
	t.Parallel()
	parent, f := startHelper(t)
	deaths := watchDeaths(t, withChildren(t, append(f.Servers, f.Watchdogs...)))
	if err := parent.Kill(); err != nil {
		t.Fatal(err)
	}
	deaths.wait(t)
	mustBeGone(t, f.Temporary...)
}

func TestTheKernelEndsServersThatLostTheirWatchdogs(t *testing.T) {
	t.Parallel()
	parent, f := startHelper(t)
	t.Cleanup(func() {
		for _, dir := range f.Temporary {
			_ = os.RemoveAll(dir)
		}
	})
	deaths := watchDeaths(t, withChildren(t, f.Servers))
	for _, pid := range f.Watchdogs {
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	if err := parent.Kill(); err != nil {
		t.Fatal(err)
	}
	deaths.wait(t)
}

// startHelper runs this test binary as a parent of both servers.
func startHelper(t *testing.T) (*os.Process, family) {
	t.Helper()
	tools(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() })
	var f family
	if err := json.NewDecoder(out).Decode(&f); err != nil {
		t.Fatalf("the helper said nothing: %v", err)
	}
	return cmd.Process, f
}

func TestStopLeavesNoProcessAndNoDirectory(t *testing.T) {
	t.Parallel()
	b := startOpenBao(t, local.OpenBaoOptions{})
	p := startPostgres(t, local.PostgresOptions{Port: local.SocketOnly})
	deaths := watchDeaths(t, withChildren(t, []int{b.Pid(), b.Watchdog(), p.Pid(), p.Watchdog()}))
	for name, stop := range map[string]func() error{"OpenBao": b.Stop, "PostgreSQL": p.Stop, "OpenBao again": b.Stop} {
		if err := stop(); err != nil {
			t.Errorf("stop %s: %v", name, err)
		}
	}
	deaths.wait(t)
	mustBeGone(t, b.Temporary(), p.Temporary())
}

func TestServersWriteNoCoreDumps(t *testing.T) {
	t.Parallel()
	b := startOpenBao(t, local.OpenBaoOptions{})
	p := startPostgres(t, local.PostgresOptions{Port: local.SocketOnly})
	for _, pid := range withChildren(t, []int{b.Pid(), p.Pid()}) {
		limits, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "limits"))
		if gone(err) && pid != b.Pid() && pid != p.Pid() {
			continue // PostgreSQL's workers come and go
		}
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(limits)) {
			if f := strings.Fields(line); strings.HasPrefix(line, "Max core file size") && (f[4] != "0" || f[5] != "0") {
				t.Errorf("process %d: %s", pid, line)
			}
		}
	}
}

func TestNoSecretIsInAProcessListOrALog(t *testing.T) {
	t.Parallel()
	b := startOpenBao(t, local.OpenBaoOptions{RootToken: "needle-in-no-haystack"})
	p := startPostgres(t, local.PostgresOptions{})
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, b.Log, p.Log) {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // the process has ended
		}
		for _, secret := range []string{b.RootToken, password(t, p)} {
			if strings.Contains(string(content), secret) {
				t.Errorf("a secret is in %s", file)
			}
		}
	}
}

// withChildren adds the children of the processes.
func withChildren(t *testing.T, pids []int) []int {
	t.Helper()
	all := append([]int(nil), pids...)
	for _, pid := range pids {
		files, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil && !gone(err) { // threads come and go
				t.Fatal(err)
			}
			for child := range strings.FieldsSeq(string(b)) {
				n, err := strconv.Atoi(child)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, n)
			}
		}
	}
	return all
}

func mustBeGone(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if _, err := os.Stat(path); path == "" || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q is still there (%v)", path, err)
		}
	}
}

// gone reports whether err says that a process or thread is not there any more.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH)
}

// deaths holds a descriptor for each process, which stays with that process even
// when its number is given to another.
type deaths map[int]int

func watchDeaths(t *testing.T, pids []int) deaths {
	t.Helper()
	d := deaths{}
	for _, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
		if gone(err) {
			continue
		}
		if err != nil {
			t.Fatalf("process %d: %v", pid, err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		d[pid] = fd
	}
	return d
}

// wait returns when all of them have ended.
func (d deaths) wait(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(deathBound)
	for pid, fd := range d {
		for {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(time.Until(deadline).Milliseconds()))
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil || n != 1 {
				t.Errorf("process %d still runs (%v)", pid, err)
			}
			break
		}
	}
}
