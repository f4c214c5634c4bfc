//go:build !linux

package e2e_test

import (
	"os/exec"
	"syscall"
)

// dieWithUs cannot be had here; the program gets a process group of its own.
func dieWithUs(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
