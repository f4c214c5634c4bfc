package local

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// watchdogScript cleans up after a process that could not do so itself. It reads
// words from a pipe that only we hold: "gone" when the child has ended, "stop"
// when nothing is left to do. The end of the pipe without "stop" means that we
// are dead, however that came. It then ends the child, waits on descriptor 3 until
// the last process that the child made is gone, and removes its directory.
const watchdogScript = `
pid=$1 signal=$2 dir=$3
while read -r word; do
	case $word in
	gone) pid= ;;
	stop) exit 0 ;;
	esac
done
[ -z "$pid" ] || kill "-$signal" "$pid"
read -r word <&3
[ -z "$dir" ] || rm -rf -- "$dir"
`

// watchdog is a shell that waits for our death.
type watchdog struct {
	cmd  *exec.Cmd
	pipe io.WriteCloser
}

// watch makes a watchdog for the child pid, which it would end by signal, and
// for dir, which it would remove; "" for none. alive ends when the child and all
// its children have: they hold the other end, and write nothing.
func watch(pid int, signal syscall.Signal, dir string, alive *os.File) (*watchdog, error) {
	//nolint:noctx // outlives every context on purpose
	cmd := exec.Command("/bin/sh", "-c", watchdogScript, "credence-watchdog", strconv.Itoa(pid), strconv.Itoa(int(signal)), dir)
	cmd.Dir, cmd.Env = "/", []string{"PATH=/usr/bin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.ExtraFiles = []*os.File{alive}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("watch over child: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("watch over child: %w", err)
	}
	return &watchdog{cmd: cmd, pipe: pipe}, nil
}

// gone says that the child has ended, so that its number, which the system may
// give to another process, is not signalled any more.
func (w *watchdog) gone() { _, _ = io.WriteString(w.pipe, "gone\n") }

// dismiss ends the watchdog.
func (w *watchdog) dismiss() {
	_, _ = io.WriteString(w.pipe, "stop\n")
	_ = w.pipe.Close()
	_ = w.cmd.Wait()
}
