// Package postgres stores the registry in PostgreSQL (17 or later).
//
// Each exported method of Store is one transaction and one state change: the row
// it changes, the audit event that records the change and, when API or policy
// can see it, the change's row at the next revision commit together. No provider
// is ever called inside a transaction. SQL is written by hand, next to the
// function that runs it.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Store reads and writes the registry. It is safe for concurrent use.
type Store struct {
	pool      *pgxpool.Pool
	rehearses bool
}

// NewStore returns a Store that uses pool, which Open made.
func NewStore(pool *pgxpool.Pool) *Store { return &Store{pool: pool} }

// Rehearsal returns a Store on the same pool whose changes of the registry fail as
// they would, return what they would, and keep nothing.
func (s *Store) Rehearsal() *Store { return &Store{pool: s.pool, rehearses: true} }

// Timeouts of the write pool's sessions (invariant F1). A replica that freezes
// in the middle of a transaction holds the registry's head for no longer.
const (
	lockTimeout        = 2 * time.Second
	idleInTxTimeout    = 2 * time.Second
	transactionTimeout = 5 * time.Second
)

// Open connects to the database that dsn returns; dsn is asked again for each
// new connection, so that a changed password is picked up. It does not wait for
// the database: a pool on a database that is away answers Unavailable until it
// is back.
func Open(ctx context.Context, dsn func() (string, error), maxConns int32) (*pgxpool.Pool, error) {
	now, err := dsn()
	if err != nil {
		return nil, err
	}
	cfg, err := pgxpool.ParseConfig(now)
	if err != nil {
		// The driver's error may quote the address with its password.
		return nil, fmt.Errorf("the database URL is not valid: expected postgres://user:password@host:port/database")
	}
	if maxConns > 0 {
		cfg.MaxConns = maxConns
	}
	cfg.ConnConfig.ConnectTimeout = 5 * time.Second
	for name, d := range map[string]time.Duration{
		"lock_timeout":                        lockTimeout,
		"idle_in_transaction_session_timeout": idleInTxTimeout,
		"transaction_timeout":                 transactionTimeout,
	} {
		cfg.ConnConfig.RuntimeParams[name] = fmt.Sprint(d.Milliseconds())
	}
	cfg.ConnConfig.RuntimeParams["application_name"] = "credence"
	cfg.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		fresh, err := dsn()
		if err != nil {
			return err
		}
		parsed, err := pgx.ParseConfig(fresh)
		if err != nil {
			return fmt.Errorf("the database URL is not valid")
		}
		c.Password = parsed.Password
		return nil
	}
	return pgxpool.NewWithConfig(ctx, cfg)
}

// inTx runs f in one transaction and names what was being done in its error.
func (s *Store) inTx(ctx context.Context, doing string, f func(pgx.Tx) error) error {
	return s.transact(ctx, doing, false, f)
}

// errRehearsed ends a transaction that is to keep nothing.
var errRehearsed = errors.New("rehearsed")

// transact is inTx; a dry run rolls back what f did.
func (s *Store) transact(ctx context.Context, doing string, dryRun bool, f func(pgx.Tx) error) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := f(tx); err != nil || (!dryRun && !s.rehearses) {
			return err
		}
		return errRehearsed
	})
	if err != nil && !errors.Is(err, errRehearsed) {
		return fmt.Errorf("%s: %w", doing, translate(err))
	}
	return nil
}
