package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/credenceproject/credence/internal/registry"
)

// What an error is follows from its type and its SQLSTATE, never from its text.
func TestFailuresAreToldApartByTypeAndCode(t *testing.T) {
	t.Parallel()
	state := func(code string) error { return &pgconn.PgError{Code: code} }
	for _, tt := range []struct {
		err  error
		kind registry.Kind // "" for none
	}{
		{pgx.ErrNoRows, registry.NotFound},
		{state(untranslatable), registry.Malformed},
		{state(lockNotAvailable), registry.Unavailable},
		{state("57P01"), registry.Unavailable},
		{state("08006"), registry.Unavailable},
		{state("53300"), registry.Unavailable},
		{state(undefinedTable), ""},
		{state("23514"), ""},
		{io.ErrUnexpectedEOF, registry.Unavailable},
		{net.ErrClosed, registry.Unavailable},
		{pgconn.ErrConnClosed, registry.Unavailable},
		{&net.OpError{Op: "read", Err: errors.New("connection reset by peer")}, registry.Unavailable},
		{context.DeadlineExceeded, registry.Unavailable},
		{context.Canceled, ""},
		{errors.New("decode column: unexpected EOF"), ""},
		{errors.New("the conn closed the door"), ""},
	} {
		got := translate(fmt.Errorf("read: %w", tt.err))
		e, ok := registry.AsError(got)
		if ok != (tt.kind != "") || (ok && e.Kind != tt.kind) {
			t.Errorf("translate(%v) = %#v, want the kind %q", tt.err, got, tt.kind)
		}
		if !errors.Is(got, tt.err) {
			t.Errorf("translate(%v) lost its cause", tt.err)
		}
	}
}
