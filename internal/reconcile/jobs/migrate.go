package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// lockSQL lets one of several replicas migrate. The number is ours alone.
const lockSQL = `SELECT pg_advisory_lock(7310868735423243365)`

// Migrate brings River's tables in the database at dsn up to date and returns how
// many steps that took. It uses connections of its own, without the pool's
// timeouts, and a lock that lets one of several replicas migrate. A database that
// a newer release migrated is left as it is.
func Migrate(ctx context.Context, dsn string) (steps int, err error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return 0, errors.New("the database URL is not valid: expected postgres://user:password@host:port/database")
	}
	cfg.MaxConns = 2 // one holds the lock
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return 0, fmt.Errorf("connect to the database: %w", err)
	}
	defer pool.Close()
	lock, err := pool.Acquire(ctx)
	if err != nil {
		return 0, fmt.Errorf("connect to the database: %w", err)
	}
	defer func() { _ = lock.Hijack().Close(context.WithoutCancel(ctx)) }() // unlocks
	if _, err := lock.Exec(ctx, lockSQL); err != nil {
		return 0, fmt.Errorf("wait for the migration lock: %w", err)
	}
	if _, err := lock.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+Schema); err != nil {
		return 0, fmt.Errorf("make River's schema: %w", err)
	}
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: Schema, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return 0, fmt.Errorf("read River's migrations: %w", err)
	}
	result, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	if err != nil {
		return 0, fmt.Errorf("migrate River's tables: %w", err)
	}
	return len(result.Versions), nil
}

// grants are what the server's role needs of River's tables.
var grants = []string{
	`GRANT USAGE ON SCHEMA %[1]s TO %[2]s`,
	`REVOKE ALL ON ALL TABLES IN SCHEMA %[1]s FROM %[2]s`,
	`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %[1]s TO %[2]s`,
	`REVOKE INSERT, UPDATE, DELETE ON %[1]s.river_migration FROM %[2]s`,
	`GRANT USAGE ON ALL SEQUENCES IN SCHEMA %[1]s TO %[2]s`,
}

// GrantServer lets role, which exists, run jobs in the database at dsn, the
// owner's. It is to be called after each migration, and replaces what the role
// could do with River's tables before, in one transaction.
func GrantServer(ctx context.Context, dsn, role string) error {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return errors.New("the database URL is not valid: expected postgres://user:password@host:port/database")
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for _, grant := range grants {
			if _, err := tx.Exec(ctx, fmt.Sprintf(grant, Schema, pgx.Identifier{role}.Sanitize())); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("grant River's tables to the server's role: %w", err)
	}
	return nil
}
