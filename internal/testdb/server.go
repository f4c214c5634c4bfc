package testdb

import (
	"context"
	"os"
	"sync"
	"testing"

	"github.com/credenceproject/credence/internal/local"
)

// EnvURL names the variable with the address (a URL, superuser) of a server on
// which tests may create databases. `make test` sets it; without it a test binary
// starts a server of its own.
const EnvURL = "CREDENCE_TEST_DATABASE_URL"

// server returns the address of the administrative database.
func server(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs PostgreSQL; skipped by -short")
	}
	dsn, err := serverOnce()
	if err != nil {
		t.Fatalf("start PostgreSQL for the tests: %v", err)
	}
	return dsn
}

// serverOnce starts at most one server in this process. Nobody stops it: it is
// bound to the life of the process and takes its directory with it, even when a
// test panics or times out, which no hook of package testing would see.
var serverOnce = sync.OnceValues(func() (string, error) {
	if dsn := os.Getenv(EnvURL); dsn != "" {
		return dsn, nil
	}
	tools, err := local.FindTools("")
	if err != nil {
		return "", err
	}
	s, err := local.StartPostgres(context.Background(), local.PostgresOptions{Tools: tools, Port: local.SocketOnly})
	if err != nil {
		return "", err
	}
	return s.DSN("postgres"), nil
})
