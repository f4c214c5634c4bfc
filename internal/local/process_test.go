package local

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestAStubbornProcessIsKilledWithItsChildren(t *testing.T) {
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
	if !p.ended() {
		t.Error("it still runs")
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
