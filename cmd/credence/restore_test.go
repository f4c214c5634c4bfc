package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/credenceproject/credence/internal/postgres"
	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/internal/testdb"
)

// operate runs an operator's command on the database at dsn.
func operate(t *testing.T, dsn string, args ...string) (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "database-url")
	if err := os.WriteFile(file, []byte(dsn), 0o600); err != nil {
		t.Fatal(err)
	}
	env := func(name string) (string, bool) { return file, name == "CREDENCE_DATABASE_URL_FILE" }
	var out bytes.Buffer
	err := run(t.Context(), args, env, streams{in: strings.NewReader(""), out: &out, err: &out})
	return out.String(), err
}

func TestRestoreRenewsTheEpochAndNothingElse(t *testing.T) {
	t.Parallel()
	dsn := testdb.DSN(t)
	if _, err := operate(t, dsn, "migrate"); err != nil {
		t.Fatal(err)
	}
	pool, err := postgres.Open(t.Context(), func() (string, error) { return dsn, nil }, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	seen := map[string]bool{}
	for range 3 { // it may be run again
		before, err := postgres.NewStore(pool).Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		seen[before.Epoch] = true
		said, err := operate(t, dsn, "restore")
		if err != nil {
			t.Fatal(err)
		}
		after, err := postgres.NewStore(pool).Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if seen[after.Epoch] || after.Revision != before.Revision {
			t.Errorf("restore led from %+v to %+v, want another epoch and the same revision", before, after)
		}
		want(t, "stdout", fmt.Sprintf("The registry is at revision %d of the new epoch %s.\n", after.Revision, after.Epoch), said)
	}
	var audited int
	const audit = "SELECT count(*) FROM audit_events WHERE action = 'registry.renew_epoch' AND actor = 'credence restore' AND outcome = $1"
	if err := pool.QueryRow(t.Context(), audit, registry.Success).Scan(&audited); err != nil || audited != 3 {
		t.Errorf("%d audit events, want 3 (%v)", audited, err)
	}
}

func TestRestoreFailuresSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		dsn  string
		says string
	}{
		"no schema":   {testdb.Empty(t), "credence migrate"},
		"no database": {"postgres://nobody:hunter2@127.0.0.1:1/none", ""},
		"no URL":      {"postgres://nobody:hunter2@127.0.0.1:port/none", "expected postgres://"},
	} {
		said, err := operate(t, tt.dsn, "restore")
		if err == nil || said != "" || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v\n%s", name, err, said)
		}
	}
}
