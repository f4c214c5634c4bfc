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
	var f family
	if err := json.NewDecoder(out).Decode(&f); err != nil {
		t.Fatalf("the helper said nothing: %v", err)
	}
	deaths := watchDeaths(t, withChildren(t, f.Pids))
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	deaths.wait(t)
	if _, err := os.Stat(f.Temporary); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there (%v)", f.Temporary, err)
	}
}

func TestStopLeavesNoProcessAndNoDirectory(t *testing.T) {
	t.Parallel()
	b := startOpenBao(t, local.OpenBaoOptions{})
	p := startPostgres(t, local.PostgresOptions{Port: local.SocketOnly})
	deaths := watchDeaths(t, withChildren(t, append(b.Pids(), p.Pids()...)))
	for name, stop := range map[string]func() error{"OpenBao": b.Stop, "PostgreSQL": p.Stop, "OpenBao again": b.Stop} {
		if err := stop(); err != nil {
			t.Errorf("stop %s: %v", name, err)
		}
	}
	deaths.wait(t)
	for _, path := range []string{filepath.Dir(b.Log), p.Temporary()} {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there (%v)", path, err)
		}
	}
}

func TestServersWriteNoCoreDumps(t *testing.T) {
	t.Parallel()
	b := startOpenBao(t, local.OpenBaoOptions{})
	p := startPostgres(t, local.PostgresOptions{Port: local.SocketOnly})
	for _, pid := range append(withChildren(t, p.Pids()[:1]), b.Pids()[0]) {
		limits, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "limits"))
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
			if err != nil {
				t.Fatal(err)
			}
			for _, child := range strings.Fields(string(b)) {
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

// deaths holds a descriptor for each process, which stays with that process even
// when its number is given to another.
type deaths map[int]int

func watchDeaths(t *testing.T, pids []int) deaths {
	t.Helper()
	d := deaths{}
	for _, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
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
