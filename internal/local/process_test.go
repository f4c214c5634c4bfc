package local

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestAStubbornProcessIsKilled(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	p, err := start(spec{
		name: "stubborn", path: "/bin/sh", args: []string{"-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"},
		log: log, onDeath: syscall.SIGKILL, stop: []stopSignal{{syscall.SIGTERM, 50 * time.Millisecond}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.await(t.Context(), func(context.Context) bool { return logTail(log) == "deaf" }); err != nil {
		t.Fatal(err)
	}
	if err := p.end(); err == nil || err.Error() != "stubborn did not stop and was killed" {
		t.Errorf("end() = %v", err)
	}
	if err := syscall.Kill(p.cmd.Process.Pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("it still runs (%v)", err)
	}
}

func TestTheWatchdogActsWhenItsPipeEnds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	child := exec.Command("/bin/sleep", "600")
	alive, held, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	child.ExtraFiles = []*os.File{held}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	dog, err := watch(child.Process.Pid, syscall.SIGKILL, dir, alive)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []io.Closer{alive, held, dog.pipe} { // the last as our death would
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := child.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("the child ended: %v", err)
	}
	if err := dog.cmd.Wait(); err != nil {
		t.Errorf("the watchdog ended: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory is still there (%v)", err)
	}
}

func TestAProgramThatIsNotThereIsNamed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "no-such-program")
	p, err := start(spec{name: "absent", path: path, log: filepath.Join(t.TempDir(), "log")})
	if err != nil {
		t.Fatal(err)
	}
	<-p.done
	if err := p.err(); !strings.HasPrefix(err.Error(), "absent ended (exit status 127): absent: ") || !strings.Contains(err.Error(), path) {
		t.Errorf("err() = %v", err)
	}
	if err := p.end(); err != nil {
		t.Errorf("end() = %v", err)
	}
}

func TestSecretsAreBlottedOutHoweverTheyArrive(t *testing.T) {
	t.Parallel()
	var want bytes.Buffer
	for range 3 {
		want.WriteString("token [redacted]!\n")
	}
	want.WriteString("end [redacted]")
	text := strings.ReplaceAll(want.String(), "[redacted]", "hush-hush")
	for size := 1; size < len(text); size++ {
		path := filepath.Join(t.TempDir(), "log")
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		r := newRedactor(file, []string{"hush-hush"})
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			if _, err := r.Write([]byte(rest[:n])); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want.String() {
			t.Fatalf("in pieces of %d bytes: %q, %v", size, got, err)
		}
	}
}
