package testdb

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver that goose uses
	"github.com/pressly/goose/v3"

	"github.com/credenceproject/credence/migrations"
)

// templates has one function per server that makes the template and returns its name.
var templates sync.Map

// template returns the name of a migrated database to copy.
func template(ctx context.Context, admin string) (string, error) {
	build, _ := templates.LoadOrStore(admin, sync.OnceValues(func() (string, error) {
		return buildTemplate(context.WithoutCancel(ctx), admin)
	}))
	return build.(func() (string, error))()
}

// buildTemplate makes the template unless the server has it. The processes of
// `go test ./...` share a server: an advisory lock lets one of them build, and the
// name appears only when the database is complete.
func buildTemplate(ctx context.Context, admin string) (string, error) {
	name, err := templateName(migrations.FS)
	if err != nil {
		return "", err
	}
	conn, err := pgx.Connect(ctx, admin)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(ctx) }() // unlocks
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock(hashtext($1))", name); err != nil {
		return "", fmt.Errorf("wait for another process to build it: %w", err)
	}
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&exists); err != nil {
		return "", fmt.Errorf("look for it: %w", err)
	}
	if exists {
		return name, nil
	}
	return name, fill(ctx, conn, admin, name)
}

func fill(ctx context.Context, conn *pgx.Conn, admin, name string) error {
	building := name + "_building"
	dsn, err := withDatabase(admin, building)
	if err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { _, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+building); return err },
		func() error { _, err := conn.Exec(ctx, "CREATE DATABASE "+building+" TEMPLATE template0"); return err },
		func() error { return migrate(ctx, dsn) },
		func() error { _, err := conn.Exec(ctx, "ALTER DATABASE "+building+" RENAME TO "+name); return err },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func migrate(ctx context.Context, dsn string) (err error) {
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	p, err := goose.NewProvider(goose.DialectPostgres, db, migrations.FS)
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}

// templateName contains a hash of the migrations: a changed one makes a new template.
func templateName(migrations fs.FS) (string, error) {
	h := sha256.New()
	err := fs.WalkDir(migrations, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(migrations, path)
		fmt.Fprintf(h, "%d %s %d ", len(path), path, len(b))
		h.Write(b)
		return err
	})
	return "template_" + hex.EncodeToString(h.Sum(nil))[:16], err
}
