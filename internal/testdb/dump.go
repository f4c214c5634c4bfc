package testdb

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/local"
)

// Dump returns what pg_dump makes of the database at dsn, schema and all rows, so
// that a test can search it for bytes that must not be there.
func Dump(t testing.TB, dsn string) []byte {
	t.Helper()
	tools, err := local.FindTools("")
	if err != nil {
		t.Fatal(err)
	}
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(tools.PostgresBin, "pg_dump"), "--inserts", "--no-password")
	cmd.Env = []string{ // not arguments: those are visible to every process
		"PGHOST=" + c.Host, "PGPORT=" + strconv.Itoa(int(c.Port)), "PGUSER=" + c.User, "PGPASSWORD=" + c.Password,
		"PGDATABASE=" + c.Database, "LC_ALL=C", "PGSSLMODE=disable",
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("pg_dump: %v: %s", err, stderr.Bytes())
	}
	return out
}
