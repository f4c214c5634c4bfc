package local

import "syscall"

// childAttr gives the child a process group of its own and, when this process
// dies, onDeath.
func childAttr(user *syscall.Credential, onDeath syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: onDeath, Credential: user}
}
