// Package testdb gives each test a PostgreSQL database of its own, fresh and
// migrated, on a real server that it finds or starts. `make test` starts one
// server for all packages; without it each test binary starts its own. Either
// way the programs come from .tools, and nothing is left behind.
package testdb

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// New returns a pool on a fresh, fully migrated database. When the test ends, the
// pool is closed and the database dropped. A missing server fails the test; -short
// skips it.
func New(t testing.TB) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), DSN(t))
	if err != nil {
		t.Fatalf("connect to test database: %v", err)
	}
	t.Cleanup(pool.Close) // runs before the database is dropped
	return pool
}

// DSN returns the address (a URL, superuser) of a fresh, fully migrated database,
// for tests that connect themselves. It is dropped when the test ends, whoever is
// still connected.
func DSN(t testing.TB) string {
	t.Helper()
	admin := server(t)
	template, err := template(t.Context(), admin)
	if err != nil {
		t.Fatalf("prepare template database: %v", err)
	}
	return create(t, admin, template)
}

// Empty is like DSN, but for a database in which no migration ran.
func Empty(t testing.TB) string {
	t.Helper()
	return create(t, server(t), "template0")
}

func create(t testing.TB, admin, template string) string {
	t.Helper()
	name := "test_" + strings.ToLower(rand.Text()[:16])
	if err := execute(t.Context(), admin, "CREATE DATABASE "+name+" TEMPLATE "+template); err != nil {
		t.Fatalf("create test database: %v", err)
	}
	t.Cleanup(func() {
		if err := execute(context.Background(), admin, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop test database: %v", err)
		}
	})
	dsn, err := withDatabase(admin, name)
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}

// execute runs one statement on a connection of its own.
func execute(ctx context.Context, dsn, sql string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	_, err = conn.Exec(ctx, sql)
	return err
}

func withDatabase(dsn, name string) (string, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return "", fmt.Errorf("%s must be a URL", EnvURL) // not %w: the cause would show the password
	}
	u.Path = "/" + name
	return u.String(), nil
}
