package e2e_test

import (
	"os/exec"
	"syscall"
)

// dieWithUs ends the program when a test binary that timed out is gone. It gets
// a process group of its own, as a terminal would give it.
func dieWithUs(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
