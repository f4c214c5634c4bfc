//go:build crashpoints

// Package crash marks the points between two steps at which a test may kill or
// freeze the process. In a release build At is empty: only the build tag
// crashpoints gives it a meaning.
package crash

import (
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// freezeTime is more than it takes until every thread has stopped.
const freezeTime = 100 * time.Millisecond

var (
	once   sync.Once
	point  string
	signal syscall.Signal
)

// At kills the process at the point that CREDENCE_CRASH_AT names, or freezes it
// when that ends in ":stop". It does so once.
func At(name string) {
	once.Do(func() {
		var what string
		point, what, _ = strings.Cut(os.Getenv("CREDENCE_CRASH_AT"), ":")
		signal = syscall.SIGKILL
		if what == "stop" {
			signal = syscall.SIGSTOP
		}
	})
	if name != point || point == "" {
		return
	}
	point = ""
	if err := syscall.Kill(os.Getpid(), signal); err != nil {
		panic(err)
	}
	if signal == syscall.SIGKILL {
		select {} // it comes at once, but not before this
	}
	// Another thread may be the first to stop: this one must not go on meanwhile.
	time.Sleep(freezeTime)
}
