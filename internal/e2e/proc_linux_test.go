package e2e_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// descendants returns the processes below pid, itself not among them.
func descendants(t testing.TB, pid int) []int {
	t.Helper()
	children := map[int][]int{}
	for _, file := range must(filepath.Glob("/proc/[0-9]*/stat"))(t) {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		// The name, in brackets, may hold blanks.
		fields := strings.Fields(string(content[strings.LastIndexByte(string(content), ')')+1:]))
		parent := must(strconv.Atoi(fields[1]))(t)
		child := must(strconv.Atoi(filepath.Base(filepath.Dir(file))))(t)
		children[parent] = append(children[parent], child)
	}
	var all []int
	for next := []int{pid}; len(next) > 0; next = next[1:] {
		all = append(all, children[next[0]]...)
		next = append(next, children[next[0]]...)
	}
	return all
}

// family holds on to a process and those below it, even when their numbers are
// given to others.
type family map[int]int

func familyOf(t testing.TB, pid int) family {
	t.Helper()
	f := family{}
	for _, member := range append(descendants(t, pid), pid) {
		fd, err := unix.PidfdOpen(member, 0)
		if err != nil {
			continue // it has ended
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		f[member] = fd
	}
	return f
}

// wantGone waits until all of them have ended.
func (f family) wantGone(t testing.TB) {
	t.Helper()
	deadline := time.Now().Add(bound)
	for pid, fd := range f {
		for {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(time.Until(deadline).Milliseconds()))
			if err == unix.EINTR {
				continue
			}
			if err != nil || n != 1 {
				t.Errorf("process %d still runs (%v)", pid, err)
			}
			break
		}
	}
}

// visible is what every user of the machine, and ourselves, can read about a
// process.
func visible(t testing.TB, pid int) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	for _, file := range []string{"cmdline", "environ"} {
		path := filepath.Join("/proc", strconv.Itoa(pid), file)
		found[path] = must(os.ReadFile(path))(t)
	}
	return found
}
