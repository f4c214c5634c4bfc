//go:build !linux

package local

import "syscall"

// childAttr gives the child a process group of its own. Without Linux's
// parent-death signal the watchdog alone ends it when this process dies.
func childAttr(user *syscall.Credential, _ syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: user}
}
