package e2e_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/credenceproject/credence/internal/local"
)

func TestMain(m *testing.M) {
	code := m.Run()
	for _, stop := range shared.stops {
		if err := stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// shared ends what all tests share.
var shared struct {
	mu    sync.Mutex
	stops []func() error
}

func atEnd(stop func() error) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	shared.stops = append(shared.stops, stop)
}

// program builds the credence program, once.
var program = sync.OnceValues(func() (string, error) { return buildProgram() })

// crashingProgram builds it, once, with the points at which it may be killed.
var crashingProgram = sync.OnceValues(func() (string, error) { return buildProgram("-tags", "crashpoints") })

func buildProgram(args ...string) (string, error) {
	dir, err := os.MkdirTemp("", "credence-e2e-")
	if err != nil {
		return "", err
	}
	atEnd(func() error { return os.RemoveAll(dir) })
	path := filepath.Join(dir, "credence")
	args = append([]string{"build", "-o", path}, args...)
	if raceDetector {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "github.com/credenceproject/credence/cmd/credence")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build credence: %w\n%s", err, out)
	}
	return path, nil
}

// openBao is the one server of all tests; each world has a namespace of it.
var openBao = sync.OnceValues(func() (*local.OpenBao, error) {
	tools, err := local.FindTools("")
	if err != nil {
		return nil, err
	}
	s, err := local.StartOpenBao(context.Background(), local.OpenBaoOptions{Tools: tools})
	if err == nil {
		atEnd(s.Stop)
	}
	return s, err
})

// signingKey signs the tokens of every tenant: making one takes a while.
var signingKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// must returns v, or ends the test.
func must[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// realParts skips with -short alone: what is missing fails the test.
func realParts(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("runs real programs")
	}
}

var errStillRuns = errors.New("it still runs")
