package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/credenceproject/credence/internal/registry"
	"github.com/credenceproject/credence/migrations"
)

// Migration is one step of the schema that Migrate took.
type Migration struct {
	Version int64
	Name    string
}

// Migrate brings the schema of the database at dsn up to date and returns the
// steps that it took. It uses a connection of its own, without the pool's
// timeouts, and a lock that lets one of several replicas migrate.
func Migrate(ctx context.Context, dsn string) ([]Migration, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("the database URL is not valid: expected postgres://user:password@host:port/database")
	}
	db := stdlib.OpenDB(*cfg)
	defer db.Close()
	if err := db.PingContext(ctx); err != nil {
		return nil, fmt.Errorf("connect to the database: %w", translate(err))
	}
	provider, err := newProvider(db)
	if err != nil {
		return nil, err
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	taken := make([]Migration, len(results))
	for i, r := range results {
		taken[i] = Migration{Version: r.Source.Version, Name: r.Source.Path}
	}
	return taken, nil
}

func newProvider(db *sql.DB) (*goose.Provider, error) {
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return nil, fmt.Errorf("prepare the migration lock: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, migrations.FS, goose.WithSessionLocker(locker))
	if err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	return provider, nil
}

const schemaVersionSQL = `SELECT COALESCE(max(version_id), 0) FROM goose_db_version WHERE is_applied`

// CheckSchema returns Conflict, which says what to do, unless the database has
// the schema of this binary, or a newer one: migrations run with the code before
// them. It returns Unavailable when the database is away.
func (s *Store) CheckSchema(ctx context.Context) error {
	want, err := newestMigration()
	if err != nil {
		return err
	}
	var have int64
	err = s.pool.QueryRow(ctx, schemaVersionSQL).Scan(&have)
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == undefinedTable {
		return registry.Conflict.Errorf("schema_missing", "the database has no schema; run credence migrate")
	}
	if err != nil {
		return fmt.Errorf("read the schema's version: %w", translate(err))
	}
	if have < want {
		return registry.Conflict.Errorf("schema_outdated", "the schema is at version %d and this binary needs %d; run credence migrate", have, want)
	}
	return nil
}

// newestMigration is the version that this binary's migrations lead to.
func newestMigration() (int64, error) {
	files, err := fs.Glob(migrations.FS, "*.sql")
	if err != nil {
		return 0, fmt.Errorf("list the migrations: %w", err)
	}
	if len(files) == 0 {
		return 0, errors.New("this binary has no migrations")
	}
	return goose.NumericComponent(files[len(files)-1]) // Glob sorts
}
