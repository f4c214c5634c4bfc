package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/credenceproject/credence/internal/registry"
)

// SQLSTATEs that mean something to callers (PostgreSQL documentation, appendix A).
const (
	uniqueViolation      = "23505"
	lockNotAvailable     = "55P03"
	queryCanceled        = "57014"
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	transactionTimedOut  = "25P04"
	idleInTxTimedOut     = "25P03"
	untranslatable       = "22021" // in a text
	untranslatableJSON   = "22P05" // in a text within jsonb
	undefinedTable       = "42P01"
)

// retryAfter is when a caller may come back after the database failed it.
const retryAfter = time.Second

// translate turns the driver's errors that mean something to callers into
// registry errors: NotFound for no rows, Malformed for text that the database
// cannot hold (U+0000, or what is not UTF-8), Unavailable when it is away, too
// slow or shutting down. Other errors, registry errors among them, pass.
func translate(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := registry.AsError(err); ok {
		return err
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return registry.NotFound.Wrap(err, "not_found", "there is nothing of that name")
	}
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && (pgErr.Code == untranslatable || pgErr.Code == untranslatableJSON) {
		return registry.Malformed.Wrap(err, "invalid_parameter", "the request has a text with bytes that are no characters")
	}
	if isUnavailable(err) {
		e := registry.Unavailable.Wrap(err, "database_unavailable", "the registry's database did not answer in time; repeat the call")
		e.RetryAfter = retryAfter
		return e
	}
	return err
}

func isUnavailable(err error) bool {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pgErr.Code {
		case lockNotAvailable, queryCanceled, serializationFailure, deadlockDetected, transactionTimedOut, idleInTxTimedOut:
			return true
		}
		// 08 connection exception, 53 insufficient resources, 57P admin shutdown.
		return strings.HasPrefix(pgErr.Code, "08") || strings.HasPrefix(pgErr.Code, "53") || strings.HasPrefix(pgErr.Code, "57P")
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok || pgconn.SafeToRetry(err) || pgconn.Timeout(err) {
		return true
	}
	// The connection broke under a query.
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, pgconn.ErrConnClosed)
}

// isUniqueViolation reports whether err says that the constraint's key exists.
func isUniqueViolation(err error, constraint string) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.Code == uniqueViolation && pgErr.ConstraintName == constraint
}
