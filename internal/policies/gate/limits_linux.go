package gate

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// limitProcess lowers what the system lets this process take. RLIMIT_DATA counts
// memory that can be written: the address space which Go reserves does not count. At
// the soft limit of CPU the runtime says so and ends, at the hard one the kernel
// kills.
func limitProcess(l limits) error {
	seconds := uint64((l.CPU + time.Second - 1) / time.Second)
	for _, r := range []struct {
		name     string
		resource int
		soft     uint64
		hard     uint64
	}{
		{"core", syscall.RLIMIT_CORE, 0, 0},
		{"fsize", syscall.RLIMIT_FSIZE, 0, 0},
		{"nofile", syscall.RLIMIT_NOFILE, openFiles, openFiles},
		{"cpu", syscall.RLIMIT_CPU, seconds, seconds + 1},
		{"data", syscall.RLIMIT_DATA, uint64(l.Memory), uint64(l.Memory)},
	} {
		var now syscall.Rlimit
		if err := syscall.Getrlimit(r.resource, &now); err != nil {
			return fmt.Errorf("read the limit %s: %w", r.name, err)
		}
		if err := syscall.Setrlimit(r.resource, &syscall.Rlimit{Cur: min(r.soft, now.Max), Max: min(r.hard, now.Max)}); err != nil {
			return fmt.Errorf("lower the limit %s: %w", r.name, err)
		}
	}
	return nil
}

// closeInherited closes what this process was started with beside its three streams.
// Go gives children nothing of its own, but hands on what it was itself started
// with. Only such files are not closed on exec.
func closeInherited() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("list open files: %w", err)
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd <= 2 {
			continue
		}
		flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
		if errno == 0 && flags&syscall.FD_CLOEXEC == 0 {
			_ = syscall.Close(fd)
		}
	}
	return nil
}
