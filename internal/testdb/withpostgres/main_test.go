package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/testdb"
)

func TestTheCommandSeesAServerThatEndsWithIt(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs PostgreSQL")
	}
	file := filepath.Join(t.TempDir(), "dsn")
	code, err := run([]string{"/bin/sh", "-c", `echo "$` + testdb.EnvURL + `" > "$0"; exit 3`, file})
	if code != 3 || err != nil {
		t.Errorf("run() = %d, %v, want the command's exit code", code, err)
	}
	dsn, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pgx.Connect(t.Context(), strings.TrimSpace(string(dsn))); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("connect to %s afterwards: %v", dsn, err)
	}
}

func TestACommandThatCannotRunIsAnError(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs PostgreSQL")
	}
	for _, args := range [][]string{nil, {filepath.Join(t.TempDir(), "no-such-program")}} {
		if code, err := run(args); code != 1 || err == nil {
			t.Errorf("run(%q) = %d, %v", args, code, err)
		}
	}
}
