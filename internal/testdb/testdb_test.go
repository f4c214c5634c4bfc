package testdb_test

import (
	"bytes"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/credenceproject/credence/internal/testdb"
)

func TestEachTestHasADatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	one, two := testdb.New(t), testdb.New(t)
	if _, err := one.Exec(t.Context(), "CREATE TABLE mine (a text)"); err != nil {
		t.Fatal(err)
	}
	var there bool
	if err := two.QueryRow(t.Context(), "SELECT to_regclass('mine') IS NOT NULL").Scan(&there); err != nil {
		t.Fatal(err)
	}
	if there {
		t.Error("a table of one database is in the other")
	}
}

func TestDatabasesAreMigrated(t *testing.T) {
	t.Parallel()
	var revision int64
	if err := testdb.New(t).QueryRow(t.Context(), "SELECT revision FROM registry_head").Scan(&revision); err != nil {
		t.Errorf("read the head: %v", err)
	}
}

func TestEmptyHasNoTables(t *testing.T) {
	t.Parallel()
	conn, err := pgx.Connect(t.Context(), testdb.Empty(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	var tables int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").Scan(&tables); err != nil {
		t.Fatal(err)
	}
	if tables != 0 {
		t.Errorf("%d tables, want none", tables)
	}
}

func TestDatabasesAreDroppedWhenTheirTestEnds(t *testing.T) {
	t.Parallel()
	var name string
	t.Run("inner", func(t *testing.T) {
		pool := testdb.New(t)
		if err := pool.QueryRow(t.Context(), "SELECT current_database()").Scan(&name); err != nil {
			t.Fatal(err)
		}
	})
	var there bool
	if err := testdb.New(t).QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&there); err != nil {
		t.Fatal(err)
	}
	if there {
		t.Errorf("database %s is still there", name)
	}
}

func TestDumpHasTheBytesOfEveryRow(t *testing.T) {
	t.Parallel()
	dsn := testdb.DSN(t)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), "CREATE TABLE leak AS SELECT 'needle-4711' AS a"); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(testdb.Dump(t, dsn), []byte("needle-4711")) {
		t.Error("the dump lacks what was stored")
	}
}
